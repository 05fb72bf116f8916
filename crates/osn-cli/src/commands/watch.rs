//! `osn watch`: a run in the browser while another process trains it.

use std::thread;
use std::time::Duration;

use osn_report::RunState;
use osn_runs::folder::RunFolder;

use crate::command_line::args::WatchArgs;
use crate::command_line::shell;
use crate::failure::{Failure, SUCCESS};
use crate::run::files::description;
use crate::run::{folder, live, page};
use crate::terminal::interrupt;
use crate::terminal::printer::Printer;
use crate::terminal::stderr::say;

/// The time between two looks at the run's state.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows a run that another process trains, until it ends.
pub(crate) fn run(args: &WatchArgs) -> Result<u8, Failure> {
    let folder = folder::open(&args.run)?;
    match state(&folder)? {
        State::Alive => watch(&folder),
        State::Ended => {
            let page = page::write_own(&args.run)?;
            say(format_args!("the run has ended; its page is {}", page.display()));
            Ok(SUCCESS)
        }
        State::Dead => Err(died(&folder)),
    }
}

/// Serves the run until it ends or the user stops.
fn watch(folder: &RunFolder) -> Result<u8, Failure> {
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
        _ if stop.is_set() => Ok(stop.exit_code()),
        State::Dead => Err(died(folder)),
        State::Alive | State::Ended => Ok(SUCCESS),
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
    Ok(match description(folder.path())?.status {
        RunState::Running if is_being_written => State::Alive,
        RunState::Running => State::Dead,
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
