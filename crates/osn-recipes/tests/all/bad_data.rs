//! Data that is damaged, lies or is no data at all: every recipe says in one line which file is wrong,
//! and leaves nothing behind.

#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use crate::files::{crc32, with_side, write_idx};
use crate::runs::{bad_input, data_error, on, request};
use image::{ImageFormat, Rgb, RgbImage};
use osn_recipes::data::error::DataError;
use osn_recipes::data::idx::{self, IdxError};
use osn_recipes::data::image_set::Dataset;
use osn_recipes::data::svg::SvgError;
use osn_recipes::data::{images, list, openmoji, pairs};
use osn_recipes::run::description::RunDescription;
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::Silent;
use osn_runs::folder::RunFolder;
use tempfile::TempDir;

/// No loading of a few small files takes longer, on however busy a machine.
const LONG: Duration = Duration::from_mins(1);

/// What a function returns, if it returns: what hangs fails the test and does not stop it.
fn in_time<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(compute()));
    receiver.recv_timeout(LONG).expect("it ends")
}

fn picture(format: ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_fn(40, 30, |x, y| {
        Rgb([x, y, x * y].map(|value| value.to_le_bytes()[0].wrapping_mul(7)))
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A folder of so many good pictures.
fn pictures(count: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    for index in 0..count {
        let path = folder.path().join(format!("{index:03}.png"));
        fs::write(path, picture(ImageFormat::Png)).unwrap();
    }
    folder
}

/// Pairs of good pictures in both folders.
fn pairs_of(count: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    for side in ["input", "target"] {
        fs::create_dir(folder.path().join(side)).unwrap();
        for index in 0..count {
            let path = folder.path().join(side).join(format!("{index:03}.png"));
            fs::write(path, picture(ImageFormat::Png)).unwrap();
        }
    }
    folder
}

/// A JPEG whose frame says that it has 65,535 rows and columns.
fn huge_jpeg() -> Vec<u8> {
    let mut bytes = picture(ImageFormat::Jpeg);
    let frame = bytes.windows(2).position(|it| it == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xff);
    bytes
}

/// A picture that cannot be decoded is named, in one line.
fn must_name_picture(error: &DataError, name: &str) {
    let message = error.to_string();
    assert!(!message.contains('\n') && message.len() < 500, "{message}");
    assert!(matches!(error, DataError::Image { path, .. } if path.ends_with(name)), "{message}");
    assert!(message.contains("repair or remove it"), "{message}");
}

fn load(folder: &Path) -> Result<Dataset, DataError> {
    images::load(folder.to_str(), 8)
}

/// Why a recipe refuses data, before there is anything of a run.
fn refused(recipe: &str, data: &Path) -> RunError {
    let out = TempDir::new().unwrap();
    let runs = out.path().join("runs");
    let request = on(data, request(recipe, of_recipe(recipe), &runs));
    let error = in_time(move || crate::runs::refused(&request));
    assert!(!runs.exists(), "{recipe} left a folder: {error}");
    error
}

fn of_recipe(recipe: &str) -> &'static [(&'static str, &'static str)] {
    if recipe == "classify" { &[("network", "mlp"), ("steps", "2")] } else { &[] }
}

// --- Pictures --------------------------------------------------------------------------------

#[test]
fn a_picture_cut_anywhere_is_named_or_whole_and_never_a_panic() {
    let folder = pictures(6);
    for (format, name) in [(ImageFormat::Png, "cut.png"), (ImageFormat::Jpeg, "cut.jpg")] {
        let (whole, path) = (picture(format), folder.path().join(name));
        for length in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            match load(folder.path()) {
                Err(error) => must_name_picture(&error, name),
                // Behind its pixels a PNG ends with twelve bytes that say nothing more.
                Ok(_) => assert!(name == "cut.png" && length + 12 >= whole.len(), "{length}"),
            }
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_picture_with_a_flipped_bit_is_named_or_read_and_never_a_panic() {
    let folder = pictures(6);
    for (format, name) in [(ImageFormat::Png, "bit.png"), (ImageFormat::Jpeg, "bit.jpg")] {
        let (whole, path) = (picture(format), folder.path().join(name));
        for place in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            fs::write(&path, bytes).unwrap();
            if let Err(error) = load(folder.path()) {
                must_name_picture(&error, name);
            }
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_header_that_promises_billions_of_pixels_is_refused() {
    for (name, bytes) in [
        ("a.png", with_side(picture(ImageFormat::Png), 60_000)),
        ("b.png", with_side(picture(ImageFormat::Png), u32::MAX)),
        ("c.jpg", huge_jpeg()),
    ] {
        let folder = pictures(6);
        fs::write(folder.path().join(name), bytes).unwrap();
        must_name_picture(&load(folder.path()).unwrap_err(), name);
        for recipe in ["gan", "classify"] {
            must_name_picture(&data_error(refused(recipe, folder.path())), name);
        }
    }
}

/// A PNG of one pixel, the first colour of a palette of so many bytes.
fn with_palette(length: usize) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let named = [kind, data].concat();
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length[..], &named, &crc32(&named).to_be_bytes()].concat()
    };
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &[0, 0]).unwrap();
    let parts = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 3, 0, 0, 0]),
        chunk(b"PLTE", &vec![200; length]),
        chunk(b"IDAT", &packed.finish().unwrap()),
        chunk(b"IEND", &[]),
    ];
    parts.concat()
}

