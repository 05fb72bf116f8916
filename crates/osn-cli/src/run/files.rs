//! Reads the files of runs and of studies, whole or from an offset.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use osn_files::plain_file;
use osn_report::{Description, RunRecord, Sample};
use osn_runs::folder::RunFolder;

use crate::failure::Failure;
use crate::run::folder;

/// The name of a study's file, in its folder.
pub(crate) const STUDY_FILE: &str = "study.json";

/// The most bytes of a picture, a description or a study.
const MAX_BYTES: u64 = 256 << 20;

/// Reads the run in a folder.
pub(crate) fn read(path: &Path) -> Result<RunRecord, Failure> {
    read_with(path, samples)
}

/// The same without its samples: what it says in numbers.
pub(crate) fn read_numbers(path: &Path) -> Result<RunRecord, Failure> {
    read_with(path, |_| Ok(Vec::new()))
}

fn read_with(
    path: &Path,
    samples: impl FnOnce(&RunFolder) -> Result<Vec<Sample>, Failure>,
) -> Result<RunRecord, Failure> {
    let folder = folder::open(path)?;
    let description = read_text(&folder.description_path())?;
    // A record may be larger than memory: it is read line by line.
    let record = open_at(&folder.record_path(), 0)?;
    RunRecord::read_lines(&description, record, samples(&folder)?)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))
}

/// Reads what the `run.json` of a folder says.
pub(crate) fn description(folder: &Path) -> Result<Description, Failure> {
    let path = folder::open(folder)?.description_path();
    Description::read(&read_text(&path)?)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))
}

fn samples(folder: &RunFolder) -> Result<Vec<Sample>, Failure> {
    let files = sample_files(folder)?;
    files.iter().map(|(step, path)| read_sample(*step, path)).collect()
}

/// The files of samples by step: pictures, and tables of text.
pub(crate) fn sample_files(folder: &RunFolder) -> Result<Vec<(u64, PathBuf)>, Failure> {
    let mut files = folder.samples().map_err(Failure::bad_input)?;
    files.extend(folder.sample_tables().map_err(Failure::bad_input)?);
    files.sort();
    Ok(files)
}

/// Reads one of them.
pub(crate) fn read_sample(step: u64, path: &Path) -> Result<Sample, Failure> {
    let bytes = read_bytes(path)?;
    if path.extension().is_some_and(|ending| ending == "json") {
        let table = Sample::table(step, &bytes);
        return table.map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())));
    }
    Ok(Sample::picture(step, bytes))
}

pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    plain_file::read(path, MAX_BYTES).map_err(|error| cannot_read(path, &error))
}

/// Opens a file at an offset, behind what has been read of it.
pub(crate) fn open_at(path: &Path, offset: u64) -> Result<BufReader<File>, Failure> {
    let open = || -> io::Result<BufReader<File>> {
        let mut file = plain_file::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(BufReader::new(file))
    };
    open().map_err(|error| cannot_read(path, &error))
}

pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::bad_input(format!("cannot read {}: {error}", path.display()))
}
