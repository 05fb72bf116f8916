//! Makes what the book and `docs/results` show from committed records:
//! `cargo run -p osn-report --example book`. With `take NAME RUN` it first puts a run among the records of the book.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

mod chart;
mod files;
mod records;
mod results;
mod rules;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(&docs),
        ["take", name, run] => take(&docs, name, Path::new(run)),
        _ => Err("nothing, or `take NAME RUN`".into()),
    }
}

fn take(docs: &Path, name: &str, run: &Path) -> Result<(), Box<dyn Error>> {
    Ok(fs::write(docs.join(format!("book/records/{name}.jsonl")), records::taken(run)?)?)
}

fn write(docs: &Path) -> Result<(), Box<dyn Error>> {
    for (file, text) in files::files(docs)? {
        fs::write(file, text)?;
    }
    let studies = results::studies(&docs.join("studies"))?;
    for claim in results::claims(&studies)? {
        println!("the README is to say: {claim}");
    }
    Ok(())
}
