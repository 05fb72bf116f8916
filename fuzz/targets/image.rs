//! A PNG or JPEG in a folder of images.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{folder_with, is_said};
use osn_recipes::data::images::load;

/// One white pixel.
const HONEST: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDA\
    Tx\xdac\xf8\x0f\0\x01\x01\x01\0\x1c\xb0\x8c\x99\0\0\0\0IEND\xaeB`\x82";

fuzz_target!(|bytes: &[u8]| {
    let names = ["1.png", "2.png", "3.png", "4.png", "5.png"];
    let mut files = names.map(|name| (name, HONEST)).to_vec();
    files.push(("0.png", bytes));
    let folder = folder_with(&files);
    match load(folder.path().to_str(), 16) {
        Ok(images) => assert_eq!(images.train.pixels.len() % (5 * 16 * 16), 0),
        Err(error) => is_said(&error),
    }
});
