//! The data of `osn_recipes::data`: what is embedded, what is read from files, what is drawn.

use std::fs;
use std::path::Path;

use crate::files::{crc32, fill, gzip, save, write_idx};
use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use osn_recipes::data::error::DataError;
use osn_recipes::data::idx::{self, IdxError};
use osn_recipes::data::image_set::{Dataset, ImageSet, pixel, signed_unit};
use osn_recipes::data::sampler::{Sampler, noise, permutation};
use osn_recipes::data::{fashion_mnist, images, list};
use osn_recipes::run::error::RunError;
use osn_recipes::run::request::TrainRequest;
use tempfile::TempDir;

// --- IDX -------------------------------------------------------------------------------------

#[test]
fn idx_is_read_plain_and_packed_whatever_its_name() {
    let folder = TempDir::new().unwrap();
    let plain = crate::files::idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
    fs::write(folder.path().join("plain.gz"), &plain).unwrap();
    fs::write(folder.path().join("packed"), gzip(&plain)).unwrap();
    for name in ["plain.gz", "packed"] {
        let read = idx::read(&folder.path().join(name)).unwrap();
        assert_eq!((read.shape, read.values), (vec![2, 1, 3], vec![1, 2, 3, 4, 5, 6]));
    }
}

#[test]
fn every_cut_of_an_idx_file_is_an_error() {
    let plain = crate::files::idx(&[3, 4], &[7; 12]);
    let packed = gzip(&plain);
    for length in 0..plain.len() {
        assert!(idx::parse(&plain[..length]).is_err(), "{length} plain bytes");
    }
    for length in 0..packed.len() {
        assert!(idx::parse(&packed[..length]).is_err(), "{length} packed bytes");
    }
}

#[test]
fn bytes_after_the_values_are_an_error() {
    let long = crate::files::idx(&[2], &[1, 2, 3]);
    assert!(matches!(idx::parse(&long), Err(IdxError::Trailing { expected: 2 })));
    assert!(matches!(idx::parse(&gzip(&long)), Err(IdxError::Trailing { expected: 2 })));
    let mut after_gzip = gzip(&crate::files::idx(&[2], &[1, 2]));
    after_gzip.push(0);
    assert!(matches!(idx::parse(&after_gzip), Err(IdxError::Trailing { .. })));
}

#[test]
fn hostile_shapes_are_errors_before_anything_is_allocated() {
    let most = u32::MAX;
    let shapes: [&[u32]; 4] = [&[most], &[most, most, most, most], &[1 << 16, 1 << 15], &[1 << 29]];
    for shape in shapes {
        let file = crate::files::idx(shape, &[0; 8]);
        assert!(matches!(idx::parse(&file), Err(IdxError::Shape { .. })), "{shape:?}");
        assert!(
            matches!(idx::parse(&gzip(&file)), Err(IdxError::Shape { .. })),
            "{shape:?} packed"
        );
    }
}

#[test]
fn a_gzip_bomb_stops_at_the_shape_it_states() {
    let bomb = gzip(&crate::files::idx(&[10], &vec![0; 50_000_000]));
    assert!(matches!(idx::parse(&bomb), Err(IdxError::Trailing { expected: 10 })));
}

#[test]
fn other_types_ranks_and_files_are_named_as_such() {
    for magic in [[0, 0, 0x0d, 3], [0, 0, 8, 0], [0, 0, 8, 5], [1, 0, 8, 3], *b"\x89PNG"] {
        let mut file = crate::files::idx(&[1, 1, 1], &[0]);
        file[..4].copy_from_slice(&magic);
        assert!(matches!(idx::parse(&file), Err(IdxError::Magic(found)) if found == magic));
    }
}

#[test]
fn a_flipped_bit_in_a_packed_file_is_noticed() {
    let values: Vec<u8> = (0..200_u8).map(|value| value.wrapping_mul(37)).collect();
    let packed = gzip(&crate::files::idx(&[200], &values));
    // Past the header of gzip, whose time stamp means nothing.
    for place in 10..packed.len() {
        let mut damaged = packed.clone();
        damaged[place] ^= 1;
        let read = idx::parse(&damaged);
        assert!(read.is_err() || read.unwrap().values == values, "byte {place}");
    }
}