#[test]
fn a_palette_that_ends_within_a_colour_is_named_and_no_panic() {
    // A fuzzer found it: the decoder panics.
    let folder = pictures(6);
    let path = folder.path().join("colours.png");
    for length in [3, 4, 5, 6, 49, 767, 768] {
        fs::write(&path, with_palette(length)).unwrap();
        match load(folder.path()) {
            Ok(_) => assert_eq!(length % 3, 0),
            Err(error) => {
                must_name_picture(&error, "colours.png");
                assert!(error.to_string().contains("its palette is no list of colours"), "{error}");
                assert_ne!(length % 3, 0);
            }
        }
    }
}

#[test]
fn what_only_has_the_name_of_a_picture_is_named_passed_over_or_entered() {
    let folder = pictures(6);
    for text in ["no picture", ""] {
        fs::write(folder.path().join("x.png"), text).unwrap();
        must_name_picture(&load(folder.path()).unwrap_err(), "x.png");
    }
    fs::remove_file(folder.path().join("x.png")).unwrap();
    fs::create_dir(folder.path().join("x.png")).unwrap();
    fs::write(folder.path().join("x.png/y.png"), picture(ImageFormat::Png)).unwrap();
    let data = load(folder.path()).unwrap();
    assert_eq!(data.train.len() + data.test.len(), 7);
}

#[test]
fn pictures_of_all_sizes_become_one_size() {
    let folder = pictures(6);
    for (width, height) in [(1, 1), (1, 300), (300, 1), (7, 5)] {
        let image = RgbImage::from_pixel(width, height, Rgb([9, 9, 9]));
        image.save(folder.path().join(format!("{width}x{height}.png"))).unwrap();
    }
    let data = load(folder.path()).unwrap();
    assert_eq!((data.train.height, data.train.width), (8, 8));
    assert_eq!(data.train.pixels.len() % data.train.image_len(), 0);
    assert_eq!(data.train.len() + data.test.len(), 10);
}

/// Makes a pipe that nobody writes to.
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_is_never_waited_for() {
    let folder = pictures(6);
    pipe(&folder.path().join("x.png"));
    pipe(&folder.path().join("train-images-idx3-ubyte"));
    let path = folder.path().to_owned();
    let data = in_time(move || load(&path)).unwrap();
    assert_eq!(data.train.len() + data.test.len(), 6);

    let file = folder.path().join("train-images-idx3-ubyte");
    let error = in_time(move || idx::read(&file)).unwrap_err();
    assert!(matches!(error, IdxError::Read(_)), "{error}");
}

