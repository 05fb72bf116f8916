//! Files that others wrote, opened with care: reading a pipe could wait for ever, and a device has no
//! end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file, or a link to one.
///
/// # Errors
///
/// An error of the system, which holds a [`NotAFile`] where it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path, 0)
}

/// Opens a regular file that is itself there, and no link to it.
///
/// # Errors
///
/// As [`open`].
pub fn open_itself(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    let flags = libc::O_NOFOLLOW;
    #[cfg(not(unix))]
    let flags = 0;
    open_with(options, path, flags)
}

/// Looks at what was opened and not at what the name led to before: in between it may be replaced. A
/// pipe is opened without waiting for its other end, and a terminal does not take over the process.
#[cfg(unix)]
fn open_with(options: &mut OpenOptions, path: &Path, flags: i32) -> io::Result<File> {
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    options.custom_flags(flags | libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open(path) {
        Ok(file) => if_regular(file),
        // A socket cannot be opened.
        Err(_) if fs::metadata(path).is_ok_and(|it| it.file_type().is_socket()) => {
            Err(NotAFile::Other.into())
        }
        Err(error) => Err(error),
    }
}

/// A folder cannot be opened.
#[cfg(not(unix))]
fn open_with(options: &mut OpenOptions, path: &Path, _flags: i32) -> io::Result<File> {
    if path.is_dir() { Err(NotAFile::Folder.into()) } else { if_regular(options.open(path)?) }
}

fn if_regular(file: File) -> io::Result<File> {
    match file.metadata()?.file_type() {
        kind if kind.is_dir() => Err(NotAFile::Folder.into()),
        kind if kind.is_file() => Ok(file),
        _ => Err(NotAFile::Other.into()),
    }
}

/// What is there in place of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no regular file")]
pub enum NotAFile {
    /// A folder.
    Folder,
    /// A pipe, a device or a socket.
    Other,
}

impl NotAFile {
    /// The reason of an error of this module; `None` where the system gave another one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<NotAFile> for io::Error {
    fn from(found: NotAFile) -> Self {
        Self::other(found)
    }
}

/// The bytes of a regular file of at most so many bytes.
///
/// # Errors
///
/// As [`open`]; [`io::ErrorKind::FileTooLarge`] where it is larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("it is larger than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Creates an empty file in place of whatever is there; a link is replaced, not followed.
///
/// # Errors
///
/// An error of the system.
pub fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::create_new(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "1234").unwrap();
        assert_eq!(read(&file, 4).unwrap(), b"1234");
        assert_eq!(read(&file, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let folder_itself = read(folder.path(), 9).unwrap_err();
        assert_eq!(NotAFile::of(&folder_itself), Some(NotAFile::Folder));
        let missing = read(&folder.path().join("none"), 9).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for_and_a_link_is_followed_only_where_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, file, link] = ["pipe", "file", "link"].map(|name| folder.path().join(name));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(NotAFile::of(&open(&pipe).unwrap_err()), Some(NotAFile::Other));
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(NotAFile::of(&open(&socket).unwrap_err()), Some(NotAFile::Other));
        fs::write(&file, "1234").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link, 4).unwrap(), b"1234");
        let itself = |path| open_itself(OpenOptions::new().read(true).write(true), path);
        assert!(itself(&file).is_ok());
        assert!(itself(&link).is_err());
        assert_eq!(NotAFile::of(&itself(&pipe).unwrap_err()), Some(NotAFile::Other));
    }
}