#[test]
fn an_idx_error_names_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("train-images-idx3-ubyte");
    for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
        fs::write(folder.path().join(name), b"not idx").unwrap();
    }
    let error = fashion_mnist::from_folder("mine", folder.path()).unwrap_err();
    assert!(matches!(&error, DataError::Idx { file, .. } if *file == path.display().to_string()));
    assert!(!error.to_string().contains('\n'));
}

// --- Fashion-MNIST ---------------------------------------------------------------------------

const TRAIN_PIXELS_CRC: u32 = 0x8f68_0c6e;
const TRAIN_LABELS_CRC: u32 = 0xa8fa_5302;
const TEST_PIXELS_CRC: u32 = 0x1272_8439;
const TEST_LABELS_CRC: u32 = 0x242b_c73f;

#[test]
fn the_embedded_images_are_those_that_the_script_made() {
    // CRC-32 of the values without the headers, by Python's zlib from the full set.
    let data = images::load(None, 32).unwrap();
    assert_eq!(crc32(&data.train.pixels), TRAIN_PIXELS_CRC);
    assert_eq!(crc32(data.train.labels.as_ref().unwrap()), TRAIN_LABELS_CRC);
    assert_eq!(crc32(&data.test.pixels), TEST_PIXELS_CRC);
    assert_eq!(crc32(data.test.labels.as_ref().unwrap()), TEST_LABELS_CRC);
}

#[test]
fn the_embedded_sets_hold_a_thousand_images_of_each_class() {
    let data = images::load(Some("fashion-mnist-10k"), 32).unwrap();
    assert_eq!(data, images::load(None, 28).unwrap());
    for set in [&data.train, &data.test] {
        assert_eq!((set.len(), set.channels, set.height, set.width), (10_000, 1, 28, 28));
        let mut counts = [0; 10];
        for &label in set.labels.as_ref().unwrap() {
            counts[usize::from(label)] += 1;
        }
        assert_eq!(counts, [1_000; 10]);
    }
}

#[test]
fn the_embedded_training_images_are_the_first_of_the_full_set_where_that_is_installed() {
    match images::load(Some("fashion-mnist"), 28) {
        Ok(full) => assert_is_start_of(&full, &images::load(None, 28).unwrap()),
        Err(problem) => {
            assert!(matches!(problem, DataError::NotInstalled { .. }), "{problem}");
        }
    }
}

fn assert_is_start_of(full: &Dataset, embedded: &Dataset) {
    assert_eq!((full.train.len(), full.test.len()), (60_000, 10_000));
    assert_eq!(full.test.pixels, embedded.test.pixels);
    let mut seen = [0; 10];
    let mut kept = Vec::new();
    for (index, &label) in full.train.labels.as_ref().unwrap().iter().enumerate() {
        seen[usize::from(label)] += 1;
        if seen[usize::from(label)] <= 1_000 {
            kept.push(index);
        }
    }
    assert_eq!(full.train.batch(&kept), embedded.train.batch(&(0..10_000).collect::<Vec<_>>()));
    assert_eq!(full.train.batch_labels(&kept), embedded.train.labels);
}

/// Images of 2×3 pixels in three classes.
fn write_idx_folder(folder: &Path, train: usize, test: usize) {
    for (part, count) in [("train", train), ("t10k", test)] {
        let labels: Vec<u8> = (0..count).map(|image| (image % 3).to_le_bytes()[0]).collect();
        let pixel = |image: usize, place: usize| (6 * image + place).to_le_bytes()[0];
        write_idx(folder, part, &labels, [2, 3], pixel);
    }
}

fn load_folder(folder: &Path, size: usize) -> Result<Dataset, DataError> {
    images::load(folder.to_str(), size)
}

#[test]
fn a_folder_of_idx_files_is_read_packed_or_not() {
    for packed in [false, true] {
        let folder = TempDir::new().unwrap();
        write_idx_folder(folder.path(), 5, 2);
        for entry in fs::read_dir(folder.path()).unwrap().filter(|_| packed) {
            let path = entry.unwrap().path();
            fs::write(path.with_extension("gz"), gzip(&fs::read(&path).unwrap())).unwrap();
            fs::remove_file(path).unwrap();
        }
        let data = load_folder(folder.path(), 32).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (5, 2));
        assert_eq!((data.train.height, data.train.width), (2, 3));
        assert_eq!(data.train.batch_labels(&[4, 2]), Some(vec![1, 2]));
        assert_eq!(data.train.pixels[6..8], [6, 7]);
    }
}

