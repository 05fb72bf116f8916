//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::run::folder_error::{FolderError, write_error};

/// How the name of a file begins and ends that is not complete yet.
const HALF_WRITTEN: (&str, &str) = (".osn-", ".tmp");

/// What file systems say that cannot bring a folder to the disk.
const NO_SYNC: [io::ErrorKind; 2] = [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported];

/// Writes a file so that at every moment it is either as before or complete, also when the machine
/// loses its power.
///
/// Until it is complete it is in the same folder under a unique name: `.osn-` and random letters.
///
/// # Errors
///
/// [`FolderError::Write`] when the system refuses; the file before is then still there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    replace(path, bytes).map_err(|source| write_error(path, source))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = or_here(path.parent().unwrap_or(path));
    // It goes with the value where anything fails: a half-written file helps nobody.
    let mut file = half_written(folder)?;
    file.write_all(bytes)?;
    // Without this the new name may reach the disk before the bytes do.
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// The folder of a name without one is the one that the program is in.
pub(crate) fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// A new file in a folder, which others may read where the user's files may be read.
fn half_written(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(HALF_WRITTEN.0).suffix(HALF_WRITTEN.1);
    #[cfg(unix)]
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(all);
    builder.tempfile_in(folder)
}

pub(crate) fn is_half_written(name: &str) -> bool {
    name.starts_with(HALF_WRITTEN.0) && name.ends_with(HALF_WRITTEN.1)
}

/// Brings the names in a folder to the disk; file systems without a way to do so need none.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(or_here(folder))?.sync_all() {
        Err(error) if NO_SYNC.contains(&error.kind()) => Ok(()),
        outcome => outcome,
    }
}

/// Creates an empty file in place of whatever is there: what is written through a link would be another
/// file.
///
/// # Errors
///
/// What the system says.
pub fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::create_new(path),
    }
}
