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
    /// [`io::ErrorKind::UnexpectedEof`] where there are fewer; any other error of the system.
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
    /// An error of the system, which holds a [`plain_file::NotAFile`] where it is no regular file.
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
        Ok(Arc::new(DiskFile::of(plain_file::open(&self.0.join(name))?)?))
    }
}

#[derive(Debug)]
struct DiskFile {
    file: File,
    byte_count: u64,
    /// Elsewhere than on Unix a file has one position, so one thread reads at a time.
    #[cfg(not(unix))]
    turn: std::sync::Mutex<()>,
}

impl DiskFile {
    fn of(file: File) -> io::Result<Self> {
        Ok(Self {
            byte_count: file.metadata()?.len(),
            file,
            #[cfg(not(unix))]
            turn: std::sync::Mutex::default(),
        })
    }
}

impl ByteSource for DiskFile {
    fn byte_count(&self) -> u64 {
        self.byte_count
    }

    #[cfg(unix)]
    fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, into, offset)
    }

    #[cfg(not(unix))]
    fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let _turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (&self.file).seek(SeekFrom::Start(offset))?;
        (&self.file).read_exact(into)
    }
}
