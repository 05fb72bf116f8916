//! Reads the directory of a zip archive, as far as PyTorch uses the format: by the crate `rawzip`, which
//! passes entries one by one and unpacks none, and more strictly than that.

use std::io;

use rawzip::{CompressionMethod, ErrorKind, ReaderAt, ZipArchive, ZipLocator};

use super::error::TorchError;
use crate::read::byte_source::ByteSource;
use crate::read::strided_layout::Region;

/// More than an entry of the directory may take: three texts of 65535 bytes.
const ENTRY_BYTES: usize = 200 * 1024;
/// Where in the directory's end its start stands, and the value that means that it stands elsewhere.
const START_IN_END: u64 = 16;
const ELSEWHERE: u32 = u32::MAX;
/// What the directory's end begins with.
const END: u32 = u32::from_le_bytes(*b"PK\x05\x06");

/// The directory's record of one entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Whether the data are compressed or encrypted.
    pub(crate) is_packed: bool,
    /// Where the data of an entry that is not packed are; `None` where that is outside the file.
    pub(crate) region: Option<Region>,
}

/// Hands each entry of the directory to `visit`, in the order of the directory.
pub(crate) fn for_each_entry(
    source: &dyn ByteSource,
    mut visit: impl FnMut(Entry) -> Result<(), TorchError>,
) -> Result<(), TorchError> {
    let mut buffer = vec![0; ENTRY_BYTES];
    let file_bytes = source.byte_count();
    let found = ZipLocator::new().locate_in_reader(Reader(source), &mut buffer, file_bytes);
    let archive = found.map_err(|_| NO_DIRECTORY)?;
    if archive.end_offset() != file_bytes {
        return Err(NO_DIRECTORY);
    }
    check_start(&archive)?;
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(|error| damaged(&error))? {
        let region = archive.get_entry(entry.wayfinder()).ok().and_then(|data| {
            let (start, byte_count) =
                (data.compressed_data_range().0, entry.uncompressed_size_hint());
            let end = start.checked_add(byte_count)?;
            (end <= file_bytes).then_some(Region { start, byte_count })
        });
        let is_stored = entry.compression_method() == CompressionMethod::STORE;
        let is_packed = entry.flags().is_encrypted() || !is_stored;
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        visit(Entry { name, is_packed, region })?;
    }
    Ok(())
}

/// Places are counted from the start of an archive, which must be that of the file.
fn check_start(archive: &ZipArchive<Reader<'_>>) -> Result<(), TorchError> {
    let mut start = [0; 4];
    archive.get_ref().0.read_exact_at(archive.eocd_offset() + START_IN_END, &mut start)?;
    let start = u32::from_le_bytes(start);
    let is_moved = start != ELSEWHERE && u64::from(start) != archive.directory_offset();
    if is_moved { Err(TorchError::NotAlone) } else { Ok(()) }
}

const NO_DIRECTORY: TorchError = TorchError::Archive { problem: "has no directory at its end" };

fn damaged(error: &rawzip::Error) -> TorchError {
    match error.kind() {
        // Another archive's, in front of this one's.
        ErrorKind::InvalidSignature { actual: END, .. } => TorchError::NotAlone,
        ErrorKind::Eof => TorchError::Archive { problem: "has a directory cut short" },
        _ => TorchError::Archive { problem: "has a damaged directory" },
    }
}

struct Reader<'a>(&'a dyn ByteSource);

impl ReaderAt for Reader<'_> {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.0.byte_count().saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(into.len()).min(into.len());
        self.0.read_exact_at(offset, &mut into[..count])?;
        Ok(count)
    }
}
