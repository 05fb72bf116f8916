//! Data that is damaged, lies or is no data at all: every recipe says in one line which file is wrong,
//! and leaves nothing behind.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod runs;

use std::ffi::OsStr;
use std::fs;
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use image::{ImageFormat, Rgb, RgbImage};
use osn_recipes::data::error::DataError;
use osn_recipes::data::image_set::Dataset;
use osn_recipes::data::{idx, images, list, openmoji, pairs};
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::Silent;
use osn_recipes::run::request::TrainRequest;
use runs::{TINY_IMAGES, request};
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

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}

/// A PNG that says that it has so many rows and columns, with the checksum that goes with that.
fn png_of_side(side: u32) -> Vec<u8> {
    let mut bytes = picture(ImageFormat::Png);
    bytes[16..20].copy_from_slice(&side.to_be_bytes());
    bytes[20..24].copy_from_slice(&side.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum);
    bytes
}

/// A JPEG whose frame says that it has 65,535 rows and columns.
fn huge_jpeg() -> Vec<u8> {
    let mut bytes = picture(ImageFormat::Jpeg);
    let frame = bytes.windows(2).position(|it| it == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xff);
    bytes
}

/// One line, which names every one of these.
fn must_say(message: &str, parts: &[&str]) {
    assert!(!message.contains('\n') && message.len() < 500, "{message}");
    for part in parts {
        assert!(message.contains(part), "'{part}' is missing in: {message}");
    }
}

fn load(folder: &Path) -> Result<Dataset, DataError> {
    images::load(folder.to_str(), 8)
}

/// What a recipe says of data that it refuses, before there is anything of a run.
fn refused(recipe: &str, data: &Path) -> String {
    let out = TempDir::new().unwrap();
    let runs = out.path().join("runs");
    let request = TrainRequest {
        data: Some(data.to_str().unwrap().to_owned()),
        ..request(recipe, of_recipe(recipe), &[], &runs)
    };
    let error = in_time(move || osn_recipes::train(&request, &mut Silent).unwrap_err());
    assert!(error.is_bad_input(), "{recipe}: {error}");
    assert!(!runs.exists(), "{recipe} left a folder: {error}");
    error.to_string()
}

fn of_recipe(recipe: &str) -> &'static [(&'static str, &'static str)] {
    match recipe {
        "classify" => &[("network", "mlp"), ("hidden_sizes", "4"), ("steps", "2")],
        _ => &TINY_IMAGES,
    }
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
                Err(error) => must_say(&error.to_string(), &[name, "repair or remove it"]),
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
                must_say(&error.to_string(), &[name, "repair or remove it"]);
            }
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_header_that_promises_billions_of_pixels_is_refused() {
    for (name, bytes) in
        [("a.png", png_of_side(60_000)), ("b.png", png_of_side(u32::MAX)), ("c.jpg", huge_jpeg())]
    {
        let folder = pictures(6);
        fs::write(folder.path().join(name), bytes).unwrap();
        must_say(&load(folder.path()).unwrap_err().to_string(), &[name, "repair or remove it"]);
        for recipe in ["gan", "classify"] {
            must_say(&refused(recipe, folder.path()), &[name, "cannot use the data"]);
        }
    }
}

/// A PNG of one pixel, the first colour of a palette of so many bytes.
fn with_palette(length: usize) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let named = [kind, data].concat();
        [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], &named, &crc32(&named)].concat()
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
                must_say(&error.to_string(), &["colours.png", "its palette is no list of colours"]);
                assert_ne!(length % 3, 0);
            }
        }
    }
}

