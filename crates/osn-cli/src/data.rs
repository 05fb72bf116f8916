//! `osn data`: what data is there and where it came from.

use std::process::ExitCode;

use osn_recipes::data::{self, DataEntry};

use crate::failure::Failure;
use crate::stdout;

/// Prints the data sets that have a name.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let entries = data::list();
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or_default();
    let text: String = entries.iter().map(|entry| describe(entry, width)).collect();
    stdout::print(&text)?;
    eprintln!("Also any folder of PNG or JPEG images, or of IDX files: osn train --data DIR");
    Ok(ExitCode::SUCCESS)
}

fn describe(entry: &DataEntry, width: usize) -> String {
    let DataEntry { name, what, licence, origin, .. } = entry;
    let here = if entry.present { "here   " } else { "missing" };
    let indent = " ".repeat(width);
    format!("{name:width$}  {here}  {what}\n{indent}           {licence}; {origin}\n")
}
