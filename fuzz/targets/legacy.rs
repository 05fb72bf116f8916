//! What follows the magic number and the version in a file of the older format of PyTorch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::exercise_bytes;

const START: &[u8] =
    b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02N.";

fuzz_target!(|bytes: &[u8]| {
    let _ = exercise_bytes(&[START, bytes].concat());
});
