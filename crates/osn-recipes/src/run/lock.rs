//! One process at a time writes a run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::FolderError;
use super::folder::write_error;

/// The right to write a run's folder; it ends with its process, however that ends.
///
/// The system holds the lock, so one of a dead process does not last. The file only says who has it.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    pub(super) fn take(folder: &Path) -> Result<Self, FolderError> {
        let path = folder.join("run.lock");
        let failed = |source| write_error(&path, source);
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
            // Some file systems have no locks; a run is worth more than one.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        sign(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Writes whose lock it is.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(folder: &Path, file: &mut File) -> FolderError {
    let mut pid = String::new();
    // Whoever has the lock may not have signed yet.
    let _ = file.read_to_string(&mut pid);
    let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
    FolderError::InUse { path: folder.to_owned(), pid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first_until_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunLock::take(folder.path()).unwrap();
        let message = RunLock::take(folder.path()).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(message.contains(&format!("by process {pid};")), "{message}");
        drop(first);
        RunLock::take(folder.path()).unwrap();
    }

    #[test]
    fn the_lock_of_a_dead_process_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("run.lock"), "4194304000\n").unwrap();
        let lock = RunLock::take(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("run.lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        drop(lock);
    }
}
