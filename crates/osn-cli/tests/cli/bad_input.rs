//! Bad input as its user meets it: in a process with little memory, one line, exit code 2, and nothing
//! left behind.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::processes::{Ended, after, osn, osn_on, wait_for};

/// What a process may have of addresses, in KiB: a little over what Burn's threads take, and far below
/// what any of these files promises.
const ADDRESSES: &str = "ulimit -v 3000000";

/// One line that names this, exit code 2, and nothing on standard output.
fn refuses(command: &Command, part: &str) {
    let mut limited = after(ADDRESSES, command);
    // Every thread has addresses of its own, and some machines have many.
    let limited = limited.env("RAYON_NUM_THREADS", "2").env("MALLOC_ARENA_MAX", "2");
    // What waits for ever fails here.
    let mut child = limited.spawn().unwrap();
    wait_for(|| child.try_wait().unwrap().is_some());
    let line = Ended::of(child).refused();
    assert!(line.contains(part), "'{part}' is missing in: {line}");
}

/// This command with a folder for its runs refuses, and makes no folder.
fn starts_nothing(line: &str, more: &[&str], part: &str) {
    let out = TempDir::new().unwrap();
    let runs = out.path().join("runs");
    refuses(osn(line).args(more).arg("--out").arg(&runs), part);
    assert!(!runs.exists(), "{line} {more:?} left a folder");
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

#[test]
fn the_checksum_is_that_of_png() {
    // The whole last chunk of every PNG.
    assert_eq!(crc32(b"IEND"), 0xae42_6082);
}

#[test]
fn a_picture_of_billions_of_pixels_is_refused_in_little_memory() {
    let pictures = TempDir::new().unwrap();
    for side in ["", "input", "target"].map(|side| pictures.path().join(side)) {
        fs::create_dir_all(&side).unwrap();
        for index in 0..7 {
            fs::write(side.join(format!("{index}.png")), png_header(60_000)).unwrap();
        }
    }
    let path = pictures.path().to_str().unwrap();
    for recipe in ["gan", "cgan", "classify"] {
        starts_nothing(&format!("train {recipe} --data"), &[path], "0.png");
    }
    starts_nothing("train translate --data", &[path], "input/0.png");
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
        // Sizes of which each is possible and the product is not.
        ("gan", "image_size=512 --set batch_size=8192"),
        ("gan", "latent_size=8192 --set g_channels=1024"),
        ("translate", "image_size=512 --set g_channels=1024"),
        ("classify", "stage_channels=1024,1024 --set stage_blocks=64"),
    ] {
        let is_one = !setting.contains(' ');
        let key = setting.split('=').next().filter(|_| is_one).unwrap_or_default();
        starts_nothing(&format!("train {recipe} --set {setting}"), &[], key);
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn rules_in_what_is_no_file_or_has_no_end_are_refused() {
    let rules = TempDir::new().unwrap();
    let path = |name: &str| rules.path().join(name);
    fs::create_dir(path("folder.toml")).unwrap();
    fifo(&path("pipe.toml"));
    symlink("/dev/zero", path("zero.toml")).unwrap();
    File::create(path("huge.toml")).unwrap().set_len(10 << 30).unwrap();
    for name in ["folder.toml", "pipe.toml", "zero.toml", "huge.toml", "missing.toml"] {
        starts_nothing("train gan --decide", &[path(name).to_str().unwrap()], name);
    }
}

#[test]
fn words_with_lines_in_them_are_shown_in_one() {
    for name in ["no\nsuch\n", "\n\n", "a\r\nb"] {
        for option in ["--data", "--decide", "--preset"] {
            starts_nothing("train gan", &[option, name], "");
        }
        starts_nothing("train gan --set", &[&format!("{name}=1")], "");
    }
    let pictures = TempDir::new().unwrap();
    for index in 0..7 {
        fs::write(pictures.path().join(format!("{index}\nx.png")), "no picture").unwrap();
    }
    starts_nothing("train gan --data", &[pictures.path().to_str().unwrap()], "x.png");
}

#[test]
fn what_is_no_run_is_not_resumed_and_never_waited_for() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let resume = |name: &str, part: &str| refuses(&osn_on("resume", &path(name)), part);
    resume("missing", "missing");
    resume("", "run.json");
    fs::write(path("file"), "text").unwrap();
    resume("file", "file");
    let made: [fn(&Path); 7] = [
        fifo,
        |run| symlink("/dev/zero", run).unwrap(),
        |run| File::create(run).unwrap().set_len(10 << 30).unwrap(),
        |run| fs::write(run, "").unwrap(),
        |run| fs::write(run, "{}").unwrap(),
        |run| fs::write(run, "[1]").unwrap(),
        |run| fs::write(run, "{\"schema\": 99999999999999999999}").unwrap(),
    ];
    for make in made {
        make(&path("run.json"));
        resume("", "run.json");
        fs::remove_file(path("run.json")).unwrap();
    }
}

#[test]
fn a_study_of_nonsense_is_refused() {
    for (words, part) in [
        (["--seeds", "18446744073709551615"], "--seeds"),
        (["--jobs", "99999999999999999999"], "--jobs"),
        (["--decide", ""], "--decide"),
        (["--regime", "/"], "/"),
        (["--set", "memory=18446744073709551615"], "memory"),
        (["--set", "steps=NaN"], "steps"),
    ] {
        starts_nothing("compare control", &words, part);
    }
}
