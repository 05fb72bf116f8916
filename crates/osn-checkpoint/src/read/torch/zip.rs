//! Reads the directory of a zip archive, as far as PyTorch uses the format.
//!
//! The end of the directory is found from the end of the file, it tells where the directory is,
//! and the directory tells for each entry its name, its size and where its local header is. The
//! data follow the local header. Each of these may be 32 bits wide or, where those are all ones,
//! 64 bits elsewhere (ZIP64).
//!
//! Crates for archives reserve memory for as many entries as an archive says that it has, and
//! unpack; here entries are passed one by one, and none is unpacked.

use std::io;

use super::error::TorchError;
use crate::read::byte_source::ByteSource;
use crate::read::stream::Stream;
use crate::read::strided_layout::Region;

const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const END_64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

const END_BYTES: u64 = 22;
const LOCATOR_BYTES: usize = 20;
/// A comment of at most 65535 bytes may follow the end of the directory.
const MAX_COMMENT_BYTES: u64 = 0xffff;
/// What may lie between the directory and its end: its wide end, and the locator of that.
const MAX_BETWEEN: u64 = (END_64_BYTES + LOCATOR_BYTES) as u64;
const END_64_BYTES: usize = 56;
const EXTRA_64: u16 = 1;
const ENCRYPTED: u16 = 1;
const STORED: u16 = 0;

/// What is wrong with an archive, as the rest of "its zip archive …".
pub(crate) type Damage = &'static str;

/// What the directory says of one entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Whether the data are compressed or encrypted.
    pub(crate) is_packed: bool,
    byte_count: u64,
    header_start: u64,
}

impl Entry {
    /// Where the data of an entry that is not packed are; `None` where that is outside the file.
    pub(crate) fn region(&self, source: &dyn ByteSource) -> Option<Region> {
        let mut stream = Stream::new(source, self.header_start, u64::MAX);
        let header = stream.array::<30>().ok()?;
        if header[..4] != LOCAL {
            return None;
        }
        let before_data = u64::from(short(&header, 26)) + u64::from(short(&header, 28));
        let start = stream.position() + before_data;
        let end = start.checked_add(self.byte_count);
        let region = Region { start, byte_count: self.byte_count };
        end.is_some_and(|end| end <= source.byte_count()).then_some(region)
    }
}

/// Hands each entry of the directory to `visit`, in the order of the directory.
pub(crate) fn for_each_entry(
    source: &dyn ByteSource,
    mut visit: impl FnMut(Entry) -> Result<(), TorchError>,
) -> Result<(), TorchError> {
    let directory = find_directory(source).map_err(unreadable)?;
    let Some((Region { start, byte_count }, end_start)) = directory else {
        return Err(damaged("has no directory at its end"));
    };
    let end = start.saturating_add(byte_count);
    // Places are counted from the start of an archive, which must be that of the file.
    if end_start.saturating_sub(end) > MAX_BETWEEN {
        return Err(TorchError::NotAlone);
    }
    let mut stream = Stream::new(source, start, end);
    while stream.position() < end {
        let entry = read_entry(&mut stream).map_err(|_| damaged("has a directory cut short"))?;
        visit(entry.ok_or_else(|| damaged("has a damaged directory"))?)?;
    }
    Ok(())
}

fn damaged(problem: Damage) -> TorchError {
    TorchError::Archive { problem }
}

fn unreadable(_: io::Error) -> TorchError {
    damaged("ends inside its directory")
}

/// The directory, and where its end begins.
fn find_directory(source: &dyn ByteSource) -> io::Result<Option<(Region, u64)>> {
    let file_bytes = source.byte_count();
    let tail_start = file_bytes.saturating_sub(END_BYTES + MAX_COMMENT_BYTES);
    let mut tail = vec![0; usize::try_from(file_bytes - tail_start).unwrap_or(0)];
    source.read_exact_at(tail_start, &mut tail)?;
    let ends_here =
        |end: &[u8]| end.starts_with(&END) && usize::from(short(end, 20)) == end.len() - 22;
    let place = (0..(tail.len() + 1).saturating_sub(22)).rev().find(|&i| ends_here(&tail[i..]));
    let Some(place) = place else { return Ok(None) };
    let (end_start, end) = (tail_start + place as u64, &tail[place..]);
    let (byte_count, start) = (word(end, 12), word(end, 16));
    let is_narrow = byte_count != u32::MAX && start != u32::MAX && short(end, 10) != u16::MAX;
    let directory = if is_narrow {
        Some(Region { start: start.into(), byte_count: byte_count.into() })
    } else {
        find_directory_64(source, end_start)?
    };
    Ok(directory.map(|directory| (directory, end_start)))
}

fn find_directory_64(source: &dyn ByteSource, end_start: u64) -> io::Result<Option<Region>> {
    let Some(locator_start) = end_start.checked_sub(LOCATOR_BYTES as u64) else {
        return Ok(None);
    };
    let mut locator = [0; LOCATOR_BYTES];
    source.read_exact_at(locator_start, &mut locator)?;
    let mut end = [0; END_64_BYTES];
    source.read_exact_at(long(&locator, 8), &mut end)?;
    let is_whole = locator.starts_with(&END_64_LOCATOR) && end.starts_with(&END_64);
    Ok(is_whole.then(|| Region { start: long(&end, 48), byte_count: long(&end, 40) }))
}

/// Reads the next entry; `None` where there is something else.
fn read_entry(stream: &mut Stream) -> io::Result<Option<Entry>> {
    let header = stream.array::<46>()?;
    if header[..4] != ENTRY {
        return Ok(None);
    }
    let name = stream.bytes(short(&header, 28).into())?;
    let extra = stream.bytes(short(&header, 30).into())?;
    stream.skip(short(&header, 32).into())?;
    let Some([byte_count, _packed, header_start]) = sizes(&header, &extra) else {
        return Ok(None);
    };
    let is_encrypted = short(&header, 8) & ENCRYPTED != 0;
    let is_packed = is_encrypted || short(&header, 10) != STORED;
    let name = String::from_utf8_lossy(&name).into_owned();
    Ok(Some(Entry { name, is_packed, byte_count, header_start }))
}

/// The size, the packed size and the place of the local header. Those that do not fit are all ones
/// and follow each other in a part of the extra field.
fn sizes(header: &[u8], extra: &[u8]) -> Option<[u64; 3]> {
    let mut wide = extra_part(extra, EXTRA_64).unwrap_or(&[]).as_chunks::<8>().0.iter();
    let mut size = |at| match word(header, at) {
        u32::MAX => wide.next().map(|&bytes| u64::from_le_bytes(bytes)),
        narrow => Some(narrow.into()),
    };
    Some([size(24)?, size(20)?, size(42)?])
}

/// Finds a part of the extra field, whose parts each have a kind, a length and so many bytes.
fn extra_part(mut extra: &[u8], kind: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let (found, length) = (short(extra, 0), usize::from(short(extra, 2)));
        let part = extra.get(4..4 + length)?;
        if found == kind {
            return Some(part);
        }
        extra = &extra[4 + length..];
    }
    None
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) | u32::from(short(bytes, at + 2)) << 16
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
