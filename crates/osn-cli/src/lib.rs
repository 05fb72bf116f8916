//! The command osn: parses, calls, prints.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 success, 1 the
//! run failed, 2 bad usage or bad input, 130 stopped with Ctrl-C, 143 stopped with SIGTERM, 129 stopped
//! with SIGHUP.
//!
//! Without the feature `train` it has the commands that need no Burn. The Python package carries it so.

#![cfg_attr(
    not(feature = "train"),
    allow(dead_code, reason = "what only the commands that train use")
)]

mod command_line;
mod commands;
mod failure;
mod run;
mod terminal;
#[cfg(feature = "train")]
mod training;
mod weights;

use std::ffi::OsString;
use std::panic;
use std::path::{Path, PathBuf};

use command_line::args::{Command, DecideCommand};
use command_line::usage;
use commands::{decide, doctor, generate, inspect, normalize, report, watch};
pub use failure::Failure;
use failure::{FAILED, SUCCESS};
pub use run::events::EventFile;
use terminal::{capabilities, interrupt};

/// Does what the words of a command line ask for, the program's name first, and returns the exit code.
///
/// It is for a whole process: it handles signals and panics.
pub fn run(words: &[OsString]) -> u8 {
    panic::set_hook(Box::new(failure::show_panic));
    interrupt::make_file_size_limit_an_error();
    capabilities::choose_colours();
    panic::catch_unwind(|| parse_and_execute(words)).unwrap_or(FAILED)
}

/// Writes runs and studies as one page, as `osn report` does; its path.
///
/// # Arguments
///
/// - `folders`: of runs and of studies.
/// - `output`: the page; without it, `report.html` in the one folder.
///
/// # Errors
///
/// [`Failure`]: a folder holds no run and no study or is damaged, is named twice, or the page cannot be written.
pub fn report(folders: &[PathBuf], output: Option<&Path>) -> Result<PathBuf, Failure> {
    let page = report::page_of(folders, output)?;
    report::write_page(&page, &report::subjects(folders)?, output.is_some())?;
    Ok(page)
}

fn parse_and_execute(words: &[OsString]) -> u8 {
    let done = match usage::parse(words) {
        Ok(Some(command)) => execute(command),
        Ok(None) => Ok(SUCCESS),
        Err(failure) => Err(failure),
    };
    done.unwrap_or_else(|failure| failure.show())
}

fn decide(command: Option<DecideCommand>) -> Result<u8, Failure> {
    match command {
        None => decide::list(false),
        Some(DecideCommand::List { json }) => decide::list(json),
        Some(DecideCommand::Check { file }) => decide::check(&file),
        Some(DecideCommand::Why { run, step }) => decide::why(&run, step),
        Some(DecideCommand::Like { run }) => decide::like(&run),
        Some(DecideCommand::Frozen { run }) => decide::frozen(&run),
    }
}

fn execute(command: Command) -> Result<u8, Failure> {
    match command {
        #[cfg(feature = "train")]
        Command::Training(command) => training::execute(command),
        Command::Watch(args) => watch::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Normalize(args) => normalize::run(&args),
        Command::Decide { command } => decide(command),
        Command::Doctor => doctor::run(),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { folder } => generate::man(&folder),
    }
}
