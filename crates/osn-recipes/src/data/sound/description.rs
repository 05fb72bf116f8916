//! How recordings became images, as `run.json` has it.

use serde::{Deserialize, Serialize};

/// What the values of an image are.
pub(super) const NORMALIZATION: &str =
    "decibels below the loudest cell of each recording, from floor_db to 0, as bytes from 0 to 255";

/// The log-mel spectrogram that a recording becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogMel {
    /// Samples a second, to which every recording is resampled.
    pub sample_rate_hz: u32,
    /// Samples of a recording that are seen: the loudest stretch of a longer one; silence follows a
    /// shorter one.
    pub length_samples: usize,
    /// Samples of the Hann window, and of the Fourier transform.
    pub window_samples: usize,
    /// Samples from one window to the next.
    pub hop_samples: usize,
    /// Mel bands (Slaney's scale, each filter of area one), the rows of an image; the highest is on top.
    pub bands: usize,
    /// Windows, the columns of an image. The first is centred at the start, the last at the end.
    pub frames: usize,
    /// Where the lowest band begins.
    pub low_hz: u32,
    /// Where the highest band ends.
    pub high_hz: u32,
    /// The level that is black, below the loudest cell.
    pub floor_db: i32,
    /// What the values of an image are.
    pub normalization: String,
}

/// How recordings became images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundDescription {
    /// The spectrogram of each.
    #[serde(flatten)]
    pub log_mel: LogMel,
    /// The names of the classes, the folders that hold the recordings; label 0 is the first. None where
    /// they lie in no folders.
    pub classes: Vec<String>,
}
