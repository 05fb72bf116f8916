//! Sample spectrograms as sound.

use std::io;

use osn_runs::folder::RunFolder;
use osn_runs::folder_error::{FolderError, write_error, write_whole};

use crate::data::sound::description::LogMel;
use crate::data::sound::spectrogram::Spectrograms;
use crate::data::sound::wav;
use crate::run::samples::ImageGrid;

/// The most sounds of one picture: a class may have a row.
const MAX_SOUNDS: usize = 16;

/// Writes the first image of each row of the samples as a sound, `samples/step-000500-1.wav` and so on.
///
/// # Errors
///
/// [`FolderError::Write`] when the system refuses.
///
/// # Panics
///
/// If the images are no spectrograms of this size.
pub(super) fn write_sounds(
    folder: &RunFolder,
    step: u64,
    grid: &ImageGrid,
    log_mel: &LogMel,
) -> Result<(), FolderError> {
    for (sound, number) in of_rows(grid, log_mel).into_iter().zip(1..) {
        let path = folder.sample_path(step, &format!("-{number}.wav"));
        let wav = to_wav(&sound, log_mel).map_err(|error| write_error(&path, error))?;
        write_whole(&path, &wav)?;
    }
    Ok(())
}

/// The first image of each row as a sound, of the first 16 rows.
///
/// # Panics
///
/// If the images are no spectrograms of this size.
fn of_rows(grid: &ImageGrid, log_mel: &LogMel) -> Vec<Vec<f64>> {
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
fn to_wav(sound: &[f64], log_mel: &LogMel) -> io::Result<Vec<u8>> {
    wav::to_bytes(sound, log_mel.sample_rate_hz).map_err(io::Error::other)
}
