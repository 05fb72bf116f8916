//! A part of a source, byte by byte.

use std::io;

use crate::read::byte_source::ByteSource;

/// Reads a part of a source from its start to its end, through a small buffer.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    source: &'a dyn ByteSource,
    end: u64,
    /// Where in the source the buffer ends.
    loaded: u64,
    buffer: Vec<u8>,
    used: usize,
}

const BUFFER_BYTES: usize = 8 * 1024;

impl<'a> Stream<'a> {
    /// Starts at `start`, and takes bytes at `end` and after for missing.
    pub(crate) fn new(source: &'a dyn ByteSource, start: u64, end: u64) -> Self {
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
