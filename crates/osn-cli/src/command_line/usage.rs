//! Reads the command line. A wrong one is refused in one line, with what may have been meant.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Command as Clap, CommandFactory, FromArgMatches};

use crate::command_line::args::{Cli, Command, InspectArgs, WeightArgs};
#[cfg(not(feature = "train"))]
use crate::command_line::elsewhere as rest;
use crate::command_line::examples::with_examples;
use crate::failure::Failure;
use crate::terminal::{stderr, stdout};
#[cfg(feature = "train")]
use crate::training::usage as rest;

/// Reads the words of a command line, the program's name first. Where help or the version is asked for, it
/// prints them, and there is nothing more to do.
pub(crate) fn parse(words: &[OsString]) -> Result<Option<Command>, Failure> {
    match command().try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(Cli { command, quiet }) => {
            if quiet {
                stderr::be_quiet();
            }
            let command = command.or_else(rest::without_command);
            match command.as_ref().and_then(without_effect) {
                Some(message) => Err(Failure::bad_input(message)),
                None => Ok(command),
            }
        }
        Err(error) if is_answer(&error) => {
            stdout::delivered(error.print())?;
            Ok(None)
        }
        Err(error) => Err(Failure::bad_input(refusal(&error, &Cli::command(), words))),
    }
}

/// The command line with all that its help says.
pub(crate) fn command() -> Clap {
    with_examples(rest::complete(Cli::command()))
}

fn is_answer(error: &clap::Error) -> bool {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    matches!(error.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand)
}

/// The message of a wrong command line: clap's, or what may have been meant, and where the help is.
fn refusal(error: &clap::Error, cli: &Clap, words: &[OsString]) -> String {
    let words: Vec<_> =
        words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let (path, command) = command_of(cli, &words);
    let said = rest::suggestion(error, &path, &words).unwrap_or_else(|| in_short(error, command));
    let command: Vec<_> = ["osn"].into_iter().chain(path).chain(["--help"]).collect();
    format!("{said}\nsee '{}'", command.join(" "))
}

/// The command that the words begin with, and its name behind those of the commands that it is in.
fn command_of<'a>(cli: &'a Clap, words: &[String]) -> (Vec<&'a str>, &'a Clap) {
    let (mut path, mut command) = (Vec::new(), cli);
    for found in words.iter().map_while(|word| {
        command = command.find_subcommand(word)?;
        Some(command.get_name())
    }) {
        path.push(found);
    }
    (path, command)
}

/// clap's words without the usage, which the help shows better, and without its advice on how to write a
/// negative number, which no argument here takes.
fn in_short(error: &clap::Error, command: &Clap) -> String {
    let text = error.render().to_string();
    let text = text.split("\nUsage:").next().unwrap_or_default();
    let text = text.split("\nFor more information").next().unwrap_or_default();
    let lines = text.trim_start_matches("error: ").lines();
    let lines: Vec<_> = lines.filter(|line| !line.trim().starts_with("tip: to pass '")).collect();
    let valid: Vec<_> = command.get_subcommands().map(Clap::get_name).collect();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            format!("{}\nvalid: {}", lines.join("\n"), valid.join(", "))
        }
        _ => lines.join("\n"),
    }
}

/// What is wrong with options of which one has no effect beside another.
fn without_effect(command: &Command) -> Option<String> {
    match command {
        #[cfg(feature = "train")]
        Command::Training(command) => rest::without_effect(command),
        Command::Inspect(args) => idle_top(args).or_else(|| idle_tolerance(&args.weights)),
        Command::Normalize(args) => idle_tolerance(&args.weights),
        _ => None,
    }
}

fn idle_top(args: &InspectArgs) -> Option<String> {
    (args.top > 0 && is_operator(&args.weights)).then(|| {
        "--top needs matrices, and --view operator has none; remove one of them".to_owned()
    })
}

/// The interval of an operator is as wide as its bounds leave it.
fn idle_tolerance(weights: &WeightArgs) -> Option<String> {
    (weights.tolerance.is_some() && is_operator(weights)).then(|| {
        "--tolerance has no effect with --view operator, whose intervals are as wide as its \
         bounds leave them; remove it"
            .to_owned()
    })
}

fn is_operator(weights: &WeightArgs) -> bool {
    weights.view.split(':').next() == Some("operator")
}
