//! Where a checkpoint's bytes are: files on disk, or bytes in memory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use osn_files::plain_file::{self, NotAFile};

use crate::error::Problem;

/// Bytes of a known number that can be read from any place, by several threads at once.
///
/// A checkpoint is read by position and never mapped into memory: a map of a file that another
/// program shortens ends the process, a read of it is an error.
pub trait Source: Debug + Send + Sync {
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
    /// [`Problem::Folder`], [`Problem::NotAFile`] or [`Problem::Read`].
    fn open(&self, name: &Path) -> Result<Arc<dyn Source>, Problem>;
}

impl Source for Arc<[u8]> {
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

    fn open(&self, name: &Path) -> Result<Arc<dyn Source>, Problem> {
        let bytes = name.to_str().and_then(|name| self.get(name));
        let bytes = bytes.ok_or(io::Error::from(io::ErrorKind::NotFound))?;
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

    fn open(&self, name: &Path) -> Result<Arc<dyn Source>, Problem> {
        let opened = plain_file::open(&self.0.join(name)).and_then(DiskFile::open);
        Ok(Arc::new(opened.map_err(|error| match NotAFile::of(&error) {
            Some(NotAFile::Folder) => Problem::Folder,
            Some(NotAFile::Other) => Problem::NotAFile,
            None => Problem::Read(error),
        })?))
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
impl Source for DiskFile {
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
impl Source for DiskFile {
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

/// Reads a part of a source from its start to its end, through a small buffer.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    source: &'a dyn Source,
    end: u64,
    /// Where in the source the buffer ends.
    loaded: u64,
    buffer: Vec<u8>,
    used: usize,
}

const BUFFER_BYTES: usize = 8 * 1024;

impl<'a> Stream<'a> {
    /// Starts at `start`, and takes bytes at `end` and after for missing.
    pub(crate) fn new(source: &'a dyn Source, start: u64, end: u64) -> Self {
        let end = end.min(source.byte_count());
        Self { source, end, loaded: start.min(end), buffer: Vec::new(), used: 0 }
    }

    /// Where in the source the next byte is.
    pub(crate) fn position(&self) -> u64 {
        self.loaded - self.buffered() as u64
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.end - self.position()
    }

    pub(crate) fn byte(&mut self) -> io::Result<u8> {
        if self.buffered() == 0 {
            self.load()?;
        }
        let byte = self.buffer[self.used];
        self.used += 1;
        Ok(byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    /// Takes `count` bytes; allocates only where they are there.
    pub(crate) fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.check(count as u64)?;
        (0..count).map(|_| self.byte()).collect()
    }

    pub(crate) fn skip(&mut self, count: u64) -> io::Result<()> {
        self.check(count)?;
        let position = self.position() + count;
        *self = Self::new(self.source, position, self.end);
        Ok(())
    }

    fn check(&self, count: u64) -> io::Result<()> {
        if count <= self.remaining() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn buffered(&self) -> usize {
        self.buffer.len() - self.used
    }

    fn load(&mut self) -> io::Result<()> {
        let count = (self.end - self.loaded).min(BUFFER_BYTES as u64);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.resize(usize::try_from(count).unwrap_or(BUFFER_BYTES), 0);
        self.source.read_exact_at(self.loaded, &mut self.buffer)?;
        self.loaded += count;
        self.used = 0;
        Ok(())
    }
}
