//! A run as TensorBoard's event file, written while it trains.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use osn_files::plain_file;
use osn_report::tensorboard::{EventsError, RunEvents, covered, file_name, next_file_name};
use osn_runs::folder::RunFolder;

use crate::failure::Failure;
use crate::run::files::{description, open_at, read_bytes, read_sample, sample_files};

/// The event file in a run's folder, where TensorBoard finds it under the run's name.
#[derive(Debug)]
pub struct EventFile {
    folder: RunFolder,
    events: RunEvents<File>,
    /// The step of the last samples in it.
    last_sample: Option<u64>,
}

impl EventFile {
    /// Starts the event file of a run that has just begun.
    ///
    /// # Errors
    ///
    /// [`Failure`] where the folder holds no run, or the file cannot be written.
    pub fn start(folder: &Path) -> Result<Self, Failure> {
        Self::open(folder, |file, run_json, _| RunEvents::start(file, run_json))
    }

    /// Whether a resumed run has one, which is then continued.
    pub(crate) fn is_there(folder: &Path) -> bool {
        started(folder).is_ok_and(|started| last_of(folder, started).is_some())
    }

    /// Starts the next file of a run that is resumed after `done` steps: readers of the file before go on to
    /// this one.
    pub(crate) fn go_on(folder: &Path, done: u64) -> Result<Self, Failure> {
        Self::open(folder, |file, run_json, last| {
            let there = last.map_or(0, covered);
            RunEvents::go_on(file, run_json, done.min(there))
        })
    }

    /// Creates the file after the last one.
    fn open(
        folder: &Path,
        begin: impl FnOnce(File, &str, Option<BufReader<File>>) -> Result<RunEvents<File>, EventsError>,
    ) -> Result<Self, Failure> {
        let folder = RunFolder::open(folder).map_err(Failure::bad_input)?;
        let started = started(folder.path())?;
        let last = last_of(folder.path(), started);
        let last = last.and_then(|path| Some(BufReader::new(plain_file::open(&path).ok()?)));
        let names = names_in(folder.path());
        let names = names.iter().map(String::as_str);
        let path = folder.path().join(next_file_name(started, names));
        let file = plain_file::create_anew(&path).map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}", path.display()))
        })?;
        let run_json = read_bytes(&folder.description_path())?;
        let events =
            begin(file, &String::from_utf8_lossy(&run_json), last).map_err(Failure::failed)?;
        Ok(Self { folder, events, last_sample: None })
    }

    /// Adds what is new in the run's files.
    ///
    /// # Errors
    ///
    /// [`Failure`] where they cannot be read or the event file cannot be written.
    pub fn catch_up(&mut self) -> Result<(), Failure> {
        self.ingest_samples()?;
        let record = open_at(&self.folder.record_path(), self.events.offset())?;
        self.events.take_in(record).map_err(Failure::failed)
    }

    fn ingest_samples(&mut self) -> Result<(), Failure> {
        for (step, path) in sample_files(&self.folder)? {
            if self.last_sample.is_none_or(|last| step > last) {
                let sample = read_sample(step, &path)?;
                self.events.sample(sample).map_err(Failure::failed)?;
                self.last_sample = Some(step);
            }
        }
        Ok(())
    }
}

/// When a run started, in seconds since 1970.
fn started(folder: &Path) -> Result<u64, Failure> {
    Ok(description(folder)?.started_unix_secs)
}

/// The last event file of a run.
fn last_of(folder: &Path, started: u64) -> Option<PathBuf> {
    let first = file_name(started);
    let names = names_in(folder).into_iter().filter(|name| name.starts_with(&first));
    names.max().map(|name| folder.join(name))
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
