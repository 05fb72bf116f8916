//! Writes the page of folders of runs and studies:
//! `cargo run -p osn-report --example page -- RUN|STUDY… -o FILE.html`.

mod run_folder;

use std::error::Error;
use std::fs;
use std::path::Path;

use osn_report::study::{Grid, Study, StudyRecord};
use osn_report::{Document, RunRecord, page};

const USAGE: &str = "RUN|STUDY… -o FILE.html";

/// What a folder holds.
enum Read {
    Run(Box<RunRecord>),
    Study(Box<StudyRecord>),
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folders @ .., flag, output] = &arguments[..] else {
        return Err(USAGE.into());
    };
    if flag != "-o" {
        return Err(USAGE.into());
    }
    let read: Vec<Read> =
        folders.iter().map(|folder| read(Path::new(folder))).collect::<Result<_, _>>()?;
    let documents = read.iter().map(|read| match read {
        Read::Run(run) => Document::Run(run),
        Read::Study(study) => Document::Study(study),
    });
    Ok(fs::write(output, page(documents))?)
}

fn read(folder: &Path) -> Result<Read, Box<dyn Error>> {
    let study = folder.join("study.json");
    if study.is_file() {
        Ok(Read::Study(Box::new(read_study(folder)?)))
    } else {
        Ok(Read::Run(Box::new(read_run(folder)?)))
    }
}

/// With the last samples of the smallest seed of each arm and regime, where there are any.
fn read_study(folder: &Path) -> Result<StudyRecord, Box<dyn Error>> {
    let study = Study::read(&fs::read_to_string(folder.join("study.json"))?)?;
    let seed = study.asked.seeds.iter().min().copied();
    let mut grids = Vec::new();
    for run in study.runs.iter().filter(|run| Some(run.seed) == seed) {
        let Some(of_run) = &run.folder else { continue };
        let samples = run_folder::samples(&folder.join(of_run))?;
        let last = samples.into_iter().max_by_key(|sample| sample.step);
        let (arm, regime) = (run.arm.clone(), run.regime.clone());
        grids.extend(last.map(|last| Grid { arm, regime, seed: run.seed, png: last.png }));
    }
    Ok(StudyRecord::new(study, grids))
}

fn read_run(folder: &Path) -> Result<RunRecord, Box<dyn Error>> {
    let description = run_folder::description(folder)?;
    let record = run_folder::record(folder)?;
    Ok(RunRecord::read_lines(&description, record, run_folder::samples(folder)?)?)
}
