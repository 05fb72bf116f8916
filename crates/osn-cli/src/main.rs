//! The osn command: parses, calls, prints.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 success, 1 the
//! run failed, 2 bad usage or bad input, 130 stopped with Ctrl-C, 143 asked to end (SIGTERM), 129 its
//! terminal is gone (SIGHUP).

mod args;
mod compare;
mod data;
mod decide;
mod display;
mod failure;
mod inspect;
mod interrupt;
mod layout;
mod live;
mod normalize;
mod report;
mod resume;
mod run_folder;
mod settings;
mod stderr;
mod stdout;
mod tensorboard;
mod text;
mod train;
mod usage;
mod weights;

use std::panic;
use std::process::ExitCode;

use args::{Command, DataCommand, DecideCommand, TrainArgs};
use failure::{FAILED, Failure};

fn main() -> ExitCode {
    panic::set_hook(Box::new(failure::show_panic));
    interrupt::outlive_full_files();
    display::choose_colours();
    panic::catch_unwind(run).unwrap_or(ExitCode::from(FAILED))
}

fn run() -> ExitCode {
    args::parse().and_then(execute).unwrap_or_else(|failure| failure.show())
}

fn explain(command: Option<DecideCommand>) -> Result<ExitCode, Failure> {
    match command {
        None => decide::list(false),
        Some(DecideCommand::List { json }) => decide::list(json),
        Some(DecideCommand::Check { file }) => decide::check(&file),
        Some(DecideCommand::Why { run, step }) => decide::why(&run, step),
        Some(DecideCommand::Like { run }) => decide::like(&run),
    }
}

fn execute(command: Option<Command>) -> Result<ExitCode, Failure> {
    match command {
        None => train::run(&TrainArgs::default()),
        Some(Command::Train(args)) => train::run(&args),
        Some(Command::Resume(args)) => resume::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Watch(args)) => live::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Normalize(args)) => normalize::run(&args),
        Some(Command::Decide { command }) => explain(command),
        Some(Command::Settings(args)) => settings::run(&args),
        Some(Command::Data { command: None | Some(DataCommand::List) }) => data::list(),
        Some(Command::Data { command: Some(DataCommand::Import(args)) }) => data::import(&args),
    }
}
