//! Writes the page of run folders: `cargo run -p osn-report --example page -- RUN… -o FILE.html`.

mod run_folder;

use std::error::Error;
use std::fs;
use std::path::Path;

use osn_report::{RunRecord, page};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runs @ .., flag, output] = &arguments[..] else {
        return Err("RUN… -o FILE.html".into());
    };
    if flag != "-o" {
        return Err("RUN… -o FILE.html".into());
    }
    let runs: Vec<RunRecord> =
        runs.iter().map(|run| read(Path::new(run))).collect::<Result<_, _>>()?;
    Ok(fs::write(output, page(&runs))?)
}

fn read(folder: &Path) -> Result<RunRecord, Box<dyn Error>> {
    let description = run_folder::description(folder)?;
    let record = run_folder::record(folder)?;
    Ok(RunRecord::read_lines(&description, record, run_folder::samples(folder)?)?)
}
