//! Files that others wrote, opened with care: reading a pipe could wait for ever, and a device has no
//! end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file, or a link to one.
///
/// # Errors
///
/// What the system says, or that it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    must_be_regular(path)?;
    File::open(path)
}

/// Whether a file is a regular one, or a link to one.
///
/// # Errors
///
/// As [`open`].
pub fn must_be_regular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        Ok(())
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

/// The bytes of a regular file of at most so many bytes.
///
/// # Errors
///
/// As [`open`], or that it is larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
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
        assert_eq!(read(&file, 3).unwrap_err().to_string(), "it is larger than 3 bytes");
        assert_eq!(read(folder.path(), 9).unwrap_err().to_string(), "it is no regular file");
        let missing = read(&folder.path().join("none"), 9).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
