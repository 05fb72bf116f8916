//! What the full program has besides, where this is not it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::command_line::args::Command;

/// Its commands that train, or are about training.
const COMMANDS: [&str; 5] = ["train", "resume", "compare", "settings", "data"];

/// Shows the help where no command is given.
pub(super) fn complete(command: clap::Command) -> clap::Command {
    command.arg_required_else_help(true)
}

/// The command where none is given: there is none.
pub(super) fn without_command() -> Option<Command> {
    None
}

/// Where a command is that is not here.
pub(super) fn suggestion(error: &clap::Error, path: &[&str], _words: &[String]) -> Option<String> {
    let word = match error.get(ContextKind::InvalidSubcommand)? {
        ContextValue::String(word) => word.as_str(),
        _ => return None,
    };
    let is_elsewhere = error.kind() == ErrorKind::InvalidSubcommand && path.is_empty();
    (is_elsewhere && COMMANDS.contains(&word)).then(|| {
        format!(
            "osn {word} is in the full program, built from the project's source: cargo install --path \
             crates/osn-cli"
        )
    })
}
