//! What a process owes whoever started it: signals that are to be passed over, pipes that nobody reads,
//! full files, a Ctrl-C at any time, and a kill before there is a checkpoint.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod processes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use processes::{
    CONTROL, Left, begun, checkpoint, checkpoints, done, osn, resume, run_in, said, signal, train,
    undisturbed, wait_for,
};
use serde_json::Value;

/// A run that ends when somebody ends it.
const ENDLESS: [&str; 3] = ["control", "--set", "steps=100000000"];
/// What takes a second before the first step.
const SLOW_START: [&str; 4] = ["--set", "random_actions=10000000", "--set", "memory=10000000"];
/// What makes every step take seconds.
const SLOW_STEPS: [&str; 4] = ["--set", "actions_per_step=10000", "--set", "explore_start=0.01"];
const SIGHUP: u32 = 1;
const SIGINT: u32 = 2;
const SIGTERM: u32 = 15;

fn short() -> Vec<&'static str> {
    [&CONTROL[..], &["--set", "steps=30"]].concat()
}

/// One that is still there when something is done to it.
fn longer() -> Vec<&'static str> {
    [&CONTROL[..], &["--set", "steps=400"]].concat()
}

fn description(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap()
}

fn status(folder: &Path) -> String {
    description(folder)["status"].as_str().unwrap().to_owned()
}

/// The same command, started by a shell that says this before.
fn after(words: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{words}; exec \"$0\" \"$@\"")]).arg(command.get_program());
    shell.args(command.get_args()).stdout(Stdio::null()).stderr(Stdio::piped());
    shell
}

