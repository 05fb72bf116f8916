//! The pairs of `osn_recipes::data::pairs`: what is built in, and folders of pairs.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use osn_recipes::data::error::DataError;
use osn_recipes::data::image_set::ImageSet;
use osn_recipes::data::pair_set::{PairSplit, Pairs};
use osn_recipes::data::{images, list, pairs};
use tempfile::TempDir;

// --- What is built in ------------------------------------------------------------------------

#[test]
fn the_default_inputs_are_the_edges_that_scipy_finds() {
    // CRC-32 of min(255, ⌊√(gx² + gy²) / 4 + ½⌋), gx and gy by `scipy.ndimage.sobel` with
    // `mode="constant"` in float64.
    let pairs = pairs::load(None, 32).unwrap();
    assert_eq!(crate::files::crc32(&pairs.train.inputs.pixels), 0x661f_0463);
    assert_eq!(crate::files::crc32(&pairs.test.inputs.pixels), 0x59f8_a9dd);
}

#[test]
fn the_default_targets_are_the_images_with_their_labels() {
    let pairs = pairs::load(Some("fashion-mnist-edges"), 32).unwrap();
    assert_eq!(pairs, pairs::load(None, 28).unwrap());
    let images = images::load(None, 28).unwrap();
    for (split, set) in [(&pairs.train, &images.train), (&pairs.test, &images.test)] {
        assert_eq!(&split.targets, set);
        assert_eq!((split.len(), split.inputs.len()), (10_000, 10_000));
        assert_eq!((split.inputs.height, split.inputs.width, split.inputs.channels), (28, 28, 1));
        assert_eq!(split.inputs.labels, split.targets.labels);
    }
}

#[test]
fn padding_and_selecting_keep_both_sides_together() {
    let test = pairs::load(None, 28).unwrap().test;
    let some = test.select(&[7, 3]).padded(32);
    assert_eq!(some.len(), 2);
    let alone = test.inputs.select(&[7, 3]).padded(32);
    assert_eq!(some.inputs, alone);
    assert_eq!(some.targets, test.targets.select(&[7, 3]).padded(32));
}

#[test]
fn the_list_says_what_can_be_loaded() {
    for entry in list::pairs() {
        assert_eq!(pairs::load(Some(&entry.name), 32).is_ok(), entry.present, "{}", entry.name);
    }
}

// --- Folders of pairs ------------------------------------------------------------------------

/// A picture of one colour, so that its value tells which one it is.
fn save(folder: &Path, name: &str, size: (u32, u32), colour: [u8; 3]) {
    crate::files::save(folder, name, &RgbImage::from_pixel(size.0, size.1, Rgb(colour)));
}

/// A grey input of `value` and a coloured target whose red is `value`.
fn save_pair(folder: &Path, name: &str, value: u8) {
    save(folder, &format!("input/{name}"), (8, 8), [value; 3]);
    save(folder, &format!("target/{name}"), (8, 8), [value, 255, 0]);
}

fn load(folder: &Path, size: usize) -> Result<Pairs, DataError> {
    pairs::load(folder.to_str(), size)
}

/// Seven pairs with the values 0, 10, … 60 in the order of their names.
fn seven_pairs() -> TempDir {
    let folder = TempDir::new().unwrap();
    for index in 0..7 {
        save_pair(folder.path(), &format!("{index}.png"), index * 10);
    }
    folder
}

/// The first value of each image.
fn first_values(set: &ImageSet) -> Vec<u8> {
    set.pixels.chunks(set.image_len()).map(|image| image[0]).collect()
}

#[test]
fn the_same_name_is_a_pair_and_every_sixth_is_for_testing() {
    let folder = seven_pairs();
    save_pair(folder.path(), "deep/a.png", 70);
    fs::write(folder.path().join("input/notes.txt"), "not an image").unwrap();
    let Pairs { train, test, .. } = load(folder.path(), 4).unwrap();
    for split in [(&train.inputs), (&train.targets)] {
        assert_eq!(first_values(split), [0, 10, 20, 30, 40, 60, 70], "{}", split.source);
    }
    assert_eq!(first_values(&test.inputs), [50]);
    assert_eq!(first_values(&test.targets), [50]);
    assert_eq!((train.inputs.height, train.inputs.width, train.inputs.labels), (4, 4, None));
}

#[test]
fn each_side_has_its_own_channels_in_train_and_test_alike() {
    let folder = seven_pairs();
    let Pairs { train, test, .. } = load(folder.path(), 8).unwrap();
    let channels = |split: &PairSplit| (split.inputs.channels, split.targets.channels);
    assert_eq!((channels(&train), channels(&test)), ((1, 3), (1, 3)));
    // One input of the test pairs gets colour, and so do all inputs.
    save(folder.path(), "input/5.png", (8, 8), [50, 200, 0]);
    let Pairs { train, test, .. } = load(folder.path(), 8).unwrap();
    assert_eq!((channels(&train), channels(&test)), ((3, 3), (3, 3)));
}