#[test]
fn links_that_loop_lead_nowhere() {
    let folder = pictures(6);
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(from, folder.path().join(to)).unwrap();
    };
    link("b.png", "a.png");
    link("a.png", "b.png");
    link(".", "inner");
    link("/dev/zero", "zero.png");
    let path = folder.path().to_owned();
    let data = in_time(move || load(&path)).unwrap();
    assert_eq!(data.train.len() + data.test.len(), 6);
}

#[test]
fn names_that_are_not_utf_8_are_names() {
    let folder = pictures(5);
    let odd = folder.path().join(OsStr::from_bytes(b"\xff\xfe.png"));
    fs::write(&odd, picture(ImageFormat::Png)).unwrap();
    let data = load(folder.path()).unwrap();
    assert_eq!(data.train.len() + data.test.len(), 6);
    fs::write(&odd, "no picture").unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(matches!(&error, DataError::Image { path, .. } if *path == odd), "{error}");
}

#[test]
fn a_folder_that_nobody_may_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = pictures(6);
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    // A superuser may read everything.
    if fs::read_dir(&closed).is_err() {
        let error = load(folder.path()).unwrap_err();
        assert!(matches!(&error, DataError::Walk { path, .. } if *path == closed), "{error}");
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn too_few_pictures_are_refused_by_every_recipe_before_there_is_a_run() {
    let too_few = |recipe: &str, folder: &Path, count: usize| {
        let error = data_error(refused(recipe, folder));
        assert!(matches!(error, DataError::TooFew { found, .. } if found == count), "{error}");
    };
    for count in [0, 1, 5] {
        let (folder, pairs) = (pictures(count), pairs_of(count));
        for recipe in ["gan", "cgan", "classify"] {
            too_few(recipe, folder.path(), count);
        }
        too_few("translate", pairs.path(), count);
    }
    // So few can be split, but not scored.
    for (count, parts) in [(6, (5, 1)), (30, (25, 5)), (35, (30, 5))] {
        for (recipe, folder) in [("gan", pictures(count)), ("translate", pairs_of(count))] {
            let error = data_error(refused(recipe, folder.path()));
            let DataError::Unscorable { train, test, test_every } = error else {
                panic!("{error}")
            };
            assert_eq!(((train, test), test_every), (parts, Some(6)), "{recipe}");
        }
    }
}

#[test]
fn images_without_classes_are_refused_by_the_recipes_that_need_them() {
    let folder = TempDir::new().unwrap();
    crate::files::fill(folder.path(), 60, 8, |index| [index; 3]);
    for (recipe, why) in [("cgan", "have no classes"), ("classify", "labelled images")] {
        let error = refused(recipe, folder.path());
        assert!(matches!(error, RunError::Data { .. }), "{recipe}: {error}");
        assert!(error.to_string().contains(why), "{recipe}: {error}");
    }
}

#[test]
fn a_name_that_nothing_has_is_refused() {
    let error = data_error(refused("translate", Path::new("no-such-pairs")));
    assert!(matches!(error, DataError::UnknownPairs { .. }), "{error}");
    let error = data_error(refused("gan", Path::new("no-such-images")));
    assert!(matches!(error, DataError::Unknown { .. }), "{error}");
}

#[test]
fn a_run_says_how_its_pictures_are_split_and_how_many_are_scored() {
    for (recipe, folder, what) in
        [("gan", pictures(37), "37 pictures"), ("translate", pairs_of(37), "37 pairs")]
    {
        let out = TempDir::new().unwrap();
        let request = on(&folder, request(recipe, &[("image_size", "8")], out.path()));
        let mut observer = crate::runs::StopsAfter::steps(1);
        let summary = osn_recipes::train(&request, &mut observer).unwrap();
        let data =
            RunFolder::open(&summary.folder).unwrap().description::<RunDescription>().unwrap().data;
        assert!(data.contains(&format!("{what}, 31 to train on and 6 to judge by")), "{data}");
        assert!(data.contains("the last of every 6"), "{data}");
        let noticed = observer.noticed.join(" ");
        assert!(
            noticed.contains("of 6 images") && noticed.contains("final_images=200"),
            "{noticed}"
        );
    }
}

#[test]
fn a_data_set_of_the_other_kind_is_told_the_recipe_that_takes_it() {
    for entry in [list::images(), list::pairs(), list::texts()].concat() {
        for recipe in ["gan", "cgan", "classify", "translate"] {
            let is_known = entry.name != openmoji::FOLDER;
            if is_known && !entry.recipes.contains(&recipe) {
                let error = data_error(refused(recipe, Path::new(&entry.name)));
                let (DataError::NoImages { name }
                | DataError::NoPairs { name }
                | DataError::NoPictures { name }) = error
                else {
                    panic!("{error}")
                };
                assert_eq!(name, entry.name);
            }
        }
        assert!(!entry.recipes.is_empty());
    }
}

#[test]
fn control_takes_no_data() {
    for data in ["/", "fashion-mnist"] {
        let error = refused("control", Path::new(data));
        assert!(matches!(error, RunError::Data { .. }), "{error}");
    }
}

// --- Pairs -----------------------------------------------------------------------------------

#[test]
fn a_damaged_half_of_a_pair_is_named() {
    for (name, bytes) in [
        ("0.png", b"no picture".to_vec()),
        ("1.png", with_side(picture(ImageFormat::Png), 60_000)),
        ("2.jpg", huge_jpeg()),
    ] {
        let folder = pairs_of(6);
        fs::write(folder.path().join("input").join(name), picture(ImageFormat::Png)).unwrap();
        fs::write(folder.path().join("target").join(name), bytes).unwrap();
        let error = data_error(refused("translate", folder.path()));
        must_name_picture(&error, &format!("target/{name}"));
    }
}

#[test]
fn a_pair_that_is_half_a_pipe_has_no_partner() {
    let folder = pairs_of(6);
    fs::write(folder.path().join("input/x.png"), picture(ImageFormat::Png)).unwrap();
    pipe(&folder.path().join("target/x.png"));
    let error = data_error(refused("translate", folder.path()));
    let is_named =
        matches!(&error, DataError::Unpaired { path, .. } if path.ends_with("input/x.png"));
    assert!(is_named, "{error}");
}

#[test]
fn pairs_whose_names_are_not_utf_8_are_pairs() {
    let folder = pairs_of(5);
    for side in ["input", "target"] {
        let path = folder.path().join(side).join(OsStr::from_bytes(b"\xff.png"));
        fs::write(path, picture(ImageFormat::Png)).unwrap();
    }
    let loaded = pairs::load(folder.path().to_str(), 8).unwrap();
    assert_eq!(loaded.train.len() + loaded.test.len(), 6);
}

// --- IDX files -------------------------------------------------------------------------------

/// Four files with 28×28 images of these labels, to train on and to judge by.
fn labelled(train: &[u8], test: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (part, labels) in [("train", train), ("t10k", test)] {
        let pixel = |image: usize, place: usize| ((784 * image + place) % 251).to_le_bytes()[0];
        write_idx(folder.path(), part, labels, [28, 28], pixel);
    }
    folder
}

#[test]
fn idx_files_that_lie_are_refused_by_every_recipe_before_there_is_a_run() {
    let images = "train-images-idx3-ubyte";
    let labels = "train-labels-idx1-ubyte";
    let lies: [(&str, Vec<u8>); 12] = [
        (images, crate::files::idx(&[0, 28, 28], &[])),
        (images, crate::files::idx(&[8, 0, 28], &[])),
        (images, crate::files::idx(&[8, 28, 0], &[])),
        (images, crate::files::idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 100])),
        (images, crate::files::idx(&[8, 28, 28], &[0; 100])),
        (images, crate::files::idx(&[8, 28], &[0; 8 * 28])),
        (images, crate::files::idx(&[8, 28, 28, 1], &[0; 8 * 784])),
        (images, crate::files::idx(&[1, 16_000, 1], &[0; 16_000])),
        (images, b"no idx".to_vec()),
        (labels, crate::files::idx(&[7], &[0; 7])),
        (labels, crate::files::idx(&[8, 1], &[0; 8])),
        (labels, Vec::new()),
    ];
    for (name, bytes) in lies {
        let folder = labelled(&[0, 1, 2, 3, 4, 5, 6, 7], &[0, 1, 2, 3]);
        fs::write(folder.path().join(name), bytes).unwrap();
        for recipe in ["gan", "cgan", "classify"] {
            let error = data_error(refused(recipe, folder.path()));
            let (DataError::Idx { file, .. } | DataError::Layout { file, .. }) = &error else {
                panic!("{error}")
            };
            assert!(Path::new(file).starts_with(folder.path()), "{error}");
        }
    }
}

