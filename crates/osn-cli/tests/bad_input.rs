//! Bad input as its user meets it: in a process with little memory, one line, exit code 2, and nothing
//! left behind.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

/// What a process may have of addresses, in KiB: a little over what Burn's threads take, and far below
/// what any of these files promises.
const ADDRESSES: &str = "ulimit -v 3000000; exec \"$0\" \"$@\"";

fn osn(arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", ADDRESSES]).arg(cargo_bin!("osn")).args(arguments);
    // Every thread has addresses of its own, and some machines have many.
    command.env("RAYON_NUM_THREADS", "2").env("MALLOC_ARENA_MAX", "2");
    command.env_remove("CLICOLOR_FORCE").timeout(Duration::from_mins(2));
    command
}

/// One line that names every one of these, exit code 2, and nothing on standard output.
fn refuses(arguments: &[&str], parts: &[&str]) {
    let output = osn(arguments).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}: {line}");
    assert!(line.starts_with("error: ") && line.lines().count() == 1, "{arguments:?}: {line}");
    for part in parts {
        assert!(line.contains(part), "'{part}' is missing in: {line}");
    }
}

/// `osn train` with these words refuses, and makes no folder.
fn train_refuses(words: &[&str], parts: &[&str]) {
    let out = TempDir::new().unwrap();
    let runs = out.path().join("runs");
    refuses(&[&["train"], words, &["--out", runs.to_str().unwrap()]].concat(), parts);
    assert!(!runs.exists(), "{words:?} left a folder");
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

/// The first bytes of a PNG with so many rows and columns in colour, and no pixels.
fn png_header(side: u32) -> Vec<u8> {
    let sides = [side.to_be_bytes(), side.to_be_bytes()].concat();
    let chunk = [b"IHDR", &sides[..], &[8, 2, 0, 0, 0]].concat();
    let start = [b"\x89PNG\r\n\x1a\n", &13_u32.to_be_bytes()[..]].concat();
    [start, chunk.clone(), crc32(&chunk).to_be_bytes().to_vec()].concat()
}

/// A folder of a few files of one name each.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn the_checksum_is_that_of_png() {
    // The whole last chunk of every PNG.
    assert_eq!(crc32(b"IEND"), 0xae42_6082);
}

#[test]
fn a_picture_of_billions_of_pixels_is_refused_in_little_memory() {
    let names: Vec<String> = (0..7).map(|index| format!("{index}.png")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), png_header(60_000))).collect();
    let pictures = folder(&files);
    let path = pictures.path().to_str().unwrap();
    for recipe in ["gan", "cgan", "classify"] {
        train_refuses(&[recipe, "--data", path], &["0.png"]);
    }
    fs::create_dir(pictures.path().join("input")).unwrap();
    fs::create_dir(pictures.path().join("target")).unwrap();
    for name in &names {
        for side in ["input", "target"] {
            fs::write(pictures.path().join(side).join(name), png_header(60_000)).unwrap();
        }
    }
    train_refuses(&["translate", "--data", path], &["input/0.png"]);
}

#[test]
fn settings_that_no_machine_has_are_refused_in_little_memory() {
    for (recipe, setting) in [
        ("gan", "batch_size=18446744073709551615"),
        ("gan", "image_size=1000000"),
        ("cgan", "latent_size=9999999999"),
        ("translate", "g_channels=18446744073709551615"),
        ("control", "memory=18446744073709551615"),
        ("control", "hidden_sizes=99999999,99999999"),
        ("classify", "stage_blocks=18446744073709551615"),
        ("classify", "stage_channels=99999999"),
        ("gan", "final_images=4000000000"),
        ("translate", "eval_images=18446744073709551615"),
        ("classify", "train_images=4000000000"),
    ] {
        let key = setting.split('=').next().unwrap();
        train_refuses(&[recipe, "--set", setting], &[key]);
    }
}