#[test]
fn folders_for_train_and_test_are_taken_as_they_are() {
    let folder = TempDir::new().unwrap();
    for (part, values) in [("train", &[1, 2][..]), ("test", &[3])] {
        for &value in values {
            save_pair(&folder.path().join(part), &format!("{value}.png"), value);
        }
    }
    let Pairs { train, test, name, .. } = load(folder.path(), 8).unwrap();
    assert_eq!(first_values(&train.inputs), [1, 2]);
    assert_eq!(first_values(&test.targets), [3]);
    assert_eq!(Some(&name[..]), folder.path().to_str());
}

/// Why a folder is refused, in one line.
fn refused(folder: &Path) -> DataError {
    let error = load(folder, 8).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

#[test]
fn an_image_without_a_partner_is_named_on_either_side() {
    for (side, other) in [("input", "target"), ("target", "input")] {
        let folder = seven_pairs();
        save(folder.path(), &format!("{side}/alone.png"), (8, 8), [0; 3]);
        let error = refused(folder.path());
        let DataError::Unpaired { path, partner } = &error else { panic!("{error}") };
        let expected = [side, other].map(|it| folder.path().join(it).join("alone.png"));
        assert_eq!([path, partner], [&expected[0], &expected[1]]);
    }
}

#[test]
fn names_pair_up_however_their_accents_are_written() {
    let folder = seven_pairs();
    let (composed, marked) = ("caf\u{e9}.png", "cafe\u{301}.png");
    save(folder.path(), &format!("input/{composed}"), (8, 8), [70; 3]);
    save(folder.path(), &format!("target/{marked}"), (8, 8), [70, 255, 0]);
    save(folder.path(), "input/a\u{308}/1.png", (8, 8), [80; 3]);
    save(folder.path(), "target/\u{e4}/1.png", (8, 8), [80, 255, 0]);
    let Pairs { train, test, .. } = load(folder.path(), 4).unwrap();
    assert_eq!(first_values(&train.inputs), [0, 10, 20, 30, 40, 60, 70, 80]);
    assert_eq!(first_values(&train.targets), first_values(&train.inputs));
    assert_eq!(first_values(&test.targets), first_values(&test.inputs));
    // Both on one side are no pair but a question.
    save(folder.path(), &format!("input/{marked}"), (8, 8), [0; 3]);
    assert!(matches!(refused(folder.path()), DataError::SameName { .. }));
}

#[test]
fn a_partner_under_nearly_its_name_is_named() {
    for other in ["alone.PNG", "Alone.png", "alone.jpg"] {
        let folder = seven_pairs();
        save(folder.path(), "input/alone.png", (8, 8), [0; 3]);
        let path = folder.path().join("target").join(other);
        RgbImage::from_pixel(8, 8, Rgb([0; 3])).save(path).unwrap();
        let error = refused(folder.path());
        let DataError::Misnamed { path, other: found } = &error else { panic!("{error}") };
        assert!(path.ends_with("input/alone.png") && found.ends_with(other), "{error}");
    }
}

#[test]
fn what_systems_leave_beside_pairs_is_passed_over() {
    let folder = seven_pairs();
    let clean = load(folder.path(), 4).unwrap();
    fs::write(folder.path().join("input/._0.png"), [0, 5, 22, 7]).unwrap();
    fs::write(folder.path().join("target/.DS_Store"), "Bud1").unwrap();
    save(folder.path(), "target/__MACOSX/0.png", (8, 8), [0; 3]);
    assert_eq!(load(folder.path(), 4).unwrap(), clean);
}

#[test]
fn a_pair_of_two_sizes_is_named_with_both() {
    let folder = seven_pairs();
    save(folder.path(), "target/3.png", (8, 9), [0; 3]);
    let error = refused(folder.path());
    let DataError::PairSize { input, input_size, target, target_size } = &error else {
        panic!("{error}")
    };
    assert!(input.ends_with("input/3.png") && target.ends_with("target/3.png"), "{error}");
    assert_eq!((*input_size, *target_size), ((8, 8), (8, 9)));
}

#[test]
fn a_folder_without_its_sides_says_which_is_missing() {
    let folder = TempDir::new().unwrap();
    let missing = || match refused(folder.path()) {
        DataError::NoSide { folder } => folder,
        error => panic!("{error}"),
    };
    assert_eq!(missing(), folder.path().join("input"));
    fs::create_dir_all(folder.path().join("input")).unwrap();
    assert_eq!(missing(), folder.path().join("target"));
    save_pair(&folder.path().join("train"), "a.png", 0);
    assert_eq!(missing(), folder.path().join("test/input"));
}

#[test]
fn a_part_without_pairs_is_named() {
    let empty = TempDir::new().unwrap();
    for part in ["train/input", "train/target", "test/input", "test/target"] {
        fs::create_dir_all(empty.path().join(part)).unwrap();
    }
    let error = refused(empty.path());
    assert!(
        matches!(&error, DataError::Empty { folder } if folder.ends_with("train/input")),
        "{error}"
    );
}
