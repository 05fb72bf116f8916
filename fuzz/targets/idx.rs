//! An IDX file, plain or gzip: what is in it does not depend on how it is packed.

#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use osn_fuzz::check_line;
use osn_recipes::data::idx::parse;

fuzz_target!(|bytes: &[u8]| {
    let found = parse(bytes);
    match &found {
        Ok(array) => assert_eq!(array.values.len(), array.shape.iter().product::<usize>()),
        Err(error) => check_line(error),
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(parse(&packed(bytes)).ok(), found.ok());
    }
});

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}
