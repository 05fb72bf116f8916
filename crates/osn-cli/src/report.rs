//! `osn report`: runs as one page.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use osn_recipes::run::RunFolder;
use osn_report::{RunRecord, Sample};

use crate::args::ReportArgs;
use crate::failure::Failure;

/// Writes the page that is asked for.
pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let output = output(args)?;
    let runs: Vec<_> = args.runs.iter().map(|run| read(run)).collect::<Result<_, _>>()?;
    write(&output, &runs)?;
    eprintln!("wrote {}", output.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes a run's own `report.html` and returns its path.
pub(crate) fn write_own(folder: &Path) -> Result<PathBuf, Failure> {
    let path = RunFolder::open(folder).map_err(Failure::bad_input)?.report_path();
    write(&path, &[read(folder)?])?;
    Ok(path)
}

fn output(args: &ReportArgs) -> Result<PathBuf, Failure> {
    match (&args.output, &args.runs[..]) {
        (Some(path), _) => Ok(path.clone()),
        (None, [run]) => Ok(RunFolder::open(run).map_err(Failure::bad_input)?.report_path()),
        (None, _) => Err(Failure::bad_input("several runs need a file to go to: -o FILE.html")),
    }
}

/// Reads the run in a folder.
pub(crate) fn read(path: &Path) -> Result<RunRecord, Failure> {
    let folder = RunFolder::open(path).map_err(Failure::bad_input)?;
    let description = read_text(&folder.description_path())?;
    let record = folder.record_path();
    // A record may be larger than memory: it is read line by line.
    let record = File::open(&record).map_err(|error| cannot_read(&record, &error))?;
    RunRecord::read_lines(&description, BufReader::new(record), samples(&folder)?)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))
}

fn samples(folder: &RunFolder) -> Result<Vec<Sample>, Failure> {
    let pictures = folder.samples().map_err(Failure::bad_input)?;
    pictures.into_iter().map(|(step, path)| Ok(Sample { step, png: read_bytes(&path)? })).collect()
}

fn read_text(path: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| cannot_read(path, &error))
}

pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::bad_input(format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, runs: &[RunRecord]) -> Result<(), Failure> {
    fs::write(path, osn_report::page(runs))
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}
