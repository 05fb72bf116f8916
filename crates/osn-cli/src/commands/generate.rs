//! `osn completions` and `osn man`: files for the shell, made from the command line itself.

use std::fs;
use std::path::Path;

use clap_complete::Shell;
use osn_report::escaped;

use crate::command_line::usage;
use crate::failure::{Failure, SUCCESS};
use crate::terminal::stderr::say;
use crate::terminal::stdout;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut usage::command(), "osn", &mut text);
    stdout::print(&String::from_utf8_lossy(&text))?;
    Ok(SUCCESS)
}

/// Writes `osn.1`, `osn-train.1` and so on.
pub(crate) fn man(folder: &Path) -> Result<u8, Failure> {
    let shown = folder.display();
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(usage::command(), folder))
        .map_err(|error| Failure::bad_input(format!("{shown}: cannot write man pages: {error}")))?;
    say(escaped(&format!("wrote the man pages into {shown}; read one with: man -l {shown}/osn.1")));
    Ok(SUCCESS)
}