#[test]
fn what_only_has_the_name_of_a_picture_is_named_passed_over_or_entered() {
    let folder = pictures(6);
    fs::write(folder.path().join("x.png"), "no picture").unwrap();
    must_say(&load(folder.path()).unwrap_err().to_string(), &["x.png"]);
    fs::write(folder.path().join("x.png"), "").unwrap();
    must_say(&load(folder.path()).unwrap_err().to_string(), &["x.png"]);
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
    must_say(&error.to_string(), &["no regular file"]);
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
    must_say(&load(folder.path()).unwrap_err().to_string(), &["\u{fffd}.png"]);
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
        must_say(&load(folder.path()).unwrap_err().to_string(), &["closed"]);
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn too_few_pictures_are_refused_by_every_recipe_before_there_is_a_run() {
    for (count, found) in [
        (0, "0 PNG or JPEG pictures"),
        (1, "1 PNG or JPEG picture:"),
        (5, "5 PNG or JPEG pictures"),
    ] {
        let (folder, pairs) = (pictures(count), pairs_of(count));
        for recipe in ["gan", "cgan", "classify"] {
            must_say(&refused(recipe, folder.path()), &[found, "36 are needed"]);
        }
        must_say(&refused("translate", pairs.path()), &[found, "36 are needed"]);
    }
    // So few can be split, but not scored.
    for (count, split) in [
        (6, "5 pictures to train on and 1 to judge by"),
        (30, "25 pictures to train on and 5 to judge by"),
        (35, "30 pictures to train on and 5 to judge by"),
    ] {
        for (recipe, folder) in [("gan", pictures(count)), ("translate", pairs_of(count))] {
            must_say(&refused(recipe, folder.path()), &[split, "of every 6", "36 are needed"]);
        }
    }
}

/// What a run of two steps on the pictures of a folder says before it starts, and what it says of them.
fn trained_on(recipe: &str, folder: &Path) -> (Vec<String>, String) {
    let out = TempDir::new().unwrap();
    let data = Some(folder.to_str().unwrap().to_owned());
    let plain = request(recipe, of_recipe(recipe), &[("image_size", "8")], out.path());
    let mut observer = runs::StopsAfter::steps(1);
    let summary = osn_recipes::train(&TrainRequest { data, ..plain }, &mut observer).unwrap();
    let described =
        osn_recipes::run::folder::RunFolder::open(&summary.folder).unwrap().description();
    (observer.noticed, described.unwrap().data)
}

#[test]
fn a_run_says_how_many_pictures_it_found_how_they_are_split_and_what_scores_are_of() {
    for (recipe, folder, what) in
        [("gan", pictures(37), "37 pictures"), ("translate", pairs_of(37), "37 pairs")]
    {
        let (noticed, data) = trained_on(recipe, folder.path());
        assert!(data.contains(&format!("{what}, 31 to train on and 6 to judge by")), "{data}");
        assert!(data.contains("the last of every 6"), "{data}");
        must_say(&noticed.join(" "), &["scores are of 6 images", "final_images=200"]);
    }
}

#[test]
fn a_data_set_of_the_other_kind_is_told_the_recipe_that_takes_it() {
    for entry in [list::images(), list::pairs()].concat() {
        for recipe in ["gan", "cgan", "classify", "translate"] {
            let is_known = entry.name.starts_with("fashion");
            if is_known && !entry.recipes.contains(&recipe) {
                let message = refused(recipe, Path::new(&entry.name));
                must_say(&message, &[&entry.name, entry.recipes[0], "this recipe takes"]);
            }
        }
        assert!(!entry.recipes.is_empty());
    }
}

#[test]
fn control_takes_no_data() {
    must_say(&refused("control", Path::new("/")), &["control takes none", "environment="]);
}

// --- Pairs -----------------------------------------------------------------------------------

#[test]
fn a_damaged_half_of_a_pair_is_named() {
    for (name, bytes) in
        [("0.png", b"no picture".to_vec()), ("1.png", png_of_side(60_000)), ("2.jpg", huge_jpeg())]
    {
        let folder = pairs_of(6);
        fs::write(folder.path().join("input").join(name), picture(ImageFormat::Png)).unwrap();
        fs::write(folder.path().join("target").join(name), bytes).unwrap();
        must_say(&refused("translate", folder.path()), &[&format!("target/{name}"), "repair"]);
    }
}

#[test]
fn a_pair_that_is_half_a_pipe_has_no_partner() {
    let folder = pairs_of(6);
    fs::write(folder.path().join("input/x.png"), picture(ImageFormat::Png)).unwrap();
    pipe(&folder.path().join("target/x.png"));
    must_say(&refused("translate", folder.path()), &["input/x.png has no partner"]);
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

fn idx_file(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, u8::try_from(shape.len()).unwrap()];
    bytes.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Four files with 28×28 images of these labels, to train on and to judge by.
fn labelled(train: &[u8], test: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (stem, labels) in [("train", train), ("t10k", test)] {
        let count = u32::try_from(labels.len()).unwrap();
        let pixel = |place: u32| (place % 251).to_le_bytes()[0];
        let pixels: Vec<u8> = (0..count * 784).map(pixel).collect();
        write(&folder, &format!("{stem}-images-idx3-ubyte"), &idx_file(&[count, 28, 28], &pixels));
        write(&folder, &format!("{stem}-labels-idx1-ubyte"), &idx_file(&[count], labels));
    }
    folder
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn idx_files_that_lie_are_refused_by_every_recipe_before_there_is_a_run() {
    let images = "train-images-idx3-ubyte";
    let labels = "train-labels-idx1-ubyte";
    let lies: [(&str, Vec<u8>); 12] = [
        (images, idx_file(&[0, 28, 28], &[])),
        (images, idx_file(&[8, 0, 28], &[])),
        (images, idx_file(&[8, 28, 0], &[])),
        (images, idx_file(&[u32::MAX, u32::MAX, u32::MAX], &[0; 100])),
        (images, idx_file(&[8, 28, 28], &[0; 100])),
        (images, idx_file(&[8, 28], &[0; 8 * 28])),
        (images, idx_file(&[8, 28, 28, 1], &[0; 8 * 784])),
        (images, idx_file(&[1, 16_000, 1], &[0; 16_000])),
        (images, b"no idx".to_vec()),
        (labels, idx_file(&[7], &[0; 7])),
        (labels, idx_file(&[8, 1], &[0; 8])),
        (labels, Vec::new()),
    ];
    for (name, bytes) in lies {
        let folder = labelled(&[0, 1, 2, 3, 4, 5, 6, 7], &[0, 1, 2, 3]);
        write(&folder, name, &bytes);
        for recipe in ["gan", "cgan", "classify"] {
            must_say(&refused(recipe, folder.path()), &[folder.path().to_str().unwrap()]);
        }
    }
}

#[test]
fn any_flipped_bit_of_a_plain_header_is_an_error_or_another_array() {
    let whole = idx_file(&[3, 2, 2], &[7; 12]);
    for place in 0..16 {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << bit;
            assert!(idx::parse(&bytes).is_err(), "bit {bit} of byte {place}");
        }
    }
}

/// What a tiny run comes to, or why it is refused; a panic fails the test.
fn tried(recipe: &str, data: &Path) -> Result<(), RunError> {
    let out = TempDir::new().unwrap();
    let request = TrainRequest {
        data: Some(data.to_str().unwrap().to_owned()),
        ..request(recipe, of_recipe(recipe), &[("steps", "2")], out.path())
    };
    osn_recipes::train(&request, &mut Silent).map(|_| ())
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
            if let Err(error) = tried(recipe, folder.path()) {
                assert!(error.is_bad_input(), "{recipe} with {train:?}: {error}");
                let message = error.to_string();
                must_say(&message, &["cannot use the data"]);
                let whys = ["a score needs 6 of each", "none is held out for that"];
                assert!(whys.iter().any(|why| message.contains(why)), "{message}");
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
    let refused = |how: &str| {
        let error = import(&package, &out).unwrap_err().to_string();
        must_say(&error, &["1F601.svg", how]);
        assert!(!out.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left");
    };
    refused("no regular file");
    fs::remove_file(&odd).unwrap();
    fs::create_dir(&odd).unwrap();
    refused("no regular file");
    fs::remove_dir(&odd).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &odd).unwrap();
    refused("no regular file");
    fs::remove_file(&odd).unwrap();
    fs::write(&odd, SQUARE).unwrap();
    assert_eq!(import(&package, &out).map(|it| it.train + it.test).unwrap(), 2);
}
