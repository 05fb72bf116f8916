//! osn as a process of its own, and what it leaves.

use std::borrow::BorrowMut;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A checkpoint at every step and a picture at every fifth, so that many kills fall into a write.
const OFTEN: &str =
    "--checkpoint-every 1 --keep-checkpoints 2 --set eval_every=5 --set log_every=1";
/// A run that ends when it is stopped or killed.
pub(crate) const ENDLESS: &str = "control --set steps=100000000";

/// A run of `control` with short scorings. Thirty steps take half a second; with 400 it is still running
/// when a test acts on it.
pub(crate) fn control(steps: u32) -> String {
    format!("control --set steps={steps} --set eval_episodes=2 --set final_episodes=4")
}

/// A run of `gan`, `cgan` or `translate` on small networks.
pub(crate) fn small(recipe: &str, steps: u32, final_images: u32) -> String {
    format!(
        "{recipe} --set steps={steps} --set g_channels=4 --set d_channels=4 --set eval_images=100 \
         --set final_images={final_images}"
    )
}

fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    // A browser that opens nothing.
    command.env("BROWSER", "true").env_remove("CLICOLOR_FORCE").env_remove("CARGO");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// osn with the words of a line; words that may hold spaces are added with `arg`.
pub(crate) fn osn(line: &str) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_osn"));
    command.args(line.split_whitespace());
    command
}

/// The same with a path as the last word.
pub(crate) fn osn_on(line: &str, path: &Path) -> Command {
    let mut command = osn(line);
    command.arg(path);
    command
}

pub(crate) fn train(recipe: &str, out: &Path) -> Command {
    osn_on(&format!("train {recipe} {OFTEN} --out"), out)
}

/// The same command, started by a shell after this script.
pub(crate) fn after(script: &str, command: &Command) -> Command {
    let mut shell = program("sh");
    shell.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        Self { code: output.status.code(), stdout, stderr }
    }

    /// Bad usage or bad input: exit code 2, one line on standard error, and nothing on standard output; the line.
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(2), ""), "{self:?}");
        assert!(self.is_one_error(), "{self:?}");
        self.stderr
    }

    fn is_one_error(&self) -> bool {
        self.errors().len() == 1 && self.stderr.lines().count() == 1
    }

    /// The lines with an error.
    pub(crate) fn errors(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.starts_with("error: ")).collect()
    }
}

/// Runs to the end, which must have this exit code.
pub(crate) fn ends_with(code: i32, mut command: impl BorrowMut<Command>) -> Ended {
    let ended = Ended::of(command.borrow_mut().spawn().unwrap());
    assert_eq!(ended.code, Some(code), "{:?}: {ended:?}", command.borrow_mut());
    ended
}

/// Runs to the end, which must be a success.
pub(crate) fn done(command: impl BorrowMut<Command>) -> Ended {
    ends_with(0, command)
}

/// Bad usage or bad input: exit code 2, and one line on standard error.
pub(crate) fn refused_after_data(command: impl BorrowMut<Command>) -> Ended {
    let ended = ends_with(2, command);
    assert!(ended.is_one_error(), "{ended:?}");
    ended
}

/// The same with nothing on standard output; the line.
pub(crate) fn refused(command: impl BorrowMut<Command>) -> String {
    ends_with(2, command).refused()
}

/// The run in a folder of runs, once there is one.
pub(crate) fn run_in(out: &Path) -> Option<PathBuf> {
    fs::read_dir(out).ok()?.flatten().map(|entry| entry.path()).next()
}