#[test]
fn any_flipped_bit_of_a_plain_header_is_an_error_or_another_array() {
    let whole = crate::files::idx(&[3, 2, 2], &[7; 12]);
    for place in 0..16 {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << bit;
            assert!(idx::parse(&bytes).is_err(), "bit {bit} of byte {place}");
        }
    }
}

#[test]
fn a_handful_of_odd_labels_trains_or_is_refused_in_a_line() {
    let sets: [(&[u8], &[u8]); 6] = [
        (&[0], &[0]),
        (&[3, 3], &[255, 255]),
        (&[255; 7], &[0; 7]),
        (&[0, 255, 0, 255, 9, 9], &[1, 2, 3, 4, 5, 6]),
        (&[0; 40], &[0; 40]),
        (&[7; 3], &[0, 1, 0, 1, 0, 1, 0, 1]),
    ];
    for (train, test) in sets {
        let folder = labelled(train, test);
        for recipe in ["gan", "cgan", "classify"] {
            let out = TempDir::new().unwrap();
            let short = [of_recipe(recipe), &[("steps", "2")]].concat();
            let request = on(&folder, request(recipe, &short, out.path()));
            if let Err(error) = osn_recipes::train(&request, &mut Silent) {
                let error = bad_input(error);
                assert!(matches!(error, RunError::Data { .. }), "{recipe}, {train:?}: {error}");
                let whys = ["a score needs 6 of each", "none is held out for that"];
                let message = error.to_string();
                assert!(whys.iter().any(|why| message.contains(why)), "{recipe}: {message}");
            }
        }
    }
}

