//! The checkpoints of one run: the last few of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use osn_files::{atomic::sync_folder, plain_file};
use serde::{Deserialize, Serialize};

use super::{CheckpointError, Parts, PartsError};
use crate::run::folder::write_error;
use crate::run::{FolderError, write_whole};

const EXTENSION: &str = ".safetensors";
/// More than the networks, moments and memories of any config need.
const MAX_BYTES: u64 = 64 << 30;

/// When to write checkpoints, and how many to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// Steps between two of them; absent is one before each scoring and one a minute. There is always
    /// one at the end, finished or stopped.
    pub every: Option<u64>,
    /// How many of the last ones stay; 0 writes none at all.
    pub keep: usize,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { every: None, keep: 3 }
    }
}

/// The folder with the checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Shelf {
    path: PathBuf,
}

impl Shelf {
    /// The shelf in a folder, which need not be there yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file of the checkpoint of a step.
    pub fn file(&self, step: u64) -> PathBuf {
        self.path.join(format!("step-{step:06}{EXTENSION}"))
    }

    /// Writes the checkpoint of a step, and takes away the oldest until `keep` are left.
    ///
    /// # Errors
    ///
    /// [`FolderError::Write`] when the system refuses; those before are then still there.
    pub fn write(&self, step: u64, bytes: &[u8], keep: usize) -> Result<(), FolderError> {
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
pub(in crate::run) fn read_parts(path: &Path) -> Result<Parts, CheckpointError> {
    let bytes = plain_file::read(path, MAX_BYTES)
        .map_err(|error| PartsError::Unreadable(error.to_string()));
    bytes
        .and_then(Parts::from_bytes)
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
        let shelf = Shelf::at(folder.path().join("checkpoints"));
        assert!(shelf.list().is_empty());
        for step in [5, 900, 1_000_000, 1_000_001] {
            shelf.write(step, b"whole", 3).unwrap();
        }
        let steps: Vec<u64> = shelf.list().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [1_000_001, 1_000_000, 900]);
    }

    #[test]
    fn those_of_later_steps_are_not_taken_for_older_ones() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path().to_owned());
        for step in [20, 30, 10] {
            shelf.write(step, b"whole", 1).unwrap();
        }
        let steps: Vec<u64> = shelf.list().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [30, 10], "a run that goes on from 10 leaves its future alone");
    }
}
