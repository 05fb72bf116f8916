//! A WAV file, and what a folder that holds it becomes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{check_line, folder_with, is_said};
use osn_recipes::data::images::load;
use osn_recipes::data::sound::wav::parse;

/// Four samples of 8 bits at 8 kHz.
const HONEST: &[u8] =
    b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x04\0\0\0\x80\xc0\x80\x40";

fuzz_target!(|bytes: &[u8]| {
    match parse(bytes) {
        Ok(recording) => {
            assert!(!recording.samples.is_empty() && recording.samples.len() <= bytes.len());
            assert!(recording.samples.iter().all(|sample| sample.is_finite()));
        }
        Err(error) => return check_line(&error),
    }
    let names = ["1.wav", "2.wav", "3.wav", "4.wav", "5.wav"];
    let mut files = names.map(|name| (name, HONEST)).to_vec();
    files.push(("0.wav", bytes));
    let folder = folder_with(&files);
    match load(folder.path().to_str(), 8) {
        Ok(images) => assert_eq!(images.train.pixels.len(), 5 * 8 * 8),
        Err(error) => is_said(&error),
    }
});
