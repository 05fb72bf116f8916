//! `osn compare` as its user meets it, on runs of a fraction of a second.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod processes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, SystemTime};

use assert_cmd::Command;
use assert_cmd::cargo::{cargo_bin, cargo_bin_cmd};
use osn_report::study::{Completion, Study};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use processes::{last_set, refused, signal, wait_for};

/// Settings of a run that learns nothing, quickly.
const TINY: [&str; 9] = [
    "steps=40",
    "random_actions=100",
    "memory=500",
    "hidden_sizes=8",
    "eval_every=20",
    "log_every=10",
    "eval_episodes=2",
    "final_episodes=3",
    "explore_steps=20",
];

fn words(out: &Path, arguments: &[&str]) -> Vec<String> {
    let mut words = vec!["compare", "control", "--jobs", "2"];
    words.extend(TINY.iter().flat_map(|setting| ["--set", setting]));
    words.extend(["--out", out.to_str().unwrap()]);
    words.extend(arguments);
    last_set(&words).into_iter().map(str::to_owned).collect()
}

fn compare(out: &Path, arguments: &[&str]) -> Command {
    let mut command = cargo_bin_cmd!("osn");
    command.args(words(out, arguments)).env_remove("CLICOLOR_FORCE");
    command.timeout(Duration::from_mins(5));
    command
}

fn study(out: &Path) -> Study {
    Study::read(&fs::read_to_string(out.join("study.json")).unwrap()).unwrap()
}

