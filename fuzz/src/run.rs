//! Files as a run and its data have them.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What precedes the checksum in a checkpoint's header, and how many digits it has.
const BEFORE: &[u8] = b"\"sha256\":\"";
const DIGITS: usize = 64;

/// A new folder with these files, which goes away by itself.
///
/// # Panics
///
/// If the system refuses.
pub fn folder_with(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::with_prefix("osn-fuzz-").expect("a folder is made");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder is made");
        fs::write(path, bytes).expect("a file is written");
    }
    folder
}

/// The bytes as a gzip file.
///
/// # Panics
///
/// Not for any bytes.
pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A checkpoint with the checksum that it should have, where it has one at all.
pub fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    let place = file.windows(BEFORE.len()).position(|window| window == BEFORE);
    let place = place.map(|place| place + BEFORE.len()..place + BEFORE.len() + DIGITS);
    let Some(place) = place.filter(|place| place.end <= file.len()) else { return file };
    file[place.clone()].fill(b'0');
    let checksum = format!("{:x}", Sha256::digest(&file));
    file[place].copy_from_slice(checksum.as_bytes());
    file
}
