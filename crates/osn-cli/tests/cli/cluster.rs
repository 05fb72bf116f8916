//! Studies whose runs are trained by other processes than the one that asked for them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::inputs::fixture;
use crate::processes::{
    Ended, Left, description, done, ends_with, files_in, has_record, json, osn, osn_on, refused,
    run_in, signalled, status, wait_for,
};

/// Settings of a run that learns nothing, quickly.
const TINY: &str = "--set random_actions=100 --set memory=500 --set hidden_sizes=8 --set eval_every=20 \
                    --set log_every=10 --set eval_episodes=2 --set final_episodes=3 --set explore_steps=20";
/// A study of two runs.
const TWO: &str = "--decide never,always --seeds 1";
/// A run that ends when it is stopped or killed.
const ENDLESS: &str = "--decide never,always --seeds 1 --set steps=100000000";

/// A study of `control` with these words; of 40 steps unless they have another number.
fn compare(out: &Path, words: &str) -> Command {
    let steps = if words.contains("--set steps=") { "" } else { " --set steps=40" };
    osn_on(&format!("compare control {TINY}{steps} {words} --out"), out)
}

/// Writes the plan of a study; what it prints.
fn plan(out: &Path, words: &str) -> String {
    done(compare(out, &format!("{words} --engine print"))).stdout
}

fn cell(out: &Path, words: &str, number: &str) -> Command {
    compare(out, &format!("{words} --cell {number}"))
}

fn again(command: Command) -> Option<i32> {
    let mut command = command;
    Ended::of(command.spawn().unwrap()).code
}

/// The runs, without locks and without what a killed process left before it had described its run.
fn runs(out: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(out.join("runs/default")).into_iter().flatten().flatten();
    let mut runs: Vec<_> =
        entries.map(|entry| entry.path()).filter(|it| it.join("run.json").exists()).collect();
    runs.sort();
    runs
}

fn plans(out: &Path) -> Vec<PathBuf> {
    files_of(out, "jsonl")
}

/// The files of a kind in a folder.
fn files_of(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|it| it.extension() == Some(extension.as_ref())).collect();
    files.sort();
    files
}

/// `study.json` without what the clock says.
fn timeless(out: &Path) -> Value {
    let mut study = json(&out.join("study.json"));
    for run in study["runs"].as_array_mut().unwrap() {
        run["wall_secs"] = Value::Null;
        run["started_unix_secs"] = Value::Null;
    }
    study
}

#[test]
fn a_study_trained_cell_by_cell_is_that_of_one_machine() {
    let [here, there] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let words = format!("{TWO} --threads 2");
    done(compare(here.path(), &words));
    let printed = plan(there.path(), &words);
    for word in ["sbatch --array=0-1 ", "hq submit --array=0-1 ", "parallel ", "completions: 2\n"] {
        assert!(printed.contains(word), "{word} {printed}");
    }
    assert!(plan(there.path(), &words) == printed && plans(there.path()).len() == 1, "one plan");
    done(cell(there.path(), TWO, "0"));
    done(compare(there.path(), &format!("{TWO} --cell")).env("SLURM_ARRAY_TASK_ID", "1"));
    let trained = runs(there.path());
    assert_eq!(trained.len(), 2);
    for run in &trained {
        assert_eq!(description(run)["machine"]["threads"], 2);
        assert!(!run.join("checkpoints").exists(), "a run that has ended needs none");
    }
    // A second time nothing is done.
    let before = files_in(there.path());
    done(cell(there.path(), TWO, "0"));
    done(compare(there.path(), &format!("{TWO} --cell")).env("LSB_JOBINDEX", "2"));
    assert!(files_in(there.path()) == before);
    done(compare(there.path(), &words));
    assert_eq!(runs(there.path()), trained, "what is there is not trained again");
    assert_eq!(timeless(there.path()), timeless(here.path()));
}

