//! Every file that is made, with its text.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use super::{records, results, rules};

/// Those of the pages and those of the book.
pub(crate) fn files(docs: &Path) -> Result<Vec<(PathBuf, String)>, Box<dyn Error>> {
    let studies = results::studies(&docs.join("studies"))?;
    let into = |folder: &'static str| {
        move |(name, text): (String, String)| (docs.join(folder).join(name), text)
    };
    let page = docs.join("results.md");
    let filled = results::filled(&fs::read_to_string(&page)?, &studies)?;
    let mut files = vec![(page, filled)];
    files.extend(results::pages(&studies).into_iter().map(into("results")));
    files.extend(rules::pictures()?.into_iter().map(into("book/figures")));
    files.extend(
        records::pictures(&docs.join("book/records"))?.into_iter().map(into("book/figures")),
    );
    Ok(files)
}
