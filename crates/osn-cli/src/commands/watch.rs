//! `osn watch`: a run in the browser while another process trains it.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use osn_recipes::run::description::RunStatus;
use osn_recipes::run::folder::RunFolder;

use crate::command_line::args::WatchArgs;
use crate::command_line::shell;
use crate::failure::Failure;
use crate::run::{folder, live, page};
use crate::terminal::interrupt;
use crate::terminal::printer::Printer;
use crate::terminal::stderr::say;

/// The time between two looks at the run's state.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows a run that another process trains, until it ends.
pub(crate) fn run(args: &WatchArgs) -> Result<ExitCode, Failure> {
    let folder = folder::open(&args.run)?;
    match state(&folder)? {
        State::Alive => watch(&folder),
        State::Ended => {
            let page = page::write_own(&args.run)?;
            say(format_args!("the run has ended; its page is {}", page.display()));
            Ok(ExitCode::SUCCESS)
        }
        State::Dead => Err(died(&folder)),
    }
}

/// Serves the run until it ends or the user stops.
fn watch(folder: &RunFolder) -> Result<ExitCode, Failure> {
    let stop = interrupt::listen()?;
    stop.at_work(interrupt::STOPPING_WATCH, Printer::default());
    let server = live::show(folder.path())?;
    say(server.announcement());
    let mut now = State::Alive;
    while !stop.is_set() && now == State::Alive {
        thread::sleep(PAUSE);
        now = state(folder)?;
    }
    server.close();
    match now {
        _ if stop.is_set() => Ok(ExitCode::from(stop.exit_code())),
        State::Dead => Err(died(folder)),
        State::Alive | State::Ended => Ok(ExitCode::SUCCESS),
    }
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A process trains it.
    Alive,
    /// It finished, failed or was stopped.
    Ended,
    /// Its process was killed.
    Dead,
}

fn state(folder: &RunFolder) -> Result<State, Failure> {
    // In this order: a process writes the status before it releases the lock.
    let is_being_written = folder.is_being_written();
    let status = folder.description().map_err(Failure::bad_input)?.status;
    Ok(match status {
        RunStatus::Running if is_being_written => State::Alive,
        RunStatus::Running => State::Dead,
        _ => State::Ended,
    })
}

/// Writes the page of a run whose process was killed; the failure.
fn died(folder: &RunFolder) -> Failure {
    let _ = page::write_own(folder.path());
    let (path, resume) = (folder.path().display(), shell::resume_line(folder.path()));
    Failure::failed(format!(
        "the process that trained {path} has died; resume the run with {resume}"
    ))
}
