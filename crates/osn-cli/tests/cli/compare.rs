//! `osn compare` as its user meets it, on runs of a fraction of a second.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use osn_report::study::{Completion, Study};
use serde_json::Value;
use tempfile::TempDir;

use crate::inputs::{draw, pictures};
use crate::processes::{
    Ended, description, done, ends_with, files_in, has_two_runs, json, osn, osn_on, record,
    refused, run_in, send, set, signalled, started_by, wait_for,
};

/// Settings of a run that learns nothing, quickly.
const TINY: &str = "--set random_actions=100 --set memory=500 --set hidden_sizes=8 --set eval_every=20 \
                    --set log_every=10 --set eval_episodes=2 --set final_episodes=3 --set explore_steps=20";

/// A study of `control`; of 40 steps unless the words have another number.
fn compare(out: &Path, words: &str) -> Command {
    let steps = if words.contains("--set steps=") { "" } else { " --set steps=40" };
    osn_on(&format!("compare control --jobs 2 {TINY}{steps} {words} --out"), out)
}

/// The same of one seed without constraints and under `always`, run to its end.
fn two_runs(out: &Path) -> Ended {
    done(compare(out, TWO))
}

const TWO: &str = "--decide never,always --seeds 1";

fn study(out: &Path) -> Study {
    Study::read(&fs::read_to_string(out.join("study.json")).unwrap()).unwrap()
}