#[test]
fn idx_files_that_do_not_fit_together_are_errors() {
    let folder = TempDir::new().unwrap();
    write_idx_folder(folder.path(), 5, 2);
    let labels = folder.path().join("t10k-labels-idx1-ubyte");
    fs::write(&labels, crate::files::idx(&[3], &[0; 3])).unwrap();
    assert!(matches!(load_folder(folder.path(), 32), Err(DataError::Layout { .. })));
    fs::remove_file(&labels).unwrap();
    let error = load_folder(folder.path(), 32).unwrap_err();
    assert!(matches!(&error, DataError::Missing { name, .. } if labels.ends_with(name)), "{error}");
}

#[test]
fn test_images_of_another_size_are_an_error() {
    let folder = TempDir::new().unwrap();
    write_idx_folder(folder.path(), 5, 2);
    let images = folder.path().join("t10k-images-idx3-ubyte");
    fs::write(images, crate::files::idx(&[2, 3, 3], &[0; 18])).unwrap();
    assert!(matches!(load_folder(folder.path(), 32), Err(DataError::Layout { .. })));
}

#[test]
fn an_unknown_name_is_refused() {
    let error = images::load(Some("fashon-mnist"), 32).unwrap_err();
    assert!(matches!(&error, DataError::Unknown { name } if name == "fashon-mnist"), "{error}");
}

#[test]
fn the_list_says_what_is_there() {
    let list = list::images();
    let entry = |name: &str| list.iter().find(|entry| entry.name == name).unwrap();
    assert!(entry("fashion-mnist-10k").present);
    let installed = Path::new(fashion_mnist::FULL_SET_FOLDER).is_dir();
    assert_eq!(entry("fashion-mnist").present, installed);
    for entry in &list {
        assert_eq!(images::load(Some(&entry.name), 32).is_ok(), entry.present);
    }
}

// --- Image sets ------------------------------------------------------------------------------

fn small_set() -> ImageSet {
    ImageSet {
        channels: 2,
        height: 1,
        width: 2,
        pixels: vec![1, 2, 3, 4, 5, 6, 7, 8],
        labels: Some(vec![9, 8]),
        source: "test".to_owned(),
    }
}

