//! Where a checkpoint's bytes are: files on disk, or bytes in memory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use osn_files::plain_file;

/// Bytes of a known number that can be read from any place, by several threads at once.
///
/// A checkpoint is read by position and never mapped into memory: a map of a file that another
/// program shortens ends the process, a read of it is an error.
pub trait ByteSource: Debug + Send + Sync {
    /// The number of bytes when it was opened.
    fn byte_count(&self) -> u64;

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] where there are fewer; whatever else the reading meets.
    fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

/// The place where a checkpoint's files lie beside each other.
pub trait Folder {
    /// The file's path, for messages.
    fn path(&self, name: &Path) -> String;

    /// Opens a file by its name.
    ///
    /// # Errors
    ///
    /// What the system says; [`plain_file::NotAFile`] inside where it is no regular file.
    fn open(&self, name: &Path) -> io::Result<Arc<dyn ByteSource>>;
}

impl ByteSource for Arc<[u8]> {
    fn byte_count(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let found = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(into.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(found);
        Ok(())
    }
}

/// Files in memory, by name.
impl Folder for BTreeMap<String, Arc<[u8]>> {
    fn path(&self, name: &Path) -> String {
        name.display().to_string()
    }

    fn open(&self, name: &Path) -> io::Result<Arc<dyn ByteSource>> {
        let bytes = name.to_str().and_then(|name| self.get(name));
        let bytes = bytes.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Arc::clone(bytes)))
    }
}

/// A folder on disk.
#[derive(Debug)]
pub(crate) struct DiskFolder(pub(crate) PathBuf);

impl Folder for DiskFolder {
    fn path(&self, name: &Path) -> String {
        self.0.join(name).display().to_string()
    }

    fn open(&self, name: &Path) -> io::Result<Arc<dyn ByteSource>> {
        Ok(Arc::new(DiskFile::open(plain_file::open(&self.0.join(name))?)?))
    }
}

#[cfg(unix)]
#[derive(Debug)]
struct DiskFile {
    file: File,
    byte_count: u64,
}

#[cfg(unix)]
impl DiskFile {
    fn open(file: File) -> io::Result<Self> {
        Ok(Self { byte_count: file.metadata()?.len(), file })
    }
}

#[cfg(unix)]
impl ByteSource for DiskFile {
    fn byte_count(&self) -> u64 {
        self.byte_count
    }

    fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, into, offset)
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct DiskFile {
    file: std::sync::Mutex<File>,
    byte_count: u64,
}

#[cfg(not(unix))]
impl DiskFile {
    fn open(file: File) -> io::Result<Self> {
        Ok(Self { byte_count: file.metadata()?.len(), file: std::sync::Mutex::new(file) })
    }
}

#[cfg(not(unix))]
impl ByteSource for DiskFile {
    fn byte_count(&self) -> u64 {
        self.byte_count
    }

    /// One thread at a time: elsewhere than on Unix a file has one position.
    fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(into)
    }
}