// --- Emoji -----------------------------------------------------------------------------------

const SQUARE: &str = "<svg viewBox=\"0 0 72 72\" xmlns=\"http://www.w3.org/2000/svg\">\
                      <rect x=\"9\" y=\"9\" width=\"18\" height=\"54\" fill=\"red\"/></svg>";

fn import(package: &Path, out: &Path) -> Result<openmoji::Imported, openmoji::ImportError> {
    let (package, out) = (package.to_owned(), out.to_owned());
    in_time(move || openmoji::import(&package, &out, 8, |_, _| ()))
}

#[test]
fn a_package_with_a_pipe_a_folder_or_a_device_for_a_picture_names_it_and_writes_nothing() {
    let folder = TempDir::new().unwrap();
    let (package, out) = (folder.path().join("package"), folder.path().join("made"));
    for side in ["black/svg", "color/svg"] {
        fs::create_dir_all(package.join(side)).unwrap();
        fs::write(package.join(side).join("1F600.svg"), SQUARE).unwrap();
        fs::write(package.join(side).join(OsStr::from_bytes(b"\xff.svg")), SQUARE).unwrap();
    }
    fs::write(package.join("color/svg/1F601.svg"), SQUARE).unwrap();
    let odd = package.join("black/svg/1F601.svg");
    pipe(&odd);
    let refused = || {
        let error = import(&package, &out).unwrap_err();
        let openmoji::ImportError::Svg { path, problem } = &error else { panic!("{error}") };
        assert!(*path == odd && matches!(problem, SvgError::Read(_)), "{error}");
        assert!(!out.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left");
    };
    refused();
    fs::remove_file(&odd).unwrap();
    fs::create_dir(&odd).unwrap();
    refused();
    fs::remove_dir(&odd).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &odd).unwrap();
    refused();
    fs::remove_file(&odd).unwrap();
    fs::write(&odd, SQUARE).unwrap();
    assert_eq!(import(&package, &out).map(|it| it.train + it.test).unwrap(), 2);
}
