//! Draws which attention heads of a run were held, and when, as an SVG picture:
//! `cargo run -p osn-report --example heads -- RUN heads.svg`.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;

use osn_report::{RunRecord, heads_picture};

fn main() -> Result<(), Box<dyn Error>> {
    let mut names = std::env::args().skip(1);
    let folder: PathBuf = names.next().ok_or("name the folder of a run")?.into();
    let file = names.next().ok_or("name the file for the picture")?;
    let description = fs::read_to_string(folder.join("run.json"))?;
    let record = BufReader::new(File::open(folder.join("record.jsonl"))?);
    let run = RunRecord::read_lines(&description, record, Vec::new())?;
    Ok(fs::write(file, heads_picture(&run).ok_or("the run has no attention heads")?)?)
}
