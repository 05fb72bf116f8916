//! Sample spectrograms as sound.

use std::io;

use crate::data::sound::description::LogMel;
use crate::data::sound::spectrogram::Spectrograms;
use crate::data::sound::wav;
use crate::run::samples::ImageGrid;

/// The most sounds of one picture: a class may have a row.
const MAX_SOUNDS: usize = 16;

/// The first image of each row as a sound, of the first 16 rows.
///
/// # Panics
///
/// If the images are no spectrograms of this size.
pub(super) fn of_rows(grid: &ImageGrid, log_mel: &LogMel) -> Vec<Vec<f64>> {
    let (size, expected) =
        ((grid.channels, grid.height, grid.width), (1, log_mel.bands, log_mel.frames));
    assert_eq!(size, expected, "spectrograms of one channel, so many bands and frames");
    let spectrograms = Spectrograms::new(log_mel);
    let images = grid.values.chunks(grid.height * grid.width);
    let firsts = images.step_by(grid.columns).take(MAX_SOUNDS);
    firsts.map(|image| spectrograms.sound(image)).collect()
}

/// A sound as the bytes of a WAV file.
///
/// # Errors
///
/// What the encoder says.
pub(super) fn to_wav(sound: &[f64], log_mel: &LogMel) -> io::Result<Vec<u8>> {
    wav::to_bytes(sound, log_mel.sample_rate_hz).map_err(io::Error::other)
}