#[test]
fn a_cell_that_is_killed_again_and_again_comes_to_the_same_end() {
    let words = format!("{TWO} --set steps=400");
    let [here, there] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    plan(here.path(), &words);
    done(cell(here.path(), &words, "1"));
    plan(there.path(), &words);
    let folder = there.path().join("runs/default/control-always-s1");
    for moment in 0..24 {
        let mut child = cell(there.path(), &words, "1").spawn().unwrap();
        wait_for(|| child.try_wait().unwrap().is_some() || is_at(moment, &folder, child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    done(cell(there.path(), &words, "1"));
    let ended: Vec<_> =
        runs(there.path()).into_iter().filter(|run| status(run) == "finished").collect();
    let [run] = &ended[..] else { panic!("{ended:?}") };
    Left::of(run).must_be(&Left::of(&runs(here.path())[0]), "killed");
    assert_eq!(again(cell(there.path(), &words, "1")), Some(0));
}

/// Whether a process is so far with its run: from the first file on, and then at its next lines and checkpoints.
fn is_at(moment: usize, folder: &Path, process: u32) -> bool {
    let lock = fs::read_to_string(folder.join("run.lock")).unwrap_or_default();
    let is_its = lock.split_whitespace().next() == Some(&process.to_string());
    let modified = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
    let is_newer = |path: &Path| modified(path) > modified(&folder.join("run.lock"));
    match moment {
        0 => folder.exists(),
        1 => folder.join("run.json").exists(),
        2 => has_record(folder),
        _ if moment.is_multiple_of(2) => is_its && is_newer(&folder.join("record.jsonl")),
        _ => is_its && is_newer(&folder.join("checkpoints")),
    }
}

#[cfg(unix)]
#[test]
fn one_process_trains_a_cell_and_a_signal_means_to_try_again() {
    let out = TempDir::new().unwrap();
    plan(out.path(), ENDLESS);
    let first = cell(out.path(), ENDLESS, "0").spawn().unwrap();
    wait_for(|| runs(out.path()).first().is_some_and(|run| has_record(run)));
    let second = ends_with(75, cell(out.path(), ENDLESS, "0"));
    assert!(second.stderr.contains(&format!("process {}", first.id())), "{second:?}");
    assert_eq!(signalled(first, "TERM").code, Some(75));
    assert_eq!(status(&runs(out.path())[0]), "stopped");
    let resumed = begun_again(out.path());
    assert_eq!(signalled(resumed, "INT").code, Some(75));
    assert_eq!(status(&runs(out.path())[0]), "stopped");
}

/// The same cell, resumed.
fn begun_again(out: &Path) -> Child {
    let child = cell(out, ENDLESS, "0").spawn().unwrap();
    let lock = || fs::read_to_string(runs(out)[0].join("run.lock")).unwrap_or_default();
    wait_for(|| {
        lock().starts_with(&format!("{} ", child.id())) && status(&runs(out)[0]) == "running"
    });
    child
}

/// The rules whose runs are there.
fn trained(out: &Path) -> Vec<Value> {
    runs(out).iter().map(|run| description(run)["decide"].clone()).collect()
}

#[test]
fn a_study_leaves_a_run_to_the_process_that_trains_it() {
    let out = TempDir::new().unwrap();
    let folder = out.path().join("runs/default");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("control-never-s1.lock")).unwrap();
    lock.lock().unwrap();
    let ended = ends_with(1, compare(out.path(), TWO));
    assert!(ended.stderr.contains("is being trained by another process"), "{ended:?}");
    assert_eq!(trained(out.path()), ["always"]);
    let study = json(&out.path().join("study.json"));
    let statuses = study["runs"].as_array().unwrap().iter().map(|run| &run["status"]);
    assert!(statuses.eq(["missing", "finished"]), "{study}");
    drop(lock);
    done(compare(out.path(), TWO));
    assert_eq!(trained(out.path()), ["always", "never"]);
}

#[test]
fn a_study_and_tasks_of_it_at_once_train_each_run_once() {
    let words = format!("{TWO} --set steps=400");
    let out = TempDir::new().unwrap();
    plan(out.path(), &format!("{words} --threads 1"));
    let here = || compare(out.path(), &format!("{words} --threads 1 --jobs 2"));
    let tasks = ["0", "1", "1", "0"].map(|number| cell(out.path(), &words, number));
    let all = tasks.into_iter().chain([here()]);
    let all: Vec<_> = all.map(|mut command| command.spawn().unwrap()).collect();
    let codes: Vec<_> = all.into_iter().map(|child| Ended::of(child).code.unwrap()).collect();
    assert!(codes[..4].iter().all(|code| [0, 75].contains(code)), "{codes:?}");
    assert!([0, 1].contains(&codes[4]), "{codes:?}");
    done(here());
    assert_eq!(trained(out.path()), ["always", "never"]);
    let locks = files_of(&out.path().join("runs/default"), "lock");
    assert!(locks.is_empty(), "{locks:?}");
}

#[cfg(unix)]
#[test]
fn a_cell_that_is_stopped_is_resumed_where_it_was() {
    let words = format!("{TWO} --set steps=2000");
    let out = TempDir::new().unwrap();
    plan(out.path(), &words);
    let child = cell(out.path(), &words, "0").spawn().unwrap();
    wait_for(|| runs(out.path()).first().is_some_and(|run| has_record(run)));
    assert_eq!(signalled(child, "TERM").code, Some(75));
    let ended = done(cell(out.path(), &words, "0"));
    assert!(ended.stderr.contains("resuming after step"), "{ended:?}");
    assert_eq!(runs(out.path()).len(), 1);
    assert_eq!(status(&runs(out.path())[0]), "finished");
}

#[test]
fn a_run_that_fails_as_a_run_is_an_outcome() {
    let words = format!("{TWO} --set learning_rate=1e30");
    let out = TempDir::new().unwrap();
    plan(out.path(), &words);
    let first = done(cell(out.path(), &words, "0"));
    assert_eq!((first.errors().len(), status(&runs(out.path())[0]).as_str()), (1, "failed"));
    done(cell(out.path(), &words, "0"));
    assert_eq!(runs(out.path()).len(), 1);
}

#[test]
fn a_number_means_the_same_run_for_ever() {
    let out = TempDir::new().unwrap();
    let none = refused(cell(out.path(), TWO, "0"));
    assert!(none.contains("--engine print"), "{none}");
    plan(out.path(), TWO);
    refused(cell(out.path(), TWO, "2"));
    refused(cell(out.path(), &format!("{TWO} --set batch_size=8"), "0"));
    refused(cell(out.path(), "--decide cap,always --seeds 1", "0"));
    refused(cell(out.path(), "--decide never,always --seeds 2-3", "0"));
    let no_number = refused(compare(out.path(), &format!("{TWO} --cell")));
    assert!(no_number.contains("JOB_COMPLETION_INDEX"), "{no_number}");
    refused(compare(out.path(), &format!("{TWO} --engine print --threads 7")));
    assert_eq!(run_in(&out.path().join("runs")), None, "nothing was trained");

    // An arm more is a plan more, of that arm alone.
    let three = "--decide cap,never,always --seeds 1";
    let first = plans(out.path());
    assert!(plan(out.path(), three).contains("# 1 runs of plan "));
    let more = plans(out.path()).into_iter().find(|it| !first.contains(it)).unwrap();
    let lines = fs::read_to_string(&more).unwrap();
    assert!(lines.lines().count() == 2 && lines.contains("\"arm\":\"cap\""), "{lines}");
    let which = refused(cell(out.path(), three, "0"));
    let id = |path: &Path| path.file_stem().unwrap().to_str().unwrap()["cells-".len()..].to_owned();
    assert!(which.contains("--plan") && which.contains(&id(&more)), "{which}");
    done(cell(out.path(), &format!("{three} --plan {}", id(&more)), "0"));
    done(cell(out.path(), &format!("{TWO} --plan {}", id(&first[0])), "0"));
    assert_eq!(trained(out.path()), ["cap", "never"]);

    // A plan is written once.
    let text = fs::read_to_string(&more).unwrap();
    fs::write(&more, text.replace("\"seed\":1", "\"seed\":2")).unwrap();
    refused(cell(out.path(), &format!("{three} --plan {}", id(&more)), "0"));
}

/// Copies every file of a run of seed 1 into the folder of another seed.
fn copy_run(from: &Path, seed: u64) {
    let to = from.with_file_name(format!("copy-{seed}-{}", from.file_name().unwrap().display()));
    fs::create_dir_all(to.join("samples")).unwrap();
    fs::copy(from.join("record.jsonl"), to.join("record.jsonl")).unwrap();
    let mut description = json(&from.join("run.json"));
    description["seed"] = seed.into();
    fs::write(to.join("run.json"), description.to_string()).unwrap();
}

#[test]
fn parts_of_a_checkpoint_merge_into_what_one_process_finds() {
    let out = TempDir::new().unwrap();
    let files = ["plain.safetensors", "archive.pt"].map(fixture);
    let inspect = |words: &str| {
        let mut command = osn(&format!("inspect --json {words}"));
        command.args(&files);
        Ended::of(command.spawn().unwrap())
    };
    let whole: Value = serde_json::from_str(&inspect("").stdout).unwrap();
    assert!(whole["tensors"].as_array().unwrap().len() > 2, "{whole}");
    let parts: Vec<_> = (1..=3).map(|part| out.path().join(format!("{part}.json"))).collect();
    for (place, file) in parts.iter().enumerate() {
        let part = inspect(&format!("--part {}/3", place + 1));
        fs::write(file, part.stdout).unwrap();
    }
    let merge = |files: &[&PathBuf]| {
        let mut command = osn("inspect --json --merge");
        command.args(files);
        command
    };
    let [one, two, three] = &parts[..] else { panic!("three parts") };
    let merged = done(merge(&[two, three, one])).stdout;
    assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), whole);
    assert!(refused(merge(&[one, three])).contains("part 2 of 3 is missing"));
    assert!(refused(merge(&[one, two, three, one])).contains("twice"));
    fs::write(two, inspect("").stdout).unwrap();
    assert!(refused(merge(&[one, two, three])).contains("--part"));
}

