//! The checkpoints of one run: the last few of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use osn_files::atomic::sync_folder;
use osn_files::plain_file;
use osn_runs::folder::RunFolder;
use osn_runs::folder_error::{FolderError, write_error, write_whole};

use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::checkpoint::error::CheckpointError;

const EXTENSION: &str = ".safetensors";
/// More than the networks, moments and memories of any config need.
const MAX_BYTES: u64 = 64 << 30;

/// The folder with the checkpoints of a run.
#[derive(Clone, Debug)]
pub struct CheckpointDir {
    path: PathBuf,
}

impl CheckpointDir {
    /// The checkpoints of a run.
    pub fn of(run: &RunFolder) -> Self {
        Self::at(run.checkpoints_path())
    }

    /// The checkpoints in a folder, which need not be there yet.
    fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file of the checkpoint of a step.
    pub(crate) fn file(&self, step: u64) -> PathBuf {
        self.path.join(format!("step-{step:06}{EXTENSION}"))
    }

    /// Writes the checkpoint of a step, and takes away the oldest until `keep` are left.
    ///
    /// # Errors
    ///
    /// [`FolderError::Write`] when the system refuses; those before are then still there.
    pub(crate) fn write(&self, step: u64, bytes: &[u8], keep: usize) -> Result<(), FolderError> {
        self.create().map_err(|source| write_error(&self.path, source))?;
        write_whole(&self.file(step), bytes)?;
        for (_, file) in self.list().into_iter().filter(|(other, _)| *other <= step).skip(keep) {
            fs::remove_file(&file).map_err(|source| write_error(&file, source))?;
        }
        Ok(())
    }

    /// Makes the folder, if it is not there, so that it stays when the machine loses its power.
    fn create(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.path)?;
        sync_folder(self.path.parent().unwrap_or(&self.path))
    }

    /// The checkpoints by step, the newest first; none where there is no such folder.
    pub fn list(&self) -> Vec<(u64, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut found: Vec<_> = files.filter_map(|file| Some((step_of(&file)?, file))).collect();
        found.sort_by(|a, b| b.cmp(a));
        found
    }
}

/// The parts of a file.
///
/// # Errors
///
/// [`CheckpointError::Damaged`] for a file that is not what was written.
pub(crate) fn read_checkpoint(path: &Path) -> Result<CheckpointContents, CheckpointError> {
    let bytes = plain_file::read(path, MAX_BYTES)
        .map_err(|error| ContentsError::Unreadable(error.to_string()));
    bytes
        .and_then(CheckpointContents::from_bytes)
        .map_err(|problem| CheckpointError::Damaged { path: path.to_owned(), problem })
}

fn step_of(file: &Path) -> Option<u64> {
    file.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(EXTENSION)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_stay_and_the_newest_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDir::at(folder.path().join("checkpoints"));
        assert!(checkpoints.list().is_empty());
        for step in [5, 900, 1_000_000, 1_000_001] {
            checkpoints.write(step, b"whole", 3).unwrap();
        }
        let steps: Vec<u64> = checkpoints.list().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [1_000_001, 1_000_000, 900]);
    }

    #[test]
    fn those_of_later_steps_are_not_taken_for_older_ones() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDir::at(folder.path().to_owned());
        for step in [20, 30, 10] {
            checkpoints.write(step, b"whole", 1).unwrap();
        }
        let steps: Vec<u64> = checkpoints.list().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [30, 10], "a run that goes on from 10 leaves its future alone");
    }
}
