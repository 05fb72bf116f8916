//! What a signal does to a run, a study or a watcher, at any time, also where whoever started them ignores
//! it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use tempfile::TempDir;

use crate::processes::{
    ENDLESS, Ended, Left, after, begun, checkpoints, control, description, done, files_in,
    has_record, has_two_runs, kill, osn_on, record, run_in, signal, signalled, signals, status,
    train, undisturbed, wait_for, wait_for_run,
};

/// What takes a second before the first step.
const SLOW_START: &str = "--set random_actions=10000000 --set memory=10000000";
/// What makes every step take seconds.
const SLOW_STEPS: &str = "--set actions_per_step=10000 --set explore_start=0.01";
const SIGHUP: u32 = 1;
const SIGINT: u32 = 2;
const SIGTERM: u32 = 15;

/// The runs of a study of two arms.
pub(crate) fn study(steps: u32, words: &str, out: &Path) -> Command {
    let line = format!("compare {} --decide=never,always --seeds=1 {words} --out", control(steps));
    osn_on(&line, out)
}

pub(crate) fn n_finished(study: &Path) -> usize {
    fs::read_to_string(study.join("study.json")).unwrap().matches("\"finished\"").count()
}

/// Whether osn runs in this process and catches this signal.
///
/// A shell that has yet to become osn catches some signals too, and dies of them.
fn catches(process: u32, signal: u32) -> bool {
    let program = fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
    program == fs::canonicalize(env!("CARGO_BIN_EXE_osn")).unwrap()
        && signals(&process.to_string(), "SigCgt:") & (1 << (signal - 1)) != 0
}

/// A run that was started by a shell after this script, once it has a checkpoint.
fn begun_after(script: &str, recipe: &str, out: &Path) -> Child {
    let child = after(script, &train(recipe, out)).spawn().unwrap();
    wait_for_run(out, |folder| !checkpoints(folder).is_empty());
    child
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let whole = undisturbed(&control(400));
    for name in ["HUP", "INT", "TERM"] {
        let out = TempDir::new().unwrap();
        let mut child = begun_after(&format!("trap '' {name}"), &control(400), out.path());
        for _ in 0..3 {
            signal(&child, name);
        }
        assert!(child.try_wait().unwrap().is_none(), "{name}: it was over before the signal");
        let ended = Ended::of(child);
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        Left::of(&run_in(out.path()).unwrap()).must_be(&whole, name);
    }
}

#[test]
fn where_one_signal_is_ignored_the_others_end_the_run() {
    let out = TempDir::new().unwrap();
    let child = begun_after("trap '' HUP", ENDLESS, out.path());
    signal(&child, "HUP");
    assert_eq!(signalled(child, "INT").code, Some(130));
    assert_eq!(status(&run_in(out.path()).unwrap()), "stopped");
}

#[test]
fn a_study_started_by_nohup_outlives_the_terminal() {
    let out = TempDir::new().unwrap();
    let child = after("trap '' HUP", &study(300, "", out.path())).spawn().unwrap();
    wait_for_run(&out.path().join("runs/default"), has_record);
    let ended = signalled(child, "HUP");
    assert_eq!((ended.code, n_finished(out.path())), (Some(0), 2), "{ended:?}");
}

#[test]
fn a_watcher_ends_at_a_signal_that_is_not_ignored() {
    let out = TempDir::new().unwrap();
    let (mut child, folder) = begun(ENDLESS, out.path());
    for (ignored, other, number, code) in
        [("HUP", "INT", SIGINT, 130), ("INT", "TERM", SIGTERM, 143), ("TERM", "HUP", SIGHUP, 129)]
    {
        let script = format!("trap '' {ignored}");
        let watcher = after(&script, &osn_on("watch", &folder)).spawn().unwrap();
        wait_for(|| catches(watcher.id(), number));
        signal(&watcher, ignored);
        assert_eq!(signalled(watcher, other).code, Some(code), "{ignored} {other}");
    }
    assert!(child.try_wait().unwrap().is_none(), "the run goes on");
    kill(child);
}

#[test]
fn ctrl_c_ends_the_run_with_a_whole_record_and_a_page() {
    let out = TempDir::new().unwrap();
    let child = osn_on("train --set log_every=1 --out", out.path()).spawn().unwrap();
    let folder = wait_for_run(out.path(), has_record);
    assert_eq!(signalled(child, "INT").code, Some(130));
    assert_eq!(status(&folder), "stopped");
    let last = &record(&folder).pop().unwrap()["step"];
    assert_eq!(
        *last,
        description(&folder)["totals"]["steps"],
        "the record goes up to the last step"
    );
    assert!(folder.join("report.html").exists());
}

#[test]
fn a_terminal_that_hangs_up_twice_gets_one_good_end() {
    let out = TempDir::new().unwrap();
    let (child, folder) = begun(ENDLESS, out.path());
    signal(&child, "HUP");
    assert_eq!(signalled(child, "HUP").code, Some(129));
    assert_eq!(status(&folder), "stopped");
}

#[test]
fn ctrl_c_before_the_first_step_ends_at_once_and_leaves_no_run() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let out = TempDir::new().unwrap();
        // While it prepares; the last that it listens for is SIGTERM.
        let child = train(&format!("{ENDLESS} {SLOW_START}"), out.path()).spawn().unwrap();
        wait_for(|| catches(child.id(), SIGTERM));
        assert_eq!(run_in(out.path()), None);
        assert_eq!(signalled(child, name).code, Some(code));
        assert_eq!(run_in(out.path()), None);
        // While it does its first step.
        let child = train(&format!("{ENDLESS} {SLOW_STEPS}"), out.path()).spawn().unwrap();
        wait_for(|| run_in(out.path()).is_some());
        assert_eq!(signalled(child, name).code, Some(code));
        assert_eq!(run_in(out.path()), None);
    }
}

#[test]
fn ctrl_c_before_a_resumed_run_goes_on_leaves_it_as_it_was() {
    let out = TempDir::new().unwrap();
    let (child, folder) = begun(&format!("{ENDLESS} {SLOW_START}"), out.path());
    assert_eq!(signalled(child, "INT").code, Some(130));
    let before = files_in(&folder);
    let child = osn_on("resume", &folder).spawn().unwrap();
    wait_for(|| catches(child.id(), SIGINT));
    let ended = signalled(child, "INT");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(130), ""));
    assert!(files_in(&folder) == before);
    assert_eq!(status(&folder), "stopped");
}

#[test]
fn ctrl_c_before_the_first_run_of_a_study_is_over_leaves_no_part_of_one() {
    let out = TempDir::new().unwrap();
    let folder = out.path().join("study");
    let child = study(100_000_000, "--jobs=2", &folder).spawn().unwrap();
    wait_for(|| has_two_runs(&folder.join("runs/default")));
    assert_eq!(signalled(child, "INT").code, Some(130));
    assert!(!folder.exists(), "{:?}", files_in(&folder).keys());
}

#[test]
fn a_run_of_a_study_whose_process_was_killed_comes_to_its_end() {
    let out = TempDir::new().unwrap();
    let runs = out.path().join("runs/default");
    let child = study(300, "--jobs=1", out.path()).spawn().unwrap();
    let run = wait_for_run(&runs, |folder| folder.join("record.jsonl").exists());
    // Its pipe goes with the process that read it.
    kill(child);
    wait_for(|| status(&run) != "running");
    assert_eq!(status(&run), "finished");
    wait_for(|| osn_runs::folder::RunFolder::open(&run).is_ok_and(|run| !run.is_being_written()));
    done(study(300, "--jobs=1", out.path()));
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 2, "none was run again");
}
