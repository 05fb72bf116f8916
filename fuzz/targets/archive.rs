//! The archive itself: its directory, its entries, and what is in them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::exercise_bytes;

fuzz_target!(|bytes: &[u8]| {
    let _ = exercise_bytes(&[b"PK\x03\x04", bytes].concat());
});
