//! The command `osn`, and what a training keeps other processes from.

use std::ffi::OsString;
use std::path::PathBuf;

use osn_runs::folder::RunFolder;
use osn_runs::folder_error::FolderError;
use osn_runs::lock::FolderLock;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// Does what a command line asks for, and returns the exit code.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| osn_cli::run(words))
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
        let failed = |error: FolderError| PyOSError::new_err(error.to_string());
        Ok(Self { _lock: lock.map_err(failed)? })
    }
}
