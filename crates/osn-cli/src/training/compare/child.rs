//! One run as a process of its own, so that a crash is one failed run.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use osn_recipes::run::description::{RunDescription, RunStatus};
use osn_runs::folder::RunFolder;

use super::plan::{Cell, THREADS};
use super::turn::{self, Turn};
use crate::failure::BAD_INPUT;
use crate::terminal::interrupt::StopFlag;
use crate::training::args::TrainArgs;
use crate::training::display::lines;
use crate::training::shell;

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(50);
/// What an error of the command begins with.
const ERROR: &str = "error: ";
/// Why a run that finished is not the one that was asked for.
const OTHER_DATA: &str = "its data are not those of the start of the study";

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Its files hold the outcome; where they do not, this is the reason.
    Ended(String),
    /// What it was asked for was refused, with this line.
    Refused(String),
    /// It was ended because its user stopped the study.
    Stopped,
    /// There was none: this one trains the run already.
    Elsewhere(String),
}

/// Trains a cell with `n_threads` threads if it is this process's turn, and passes on its step and the number of its steps.
pub(super) fn train(
    cell: &Cell,
    n_threads: usize,
    stop: &StopFlag,
    on_step: impl FnMut(u64, u64) + Send,
) -> Exit {
    // A study keeps no checkpoints: what has not ended is trained from its start.
    let exit = match turn::take(cell, |_| train_anew(cell, n_threads, stop, on_step)) {
        Ok(Turn::Had(exit)) => exit,
        Ok(Turn::Elsewhere(who)) => Exit::Elsewhere(who),
        Ok(Turn::Over(_)) => Exit::Ended("another process has trained it".to_owned()),
        Err(failure) if failure.is_bad_input() => Exit::Refused(failure.one_line()),
        Err(failure) => Exit::Ended(failure.one_line()),
    };
    // The study's folders go with its only run: that of the regime, and that of all of them.
    for folder in cell.args.out.ancestors().take(2) {
        let _ = fs::remove_dir(folder);
    }
    exit
}

fn train_anew(
    cell: &Cell,
    n_threads: usize,
    stop: &StopFlag,
    on_step: impl FnMut(u64, u64) + Send,
) -> Exit {
    match start(cell, n_threads) {
        Ok(child) => {
            let process = child.0.id();
            let exit = watch(child, stop, on_step);
            if exit == Exit::Stopped {
                remove_unfinished(&cell.args.out, process);
            }
            exit
        }
        Err(error) => Exit::Ended(format!("cannot start the process: {error}")),
    }
}

/// A process that is killed when this is dropped.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Removes the unfinished run of a process: a study keeps no checkpoints, so it cannot be resumed. The next
/// study skips what cannot be removed.
fn remove_unfinished(runs: &Path, process: u32) {
    let folders = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in folders.filter(|folder| RunFolder::was_written_by(folder, process)) {
        let description =
            RunFolder::open(&folder).and_then(|folder| folder.description::<RunDescription>());
        let status = description.map(|description| description.status);
        if !matches!(status, Ok(RunStatus::Finished | RunStatus::Failed)) {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn start(cell: &Cell, n_threads: usize) -> io::Result<Guarded> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments(cell)).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped()).env_remove("CLICOLOR_FORCE");
    command.env(THREADS, n_threads.to_string());
    Ok(Guarded(command.spawn()?))
}

/// The words behind the program's name.
fn arguments(cell: &Cell) -> Vec<String> {
    // A study runs what is unfinished again, from its start.
    let args = TrainArgs { keep_checkpoints: 0, ..cell.args.clone() };
    let options = shell::options(&args).into_iter();
    // One word each, so that a value may begin with a dash.
    let options = options.map(|(name, value)| format!("--{name}={}", value.unwrap_or_default()));
    ["train".to_owned(), args.recipe].into_iter().chain(options).collect()
}

fn watch(mut child: Guarded, stop: &StopFlag, on_step: impl FnMut(u64, u64) + Send) -> Exit {
    let stderr = child.0.stderr.take();
    thread::scope(|scope| {
        let reader = scope.spawn(|| stderr.map(|stderr| read(stderr, on_step)).unwrap_or_default());
        let status = wait(&mut child.0, stop);
        // This ends a process that is still there, and with it the reader.
        drop(child);
        let last_error = reader.join().unwrap_or_default();
        match status {
            // Ctrl-C on a terminal reaches the run too, and it may be the first to end.
            Some(status) if !stop.is_set() => exit(status, last_error),
            _ => Exit::Stopped,
        }
    })
}

/// Waits for the end; none where the user stopped the study before.
fn wait(child: &mut Child, stop: &StopFlag) -> Option<io::Result<ExitStatus>> {
    loop {
        if stop.is_set() {
            return None;
        }
        match child.try_wait() {
            Ok(None) => thread::sleep(POLL),
            Ok(Some(status)) => return Some(Ok(status)),
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Passes on the steps in a run's lines; its last error.
fn read(stderr: ChildStderr, mut on_step: impl FnMut(u64, u64)) -> String {
    let mut last_error = String::new();
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if let Some((step, steps)) = lines::step_of(&line) {
            on_step(step, steps);
        }
        if let Some(error) = line.strip_prefix(ERROR) {
            error.clone_into(&mut last_error);
        }
    }
    last_error
}

fn exit(status: io::Result<ExitStatus>, last_error: String) -> Exit {
    match status {
        Ok(status) if status.code() == Some(i32::from(BAD_INPUT)) => Exit::Refused(last_error),
        Ok(_) if !last_error.is_empty() => Exit::Ended(last_error),
        Ok(status) if status.success() => Exit::Ended(OTHER_DATA.to_owned()),
        // A signal or an exit code, in the words of the system.
        Ok(status) => Exit::Ended(format!("the process died: {status}")),
        Err(error) => Exit::Ended(format!("cannot wait for the process: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn an_exit_is_known_by_its_error_its_signal_or_its_code() {
        use std::os::unix::process::ExitStatusExt;
        let exit = |raw, error: &str| exit(Ok(ExitStatus::from_raw(raw)), error.to_owned());
        assert_eq!(exit(2 << 8, "unknown recipe"), Exit::Refused("unknown recipe".into()));
        assert_eq!(exit(1 << 8, "became NaN"), Exit::Ended("became NaN".into()));
        assert_eq!(exit(0, ""), Exit::Ended(OTHER_DATA.into()));
        assert_eq!(exit(9, ""), Exit::Ended("the process died: signal: 9 (SIGKILL)".into()));
        assert_eq!(exit(7 << 8, ""), Exit::Ended("the process died: exit status: 7".into()));
    }
}
