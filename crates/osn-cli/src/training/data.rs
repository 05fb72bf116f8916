//! `osn data`: lists and imports data sets.

use std::path::Path;

use osn_recipes::data::list::{self, DataEntry};
use osn_recipes::data::names;
use osn_recipes::data::openmoji::{self, ImportError, Imported};
use osn_report::escaped;

use crate::failure::{Failure, SUCCESS};
use crate::terminal::screen::Work;
use crate::terminal::stderr::say;
use crate::terminal::stdout;
use crate::terminal::text::paragraph;
use crate::training::args::{ImportArgs, Importable};

/// Prints the data sets that have a name.
pub(crate) fn list() -> Result<u8, Failure> {
    let entries = [list::images(), list::pairs(), list::texts()].concat();
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or_default();
    let text: String = entries.iter().map(|entry| describe(entry, width)).collect();
    stdout::print(&text)?;
    say("Your own data: osn train RECIPE --data DIR");
    for (recipes, what) in own() {
        say(paragraph(&format!("  {recipes:15} "), &what).trim_end());
    }
    Ok(SUCCESS)
}

/// The folders that each recipe takes.
fn own() -> [(&'static str, String); 5] {
    let of_classes = "WAV recordings in folders by class, or the four IDX files, which have labels";
    let pictures = format!(
        "pictures as PNG or JPEG or recordings as WAV, at least {}, or the four IDX files",
        names::LEAST_PICTURES
    );
    let pairs = format!(
        "pictures of the same names in DIR/input and DIR/target, at least {}, or so in DIR/train and DIR/test",
        names::LEAST_PICTURES
    );
    [
        ("gan", pictures),
        ("cgan, classify", of_classes.to_owned()),
        ("translate", pairs),
        (
            "nmt",
            "sentences, one a line, in train.en and train.de, valid.* and test.*, plain or .gz"
                .to_owned(),
        ),
        ("control", "none".to_owned()),
    ]
}

fn describe(entry: &DataEntry, width: usize) -> String {
    let DataEntry { name, what, licence, origin, recipes, .. } = entry;
    let here = if entry.present { "here   " } else { "missing" };
    let lead = format!("{name:width$}  {here}  ");
    let indent = " ".repeat(width + 11);
    let (recipes, origin) = (format!("for {}", recipes.join(", ")), format!("{licence}; {origin}"));
    [(lead, what.as_str()), (indent.clone(), recipes.as_str()), (indent, origin.as_str())]
        .map(|(lead, text)| paragraph(&lead, text))
        .concat()
}

/// Converts published data into a data set.
pub(crate) fn import(args: &ImportArgs) -> Result<u8, Failure> {
    let imported = match args.what {
        Importable::Openmoji => openmoji(args)?,
    };
    report(&imported, &args.out);
    Ok(SUCCESS)
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

fn report(imported: &Imported, out: &Path) {
    let Imported { train, test, blank } = imported;
    let out = out.display();
    let pairs = if *train == 1 { "pair" } else { "pairs" };
    say(format_args!("wrote {out}: {train} {pairs} to train, {test} to test"));
    if !blank.is_empty() {
        let names: Vec<_> = blank.iter().map(|name| escaped(name)).collect();
        say(format_args!(
            "skipped, because one picture of the pair is blank: {}",
            names.join(", ")
        ));
    }
    say(format_args!("licence, also of derived works: {}", openmoji::LICENCE));
    say(format_args!("next: osn train translate --data {out}"));
}