#[test]
fn padding_puts_images_in_the_middle_of_black() {
    let padded = small_set().padded(4);
    assert_eq!((padded.height, padded.width, padded.len()), (4, 4, 2));
    let plane = |first, second| [0, 0, 0, 0, 0, first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(padded.pixels, [plane(1, 2), plane(3, 4), plane(5, 6), plane(7, 8)].concat());
    assert_eq!(padded.labels, small_set().labels);
}

#[test]
fn padding_fashion_mnist_adds_two_black_pixels_on_each_side() {
    let set = images::load(None, 32).unwrap().test;
    let padded = set.padded(32);
    for (image, wide) in set.pixels.chunks(784).zip(padded.pixels.chunks(1024)).take(50) {
        for (place, &pixel) in wide.iter().enumerate() {
            let (row, column) = (place / 32, place % 32);
            let inside = (2..30).contains(&row) && (2..30).contains(&column);
            assert_eq!(pixel, if inside { image[(row - 2) * 28 + column - 2] } else { 0 });
        }
    }
}

#[test]
fn a_batch_is_gathered_in_order_and_lies_in_minus_one_to_one() {
    let set = small_set();
    let expected: Vec<f32> =
        [5, 6, 7, 8, 1, 2, 3, 4].map(|pixel: u8| f32::from(pixel) / 127.5 - 1.0).to_vec();
    assert_eq!(set.batch(&[1, 0]), expected);
    assert_eq!(set.batch_labels(&[1, 0, 1]), Some(vec![8, 9, 8]));
    assert_eq!((signed_unit(0), signed_unit(255)), (-1.0, 1.0));
}

#[test]
fn every_byte_comes_back_from_its_number() {
    for byte in 0..=u8::MAX {
        assert_eq!(pixel(signed_unit(byte)), byte);
    }
    assert_eq!([f32::NAN, -7.0, 7.0, f32::INFINITY].map(pixel), [0, 0, 255, 255]);
}

// --- Folders of images -----------------------------------------------------------------------

fn grey_image(value: u8) -> RgbImage {
    RgbImage::from_pixel(8, 8, Rgb([value; 3]))
}

fn fill_grey(folder: &Path, count: u8) {
    fill(folder, count, 8, |index| [index * 10; 3]);
}

#[test]
fn images_are_found_in_all_folders_and_split_by_sorted_path() {
    let folder = TempDir::new().unwrap();
    let names = ["b.png", "a/2.PNG", "c/d/e.png", "a/1.png", "z.png", "a/3.png", "c/a.png"];
    for (index, name) in names.iter().enumerate() {
        let value = u8::try_from(index).unwrap() * 10;
        save(folder.path(), &name.to_lowercase(), &grey_image(value));
        fs::rename(folder.path().join(name.to_lowercase()), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "not an image").unwrap();
    let data = load_folder(folder.path(), 1).unwrap();
    // By path: a/1 30, a/2 10, a/3 50, b 0, c/a 60, c/d/e 20, z 40; the sixth is for testing.
    assert_eq!(data.train.pixels, [30, 10, 50, 0, 60, 40]);
    assert_eq!(data.test.pixels, [20]);
    assert_eq!((data.train.channels, data.train.labels), (1, None));
}

#[test]
fn one_image_with_colour_makes_all_of_them_colour() {
    let folder = TempDir::new().unwrap();
    fill_grey(folder.path(), 6);
    assert_eq!(load_folder(folder.path(), 4).unwrap().train.channels, 1);
    save(folder.path(), "a.png", &RgbImage::from_pixel(4, 4, Rgb([200, 100, 50])));
    let data = load_folder(folder.path(), 4).unwrap();
    assert_eq!((data.train.channels, data.train.len(), data.test.len()), (3, 6, 1));
    let planes: Vec<u8> = [[200; 16], [100; 16], [50; 16]].concat();
    assert_eq!(data.train.pixels[5 * 48..], planes);
}

#[test]
fn the_middle_square_is_kept_and_shrunk_by_averaging() {
    let folder = TempDir::new().unwrap();
    fill_grey(folder.path(), 6);
    // A white frame left and right of a middle square of black and white stripes.
    let wide = RgbImage::from_fn(96, 32, |x, _| match x {
        32..64 => Rgb([if x % 2 == 0 { 0 } else { 255 }; 3]),
        _ => Rgb([255, 0, 0]),
    });
    save(folder.path(), "000.png", &wide);
    let data = load_folder(folder.path(), 8).unwrap();
    assert_eq!(data.train.channels, 1, "the red sides are cut off");
    for &pixel in &data.train.pixels[..64] {
        assert!((110..=145).contains(&pixel), "stripes become grey, not {pixel}");
    }
}

#[test]
fn transparent_pixels_become_white() {
    let folder = TempDir::new().unwrap();
    fill_grey(folder.path(), 6);
    let glass = RgbaImage::from_fn(4, 4, |x, _| Rgba([0, 0, 0, if x < 2 { 0 } else { 255 }]));
    glass.save(folder.path().join("000.png")).unwrap();
    let data = load_folder(folder.path(), 4).unwrap();
    assert_eq!(data.train.pixels[..4], [255, 255, 0, 0]);
}

#[test]
fn a_photo_is_turned_as_its_exif_data_says() {
    let folder = TempDir::new().unwrap();
    fill_grey(folder.path(), 6);
    let dark_above = RgbImage::from_fn(32, 32, |_, y| Rgb([if y < 16 { 0 } else { 255 }; 3]));
    let mut jpeg = Vec::new();
    dark_above.write_to(&mut std::io::Cursor::new(&mut jpeg), ImageFormat::Jpeg).unwrap();
    // Orientation 6: to be turned a quarter clockwise for display.
    let exif =
        b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    jpeg.splice(2..2, exif.iter().copied());
    fs::write(folder.path().join("000.jpg"), jpeg).unwrap();
    fs::remove_file(folder.path().join("000.png")).unwrap();
    let data = load_folder(folder.path(), 2).unwrap();
    let [a, b, c, d] = data.train.pixels[..4] else { panic!("four pixels") };
    assert!(a > 200 && c > 200 && b < 50 && d < 50, "{a} {b} {c} {d}");
}

#[test]
fn grey_jpegs_stay_grey() {
    let folder = TempDir::new().unwrap();
    for index in 0..6_u8 {
        let image = RgbImage::from_fn(40, 40, |x, y| {
            Rgb([(x * 5 + y * u32::from(index)).to_le_bytes()[0]; 3])
        });
        save(folder.path(), &format!("{index}.jpg"), &image);
    }
    assert_eq!(load_folder(folder.path(), 16).unwrap().train.channels, 1);
}

#[cfg(unix)]
#[test]
fn a_loop_of_links_ends_and_no_image_comes_twice() {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("inner/deep")).unwrap();
    fill_grey(&folder.path().join("inner/deep"), 6);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("inner/loop")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("inner"), folder.path().join("again")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("broken.png")).unwrap();
    let data = load_folder(folder.path(), 8).unwrap();
    assert_eq!(data.train.len() + data.test.len(), 6);
}

