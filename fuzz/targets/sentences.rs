//! A file of one sentence a line, plain or gzip: what is in it does not depend on how it is packed.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{check_line, packed};
use osn_recipes::data::text::error::MAX_LINE_BYTES;
use osn_recipes::data::text::lines::parse;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("train.de");
    let found = parse(bytes, path);
    match &found {
        Ok(sentences) => {
            let is_sentence =
                |it: &String| !it.is_empty() && it.trim() == it && it.len() <= MAX_LINE_BYTES;
            assert!(!sentences.is_empty() && sentences.iter().all(is_sentence));
        }
        Err(error) => check_line(error),
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(parse(&packed(bytes)[..], path).ok(), found.ok());
    }
});
