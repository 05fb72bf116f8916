//! `osn data`: what data is there and where it came from, and what else can be made.

use std::path::Path;
use std::process::ExitCode;

use osn_recipes::data::openmoji::{self, ImportError, Imported};
use osn_recipes::data::{self, DataEntry, pairs};

use crate::args::{ImportArgs, Importable};
use crate::display::Work;
use crate::failure::Failure;
use crate::stderr::say;
use crate::stdout;

/// Prints the data sets that have a name.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let entries = [data::list(), pairs::list()].concat();
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or_default();
    let text: String = entries.iter().map(|entry| describe(entry, width)).collect();
    stdout::print(&text)?;
    say("Also any folder of PNG or JPEG images, or of IDX files: osn train --data DIR");
    say("Pairs are any folder with pictures of the same names in DIR/input and DIR/target");
    Ok(ExitCode::SUCCESS)
}

fn describe(entry: &DataEntry, width: usize) -> String {
    let DataEntry { name, what, licence, origin, .. } = entry;
    let here = if entry.present { "here   " } else { "missing" };
    let indent = " ".repeat(width);
    format!("{name:width$}  {here}  {what}\n{indent}           {licence}; {origin}\n")
}

/// Makes data from what others publish, and says what came of it.
pub(crate) fn import(args: &ImportArgs) -> Result<ExitCode, Failure> {
    let imported = match args.what {
        Importable::Openmoji => openmoji(args)?,
    };
    tell(&imported, &args.out);
    Ok(ExitCode::SUCCESS)
}

fn openmoji(args: &ImportArgs) -> Result<Imported, Failure> {
    let work = Work::begin(true);
    let imported = openmoji::import(&args.package, &args.out, args.size, |done, all| {
        work.show((done as u64, all as u64), format!("{done}/{all} emoji"), String::new());
    });
    drop(work);
    imported.map_err(|error| match error {
        ImportError::Write { .. } => Failure::failed(error),
        _ => Failure::bad_input(error),
    })
}

fn tell(imported: &Imported, out: &Path) {
    let Imported { train, test, blank } = imported;
    let out = out.display();
    say(format_args!("wrote {out}: {train} pairs to train, {test} to test"));
    if !blank.is_empty() {
        say(format_args!("left out, as one side is blank: {}", blank.join(", ")));
    }
    say(format_args!("licence, also of what is made of them: {}", openmoji::LICENCE));
    say(format_args!("next: osn train translate --data {out}"));
}