#[test]
fn sizes_whose_product_no_machine_has_are_refused_in_little_memory() {
    for (recipe, settings) in [
        ("gan", ["image_size=512", "batch_size=8192"]),
        ("gan", ["latent_size=8192", "g_channels=1024"]),
        ("translate", ["image_size=512", "g_channels=1024"]),
        ("classify", ["stage_channels=1024,1024", "stage_blocks=64"]),
    ] {
        let words = settings.map(|setting| ["--set", setting]).concat();
        train_refuses(&[&[recipe], &words[..]].concat(), &[]);
    }
}

fn fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn rules_in_what_is_no_file_or_has_no_end_are_refused() {
    let rules = TempDir::new().unwrap();
    let path = |name: &str| rules.path().join(name);
    fs::create_dir(path("folder.toml")).unwrap();
    fifo(&path("pipe.toml"));
    std::os::unix::fs::symlink("/dev/zero", path("zero.toml")).unwrap();
    fs::File::create(path("huge.toml")).unwrap().set_len(10 << 30).unwrap();
    for name in ["folder.toml", "pipe.toml", "zero.toml", "huge.toml", "missing.toml"] {
        train_refuses(&["gan", "--decide", path(name).to_str().unwrap()], &[name]);
    }
}

#[test]
fn words_with_lines_in_them_are_shown_in_one() {
    for name in ["no\nsuch\n", "\n\n", "a\r\nb"] {
        train_refuses(&["gan", "--data", name], &[]);
        train_refuses(&["gan", "--decide", name], &[]);
        train_refuses(&["gan", "--preset", name], &[]);
        train_refuses(&["gan", "--set", &format!("{name}=1")], &[]);
    }
    let pictures = folder(&[]);
    for index in 0..7 {
        fs::write(pictures.path().join(format!("{index}\nx.png")), "no picture").unwrap();
    }
    train_refuses(&["gan", "--data", pictures.path().to_str().unwrap()], &["x.png"]);
}

#[test]
fn what_is_no_run_is_not_gone_on_with_and_never_waited_for() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    refuses(&["resume", &path("missing")], &["missing"]);
    refuses(&["resume", &path("")], &["run.json"]);
    fs::write(path("file"), "text").unwrap();
    refuses(&["resume", &path("file")], &["file"]);
    fifo(Path::new(&path("run.json")));
    refuses(&["resume", &path("")], &["run.json"]);
    fs::remove_file(path("run.json")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("run.json")).unwrap();
    refuses(&["resume", &path("")], &["run.json"]);
    fs::remove_file(path("run.json")).unwrap();
    fs::File::create(path("run.json")).unwrap().set_len(10 << 30).unwrap();
    refuses(&["resume", &path("")], &["run.json"]);
    for text in ["", "{}", "[1]", "{\"schema\": 99999999999999999999}"] {
        fs::write(path("run.json"), text).unwrap();
        refuses(&["resume", &path("")], &["run.json"]);
    }
}

#[test]
fn a_study_of_nonsense_is_refused() {
    let out = TempDir::new().unwrap();
    let study = out.path().join("study");
    let study = study.to_str().unwrap();
    for (words, part) in [
        (&["--seeds", "0"][..], "--seeds"),
        (&["--seeds", "18446744073709551615"], "--seeds"),
        (&["--jobs", "0"], "--jobs"),
        (&["--jobs", "99999999999999999999"], "--jobs"),
        (&["--decide", ""], "--decide"),
        (&["--decide", "always,perhaps"], "perhaps"),
        (&["--regime", "/"], "/"),
        (&["--set", "memory=18446744073709551615"], "memory"),
        (&["--set", "steps=NaN"], "steps"),
        (&["--data", "images"], "images"),
    ] {
        let words = [&["compare", "control", "--out", study], words].concat();
        refuses(&words, &[part]);
        assert!(!Path::new(study).exists(), "{words:?} left a folder");
    }
}