/// What macOS writes beside a file on another system's disk.
fn apple_double() -> Vec<u8> {
    [&[0, 5, 22, 7, 0, 2, 0, 0][..], b"Mac OS X        ", &[0; 139]].concat()
}

#[test]
fn what_systems_leave_beside_pictures_is_passed_over() {
    let folder = TempDir::new().unwrap();
    fill_grey(folder.path(), 12);
    let clean = load_folder(folder.path(), 8).unwrap();
    for name in ["._000.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.jpg", "notes.txt"] {
        fs::write(folder.path().join(name), apple_double()).unwrap();
    }
    for name in ["__MACOSX", ".Trashes", "@eaDir", "$RECYCLE.BIN", ".git/objects"] {
        let left = folder.path().join(name);
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("._000.png"), apple_double()).unwrap();
        // A small copy that would be a double.
        save(&left, "000.png", &grey_image(0));
    }
    assert_eq!(load_folder(folder.path(), 8).unwrap(), clean);
    // Only what lies in it: a folder that is itself hidden was asked for.
    let hidden = folder.path().join(".mine");
    fill_grey(&hidden, 6);
    assert_eq!(load_folder(&hidden, 8).unwrap().train.len(), 5);
}

#[test]
fn the_split_is_the_same_however_accents_are_written() {
    let of = |names: [&str; 6]| {
        let folder = TempDir::new().unwrap();
        for (value, name) in (0..).zip(names) {
            save(folder.path(), name, &grey_image(value * 10));
        }
        let data = load_folder(folder.path(), 1).unwrap();
        (data.train.pixels, data.test.pixels)
    };
    // As one character each, and as a letter with a mark behind it.
    let composed = ["cafe.png", "caf\u{e9}.png", "cafz.png", "\u{e4}.png", "b.png", "z.png"];
    let marked = ["cafe.png", "cafe\u{301}.png", "cafz.png", "a\u{308}.png", "b.png", "z.png"];
    assert_eq!(of(composed), of(marked));
}

#[test]
fn images_too_many_for_the_asked_size_are_refused_before_they_are_enlarged() {
    let folder = TempDir::new().unwrap();
    write_idx_folder(folder.path(), 20_000, 2);
    let request = |size: usize| {
        let data = folder.path().to_str().map(str::to_owned);
        let request = TrainRequest { data, ..TrainRequest::default() };
        images::for_recipe(&request, size).map(|data| data.train.pixels.len())
    };
    assert_eq!(request(8).unwrap(), 20_000 * 64);
    for size in [512, usize::MAX] {
        let error = request(size).unwrap_err();
        assert!(
            matches!(error, RunError::Config { ref key, .. } if key == "image_size"),
            "{error}"
        );
    }
}