/// Whether osn runs in this process and does something of its own at this signal, by its mask of caught
/// ones.
///
/// A shell that has yet to become osn catches some signals too, and dies of them.
fn catches(process: u32, signal: u32) -> bool {
    let program = fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
    if program != fs::canonicalize(cargo_bin("osn")).unwrap() {
        return false;
    }
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// Every file of a folder and of those in it.
fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(files_in(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let whole = undisturbed(&longer());
    for name in ["HUP", "INT", "TERM"] {
        let out = tempfile::tempdir().unwrap();
        let mut child =
            after(&format!("trap '' {name}"), &train(&longer(), out.path())).spawn().unwrap();
        wait_for(|| run_in(out.path()).is_some_and(|folder| !checkpoints(&folder).is_empty()));
        for _ in 0..3 {
            signal(&child, &format!("-{name}"));
        }
        assert!(child.try_wait().unwrap().is_none(), "{name}: it was over before the signal");
        let (code, words) = said(child);
        assert_eq!(code, Some(0), "{name}: {words}");
        Left::of(&run_in(out.path()).unwrap()).must_be(&whole, name);
    }
}

#[test]
fn the_others_are_still_heard() {
    let out = tempfile::tempdir().unwrap();
    let child = after("trap '' HUP", &train(&ENDLESS, out.path())).spawn().unwrap();
    wait_for(|| run_in(out.path()).is_some_and(|folder| !checkpoints(&folder).is_empty()));
    signal(&child, "-HUP");
    signal(&child, "-INT");
    assert_eq!(said(child).0, Some(130));
    assert_eq!(status(&run_in(out.path()).unwrap()), "stopped");
}

fn n_finished(study: &Path) -> usize {
    let study = fs::read_to_string(study.join("study.json")).unwrap();
    study.matches("\"finished\"").count()
}

#[test]
fn a_study_started_by_nohup_outlives_the_terminal() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let words = ["compare", "control", "--decide=never,always", "--seeds=1", "--out", folder];
    let settings = ["--set", "steps=300", "--set", "eval_episodes=2", "--set", "final_episodes=2"];
    let child = after("trap '' HUP", &osn(&[&words[..], &settings].concat())).spawn().unwrap();
    let runs = out.path().join("runs/default");
    wait_for(|| run_in(&runs).is_some_and(|folder| folder.join("record.jsonl").exists()));
    signal(&child, "-HUP");
    let (code, words) = said(child);
    assert_eq!(code, Some(0), "{words}");
    assert_eq!(n_finished(out.path()), 2, "{words}");
}

#[test]
fn a_watcher_hears_what_it_was_not_told_to_pass_over() {
    let out = tempfile::tempdir().unwrap();
    let (mut child, folder) = begun(&ENDLESS, out.path());
    for (ignored, heard, number, code) in [
        ("HUP", "-INT", SIGINT, 130),
        ("INT", "-TERM", SIGTERM, 143),
        ("TERM", "-HUP", SIGHUP, 129),
    ] {
        let watcher = osn(&["watch", folder.to_str().unwrap()]);
        let words = format!("trap '' {ignored}; export BROWSER=true");
        let watcher = after(&words, &watcher).spawn().unwrap();
        wait_for(|| catches(watcher.id(), number));
        signal(&watcher, &format!("-{ignored}"));
        signal(&watcher, heard);
        assert_eq!(said(watcher).0, Some(code), "{ignored} {heard}");
    }
    assert!(child.try_wait().unwrap().is_none(), "the run goes on");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_terminal_that_says_twice_that_it_is_gone_gets_one_good_end() {
    let out = tempfile::tempdir().unwrap();
    let (child, folder) = begun(&ENDLESS, out.path());
    signal(&child, "-HUP");
    signal(&child, "-HUP");
    let (code, words) = said(child);
    assert_eq!(code, Some(129), "{words}");
    assert_eq!(status(&folder), "stopped");
    assert!(words.contains("resume "), "{words}");
}

/// A pipe whose reader is gone.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A disk with no room.
fn full() -> Stdio {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// Every way in which nobody hears, for standard output and standard error, and the exit code that is due to
/// a command that has something to put out: only data that could not be put out is a failure.
fn deaf(command: &Command, how: &str) -> Command {
    let mut deaf = Command::new(command.get_program());
    deaf.args(command.get_args()).stdin(Stdio::null());
    match how {
        "pipes" => deaf.stdout(unread()).stderr(unread()),
        "full errors" => deaf.stdout(Stdio::null()).stderr(full()),
        "full" => deaf.stdout(full()).stderr(full()),
        closed => {
            let mut shell = Command::new("sh");
            let script = format!("exec \"$0\" \"$@\" {closed}");
            shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
            return shell;
        }
    };
    deaf
}

const DEAF: [(&str, i32); 5] =
    [("pipes", 0), ("full errors", 0), ("full", 1), ("2>&-", 0), (">&- 2>&-", 0)];

#[test]
fn a_training_that_nobody_hears_trains_on_and_its_files_say_what_is_true() {
    let whole = undisturbed(&short());
    for (how, code) in DEAF {
        let out = tempfile::tempdir().unwrap();
        let status_of = deaf(&train(&short(), out.path()), how).status().unwrap();
        assert_eq!(status_of.code(), Some(code), "{how}");
        let folder = run_in(out.path()).unwrap();
        assert_eq!(status(&folder), "finished", "{how}");
        Left::of(&folder).must_be(&whole, how);
        assert!(folder.join("report.html").exists(), "{how}");
    }
}

#[test]
fn a_resumed_run_that_nobody_hears_goes_on_and_a_failed_one_says_so_in_its_files() {
    let whole = undisturbed(&longer());
    for (how, code) in DEAF {
        let out = tempfile::tempdir().unwrap();
        let (child, folder) = begun(&longer(), out.path());
        signal(&child, "-INT");
        assert_eq!(said(child).0, Some(130), "{how}");
        assert_eq!(deaf(&resume(&folder), how).status().unwrap().code(), Some(code), "{how}");
        assert_eq!(status(&folder), "finished", "{how}");
        Left::of(&folder).must_be(&whole, how);
    }
    let out = tempfile::tempdir().unwrap();
    let diverging = [&short()[..], &["--set", "learning_rate=1e30"]].concat();
    let status_of = deaf(&train(&diverging, out.path()), "pipes").status().unwrap();
    assert_eq!(status_of.code(), Some(1));
    assert_eq!(status(&run_in(out.path()).unwrap()), "failed");
}

#[test]
fn a_study_that_nobody_hears_is_run_to_its_end() {
    for (how, code) in DEAF {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().to_str().unwrap();
        let words = ["compare", "control", "--decide=never,always", "--seeds=1", "--out", folder];
        let settings =
            ["--set", "steps=20", "--set", "eval_episodes=2", "--set", "final_episodes=2"];
        let command = osn(&[&words[..], &settings].concat());
        assert_eq!(deaf(&command, how).status().unwrap().code(), Some(code), "{how}");
        assert_eq!(n_finished(out.path()), 2, "{how}");
    }
}

#[test]
fn every_other_command_that_nobody_hears_ends_with_one_exit_code() {
    let out = tempfile::tempdir().unwrap();
    done(train(&short(), out.path()));
    let run = run_in(out.path()).unwrap().to_str().unwrap().to_owned();
    let model = checkpoint(out.path()).to_str().unwrap().to_owned();
    let baked = out.path().join("baked.safetensors").to_str().unwrap().to_owned();
    // What puts out data, and what does not.
    let data: [&[&str]; 8] = [
        &["--help"],
        &["settings"],
        &["inspect", &model],
        &["inspect", "--json", &model],
        &["data"],
        &["decide"],
        &["decide", "why", &run],
        &["decide", "like", &run],
    ];
    let files: [&[&str]; 4] = [
        &["normalize", &model, &baked, "--target", "1"],
        &["report", &run],
        &["watch", &run],
        &["resume", &run],
    ];
    for (how, code) in DEAF {
        for (words, is_data) in
            data.iter().map(|it| (it, true)).chain(files.iter().map(|it| (it, false)))
        {
            let _ = fs::remove_file(&baked);
            let status = deaf(&osn(words), how).status().unwrap();
            // `like` has nothing to say of a run without decisions.
            let is_refused = words.contains(&"like") && status.code() == Some(2);
            let due = if is_data { code } else { 0 };
            assert!(status.code() == Some(due) || is_refused, "{words:?} {how}: {status}");
            assert!(words[0] != "normalize" || Path::new(&baked).exists(), "{how}");
        }
        for words in [&["foo"][..], &["inspect", "/no/such/file"], &["resume", "/no/such/run"]] {
            let status = deaf(&osn(words), how).status().unwrap();
            assert_eq!(status.code(), Some(2), "{words:?} {how}");
        }
    }
}

#[test]
fn data_that_could_not_be_put_out_is_said() {
    let mut command = osn(&["data"]);
    let output = command.stdout(full()).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("No space left"), "{words}");
}

#[test]
fn ctrl_c_before_the_first_step_ends_at_once_and_leaves_no_run() {
    for (name, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let out = tempfile::tempdir().unwrap();
        // While it prepares; the last that it listens for is SIGTERM.
        let child = train(&[&ENDLESS[..], &SLOW_START].concat(), out.path()).spawn().unwrap();
        wait_for(|| catches(child.id(), SIGTERM));
        assert_eq!(run_in(out.path()), None);
        signal(&child, name);
        assert_eq!(said(child).0, Some(code));
        assert_eq!(run_in(out.path()), None);
        // While it does its first step.
        let child = train(&[&ENDLESS[..], &SLOW_STEPS].concat(), out.path()).spawn().unwrap();
        wait_for(|| run_in(out.path()).is_some());
        signal(&child, name);
        let (found, words) = said(child);
        assert_eq!(found, Some(code), "{words}");
        assert_eq!(run_in(out.path()), None, "{words}");
    }
}

#[test]
fn ctrl_c_before_a_resumed_run_goes_on_leaves_it_as_it_was() {
    let out = tempfile::tempdir().unwrap();
    let (child, folder) = begun(&[&ENDLESS[..], &SLOW_START].concat(), out.path());
    signal(&child, "-INT");
    assert_eq!(said(child).0, Some(130));
    // Which process had it last is nothing of the run.
    let files = || {
        let mut files = files_in(&folder);
        files.remove(&folder.join("run.lock"));
        files
    };
    let before = files();
    let child = resume(&folder).spawn().unwrap();
    wait_for(|| catches(child.id(), SIGINT));
    signal(&child, "-INT");
    let (code, words) = said(child);
    assert_eq!((code, words.as_str()), (Some(130), ""));
    assert!(files() == before);
    assert_eq!(status(&folder), "stopped");
}

#[test]
fn ctrl_c_before_the_first_run_of_a_study_is_over_leaves_no_part_of_one() {
    let out = tempfile::tempdir().unwrap();
    let study = out.path().join("study");
    let words = ["compare", "--decide=never,always", "--seeds=1", "--jobs=2", "--out"];
    let all = [&words[..1], &ENDLESS, &words[1..], &[study.to_str().unwrap()]].concat();
    let child = osn(&all).spawn().unwrap();
    let runs = study.join("runs/default");
    wait_for(|| fs::read_dir(&runs).is_ok_and(|runs| runs.count() == 2));
    signal(&child, "-INT");
    let (code, words) = said(child);
    assert_eq!(code, Some(130), "{words}");
    assert!(!study.exists(), "{:?}", files_in(&study).keys());
}

#[test]
fn a_run_of_a_study_whose_process_was_killed_comes_to_its_end() {
    let out = tempfile::tempdir().unwrap();
    let words = ["compare", "control", "--decide=never,always", "--seeds=1", "--jobs=1", "--out"];
    let settings = ["--set", "steps=300", "--set", "eval_episodes=2", "--set", "final_episodes=2"];
    let all = [&words[..], &[out.path().to_str().unwrap()], &settings].concat();
    let mut child = osn(&all).spawn().unwrap();
    let runs = out.path().join("runs/default");
    wait_for(|| run_in(&runs).is_some_and(|folder| folder.join("record.jsonl").exists()));
    child.kill().unwrap();
    child.wait().unwrap();
    // Its pipe goes with the process that read it.
    drop(child);
    let run = run_in(&runs).unwrap();
    wait_for(|| status(&run) != "running");
    assert_eq!(status(&run), "finished");
    wait_for(|| {
        osn_recipes::run::folder::RunFolder::open(&run).is_ok_and(|run| !run.is_being_written())
    });
    done(osn(&all));
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 2, "none was run again");
}

/// A run that is killed with a record and before its first checkpoint.
fn killed_early(recipe: &[&str], out: &Path) -> PathBuf {
    let all = [&["train"], recipe, &["--out", out.to_str().unwrap()]].concat();
    let mut child = osn(&all).spawn().unwrap();
    let has_begun = |folder: PathBuf| {
        fs::metadata(folder.join("record.jsonl")).is_ok_and(|record| record.len() > 0)
    };
    wait_for(|| run_in(out).is_some_and(has_begun));
    child.kill().unwrap();
    assert_eq!(said(child).0, None, "it was over before it could be killed");
    run_in(out).unwrap()
}

#[test]
fn a_run_killed_before_its_first_checkpoint_is_resumed_from_its_start() {
    let late = ["--checkpoint-every", "1000000", "--set", "log_every=1"];
    let recipe =
        [&CONTROL[..], &["--set", "steps=1500", "--set", "eval_every=100"], &late].concat();
    let out = tempfile::tempdir().unwrap();
    let whole = {
        let out = tempfile::tempdir().unwrap();
        done(osn(&[&["train"], &recipe[..], &["--out", out.path().to_str().unwrap()]].concat()));
        Left::of(&run_in(out.path()).unwrap())
    };
    let folder = killed_early(&recipe, out.path());
    assert!(checkpoints(&folder).is_empty());
    // At the earliest moment of all there is no record yet, and a file half written.
    let bare = out.path().join("bare");
    fs::create_dir_all(bare.join("samples")).unwrap();
    fs::copy(folder.join("run.json"), bare.join("run.json")).unwrap();
    fs::write(bare.join(".osn-k1ll3d.tmp"), "half").unwrap();
    for folder in [folder, bare] {
        done(resume(&folder));
        Left::of(&folder).must_be(&whole, "killed early");
        assert_eq!(status(&folder), "finished");
        assert!(!folder.join(".osn-k1ll3d.tmp").exists());
    }
}

#[test]
fn a_run_whose_checkpoints_were_thrown_away_keeps_its_record() {
    let out = tempfile::tempdir().unwrap();
    let (mut child, folder) = begun(&longer(), out.path());
    let last = || fs::read_to_string(folder.join("record.jsonl")).unwrap().lines().count();
    let begun = last();
    wait_for(|| last() > begun + 20);
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_dir_all(folder.join("checkpoints")).unwrap();
    let before = fs::read(folder.join("record.jsonl")).unwrap();
    let (code, words) = said(resume(&folder).spawn().unwrap());
    assert_eq!(code, Some(2), "{words}");
    assert!(fs::read(folder.join("record.jsonl")).unwrap() == before);
}

#[test]
fn a_file_that_may_not_grow_ends_the_run_in_one_line_and_it_can_go_on() {
    let out = tempfile::tempdir().unwrap();
    // Blocks of 512 bytes: the record grows beyond them.
    let mut child = after("ulimit -f 60", &train(&longer(), out.path())).spawn().unwrap();
    wait_for(|| child.try_wait().unwrap().is_some());
    let (code, words) = said(child);
    assert_eq!(code, Some(1), "{words}");
    let errors: Vec<_> = words.lines().filter(|line| line.contains("error:")).collect();
    assert!(errors.len() == 1 && errors[0].contains("File too large"), "{words}");
    let folder = run_in(out.path()).unwrap();
    assert!(status(&folder) != "running" && status(&folder) != "finished", "{}", status(&folder));
    done(resume(&folder));
    Left::of(&folder).must_be(&undisturbed(&longer()), "a small file");
}

#[test]
fn another_path_than_a_run_names_the_runs() {
    let out = tempfile::tempdir().unwrap();
    let (child, folder) = begun(&ENDLESS, out.path());
    signal(&child, "-INT");
    said(child);
    let file = checkpoints(&folder).pop().unwrap();
    let run = folder.display().to_string();
    for command in ["watch", "report", "resume"] {
        let (code, words) = said(osn(&[command, out.path().to_str().unwrap()]).spawn().unwrap());
        assert_eq!((code, words.lines().count()), (Some(2), 1), "{command}: {words}");
        assert!(words.contains(&run), "{words}");
        for part in [&file, &folder.join("checkpoints"), &folder.join("run.json")] {
            let (code, words) = said(osn(&[command, part.to_str().unwrap()]).spawn().unwrap());
            assert_eq!((code, words.lines().count()), (Some(2), 1), "{command}: {words}");
            assert!(words.trim_end().ends_with(&run), "{command}: {words}");
        }
    }
}

#[test]
fn a_page_or_a_record_that_is_not_the_whole_run_says_so() {
    let out = tempfile::tempdir().unwrap();
    let (child, folder) = begun(&ENDLESS, out.path());
    signal(&child, "-INT");
    said(child);
    let report = || done(osn(&["report", folder.to_str().unwrap()]));
    let stopped = report();
    fs::write(folder.join("record.jsonl"), "").unwrap();
    let empty = report();
    assert_eq!([&stopped, &empty].map(|words| words.lines().count()), [2, 2], "{stopped}{empty}");
    assert_ne!(stopped, empty);
    assert!(!done(osn(&["decide", "why", folder.to_str().unwrap()])).is_empty());
    let finished = tempfile::tempdir().unwrap();
    done(train(&short(), finished.path()));
    let words = done(osn(&["report", run_in(finished.path()).unwrap().to_str().unwrap()]));
    assert_eq!(words.lines().count(), 1, "{words}");
}

#[test]
fn a_run_in_which_nothing_was_decided_speaks_of_no_decision() {
    let out = tempfile::tempdir().unwrap();
    let words = done(train(&[&short()[..], &["--decide=never"]].concat(), out.path()));
    assert!(!words.contains("decision"), "{words}");
}

/// What a command writes to a terminal that says this of itself.
fn on_terminal(environment: &str, words: &[&str]) -> Option<(String, Child)> {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("{environment} {} {}", cargo_bin!("osn").display(), quoted.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
    let mut child = script.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let text = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    Some((text, child))
}

#[test]
fn a_terminal_that_cannot_and_a_person_who_will_not_are_spared_escapes_by_every_command() {
    let out = tempfile::tempdir().unwrap();
    done(train(&short(), out.path()));
    let folder = out.path().to_str().unwrap();
    let run = run_in(out.path()).unwrap().to_str().unwrap().to_owned();
    let model = checkpoint(out.path()).to_str().unwrap().to_owned();
    let train = [&["train"], &short()[..], &["--out", folder]].concat();
    let study = out.path().join("study").to_str().unwrap().to_owned();
    let compare = ["compare", "control", "--decide=never,always", "--seeds=1", "--set", "steps=9"];
    let compare = [&compare[..], &["--set", "final_episodes=2", "--out", &study]].concat();
    let commands: [&[&str]; 10] = [
        &["--help"],
        &["foo"],
        &["train", "--help"],
        &["inspect", &model],
        &["data"],
        &["decide"],
        &["decide", "why", &run],
        &["report", &run],
        &train,
        &compare,
    ];
    for words in commands {
        let Some((text, mut child)) = on_terminal("TERM=dumb", words) else {
            eprintln!("skipped: this machine has no script");
            return;
        };
        child.wait().unwrap();
        assert!(!text.is_empty() && !text.contains('\u{1b}'), "{words:?}: {text:?}");
        // Without colours lines may still be drawn anew.
        let (text, mut child) = on_terminal("NO_COLOR=1 TERM=xterm-256color", words).unwrap();
        child.wait().unwrap();
        assert!(!text.is_empty() && !has_colours(&text), "{words:?}: {text:?}");
    }
    let (text, mut child) =
        on_terminal("env -u NO_COLOR -u CLICOLOR TERM=xterm-256color", &["inspect", &model])
            .unwrap();
    child.wait().unwrap();
    assert!(has_colours(&text), "{text:?}");
}

/// Whether a sequence that sets colours or weight is in a text.
fn has_colours(text: &str) -> bool {
    let sequences = text.split("\u{1b}[").skip(1);
    sequences.into_iter().any(|rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
    })
}

#[test]
fn colours_are_forced_and_forbidden_by_the_same_rule_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let model = checkpoint(folder.path()).to_str().unwrap().to_owned();
    for words in [&["foo"][..], &["--help"], &["inspect", &model]] {
        let has = |environment: &[(&str, &str)]| {
            let mut command = osn(words);
            command.env_remove("NO_COLOR").env_remove("CLICOLOR").env("TERM", "xterm");
            let output = command.envs(environment.iter().copied()).stdout(Stdio::piped()).output();
            let output = output.unwrap();
            has_colours(&String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
        };
        assert!(!has(&[]), "{words:?}");
        assert!(has(&[("CLICOLOR_FORCE", "1")]), "{words:?}");
        assert!(has(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")]), "{words:?}");
        assert!(!has(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), "{words:?}");
        assert!(!has(&[("CLICOLOR", "1")]), "{words:?}");
    }
}