/// An emulated processor of 2008, on a machine that has the emulator.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn a_processor_that_lacks_what_osn_was_built_with_is_refused() {
    let mut old = Command::new("qemu-x86_64");
    old.args(["-cpu", "Nehalem", env!("CARGO_BIN_EXE_osn"), "--version"]);
    let Ok(output) = old.output() else {
        eprintln!("skipped: there is no qemu-x86_64");
        return;
    };
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{said}");
    assert!(said.contains("error: this processor lacks AVX2"), "{said}");
}

#[test]
#[ignore = "measures: prints how long a study of 3,000 finished runs takes to open"]
#[expect(clippy::print_stderr, reason = "it is a measurement")]
fn three_thousand_finished_runs_are_found() {
    let out = TempDir::new().unwrap();
    done(compare(out.path(), "--decide never,always,cap --seeds 1"));
    let runs: Vec<_> = fs::read_dir(out.path().join("runs/default")).unwrap().collect();
    for run in runs {
        (2..=1000).for_each(|seed| copy_run(&run.as_ref().unwrap().path(), seed));
    }
    let started = Instant::now();
    let mut child = compare(out.path(), "--decide never,always,cap --seeds 1000").spawn().unwrap();
    let mut headline = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut headline).unwrap();
    eprintln!("opened in {:.2} s: {headline}", started.elapsed().as_secs_f64());
    assert!(headline.contains("= 3000 runs, 3000 of them done already"), "{headline}");
    child.kill().unwrap();
    child.wait().unwrap();
}
