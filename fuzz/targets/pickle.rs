//! A pickle in an honest archive, with four storages of 256 bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::exercise_bytes;

fuzz_target!(|bytes: &[u8]| {
    let storage = [0; 256];
    let _ = exercise_bytes(&archive(&[
        ("data.pkl", bytes),
        ("data/0", &storage),
        ("data/1", &storage),
        ("data/2", &storage),
        ("data/3", &storage),
    ]));
});

/// Stored entries and their directory, without checksums.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let (size, start) = (word(data.len()), word(file.len()));
        let name_length = u16::try_from(name.len()).expect("is short").to_le_bytes();
        let shared = [&[0; 12][..], &size, &size, &name_length, &[0; 2]].concat();
        directory.extend(
            [&b"PK\x01\x02\0\0\0\0"[..], &shared, &[0; 10], &start, name.as_bytes()].concat(),
        );
        file.extend([&b"PK\x03\x04\0\0"[..], &shared, name.as_bytes(), data].concat());
    }
    let (start, size) = (word(file.len()), word(directory.len()));
    file.extend(directory);
    file.extend([&b"PK\x05\x06\0\0\0\0\x05\0\x05\0"[..], &size, &start, &[0; 2]].concat());
    file
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("is small").to_le_bytes()
}
