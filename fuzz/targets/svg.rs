//! An SVG picture in a package of emoji: it is drawn or refused, in time and memory that it is worth.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{folder_with, is_said};
use osn_recipes::data::openmoji::import;

const HONEST: &[u8] = b"<svg viewBox=\"0 0 9 9\" xmlns=\"http://www.w3.org/2000/svg\"><rect width=\"4\" height=\"4\"/></svg>";
/// Nothing can be written there, so that drawing is all that takes time.
const NOWHERE: &str = "/dev/null/out";

fuzz_target!(|bytes: &[u8]| {
    let package = folder_with(&[("black/svg/A.svg", HONEST), ("color/svg/A.svg", bytes)]);
    let error = import(package.path(), Path::new(NOWHERE), 64, |_, _| {});
    is_said(&error.expect_err("there is nowhere to write"));
});
