//! An index beside two honest shards and an empty one.

#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use osn_fuzz::exercise;

const SHARD: &[u8] =
    include_bytes!("../../crates/osn-checkpoint/tests/fixtures/sharded-00001-of-00002.safetensors");
const OTHER: &[u8] = include_bytes!("../../crates/osn-checkpoint/tests/fixtures/weight_norm.pt");

fuzz_target!(|bytes: &[u8]| {
    let files: [(&str, &[u8]); 4] = [("i", bytes), ("a", SHARD), ("b", OTHER), ("c", b"")];
    let files: BTreeMap<String, Arc<[u8]>> =
        files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.into())).collect();
    let _ = exercise(&files, "i");
});
