//! One process at a time writes a folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use osn_files::plain_file;

use crate::folder_error::{FolderError, must_be_no_link, write_error};

/// How often a taken lock is tried again, and the pause before: a reader releases it at once.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);
/// More than the number of a process and the name of its host take.
const MAX_SIGNATURE_BYTES: u64 = 512;
/// Where Linux names the host.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The right to write the folder of a run or of a study; it ends with its process, however that ends.
///
/// The system holds the lock, so one of a dead process does not last. The file only says who has it.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    path: PathBuf,
}

impl FolderLock {
    /// Takes the lock `file` of a folder.
    ///
    /// # Errors
    ///
    /// [`FolderError::InUse`] where another process has it, [`FolderError::Link`] where it leads to
    /// another file.
    pub fn take(folder: &Path, file: &str) -> Result<Self, FolderError> {
        let path = folder.join(file);
        let failed = |source| write_error(&path, source);
        loop {
            must_be_no_link(&path)?;
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = plain_file::open_itself(&mut options, &path).map_err(failed)?;
            match try_for_a_moment(&file) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
                // Some file systems have no locks; the run goes ahead without one.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // Whoever had it may have removed it since it was opened.
            if is_at(&file, &path) {
                sign(&mut file).map_err(failed)?;
                return Ok(Self { file, path });
            }
        }
    }

    /// Ends the lock and removes its file.
    pub fn remove(self) {
        // With the lock, so that the file is still this one; one that stays is taken by the next.
        let _ = fs::remove_file(&self.path);
        drop(self.file);
    }

    /// Whether a process has the lock `file` of a folder; where the file system has no locks, as long
    /// as there is the file.
    pub fn is_taken(folder: &Path, file: &str) -> bool {
        let Ok(file) = plain_file::open(&folder.join(file)) else { return false };
        // Shared, so that two readers do not see each other; dropping the file releases it.
        file.try_lock_shared().is_err()
    }

    /// The last process that took the lock `file` of a folder, if it was one of this host.
    pub(crate) fn signer(folder: &Path, file: &str) -> Option<u32> {
        let text = plain_file::read(&folder.join(file), MAX_SIGNATURE_BYTES).ok()?;
        let text = String::from_utf8(text).ok()?;
        let process = text.split_whitespace().next()?.parse().ok()?;
        (text.trim() == signature(process)).then_some(process)
    }
}

fn try_for_a_moment(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    file.try_lock()
}

/// Whether a file is the one that has this path now.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |it: fs::Metadata| (it.dev(), it.ino());
    file.metadata().ok().map(place) == fs::symlink_metadata(path).ok().map(place)
}

/// Nothing tells: where a lock is removed just then, two may have one.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Writes whose lock it is.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", signature(std::process::id()))
}

/// `1234 on h1`: the same number is another process on another host.
fn signature(process: u32) -> String {
    match host() {
        Some(host) => format!("{process} on {host}"),
        None => process.to_string(),
    }
}

/// The name of this host, where the system says it in a file or to every process.
fn host() -> Option<String> {
    let of_linux = || String::from_utf8(plain_file::read(Path::new(HOST_NAME), 256).ok()?).ok();
    let name = of_linux().or_else(|| std::env::var("COMPUTERNAME").ok())?;
    let name = name.split_whitespace().next()?;
    Some(name.to_owned())
}

fn in_use(folder: &Path, file: &mut File) -> FolderError {
    let mut pid = String::new();
    // The owner of the lock may not have written its number yet.
    let _ = file.take(MAX_SIGNATURE_BYTES).read_to_string(&mut pid);
    let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
    FolderError::InUse { path: folder.to_owned(), pid }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const NAME: &str = "run.lock";

    #[test]
    fn the_second_learns_who_is_first_until_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!FolderLock::is_taken(folder.path(), NAME));
        let first = FolderLock::take(folder.path(), NAME).unwrap();
        assert!(FolderLock::is_taken(folder.path(), NAME));
        let error = FolderLock::take(folder.path(), NAME).unwrap_err();
        let FolderError::InUse { pid, .. } = &error else { panic!("{error}") };
        assert_eq!(*pid, signature(std::process::id()));
        drop(first);
        assert!(!FolderLock::is_taken(folder.path(), NAME));
        FolderLock::take(folder.path(), NAME).unwrap();
    }

    #[test]
    fn the_lock_of_a_dead_process_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "4194304000\n").unwrap();
        assert!(!FolderLock::is_taken(folder.path(), NAME));
        let lock = FolderLock::take(folder.path(), NAME).unwrap();
        let text = fs::read_to_string(folder.path().join(NAME)).unwrap();
        assert_eq!(text, format!("{}\n", signature(std::process::id())));
        drop(lock);
    }

    #[test]
    fn a_lock_that_was_removed_is_taken_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let taken = AtomicUsize::new(0);
        let take = || match FolderLock::take(folder.path(), NAME) {
            Ok(lock) => {
                assert_eq!(taken.fetch_add(1, Ordering::SeqCst), 0, "two have it");
                taken.fetch_sub(1, Ordering::SeqCst);
                lock.remove();
            }
            Err(error) => assert!(matches!(error, FolderError::InUse { .. }), "{error}"),
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| take()));
            }
        });
        assert!(!folder.path().join(NAME).exists());
    }

    #[test]
    fn the_same_number_on_another_host_is_another_process() {
        let folder = tempfile::tempdir().unwrap();
        drop(FolderLock::take(folder.path(), NAME).unwrap());
        assert_eq!(FolderLock::signer(folder.path(), NAME), Some(std::process::id()));
        let elsewhere = format!("{} on another.host\n", std::process::id());
        fs::write(folder.path().join(NAME), elsewhere).unwrap();
        assert_eq!(FolderLock::signer(folder.path(), NAME), None);
    }

    #[test]
    fn a_reader_does_not_keep_a_writer_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "").unwrap();
        let looking = File::open(folder.path().join(NAME)).unwrap();
        looking.try_lock_shared().unwrap();
        assert!(!FolderLock::is_taken(folder.path(), NAME), "two may look");
        let look_away = thread::spawn(move || drop(looking));
        FolderLock::take(folder.path(), NAME).unwrap();
        look_away.join().unwrap();
    }
}
