//! `osn train --tensorboard`: the run as an event file, written while it goes on.

use std::fs::File;
use std::path::Path;

use osn_recipes::run::{RunFolder, RunStart, create_anew};
use osn_report::Sample;
use osn_report::tensorboard::{RunEvents, file_name};

use crate::failure::Failure;
use crate::report::{open_at, read_bytes};

/// The event file in a run's folder, where TensorBoard finds it under the run's name.
pub(crate) struct EventFile {
    folder: RunFolder,
    events: RunEvents<File>,
    /// The step of the last picture that it has.
    last_sample: Option<u64>,
}

impl EventFile {
    /// Whether a run that goes on has one, which then is to be kept up.
    pub(crate) fn is_there(start: &RunStart) -> bool {
        start.done > 0 && start.folder.join(file_name(start.description.started_unix_secs)).exists()
    }

    /// Starts the event file of a run that has just begun, or goes on: then in place of the one before,
    /// which may hold what the record no longer does.
    pub(crate) fn start(folder: &Path) -> Result<Self, Failure> {
        let folder = RunFolder::open(folder).map_err(Failure::bad_input)?;
        let description = folder.description().map_err(Failure::failed)?;
        let path = folder.path().join(file_name(description.started_unix_secs));
        let file = create_anew(&path).map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}", path.display()))
        })?;
        let run_json = read_bytes(&folder.description_path())?;
        let events =
            RunEvents::start(file, &String::from_utf8_lossy(&run_json)).map_err(Failure::failed)?;
        Ok(Self { folder, events, last_sample: None })
    }

    /// Adds what the run's files have that it has not.
    pub(crate) fn catch_up(&mut self) -> Result<(), Failure> {
        self.take_in_samples()?;
        let record = open_at(&self.folder.record_path(), self.events.offset())?;
        self.events.take_in(record).map_err(Failure::failed)
    }

    fn take_in_samples(&mut self) -> Result<(), Failure> {
        for (step, path) in self.folder.samples().map_err(Failure::failed)? {
            if self.last_sample.is_none_or(|last| step > last) {
                let sample = Sample { step, png: read_bytes(&path)? };
                self.events.sample(sample).map_err(Failure::failed)?;
                self.last_sample = Some(step);
            }
        }
        Ok(())
    }
}