fn folders(out: &Path, regime: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(out.join("runs").join(regime)).into_iter().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// Runs a study, and counts the runs that it trains: each has a folder of its own.
fn n_trained(out: &Path, command: Command) -> usize {
    let runs = out.join("runs");
    let n_runs = || {
        fs::read_dir(&runs)
            .unwrap()
            .map(|regime| fs::read_dir(regime.unwrap().path()).unwrap().count())
            .sum::<usize>()
    };
    let before = n_runs();
    done(command);
    n_runs() - before
}

#[test]
fn every_rule_runs_with_every_seed() {
    let out = TempDir::new().unwrap();
    done(compare(out.path(), "--decide never,always --seeds 2"));
    let study = study(out.path());
    let order: Vec<_> = study.runs.iter().map(|run| (run.arm.as_str(), run.seed)).collect();
    assert_eq!(order, [("never", 1), ("always", 1), ("never", 2), ("always", 2)]);
    for run in &study.runs {
        assert_eq!(run.status, Completion::Finished);
        let steps: Vec<_> = run.curve.iter().map(|point| point.0).collect();
        assert_eq!(steps, [20, 40]);
        let events = record(&out.path().join(run.folder.as_ref().unwrap()));
        let last = events.iter().rfind(|event| !event["curve"].is_null()).unwrap();
        // Of as many episodes as the first, while the score at the end is of more.
        assert_eq!(run.curve[1].1, last["curve"]["return"].as_f64());
        assert_eq!(run.metrics["return"], last["metrics"]["return"].as_f64());
    }
    assert!(study.asked.arms.iter().all(|arm| arm.is_static));
    assert_eq!(study.versions["osn"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_study_has_a_page_that_can_be_made_again_without_its_runs() {
    let out = TempDir::new().unwrap();
    done(compare(out.path(), "--decide never,cap --seeds 1"));
    let page = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(page.contains("<h1>control"), "{page}");
    fs::remove_dir_all(out.path().join("runs")).unwrap();
    let report = |code| ends_with(code, osn("report . -o again.html").current_dir(&out));
    report(0);
    let again = fs::read_to_string(out.path().join("again.html")).unwrap();
    assert!(again == page, "the same study, another page");
    // What names a folder that is not the study's own is not followed.
    let study = out.path().join("study.json");
    let text = fs::read_to_string(&study).unwrap();
    fs::write(&study, text.replace("\"runs/", "\"../../runs/")).unwrap();
    report(0);
    fs::write(&study, "{}").unwrap();
    report(2);
}

#[test]
fn a_run_of_a_study_is_the_run_that_train_makes() {
    let [out, alone] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    two_runs(out.path());
    let line = format!("train control --decide always {TINY} --set steps=40 --out");
    done(osn_on(&line, alone.path()));
    let totals = &description(&run_in(alone.path()).unwrap())["totals"];
    assert_eq!(totals["metrics"]["return"].as_f64(), study(out.path()).runs[1].metrics["return"]);
}

#[test]
fn what_is_there_is_not_run_again_and_what_is_asked_anew_is() {
    let written = |folder: &Path| -> SystemTime {
        fs::metadata(folder.join("run.json")).unwrap().modified().unwrap()
    };
    let out = TempDir::new().unwrap();
    two_runs(out.path());
    let before = folders(out.path(), "default");
    let time = written(&before[0]);
    // One more seed, another order, and one run lost.
    fs::remove_dir_all(&before[1]).unwrap();
    let more = compare(out.path(), "--decide always --decide never --seeds 2");
    assert_eq!(n_trained(out.path(), more), 3);
    assert_eq!(written(&before[0]), time);
    assert_eq!(folders(out.path(), "default").len(), 4);
    assert!(!study(out.path()).versions["sources"].is_null());
}

/// A study that is there refuses what would take its place; nothing is changed.
fn is_another(out: &Path, words: &str) {
    let before = files_in(out);
    let line = refused(compare(out, words));
    assert!(files_in(out) == before, "{line}");
}

#[test]
fn what_would_take_the_place_of_a_study_is_refused() {
    let out = TempDir::new().unwrap();
    let rules = out.path().join("mine.toml");
    fs::write(&rules, "[[rule]]\nrule = \"cap\"\n").unwrap();
    let asked = format!("--seeds 2 --decide never,always,{}", rules.display());
    done(compare(out.path(), &asked));
    is_another(out.path(), &format!("{asked} --set batch_size=8"));
    is_another(out.path(), &format!("{asked} --set environment=acrobot"));
    is_another(out.path(), &asked.replace("--seeds 2", "--seeds 1"));
    is_another(out.path(), "--decide never,always --seeds 2");
    // What comes to the same is the same, however it is written.
    let same = "--decide always:target=1,never,cap:target=1 --preset standard --seeds 2";
    assert_eq!(n_trained(out.path(), compare(out.path(), same)), 0);
    done(compare(out.path(), &asked));
    fs::write(&rules, "[[rule]]\nrule = \"cap\"\ntarget = 2.0\n").unwrap();
    is_another(out.path(), &asked);
}

#[test]
fn another_build_is_refused_and_its_runs_are_not_taken() {
    let out = TempDir::new().unwrap();
    two_runs(out.path());
    let path = out.path().join("study.json");
    let text = fs::read_to_string(&path).unwrap();
    for version in ["commit", "lock"] {
        fs::write(&path, &text).unwrap();
        set(&path, &format!("/versions/{version}"), "abacus");
        is_another(out.path(), TWO);
    }
    // A study from before builds were written down.
    let mut old: Value = serde_json::from_str(&text).unwrap();
    old.as_object_mut().unwrap().remove("identity");
    old["versions"] = serde_json::json!({"osn": "0.1.0", "burn": "0.22.1"});
    fs::write(&path, old.to_string()).unwrap();
    is_another(out.path(), TWO);
    // Without its file, what each run says of itself decides.
    fs::remove_file(&path).unwrap();
    set(&folders(out.path(), "default")[0].join("run.json"), "/versions/lock", "abacus");
    assert_eq!(n_trained(out.path(), compare(out.path(), TWO)), 1);
}

#[test]
fn a_run_that_was_stopped_or_killed_is_run_again_and_a_failed_one_is_not() {
    for (status, n_again) in [("failed", 0), ("interrupted", 1), ("running", 1)] {
        let out = TempDir::new().unwrap();
        two_runs(out.path());
        set(&folders(out.path(), "default")[0].join("run.json"), "/status", status);
        assert_eq!(n_trained(out.path(), compare(out.path(), TWO)), n_again, "{status}");
        let run = study(out.path()).runs.into_iter().find(|run| run.arm == "always").unwrap();
        assert_eq!(run.folder.unwrap().ends_with("control-always-s1-2"), n_again == 1, "{status}");
    }
}

#[cfg(unix)]
#[test]
fn one_folder_is_one_study_however_it_is_spelled_and_other_pictures_are_another() {
    use std::os::unix::fs::symlink;
    let here = TempDir::new().unwrap();
    let at = |name: &str| here.path().join(name);
    let on = |folder: &Path, data: &str, decide: &str| {
        let tiny = "--set steps=2 --set batch_size=4 --set g_channels=4 --set d_channels=4";
        let words = format!("--seeds 1 --jobs 2 --out study {tiny} --decide {decide} --data");
        let mut command = osn_on(&format!("compare gan {words}"), data.as_ref());
        command.current_dir(folder);
        command
    };
    let n_trained_on =
        |folder: &Path, data: &str| n_trained(&at("study"), on(folder, data, "never,always"));
    pictures(&at("photos"));
    symlink(at("photos"), at("link")).unwrap();
    done(on(here.path(), "photos", "never,always"));
    for spelling in ["./photos", "photos/", "link", at("photos").to_str().unwrap()] {
        assert_eq!(n_trained_on(here.path(), spelling), 0, "{spelling}");
    }
    fs::create_dir(at("deeper")).unwrap();
    symlink(at("study"), at("deeper/study")).unwrap();
    assert_eq!(n_trained_on(&at("deeper"), "../photos"), 0);
    fs::rename(at("photos"), at("pictures")).unwrap();
    assert_eq!(n_trained_on(here.path(), "pictures"), 0);

    let sha256 = study(&at("study")).identity.regimes["default"].data_sha256.clone().unwrap();
    draw(&at("pictures"), 7, 10);
    let line = refused(on(here.path(), "pictures", "never,always,cap"));
    assert!(line.contains(&sha256), "{line}");
    // Without the study's file, its runs say by themselves that they are of other pictures.
    fs::remove_file(at("study/study.json")).unwrap();
    assert_eq!(n_trained_on(here.path(), "pictures"), 2);
}

#[test]
fn one_run_shown_twice_is_refused() {
    let out = TempDir::new().unwrap();
    two_runs(out.path());
    let [first, second] = &folders(out.path(), "default")[..] else { panic!("two runs") };
    let page = out.path().join("page.html");
    let again = first.join("../../default").join(first.file_name().unwrap());
    let report = |folders: &[&Path]| {
        let mut command = osn_on("report -o", &page);
        command.args(folders);
        command
    };
    refused(report(&[first, second, &again]));
    assert!(!page.exists());
    done(report(&[first, second]));
}

#[test]
fn a_second_process_is_refused_while_the_first_adds_to_a_study() {
    let out = TempDir::new().unwrap();
    let long = compare(out.path(), "--decide never,cap --seeds 1 --set steps=100000000").spawn();
    let mut first = long.unwrap();
    wait_for(|| {
        assert!(first.try_wait().unwrap().is_none(), "it ended");
        out.path().join("runs/default").exists()
    });
    let line = refused(compare(out.path(), TWO));
    assert!(line.contains(&first.id().to_string()), "{line}");
    assert_eq!(signalled(first, "TERM").code, Some(143));
    two_runs(out.path());
}

/// Writes a file of two regimes with these settings.
fn regimes(folder: &Path, [first, second]: [&str; 2]) -> String {
    let file = folder.join("regimes.toml");
    let regime = |name, set| format!("[[regime]]\nname = \"{name}\"\nset = {{ {set} }}\n");
    let text = regime("first", first) + &regime("second", second);
    fs::write(&file, text).unwrap();
    format!("{TWO} --regime {}", file.display())
}

#[test]
fn a_failing_regime_is_scored_as_the_worst_and_not_run_again() {
    let out = TempDir::new().unwrap();
    let words = regimes(out.path(), ["", "learning_rate = 1e30, steps = 30"]);
    let table = done(compare(out.path(), &words)).stdout;
    let study = study(out.path());
    for run in study.runs.iter().filter(|run| run.regime == "second") {
        assert_eq!(run.status, Completion::Failed);
        let of_run = description(&out.path().join(run.folder.as_ref().unwrap()));
        assert_eq!(run.why.as_deref(), of_run["error"].as_str());
    }
    assert_eq!(study.asked.regimes[1].settings, ["learning_rate=1e30", "steps=30"]);
    assert_eq!(done(compare(out.path(), &words)).stdout, table);
    assert_eq!(done(osn_on("report", out.path())).stdout, table, "the analysis of what is there");
    assert_eq!(n_trained(out.path(), compare(out.path(), &words)), 0);
}

#[test]
fn json_is_one_object_and_that_of_the_file() {
    let out = TempDir::new().unwrap();
    let printed = done(compare(out.path(), &format!("{TWO} --json"))).stdout;
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed, json(&out.path().join("study.json"))["analysis"]);
    assert_eq!(printed["measures"][1]["measure"], "area");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_runs_and_keeps_the_finished_ones() {
    let out = TempDir::new().unwrap();
    // The first run is over soon, the second would take an hour.
    let words = regimes(out.path(), ["", "steps = 100000000"]);
    let child = compare(out.path(), &words).spawn().unwrap();
    wait_for(|| has_two_runs(&out.path().join("runs/second")));
    assert_eq!(signalled(child, "INT").code, Some(130));
    let study = study(out.path());
    let missing = study.runs.iter().filter(|run| run.status == Completion::Missing).count();
    assert_eq!(missing, 2);
    // No run goes on without its study, and no part of one is left.
    assert!(!out.path().join("runs/second").exists());
    assert_eq!(folders(out.path(), "first").len(), 2);
}

#[cfg(unix)]
#[test]
fn a_run_that_dies_counts_as_nothing_and_can_be_run_alone() {
    let out = TempDir::new().unwrap();
    let words = format!("{TWO} --set steps=3000");
    let child = compare(out.path(), &words).spawn().unwrap();
    let victim = out.path().join("runs/default/control-never-s1");
    wait_for(|| victim.join("run.json").exists());
    kill_run(child.id(), "decide=never");
    let ended = Ended::of(child);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(study(out.path()).runs[0].status, Completion::Missing);
    // Alone, with the command that was printed, and the study has it.
    let (_, line) = ended.stderr.trim_end().rsplit_once(" train ").unwrap();
    done(osn(&format!("train {line}")));
    assert_eq!(n_trained(out.path(), compare(out.path(), &words)), 0);
}

/// Kills the run of a study whose command line has this word.
#[cfg(unix)]
fn kill_run(study: u32, word: &str) {
    let has_word = |process: &u32| {
        fs::read(format!("/proc/{process}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    };
    let [run] = started_by(study).into_iter().filter(has_word).collect::<Vec<_>>()[..] else {
        panic!("not one run has {word}");
    };
    send(run, "KILL");
}
