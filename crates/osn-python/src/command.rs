//! The command `osn`, and what it shares with a training that is recorded.

use std::ffi::OsString;
use std::path::PathBuf;

use osn_cli::EventFile;
use osn_runs::folder::RunFolder;
use osn_runs::folder_error::FolderError;
use osn_runs::lock::FolderLock;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::errors::failed;

/// Does what a command line asks for, and returns the exit code.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| osn_cli::run(&words))
}

/// The right to write the folder of a run, by which `osn watch` knows that it is being written.
#[pyclass(frozen)]
pub(crate) struct RunLock {
    _lock: FolderLock,
}

#[pymethods]
impl RunLock {
    /// Takes it for as long as this object lives.
    #[new]
    fn new(folder: PathBuf) -> PyResult<Self> {
        let lock = RunFolder::lock_of(&folder);
        let in_use = |error: FolderError| PyOSError::new_err(error.to_string());
        Ok(Self { _lock: lock.map_err(in_use)? })
    }
}

/// The event file of a run, for TensorBoard.
#[pyclass]
pub(crate) struct Events {
    file: EventFile,
}

#[pymethods]
impl Events {
    /// Starts it in the folder of a run that has just begun.
    #[new]
    fn new(folder: PathBuf) -> PyResult<Self> {
        let file = EventFile::start(&folder).map_err(|failure| failed(&failure))?;
        Ok(Self { file })
    }

    /// Adds what is new in the run's files.
    fn catch_up(&mut self) -> PyResult<()> {
        self.file.catch_up().map_err(|failure| failed(&failure))
    }
}
