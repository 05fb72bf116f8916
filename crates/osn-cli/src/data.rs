//! `osn data`: what data is there and where it came from.

use std::io::{self, Write};
use std::process::ExitCode;

use osn_recipes::data::{self, DataEntry};

use crate::failure::Failure;

/// Prints the data sets that have a name.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let entries = data::list();
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or_default();
    let text: String = entries.iter().map(|entry| describe(entry, width)).collect();
    print(&text)?;
    eprintln!("Also any folder of PNG or JPEG images, or of IDX files: osn train --data DIR");
    Ok(ExitCode::SUCCESS)
}

fn describe(entry: &DataEntry, width: usize) -> String {
    let DataEntry { name, what, licence, origin, .. } = entry;
    let here = if entry.present { "here   " } else { "missing" };
    let indent = " ".repeat(width);
    format!("{name:width$}  {here}  {what}\n{indent}           {licence}; {origin}\n")
}

/// Prints to standard output; a reader that has seen enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
