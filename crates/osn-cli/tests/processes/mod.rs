//! Runs as processes of their own, and what they leave: shared by the tests that kill and starve them.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![allow(dead_code, reason = "no test file needs all of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;

/// A checkpoint at every step and a picture at every fifth, so that many kills fall into a write.
pub(crate) const OFTEN: [&str; 8] = [
    "--checkpoint-every",
    "1",
    "--keep-checkpoints",
    "2",
    "--set",
    "eval_every=5",
    "--set",
    "log_every=1",
];
pub(crate) const CONTROL: [&str; 7] =
    ["control", "--set", "steps=120", "--set", "eval_episodes=2", "--set", "final_episodes=4"];

/// The words without each `--set KEY=…` of a key that is set again behind it, which the program refuses.
pub(crate) fn last_set<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let key = |place: usize| match words.get(place..place + 2)? {
        ["--set", setting] => setting.split_once('=').map(|(key, _)| key),
        _ => None,
    };
    let is_set_again = |place| {
        key(place).is_some() && (place + 1..words.len()).any(|later| key(later) == key(place))
    };
    let is_dropped = |place: usize| is_set_again(place) || place > 0 && is_set_again(place - 1);
    (0..words.len()).filter(|&place| !is_dropped(place)).map(|place| words[place]).collect()
}

/// The program with these words.
pub(crate) fn osn(words: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("osn"));
    command
        .args(last_set(words))
        .env_remove("CLICOLOR_FORCE")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn train(recipe: &[&str], out: &Path) -> Command {
    osn(&[&["train"], recipe, &OFTEN, &["--out", out.to_str().unwrap()]].concat())
}

pub(crate) fn resume(folder: &Path) -> Command {
    osn(&["resume", folder.to_str().unwrap()])
}

/// The run in a folder of runs, once there is one.
pub(crate) fn run_in(out: &Path) -> Option<PathBuf> {
    fs::read_dir(out).ok()?.flatten().map(|entry| entry.path()).next()
}

/// Exit code and standard error.
pub(crate) fn said(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Runs to the end, which must be a good one; what was said.
pub(crate) fn done(mut command: Command) -> String {
    let (code, words) = said(command.spawn().unwrap());
    assert_eq!(code, Some(0), "{words}");
    words
}

/// Bad usage or bad input: exit code 2, nothing on standard output, and one line, which is returned.
pub(crate) fn refused(words: &[&str]) -> String {
    let (data, line) = refused_with_data(words);
    assert_eq!(data, "", "{words:?}: {line}");
    line
}

/// The same of a command that has put out what it could before; that, and the line.
pub(crate) fn refused_with_data(words: &[&str]) -> (String, String) {
    let mut command = Command::new(cargo_bin!("osn"));
    let output = command.args(words).env_remove("CLICOLOR_FORCE").output().unwrap();
    let [data, line] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    assert_eq!(output.status.code(), Some(2), "{words:?}: {line}");
    assert!(line.starts_with("error: ") && line.lines().count() == 1, "{words:?}: {line}");
    (data, line)
}

/// A checkpoint of one weight.
pub(crate) fn checkpoint(folder: &Path) -> PathBuf {
    let file = folder.join("model.safetensors");
    let weight: Vec<u8> = [3_f32, 0.0, 0.0, 1.0].iter().flat_map(|it| it.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 2], &weight);
    safetensors::serialize_to_file([("w", view.unwrap())], None, &file).unwrap();
    file
}

/// What a run leaves, without what the clock says: the record and every picture.
#[derive(Debug, PartialEq)]
pub(crate) struct Left {
    record: Vec<String>,
    pictures: BTreeMap<PathBuf, Vec<u8>>,
}

impl Left {
    pub(crate) fn of(folder: &Path) -> Self {
        let record = fs::read_to_string(folder.join("record.jsonl")).unwrap();
        let timeless = |line: &str| {
            let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
            event.as_object_mut().unwrap().remove("wall_secs");
            event.to_string()
        };
        let pictures = fs::read_dir(folder.join("samples")).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().into(), fs::read(&path).unwrap())
        });
        Self { record: record.lines().map(timeless).collect(), pictures: pictures.collect() }
    }

    pub(crate) fn must_be(&self, whole: &Self, what: &str) {
        assert_eq!(self.record, whole.record, "{what}: record");
        assert!(self.pictures == whole.pictures, "{what}: pictures");
    }
}

/// What the same run leaves that nobody disturbs.
pub(crate) fn undisturbed(recipe: &[&str]) -> Left {
    let out = tempfile::tempdir().unwrap();
    done(train(recipe, out.path()));
    Left::of(&run_in(out.path()).unwrap())
}

/// Whether the process has written a checkpoint of this run.
pub(crate) fn has_saved(folder: &Path, process: u32) -> bool {
    let Ok(signed) = fs::read_to_string(folder.join("run.lock")) else { return false };
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let since = modified(&folder.join("run.lock"));
    signed.trim() == process.to_string()
        && checkpoints(folder).iter().any(|it| modified(it) > since)
}

/// The checkpoints of a run, the newest last.
pub(crate) fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("checkpoints")).into_iter().flatten().flatten();
    let mut files: Vec<_> = files
        .map(|file| file.path())
        .filter(|it| it.extension() == Some("safetensors".as_ref()))
        .collect();
    files.sort();
    files
}

pub(crate) fn wait_for(mut holds: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("nothing happened for two minutes");
}

/// A process that has just begun a run, once it has a checkpoint.
pub(crate) fn begun(recipe: &[&str], out: &Path) -> (Child, PathBuf) {
    let child = train(recipe, out).spawn().unwrap();
    wait_for(|| run_in(out).is_some_and(|folder| has_saved(&folder, child.id())));
    (child, run_in(out).unwrap())
}

/// Sends a signal.
///
/// # Panics
///
/// Where this test, and so what it starts, was begun deaf to signals, as a shell begins what it runs in the
/// background: it would wait for a process that nothing ends.
pub(crate) fn signal(child: &Child, name: &str) {
    let is_deaf = is_deaf();
    let name = if is_deaf { "-KILL" } else { name };
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert!(!is_deaf, "signals are ignored here: run the tests in the foreground");
}

/// Whether this process ignores HUP, INT or TERM: signals 1, 2 and 15.
fn is_deaf() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.unwrap_or(0) & (1 | 1 << 1 | 1 << 14) != 0
}