fn folders(out: &Path, regime: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(out.join("runs").join(regime)).unwrap();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn written(folder: &Path) -> SystemTime {
    fs::metadata(folder.join("run.json")).unwrap().modified().unwrap()
}

/// What is refused says one line, and leaves nothing.
fn refuses(arguments: &[&str]) {
    let empty = tempfile::tempdir().unwrap();
    let out = empty.path().join("study");
    let words = words(&out, arguments);
    refused(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!out.exists(), "what is refused leaves nothing");
}

/// Runs a study, and tells how many of its runs were there already.
fn taken_over(command: &mut Command) -> usize {
    let output = command.assert().success();
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    // A line for each run that was trained.
    let n_trained = said.lines().filter(|line| line.contains(" runs  left ")).count();
    let total = said.lines().next().and_then(|line| line.split_once(" = "));
    let total = total.and_then(|(_, rest)| rest.split(' ').next());
    total.unwrap().parse::<usize>().unwrap() - n_trained
}

#[test]
fn every_rule_runs_with_every_seed_and_the_table_is_data() {
    let out = tempfile::tempdir().unwrap();
    let table = contains("never").and(contains("always"));
    compare(out.path(), &["--decide", "never,always", "--seeds", "2"])
        .assert()
        .success()
        .stdout(table)
        .stderr(contains("4/4 runs"));
    let study = study(out.path());
    let order: Vec<_> = study.runs.iter().map(|run| (run.arm.as_str(), run.seed)).collect();
    assert_eq!(order, [("never", 1), ("always", 1), ("never", 2), ("always", 2)]);
    for run in &study.runs {
        assert_eq!(run.status, Completion::Finished);
        let steps: Vec<_> = run.curve.iter().map(|point| point.0).collect();
        assert_eq!(steps, [20, 40]);
        let record = out.path().join(run.folder.as_ref().unwrap()).join("record.jsonl");
        let record = fs::read_to_string(record).unwrap();
        let mut last =
            record.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let last = last.find(|event| !event["curve"].is_null()).unwrap();
        // Of as many episodes as the first, while the score at the end is of more.
        assert_eq!(run.curve[1].1, last["curve"]["return"].as_f64());
        assert_eq!(run.metrics["return"], last["metrics"]["return"].as_f64());
    }
    assert!(study.asked.arms.iter().all(|arm| arm.is_static));
    assert_eq!(study.versions["osn"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_study_has_a_page_that_can_be_made_again_without_its_runs() {
    let out = tempfile::tempdir().unwrap();
    compare(out.path(), &["--decide", "never,cap", "--seeds", "1"])
        .assert()
        .success()
        .stderr(contains(out.path().join("report.html").to_string_lossy()));
    let page = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(page.contains("<h1>control"), "{page}");
    fs::remove_dir_all(out.path().join("runs")).unwrap();
    let report = |output: &str| {
        let arguments = ["report", out.path().to_str().unwrap(), "-o", output];
        cargo_bin_cmd!("osn").args(arguments).assert()
    };
    let again = out.path().join("again.html");
    report(again.to_str().unwrap()).success();
    assert!(fs::read_to_string(&again).unwrap() == page, "the same study, another page");
    // What names a folder that is not the study's own is not followed.
    let study = out.path().join("study.json");
    let text = fs::read_to_string(&study).unwrap();
    fs::write(&study, text.replace("\"runs/", "\"../../runs/")).unwrap();
    report(again.to_str().unwrap()).success();
    fs::write(&study, "{}").unwrap();
    report(again.to_str().unwrap()).code(2);
}

#[test]
fn a_run_of_a_study_is_the_run_that_train_makes() {
    let out = tempfile::tempdir().unwrap();
    compare(out.path(), &["--decide", "never,always", "--seeds", "1"]).assert().success();
    let alone = tempfile::tempdir().unwrap();
    let mut train = cargo_bin_cmd!("osn");
    train.args(["train", "control", "--decide", "always", "--out", alone.path().to_str().unwrap()]);
    train.args(TINY.iter().flat_map(|setting| ["--set", setting])).assert().success();
    let run = study(out.path()).runs[1].clone();
    let folder = fs::read_dir(alone.path()).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(folder.join("run.json")).unwrap();
    let totals = &serde_json::from_str::<Value>(&text).unwrap()["totals"];
    assert_eq!(totals["metrics"]["return"].as_f64(), run.metrics["return"]);
}

#[test]
fn what_is_there_is_not_run_again_and_what_is_asked_anew_is() {
    let out = tempfile::tempdir().unwrap();
    compare(out.path(), &["--decide", "never,always", "--seeds", "1"]).assert().success();
    let before = folders(out.path(), "default");
    let times: Vec<_> = before.iter().map(|folder| written(folder)).collect();
    // One more seed, another order, and one run lost.
    fs::remove_dir_all(&before[1]).unwrap();
    let more = ["--decide", "always", "--decide", "never", "--seeds", "2"];
    assert_eq!(taken_over(&mut compare(out.path(), &more)), 1);
    assert_eq!(written(&before[0]), times[0]);
    assert_eq!(folders(out.path(), "default").len(), 4);
    assert!(fs::read_to_string(out.path().join("study.json")).unwrap().contains("\"sources\""));
}

/// What a study that is there answers to a wish that would take its place, with what differs; nothing is
/// changed.
fn is_another(out: &Path, arguments: &[&str], difference: &str) {
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let before = (read("study.json"), read("report.html"), folders(out, "default"));
    let words = words(out, arguments);
    let line = refused(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(line.contains(difference), "'{difference}' in {line}");
    assert!((read("study.json"), read("report.html"), folders(out, "default")) == before, "{line}");
}

#[test]
fn what_would_take_the_place_of_a_study_is_refused_with_what_differs() {
    let out = tempfile::tempdir().unwrap();
    let rules = out.path().join("mine.toml");
    let mine = rules.to_str().unwrap();
    fs::write(&rules, "[[rule]]\nrule = \"cap\"\n").unwrap();
    let arms = format!("never,always,{mine}");
    compare(out.path(), &["--decide", &arms, "--seeds", "2"]).assert().success();
    let asked = ["--decide", &arms, "--seeds", "2"];
    let with = |more: &[&'static str]| [&asked[..], more].concat();
    is_another(out.path(), &with(&["--set", "batch_size=8"]), "batch_size");
    is_another(out.path(), &with(&["--set", "environment=acrobot"]), "Acrobot-v1");
    is_another(out.path(), &["--decide", &arms, "--seeds", "1"], "2 seeds");
    is_another(out.path(), &["--decide", "never,always", "--seeds", "2"], "mine.toml");
    // What comes to the same is the same, however it is written.
    let same = ["--decide", "always:target=1,never,cap:target=1", "--preset", "standard"];
    let same = [&same[..], &["--seeds", "2", "--set", "steps=40"]].concat();
    assert_eq!(taken_over(&mut compare(out.path(), &same)), 6);
    compare(out.path(), &asked).assert().success();
    fs::write(&rules, "[[rule]]\nrule = \"cap\"\ntarget = 2.0\n").unwrap();
    is_another(out.path(), &asked, "mine.toml");
}

#[test]
fn another_build_is_refused_and_named_and_its_runs_are_not_taken() {
    let out = tempfile::tempdir().unwrap();
    let asked = ["--decide", "never,always", "--seeds", "1"];
    compare(out.path(), &asked).assert().success();
    let path = out.path().join("study.json");
    let text = fs::read_to_string(&path).unwrap();
    for key in ["commit", "lock"] {
        let mut study: Value = serde_json::from_str(&text).unwrap();
        study["versions"][key] = "abacus".into();
        fs::write(&path, study.to_string()).unwrap();
        is_another(out.path(), &asked, "abacus");
    }
    // A study from before builds were written down.
    let mut old: Value = serde_json::from_str(&text).unwrap();
    old.as_object_mut().unwrap().remove("identity");
    old["versions"] = serde_json::json!({"osn": "0.1.0", "burn": "0.22.1"});
    fs::write(&path, old.to_string()).unwrap();
    is_another(out.path(), &asked, "unknown");
    // Without its file, what each run says of itself decides.
    fs::remove_file(&path).unwrap();
    let run = folders(out.path(), "default").remove(0).join("run.json");
    let text = fs::read_to_string(&run).unwrap();
    let mut description: Value = serde_json::from_str(&text).unwrap();
    description["versions"]["lock"] = "abacus".into();
    fs::write(&run, description.to_string()).unwrap();
    assert_eq!(taken_over(&mut compare(out.path(), &asked)), 1);
}

#[test]
fn what_a_disk_did_to_a_run_is_run_again_and_what_it_did_to_itself_is_not() {
    let out = tempfile::tempdir().unwrap();
    let asked = ["--decide", "never,always", "--seeds", "1"];
    compare(out.path(), &asked).assert().success();
    let run = folders(out.path(), "default").remove(0).join("run.json");
    let text = fs::read_to_string(&run).unwrap();
    for (status, there) in [("failed", 2), ("interrupted", 1)] {
        let changed =
            text.replace("\"status\": \"finished\"", &format!("\"status\": \"{status}\""));
        fs::write(&run, changed).unwrap();
        assert_eq!(taken_over(&mut compare(out.path(), &asked)), there, "{status}");
    }
}

/// A gan on a folder, in which `osn` is started.
fn on_pictures(here: &Path, data: &str, decide: &str) -> Command {
    let tiny = ["steps=2", "batch_size=4", "g_channels=4", "d_channels=4"];
    let mut command = cargo_bin_cmd!("osn");
    command
        .current_dir(here)
        .args(["compare", "gan", "--seeds", "1", "--jobs", "2", "--data", data]);
    command.args(["--decide", decide, "--out", "study"]).env_remove("CLICOLOR_FORCE");
    command.args(tiny.iter().flat_map(|setting| ["--set", setting]));
    command.timeout(Duration::from_mins(5));
    command
}

fn draw(folder: &Path, index: u8, red: u8) {
    let picture = image::RgbImage::from_pixel(28, 28, image::Rgb([red, index, 200]));
    picture.save(folder.join(format!("{index:02}.png"))).unwrap();
}

#[cfg(unix)]
#[test]
fn one_folder_is_one_study_however_it_is_spelled_and_other_pictures_are_another() {
    let here = tempfile::tempdir().unwrap();
    let photos = here.path().join("photos");
    fs::create_dir(&photos).unwrap();
    (0..60).for_each(|index| draw(&photos, index, 9));
    std::os::unix::fs::symlink(&photos, here.path().join("link")).unwrap();
    on_pictures(here.path(), "photos", "never,always").assert().success();
    let whole = photos.to_str().unwrap().to_owned();
    for spelling in ["./photos", "photos/", "link", &whole] {
        let mut again = on_pictures(here.path(), spelling, "never,always");
        assert_eq!(taken_over(&mut again), 2, "{spelling}");
    }
    let deeper = here.path().join("deeper");
    fs::create_dir(&deeper).unwrap();
    std::os::unix::fs::symlink(here.path().join("study"), deeper.join("study")).unwrap();
    assert_eq!(taken_over(&mut on_pictures(&deeper, "../photos", "never,always")), 2);
    fs::rename(&photos, here.path().join("pictures")).unwrap();
    assert_eq!(taken_over(&mut on_pictures(here.path(), "pictures", "never,always")), 2);

    let study = study(&here.path().join("study"));
    let sha256 = study.identity.regimes["default"].data_sha256.clone().unwrap();
    draw(&here.path().join("pictures"), 7, 10);
    on_pictures(here.path(), "pictures", "never,always,cap")
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains(sha256));
    // Without the study's file, its runs say by themselves that they are of other pictures.
    fs::remove_file(here.path().join("study/study.json")).unwrap();
    assert_eq!(taken_over(&mut on_pictures(here.path(), "pictures", "never,always")), 0);
}

#[test]
fn one_run_shown_twice_is_refused() {
    let out = tempfile::tempdir().unwrap();
    compare(out.path(), &["--decide", "never,always", "--seeds", "1"]).assert().success();
    let [first, second] = &folders(out.path(), "default")[..] else { panic!("two runs") };
    let page = out.path().join("page.html");
    let report = |folders: &[&Path]| {
        let mut command = cargo_bin_cmd!("osn");
        command.arg("report").args(folders).arg("-o").arg(&page).assert()
    };
    let again = first.join("../../default").join(first.file_name().unwrap());
    report(&[first, second, &again]).code(2);
    assert!(!page.exists());
    report(&[first, second]).success();
}

#[test]
fn a_run_that_was_killed_is_run_again_and_the_rest_of_it_is_no_result() {
    let out = tempfile::tempdir().unwrap();
    compare(out.path(), &["--decide", "never,always", "--seeds", "1"]).assert().success();
    let first = folders(out.path(), "default").remove(0);
    let text = fs::read_to_string(first.join("run.json")).unwrap();
    let killed = text.replace("\"status\": \"finished\"", "\"status\": \"running\"");
    assert_ne!(text, killed);
    fs::write(first.join("run.json"), killed).unwrap();
    let again = ["--decide", "never,always", "--seeds", "1"];
    assert_eq!(taken_over(&mut compare(out.path(), &again)), 1);
    let run = study(out.path()).runs.into_iter().find(|run| run.arm == "always").unwrap();
    assert!(run.folder.unwrap().ends_with("control-always-s1-2"));
}

#[test]
fn a_second_process_is_refused_while_the_first_adds_to_a_study() {
    let out = tempfile::tempdir().unwrap();
    let mut first = Process::new(cargo_bin!("osn"));
    let long = ["--decide", "never,cap", "--seeds", "1", "--set", "steps=100000000"];
    first.args(words(out.path(), &long)).stderr(Stdio::null());
    let mut first = first.spawn().unwrap();
    wait_for(|| {
        assert!(first.try_wait().unwrap().is_none(), "it ended");
        out.path().join("runs/default").exists()
    });
    let again = ["--decide", "always,never", "--seeds", "1"];
    let again_words = words(out.path(), &again);
    let line = refused(&again_words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(line.contains(&format!("process {}", first.id())), "{line}");
    signal(&first, "-TERM");
    assert!(!first.wait().unwrap().success());
    compare(out.path(), &again).assert().success();
}

#[test]
fn a_failing_regime_is_scored_as_the_worst_and_named_and_not_run_again() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("regimes.toml");
    let regimes = "[[regime]]\nname = \"calm\"\n[[regime]]\nname = \"wild\"\n\
                   set = { learning_rate = 1e30, steps = 30 }\n";
    fs::write(&file, regimes).unwrap();
    let arguments =
        ["--decide", "never,always", "--seeds", "1", "--regime", file.to_str().unwrap()];
    let output = compare(out.path(), &arguments).assert().success();
    let stdout = output.get_output().stdout.clone();
    let study = study(out.path());
    let wild: Vec<_> = study.runs.iter().filter(|run| run.regime == "wild").collect();
    assert!(wild.iter().all(|run| run.status == Completion::Failed), "{wild:?}");
    assert!(wild[0].why.as_ref().unwrap().contains("NaN"), "{wild:?}");
    assert_eq!(study.asked.regimes[1].settings, ["learning_rate=1e30", "steps=30"]);
    compare(out.path(), &arguments).assert().success().stdout(stdout);
    assert_eq!(taken_over(&mut compare(out.path(), &arguments)), 4);
}

#[test]
fn json_is_one_object_and_that_of_the_file() {
    let out = tempfile::tempdir().unwrap();
    let arguments = ["--decide", "never,always", "--seeds", "1", "--json"];
    let output = compare(out.path(), &arguments).assert().success();
    let printed: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let text = fs::read_to_string(out.path().join("study.json")).unwrap();
    assert_eq!(printed, serde_json::from_str::<Value>(&text).unwrap()["analysis"]);
    assert_eq!(printed["measures"][1]["measure"], "area");
}

#[test]
fn bad_input_is_one_line_and_leaves_nothing() {
    for line in [
        "--decide never",
        "--decide never,perhaps",
        "--decide never,always,never",
        "--decide cap,cap:target=1",
        "--seeds 100000000",
        "--seeds 0",
        "--set stepz=3",
        "--regime nowhere.toml",
        "--data images",
    ] {
        refuses(&line.split(' ').collect::<Vec<_>>());
    }
    refused(&["compare", "control", "--jobs", "0"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("regimes.toml");
    fs::write(&file, "[[regime]]\nname = \"a\"\nset = { stepz = 1 }\n").unwrap();
    refuses(&["--regime", file.to_str().unwrap()]);
    let steps = "[[regime]]\nname = \"a\"\nset = { steps = 2 }\n[[regime]]\nname = \"b\"\n";
    fs::write(&file, format!("{steps}set = {{ steps = 3 }}\n")).unwrap();
    let arguments = words(&folder.path().join("study"), &["--regime", file.to_str().unwrap()]);
    let line = refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(line.contains("--set steps has no effect") && line.contains("regimes.toml"), "{line}");
    let out = folder.path().join("out");
    let out_word = out.to_str().unwrap();
    refused(&["compare", "gan", "--data", "nowhere", "--seeds", "1", "--out", out_word]);
    assert!(!out.exists());
}

#[test]
fn a_damaged_study_or_another_is_refused_in_one_line_and_left_alone() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("study.json");
    fs::write(&path, "{\"schema\": 1, \"asked\"").unwrap();
    compare(out.path(), &["--seeds", "1"]).assert().code(2).stdout("");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"schema\": 1, \"asked\"");
    fs::remove_file(&path).unwrap();
    compare(out.path(), &["--decide", "never,always", "--seeds", "1"]).assert().success();
    let line = refused(&["compare", "gan", "--out", out.path().to_str().unwrap()]);
    assert!(line.contains("control"), "{line}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_runs_and_the_same_command_goes_on() {
    let out = tempfile::tempdir().unwrap();
    // The first run is over soon, the second would take an hour.
    let file = out.path().join("regimes.toml");
    let regimes = "[[regime]]\nname = \"short\"\n[[regime]]\nname = \"long\"\n\
                   set = { steps = 100000000 }\n";
    fs::write(&file, regimes).unwrap();
    let arguments =
        ["--decide", "never,always", "--seeds", "1", "--regime", file.to_str().unwrap()];
    let mut child = Process::new(cargo_bin!("osn"))
        .args(words(out.path(), &arguments))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| fs::read_dir(out.path().join("runs/long")).is_ok_and(|it| it.count() == 2));
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let study = study(out.path());
    let missing = study.runs.iter().filter(|run| run.status == Completion::Missing).count();
    assert_eq!(missing, 2);
    // No run goes on without its study, and no part of one is left.
    assert!(!out.path().join("runs/long").exists());
    assert_eq!(folders(out.path(), "short").len(), 2);
}

#[cfg(unix)]
#[test]
fn a_run_that_dies_counts_as_nothing_and_can_be_run_alone() {
    let out = tempfile::tempdir().unwrap();
    let arguments = ["--decide", "never,always", "--seeds", "1", "--set", "steps=3000"];
    let child = Process::new(cargo_bin!("osn"))
        .args(words(out.path(), &arguments))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let victim = out.path().join("runs/default/control-never-s1");
    wait_for(|| victim.join("run.json").exists());
    kill_run(child.id(), "decide=never");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("SIGKILL"), "{stderr}");
    let line = stderr.lines().find(|line| line.contains("train control --decide never")).unwrap();
    assert!(line.contains("--set steps=3000") && line.contains("runs/default"), "{line}");
    assert_eq!(study(out.path()).runs[0].status, Completion::Missing);
    // Alone, with the command that was named, and the study has it.
    let words = line.split_once(" train ").unwrap().1.split(' ');
    cargo_bin_cmd!("osn").arg("train").args(words).assert().success();
    assert_eq!(taken_over(&mut compare(out.path(), &arguments)), 2);
}

/// Kills the run of a study whose command line has this word.
#[cfg(unix)]
fn kill_run(study: u32, word: &str) {
    let found = Process::new("pgrep").args(["-P", &study.to_string(), "-f", word]).output();
    let pid = String::from_utf8(found.unwrap().stdout).unwrap();
    let kill = Process::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
    assert!(kill.success(), "{pid}");
}
