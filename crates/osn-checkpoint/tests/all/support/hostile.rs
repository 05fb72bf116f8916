//! Files put together by hand, byte by byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use osn_checkpoint::{Checkpoint, CheckpointError};

/// Opens `bytes` as the file `file` beside others.
pub(crate) fn open_beside(
    bytes: &[u8],
    others: &[(&str, &[u8])],
) -> Result<Checkpoint, CheckpointError> {
    let files = others.iter().copied().chain([("file", bytes)]);
    let files: BTreeMap<String, Arc<[u8]>> =
        files.map(|(name, bytes)| (name.to_owned(), bytes.into())).collect();
    Checkpoint::open_in(&files, "file")
}

/// A file with one tensor, which is called `a` and has no elements.
pub(crate) fn shard_of_a() -> Vec<u8> {
    safetensors(r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#, 0)
}

pub(crate) fn safetensors(header: &str, data_bytes: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &vec![0; data_bytes]].concat()
}

/// An archive of stored entries as PyTorch writes it, by the format's description. Checksums are
/// left out: nothing here reads them.
pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let size = u32::try_from(data.len()).unwrap().to_le_bytes();
        let start = u32::try_from(file.len()).unwrap().to_le_bytes();
        let shared = [&[0; 12][..], &size, &size, &name_length, &[0; 2]].concat();
        directory.extend([&b"PK\x01\x02\0\0\0\0"[..], &shared].concat());
        directory.extend([&[0; 10][..], &start, name.as_bytes()].concat());
        file.extend([&b"PK\x03\x04\0\0"[..], &shared, name.as_bytes(), data].concat());
    }
    let start = u32::try_from(file.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    file.extend(directory);
    file.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &size, &start, &[0; 2]].concat());
    file
}

pub(crate) fn with_pickle(pickle: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/data/0", &[0; 64])])
}

/// The pickle of `{"w": tensor}` with a storage of 16 floats and the given sizes and strides.
pub(crate) fn tensor_pickle(offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let integers = |numbers: &[i32]| {
        let numbers = numbers.iter().flat_map(|n| [b"J", &n.to_le_bytes()[..]].concat());
        [b"(".to_vec(), numbers.collect(), b"t".to_vec()].concat()
    };
    let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0\x30X\x03\0\0\0cpuK\x10tQ";
    [
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(",
        &storage[..],
        b"J",
        &offset.to_le_bytes(),
        &integers(shape),
        &integers(strides),
        b"\x89NtRs.",
    ]
    .concat()
}
