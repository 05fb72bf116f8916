//! An IDX file, plain or gzip: what is in it does not depend on how it is packed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{check_line, packed};
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
