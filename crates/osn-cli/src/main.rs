//! The osn command: parses, calls, prints.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 success, 1 the
//! run failed, 2 bad usage or bad input, 130 stopped with Ctrl-C, 143 stopped with SIGTERM, 129 stopped
//! with SIGHUP.

mod command_line;
mod commands;
mod failure;
mod run;
mod terminal;
mod weights;

use std::panic;
use std::process::ExitCode;

use command_line::args::{Command, DataCommand, DecideCommand, TrainArgs};
use command_line::usage;
use commands::{compare, data, decide, inspect, normalize, report, resume, settings, train, watch};
use failure::{FAILED, Failure};
use mimalloc::MiMalloc;
use terminal::{capabilities, interrupt};

/// A training step allocates every tensor anew, and the system's allocator fetches large ones from the kernel
/// page by page.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    panic::set_hook(Box::new(failure::show_panic));
    interrupt::make_file_size_limit_an_error();
    capabilities::choose_colours();
    panic::catch_unwind(parse_and_execute).unwrap_or(ExitCode::from(FAILED))
}

fn parse_and_execute() -> ExitCode {
    usage::parse().and_then(execute).unwrap_or_else(|failure| failure.show())
}

fn decide(command: Option<DecideCommand>) -> Result<ExitCode, Failure> {
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
        Some(Command::Watch(args)) => watch::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Normalize(args)) => normalize::run(&args),
        Some(Command::Decide { command }) => decide(command),
        Some(Command::Settings(args)) => settings::run(&args),
        Some(Command::Data { command: None | Some(DataCommand::List) }) => data::list(),
        Some(Command::Data { command: Some(DataCommand::Import(args)) }) => data::import(&args),
    }
}
