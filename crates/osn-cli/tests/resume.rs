//! Runs that are killed at any moment, as processes of their own, and go on: held against the same run
//! that nobody killed.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;

/// How often runs are killed, over all recipes.
const KILLS: u32 = 40;

/// A checkpoint and a picture at almost every step, so that many kills fall into a write.
const OFTEN: [&str; 8] = [
    "--checkpoint-every",
    "1",
    "--keep-checkpoints",
    "2",
    "--set",
    "eval_every=5",
    "--set",
    "log_every=1",
];
const CLASSIFY: [&str; 9] = [
    "classify",
    "--set",
    "network=mlp",
    "--set",
    "steps=60",
    "--set",
    "eval_images=100",
    "--set",
    "final_images=200",
];
const CONTROL: [&str; 7] =
    ["control", "--set", "steps=120", "--set", "eval_episodes=2", "--set", "final_episodes=4"];
const GAN: [&str; 11] = [
    "gan",
    "--set",
    "steps=30",
    "--set",
    "g_channels=4",
    "--set",
    "d_channels=4",
    "--set",
    "eval_images=100",
    "--set",
    "final_images=100",
];

fn osn(words: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("osn"));
    command.args(words).env_remove("CLICOLOR_FORCE").stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn train(recipe: &[&str], out: &Path) -> Command {
    osn(&[&["train"], recipe, &OFTEN, &["--out", out.to_str().unwrap()]].concat())
}

fn resume(folder: &Path) -> Command {
    osn(&["resume", folder.to_str().unwrap()])
}

/// The run in a folder of runs, once there is one.
fn run_in(out: &Path) -> Option<PathBuf> {
    fs::read_dir(out).ok()?.flatten().map(|entry| entry.path()).next()
}

fn said(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The record without what the clock says, and every picture.
fn left(folder: &Path) -> (Vec<String>, BTreeMap<PathBuf, Vec<u8>>) {
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
    (record.lines().map(timeless).collect(), pictures.collect())
}

/// Moments that look random and are the same each time.
struct Moments(u64);

impl Moments {
    /// A part of `most`.
    fn next(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        most.mul_f64((self.0 >> 40) as f64 / (1_u64 << 24) as f64)
    }
}

/// Whether the process has written a checkpoint of this run.
fn has_saved(folder: &Path, process: u32) -> bool {
    let Ok(signed) = fs::read_to_string(folder.join("run.lock")) else { return false };
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let since = modified(&folder.join("run.lock"));
    let Ok(files) = fs::read_dir(folder.join("checkpoints")) else { return false };
    let mut saved = files.flatten().map(|file| file.path());
    signed.trim() == process.to_string()
        && saved.any(|it| it.extension() == Some("safetensors".as_ref()) && modified(&it) > since)
}

/// Kills a run again and again, each time soon after it has written something, until it is finished; how
/// often that was.
fn kill_until_finished(mut child: Child, folder: &Path, moments: &mut Moments) -> u32 {
    let mut kills = 0;
    loop {
        wait_for(|| has_saved(folder, child.id()) || child.try_wait().unwrap().is_some());
        std::thread::sleep(moments.next(Duration::from_millis(120)));
        child.kill().unwrap();
        let (code, words) = said(child);
        match code {
            None => kills += 1,
            Some(0) => return kills,
            Some(code) => panic!("it failed with {code}: {words}"),
        }
        child = resume(folder).spawn().unwrap();
    }
}

fn wait_for(mut holds: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("nothing happened for two minutes");
}

#[test]
fn a_run_killed_at_any_moment_goes_on_to_the_same_record_and_pictures() {
    let mut moments = Moments(7);
    let mut n_kills = 0;
    for recipe in [&CONTROL[..], &CLASSIFY, &GAN] {
        let out = tempfile::tempdir().unwrap();
        let whole = out.path().join("whole");
        assert_eq!(said(train(recipe, &whole).spawn().unwrap()).0, Some(0));
        let whole = left(&run_in(&whole).unwrap());
        let mut of_recipe = 0;
        for round in 0.. {
            let killed = out.path().join(format!("killed-{round}"));
            let child = train(recipe, &killed).spawn().unwrap();
            wait_for(|| run_in(&killed).is_some());
            let folder = run_in(&killed).unwrap();
            of_recipe += kill_until_finished(child, &folder, &mut moments);
            let found = left(&folder);
            assert_eq!(found.0, whole.0, "{recipe:?} after {of_recipe} kills");
            assert!(found.1 == whole.1, "{recipe:?} after {of_recipe} kills: pictures");
            if of_recipe >= KILLS / 3 {
                break;
            }
            assert!(round < 20, "{of_recipe} kills in 20 runs: nothing is tested");
        }
        n_kills += of_recipe;
    }
    assert!(n_kills >= KILLS - 2, "{n_kills}");
}

/// A run that would take long, once it has a checkpoint.
fn long_run(out: &Path) -> (Child, PathBuf) {
    let child = train(&["control", "--set", "steps=100000000"], out).spawn().unwrap();
    wait_for(|| run_in(out).is_some_and(|folder| has_saved(&folder, child.id())));
    (child, run_in(out).unwrap())
}

fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

#[test]
fn a_run_that_is_asked_to_end_says_how_to_go_on_and_with_which_signal_it_ended() {
    for (name, code) in [("-TERM", 143), ("-INT", 130)] {
        let out = tempfile::tempdir().unwrap();
        let (child, folder) = long_run(out.path());
        signal(&child, name);
        let (found, words) = said(child);
        assert_eq!(found, Some(code), "{words}");
        assert!(words.contains(&format!("resume {}", folder.display())), "{words}");
        // Nobody waits for the end of it: it goes on, and is asked to end again.
        let child = resume(&folder).spawn().unwrap();
        wait_for(|| has_saved(&folder, child.id()));
        signal(&child, name);
        let (found, words) = said(child);
        assert_eq!(found, Some(code), "{words}");
        assert!(words.contains("going on after step "), "{words}");
    }
}

#[test]
fn a_second_process_is_refused_with_the_first_ones_number() {
    let out = tempfile::tempdir().unwrap();
    let (mut child, folder) = long_run(out.path());
    let (code, words) = said(resume(&folder).spawn().unwrap());
    assert_eq!(code, Some(2));
    let who = format!("is being written by process {}; stop that one first", child.id());
    assert!(words.contains(&who), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_finished_run_says_so_and_one_without_checkpoints_what_to_do() {
    let out = tempfile::tempdir().unwrap();
    let arguments = [&["train"], &CONTROL[..], &["--set", "steps=4", "--out"]].concat();
    let without = [&arguments[..], &[out.path().to_str().unwrap(), "--keep-checkpoints", "0"]];
    assert_eq!(said(osn(&without.concat()).spawn().unwrap()).0, Some(0));
    let folder = run_in(out.path()).unwrap();
    let (code, words) = said(resume(&folder).spawn().unwrap());
    assert_eq!(code, Some(0));
    assert!(words.ends_with("is finished: all its 4 steps are done\n"), "{words}");

    let text = fs::read_to_string(folder.join("run.json")).unwrap();
    fs::write(folder.join("run.json"), text.replace("\"finished\"", "\"stopped\"")).unwrap();
    let (code, words) = said(resume(&folder).spawn().unwrap());
    assert_eq!(code, Some(2));
    assert!(words.contains("has no checkpoint to go on from; train it again"), "{words}");
}
