//! Reads a run's folder as it grows.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use osn_report::{RunReader, RunRecord, Sample};
use osn_runs::folder::RunFolder;

use crate::failure::Failure;
use crate::run::files::{cannot_read, open_at, read_bytes, read_sample, sample_files};

/// Reads what is new in a run's folder.
pub(super) struct Follower {
    folder: RunFolder,
    reader: RunReader,
    samples: Vec<Sample>,
}

impl Follower {
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let folder = RunFolder::open(folder).map_err(Failure::bad_input)?;
        Ok(Self { folder, reader: RunReader::default(), samples: Vec::new() })
    }

    /// A hash that changes with the run's files.
    pub(super) fn tag(&self) -> Result<u64, Failure> {
        let mut hasher = DefaultHasher::new();
        read_bytes(&self.folder.description_path())?.hash(&mut hasher);
        self.record_length()?.hash(&mut hasher);
        sample_files(&self.folder)?.len().hash(&mut hasher);
        Ok(hasher.finish())
    }

    /// The run as it is now.
    pub(super) fn poll(&mut self) -> Result<RunRecord, Failure> {
        self.ingest_record()?;
        self.ingest_samples()?;
        let description = read_bytes(&self.folder.description_path())?;
        let description = String::from_utf8_lossy(&description);
        self.reader.clone().finish(&description, self.samples.clone()).map_err(Failure::failed)
    }

    fn ingest_record(&mut self) -> Result<(), Failure> {
        // A record that has become shorter is a new one.
        if self.record_length()? < self.reader.offset() {
            self.reader = RunReader::default();
        }
        let record = open_at(&self.folder.record_path(), self.reader.offset())?;
        self.reader.take_in(record).map_err(Failure::failed)
    }

    fn ingest_samples(&mut self) -> Result<(), Failure> {
        for (step, path) in sample_files(&self.folder)? {
            if self.samples.iter().all(|sample| sample.step != step) {
                self.samples.push(read_sample(step, &path)?);
            }
        }
        Ok(())
    }

    fn record_length(&self) -> Result<u64, Failure> {
        let path = self.folder.record_path();
        Ok(fs::metadata(&path).map_err(|error| cannot_read(&path, &error))?.len())
    }
}