/// Waits until the run in a folder of runs is as far as that.
pub(crate) fn wait_for_run(out: &Path, is_ready: impl Fn(&Path) -> bool) -> PathBuf {
    wait_for(|| run_in(out).is_some_and(|folder| is_ready(&folder)));
    run_in(out).unwrap()
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

/// Whether two runs in a folder have begun.
pub(crate) fn has_two_runs(runs: &Path) -> bool {
    let runs = fs::read_dir(runs).into_iter().flatten().flatten();
    runs.filter(|run| run.path().join("run.json").exists()).count() == 2
}

/// Whether a run has a line in its record.
pub(crate) fn has_record(folder: &Path) -> bool {
    fs::metadata(folder.join("record.jsonl")).is_ok_and(|record| record.len() > 0)
}

/// Whether the process has written a checkpoint of this run.
pub(crate) fn has_saved(folder: &Path, process: u32) -> bool {
    let Ok(owner) = fs::read_to_string(folder.join("run.lock")) else { return false };
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let since = modified(&folder.join("run.lock"));
    owner.split_whitespace().next() == Some(&process.to_string())
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

/// A process that has just begun a run, once it has a checkpoint.
pub(crate) fn begun(recipe: &str, out: &Path) -> (Child, PathBuf) {
    let child = train(recipe, out).spawn().unwrap();
    let folder = wait_for_run(out, |folder| has_saved(folder, child.id()));
    (child, folder)
}

/// Ends a process at once.
pub(crate) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Sends a signal, for example `INT`.
///
/// # Panics
///
/// Where this test, and so what it starts, ignores signals, as what a shell runs in the background does: it
/// would wait for a process that nothing ends.
pub(crate) fn signal(child: &Child, name: &str) {
    let is_ignored = signals("self", "SigIgn:") & (1 | 1 << 1 | 1 << 14) != 0;
    send(child.id(), if is_ignored { "KILL" } else { name });
    assert!(!is_ignored, "signals are ignored here: run the tests in the foreground");
}

/// Sends a signal to a process. The shell knows how; the program `kill` is not on every machine.
pub(crate) fn send(process: u32, name: &str) {
    let kill = Command::new("sh").args(["-c", &format!("kill -s {name} {process}")]).status();
    assert!(kill.unwrap().success());
}

/// The processes that one has started, of which Linux knows.
pub(crate) fn started_by(process: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parent = |number: u32| known_of(number, "PPid:")?.parse().ok();
    numbers.filter(|number| parent(*number) == Some(process)).collect()
}

/// Sends a signal and waits for the end.
pub(crate) fn signalled(child: Child, name: &str) -> Ended {
    signal(&child, name);
    Ended::of(child)
}

/// A set of signals of a process as Linux knows it; the lowest bit is signal 1.
pub(crate) fn signals(process: &str, set: &str) -> u64 {
    let mask = known_of(process, set);
    mask.and_then(|mask| u64::from_str_radix(&mask, 16).ok()).unwrap_or_default()
}

/// What Linux knows of a process under this name.
fn known_of(process: impl Display, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|it| it.trim().to_owned())
}

pub(crate) fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Gives a value of a JSON file, named by its pointer, another value.
pub(crate) fn set(file: &Path, pointer: &str, value: impl Into<Value>) {
    let mut whole = json(file);
    *whole.pointer_mut(pointer).unwrap() = value.into();
    fs::write(file, whole.to_string()).unwrap();
}

/// What `run.json` says of the run.
pub(crate) fn description(folder: &Path) -> Value {
    json(&folder.join("run.json"))
}

pub(crate) fn status(folder: &Path) -> String {
    description(folder)["status"].as_str().unwrap().to_owned()
}

/// The events of a record, without what the clock says.
pub(crate) fn record(folder: &Path) -> Vec<Value> {
    let timeless = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event.as_object_mut().unwrap().remove("wall_secs");
        event
    };
    fs::read_to_string(folder.join("record.jsonl")).unwrap().lines().map(timeless).collect()
}

/// Every file of a folder and of those in it, but for locks, which tell only who wrote last.
pub(crate) fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(files_in(&path));
        } else if path.extension() != Some("lock".as_ref()) {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

/// What a run leaves, without what the clock says: the record and every picture.
#[derive(PartialEq)]
pub(crate) struct Left {
    record: Vec<Value>,
    pictures: Vec<(PathBuf, Vec<u8>)>,
}

impl Left {
    pub(crate) fn of(folder: &Path) -> Self {
        let samples = folder.join("samples");
        let named =
            |(path, bytes): (PathBuf, _)| (path.strip_prefix(&samples).unwrap().into(), bytes);
        Self {
            record: record(folder),
            pictures: files_in(&samples).into_iter().map(named).collect(),
        }
    }

    pub(crate) fn must_be(&self, whole: &Self, what: &str) {
        assert_eq!(self.record, whole.record, "{what}: record");
        assert!(self.pictures == whole.pictures, "{what}: pictures");
    }
}

/// What the same run leaves that nobody disturbs.
pub(crate) fn undisturbed(recipe: &str) -> Left {
    let out = tempfile::tempdir().unwrap();
    done(train(recipe, out.path()));
    Left::of(&run_in(out.path()).unwrap())
}
