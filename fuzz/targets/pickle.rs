//! A pickle in an honest archive, with four storages of 256 bytes.

#![no_main]

#[allow(dead_code, reason = "it is shared with tests that use all of it")]
#[path = "../../crates/osn-checkpoint/tests/all/support/hostile.rs"]
mod hostile;

use hostile::archive;
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
