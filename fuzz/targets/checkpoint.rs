//! The parts of a checkpoint: a header up to the first line's end, what follows it, and a right checksum.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{is_said, sealed};
use osn_recipes::run::checkpoint::contents::CheckpointContents;
use osn_recipes::run::description::RunTotals;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (header, rest) = bytes.split_at(cut);
    let length = u64::try_from(header.len()).expect("it is short").to_le_bytes();
    let file = sealed([&length, header, rest.get(1..).unwrap_or_default()].concat());
    match CheckpointContents::from_bytes(file) {
        Ok(parts) => read(&parts),
        Err(error) => is_said(&error),
    }
});

fn read(parts: &CheckpointContents) {
    for name in parts.names() {
        let _ = parts.numbers(name);
        let _ = parts.value::<Value>(name);
        let _ = parts.value::<RunTotals>(name);
        let _ = parts.value::<(u64, f64, Vec<usize>)>(name);
        let _ = parts.value::<Vec<bool>>(name);
    }
    let again = CheckpointContents::from_bytes(parts.to_bytes().expect("what was read is written"));
    assert_eq!(&again.expect("what was written is read"), parts);
}