#[test]
fn a_damaged_image_is_named() {
    let folder = TempDir::new().unwrap();
    fill_grey(folder.path(), 7);
    let bytes = fs::read(folder.path().join("003.png")).unwrap();
    fs::write(folder.path().join("003.png"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(folder.path().join("005.png"), "no image").unwrap();
    let error = load_folder(folder.path(), 8).unwrap_err();
    assert!(
        matches!(&error, DataError::Image { path, .. } if path.ends_with("003.png")),
        "{error}"
    );
}

// --- Random numbers --------------------------------------------------------------------------

#[test]
fn an_epoch_visits_every_image_once_and_in_its_own_order() {
    let mut sampler = Sampler::new(3, 100);
    let mut epochs = (0..3).map(|epoch| {
        let batches = (0..4).map(|batch| sampler.batch_indices(epoch * 4 + batch, 25));
        batches.collect::<Vec<_>>().concat()
    });
    let (first, second, third) =
        (epochs.next().unwrap(), epochs.next().unwrap(), epochs.next().unwrap());
    for epoch in [&first, &second, &third] {
        let mut sorted = epoch.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
    assert!(first != second && second != third && first != third);
}

#[test]
fn a_batch_depends_on_seed_and_step_alone() {
    let mut forward = Sampler::new(5, 33);
    let batches: Vec<_> = (0..20).map(|step| forward.batch_indices(step, 8)).collect();
    for step in (0..20).rev() {
        let mut fresh = Sampler::new(5, 33);
        let expected = &batches[usize::try_from(step).unwrap()];
        assert_eq!(&fresh.batch_indices(step, 8), expected);
        assert_eq!(&forward.batch_indices(step, 8), expected);
    }
    assert_ne!(Sampler::new(6, 33).batch_indices(0, 8), batches[0]);
}

#[test]
fn batches_larger_than_the_set_and_steps_far_away_work() {
    let mut sampler = Sampler::new(0, 3);
    let mut batch = sampler.batch_indices(0, 9);
    batch.sort_unstable();
    assert_eq!(batch, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assert_eq!(sampler.batch_indices(u64::MAX, 4).len(), 4);
    assert_eq!(Sampler::new(0, 1).batch_indices(9, 2), [0, 0]);
}

#[test]
fn all_orders_of_four_are_equally_likely() {
    let mut counts = std::collections::HashMap::new();
    for nonce in 0..24_000 {
        *counts.entry(permutation(1, nonce, 4)).or_insert(0_u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    let chi_squared: f64 =
        counts.values().map(|&count| (f64::from(count) - 1_000.0).powi(2) / 1_000.0).sum();
    // 23 degrees of freedom: 49.7 is passed once in a thousand.
    assert!(chi_squared < 49.7, "{chi_squared}");
}

#[test]
fn noise_is_standard_normal() {
    let mut values: Vec<f64> = noise(11, 0, 0, 100_000).into_iter().map(f64::from).collect();
    let mean = values.iter().sum::<f64>() / 1e5;
    let moment = |power| values.iter().map(|value| value.powi(power)).sum::<f64>() / 1e5;
    assert!(mean.abs() < 0.01 && (moment(2) - 1.0).abs() < 0.015);
    assert!(moment(3).abs() < 0.03 && (moment(4) - 3.0).abs() < 0.1);
    values.sort_unstable_by(f64::total_cmp);
    // Quantiles of the normal distribution.
    for (place, quantile) in
        [(2_500, -1.95996), (25_000, -0.67449), (50_000, 0.0), (97_500, 1.95996)]
    {
        let found = values[place];
        assert!((found - quantile).abs() < 0.03, "{place}: {found}");
    }
}

#[test]
fn noise_of_different_uses_is_unrelated() {
    let count = 20_000;
    let base = noise(1, 2, 3, count);
    assert_eq!(base, noise(1, 2, 3, count));
    assert_eq!(base[..7], noise(1, 2, 3, 7));
    for (seed, stream, step) in [(2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3), (3, 2, 1)] {
        let other = noise(seed, stream, step, count);
        let product: f32 = base.iter().zip(&other).map(|(a, b)| a * b).sum();
        let correlation = f64::from(product) / 2e4;
        assert!(correlation.abs() < 0.03, "{seed} {stream} {step}: {correlation}");
    }
}
