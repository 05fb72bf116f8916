//! Why the folder of a run cannot be created, written or read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use osn_files::atomic;

use crate::record::RecordError;

/// Why a run's folder could not be created, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system refused.
    #[error("cannot write {}: {source}; choose another folder with --out", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every suffix is taken.
    #[error("{} holds too many runs of this name; choose another folder with --out", path.display())]
    Full {
        /// The run's folder without a suffix.
        path: PathBuf,
    },
    /// The folder holds no readable run.
    #[error("cannot read {}: {source}; is this the folder of a run?", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `run.json` is damaged or of another kind.
    #[error("{} describes no run: {source}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A file of the run is a link, through which a hostile run could make others be written over.
    #[error("{} is a link, and a run writes only in its own folder; put what it leads to in its place", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A run was to be made inside another one.
    #[error("{} is the folder of a run, and runs do not lie in each other; choose another folder with --out", path.display())]
    InsideRun {
        /// The folder of the run that is there.
        path: PathBuf,
    },
    /// Another process writes it.
    #[error("{} is being written by process {pid}; stop that one first", path.display())]
    InUse {
        /// The run's folder.
        path: PathBuf,
        /// The process, and its host where that is known.
        pid: String,
    },
    /// The record could not be started.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The error of a file that could not be written.
pub fn write_error(path: &Path, source: io::Error) -> FolderError {
    FolderError::Write { path: path.to_owned(), source }
}

/// Makes sure that a file, which need not be there, is no link.
///
/// # Errors
///
/// [`FolderError::Link`].
pub fn must_be_no_link(path: &Path) -> Result<(), FolderError> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink());
    if is_link { Err(FolderError::Link { path: path.to_owned() }) } else { Ok(()) }
}

/// Writes a file by [`atomic::write`].
///
/// # Errors
///
/// [`FolderError::Write`] when the system refuses; the file before is then still there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    atomic::write(path, bytes).map_err(|source| write_error(path, source))
}
