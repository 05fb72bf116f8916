//! The names of things in four languages, from the Unicode CLDR, compiled in.
//!
//! They are split as `assets/cldr/make.py` says: by meaning, so that no sentence of one part is in another, in no
//! language and not in other capitals; and so that each word of a held-out sentence is in at least two training
//! sentences. What is tested is to put known words together: "grinning cat" is trained on, "cat" is tested. How
//! near the nearest training names are is in the recipe's README; `tests/all/cldr.rs` measures it.

use std::collections::HashSet;
use std::path::Path;

use crate::data::names::CLDR;
use crate::data::text::error::TextError;
use crate::data::text::language::Language;
use crate::data::text::lines;
use crate::data::text::parallel::{Pair, ParallelText, origin};

/// The licence of the names.
pub const LICENCE: &str = "Unicode License v3 (Unicode CLDR, https://cldr.unicode.org)";

/// Part, what is named, and its name in each language; the first row says so. Made by `make.py` beside it.
const TABLE: &[u8] = include_bytes!("../../../assets/cldr/names.tsv.gz");
/// The columns before the names.
const KEYS: usize = 2;

/// The embedded pairs of two languages, each pair once.
pub(super) fn load(source: &Language, target: &Language) -> Result<ParallelText, TextError> {
    let rows = lines::parse(TABLE, Path::new("the embedded names.tsv.gz"))?;
    let mut rows = rows.iter().map(|row| row.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap_or_default();
    let columns = [column(&header, source)?, column(&header, target)?];
    let rows: Vec<_> = rows.collect();
    let [train, validation, test] =
        ["train", "validation", "test"].map(|part| pairs(&rows, part, columns));
    Ok(ParallelText {
        name: CLDR.to_owned(),
        origin: origin(CLDR, [source, target], [&train, &validation, &test]),
        source: source.clone(),
        target: target.clone(),
        train,
        validation,
        test,
    })
}

fn column(header: &[&str], language: &Language) -> Result<usize, TextError> {
    let place = header.iter().skip(KEYS).position(|name| *name == language.as_str());
    place.map(|place| KEYS + place).ok_or_else(|| TextError::NoLanguage {
        place: CLDR.to_owned(),
        language: language.clone(),
        there: header.iter().skip(KEYS).map(|name| (*name).to_owned()).collect(),
    })
}

fn pairs(rows: &[Vec<&str>], part: &str, [source, target]: [usize; 2]) -> Vec<Pair> {
    let mut seen = HashSet::new();
    let of_part = rows.iter().filter(|row| row[0] == part);
    let names = of_part.map(|row| (row[source], row[target]));
    let distinct = names.filter(|names| seen.insert(*names));
    distinct
        .map(|(source, target)| Pair { source: source.to_owned(), target: target.to_owned() })
        .collect()
}
