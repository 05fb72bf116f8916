//! A run that was stopped or killed and is to be resumed.

use std::path::Path;

use osn_runs::folder::RunFolder;

use crate::decide::Decide;
use crate::run::checkpoint::error::CheckpointError;
use crate::run::description::{RunDescription, RunStatus, SCHEMA};
use crate::run::error::RunError;
use crate::run::same::differs;
use crate::run::summary::RunSummary;
use crate::run::versions::{Machine, Versions};

/// A run that is to be resumed, as its `run.json` describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoppedRun {
    pub(crate) folder: RunFolder,
    pub(crate) description: RunDescription,
}

impl StoppedRun {
    /// Reads the `run.json` of a run's folder.
    ///
    /// # Errors
    ///
    /// [`RunError::Folder`] for a folder without a run.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let folder = RunFolder::open(folder)?;
        let description = folder.description()?;
        Ok(Self { folder, description })
    }

    /// What it came to, if it did all its steps.
    pub fn finished(&self) -> Option<RunSummary> {
        let totals = self.description.totals.as_ref()?;
        let status = self.description.status;
        (status == RunStatus::Finished).then(|| RunSummary::new(self.folder.path(), status, totals))
    }

    /// Refuses a run that this build, on this machine and with the data that are there now, cannot
    /// resume to the same bits.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Schema`], [`CheckpointError::Build`] or [`CheckpointError::NoData`].
    pub(crate) fn must_be_resumable(&self) -> Result<(), CheckpointError> {
        let RunDescription { schema, versions, machine, .. } = &self.description;
        if *schema != SCHEMA {
            let path = self.folder.description_path();
            return Err(CheckpointError::Schema { path, found: *schema });
        }
        let build = versions.differences(&Versions::of_this_build());
        let differences = [build, machine.differences(&Machine::here())].concat().join(", ");
        if !differences.is_empty() {
            return Err(CheckpointError::Build { differences });
        }
        self.must_have_data()
    }

    /// A data set with a name is looked up when it is loaded; a folder is stored by its whole path.
    fn must_have_data(&self) -> Result<(), CheckpointError> {
        let data = self.description.asked_data.as_deref().map(Path::new);
        match data.filter(|path| path.is_absolute() && !path.is_dir()) {
            Some(path) => Err(CheckpointError::NoData { path: path.to_owned() }),
            None => Ok(()),
        }
    }

    /// Its rules, as they were when it began: a file of rules may have changed since.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Differs`] for rules that this build does not have.
    pub(crate) fn decide(&self) -> Result<Decide, RunError> {
        let RunDescription { rules, view, decide, .. } = &self.description;
        let read = serde_json::from_value(rules.clone())
            .map_err(|error| differs("rules", rules.to_string(), error.to_string()))?;
        Ok(Decide { rules: read, view: view.clone(), name: decide.clone() })
    }
}
