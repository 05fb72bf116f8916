//! What `sound.json` in a folder of recordings says, and what follows from it for images of a size.

use std::io;
use std::path::Path;

use osn_files::plain_file;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::data::sound::description::{LogMel, NORMALIZATION};
use crate::data::sound::mel::MelFilters;

/// The file in a folder of recordings that may say how they become images.
pub const SETTINGS_FILE: &str = "sound.json";

const MAX_SETTINGS_BYTES: u64 = 1 << 16;
/// The default window in milliseconds: 1,024 samples at 16 kHz.
const WINDOW_MS: u32 = 64;

/// How recordings become images. It lies beside them, as it depends on what they are of: a beat is
/// shorter than a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoundSettings {
    /// Samples a second, to which every recording is resampled.
    pub sample_rate_hz: u32,
    /// The stretch of a recording that is seen, rounded down to equal hops from each column of an image to the
    /// next.
    pub length_ms: u32,
    /// Samples of the window, an even number of at least two hops; 64 ms, or two hops where these are more,
    /// where it is absent.
    pub window_samples: Option<usize>,
    /// Where the lowest mel band begins.
    pub low_hz: u32,
    /// Where the highest mel band ends; half the sample rate where it is absent.
    pub high_hz: Option<u32>,
    /// The level that is black, below the loudest cell of a recording.
    pub floor_db: i32,
}

impl Default for SoundSettings {
    /// One second at 16 kHz (a usual rate for speech), 80 dB (librosa's `top_db`).
    fn default() -> Self {
        Self {
            sample_rate_hz: 16_000,
            length_ms: 1_000,
            window_samples: None,
            low_hz: 0,
            high_hz: None,
            floor_db: -80,
        }
    }
}

/// Why `sound.json` cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no JSON, or has keys or types that mean nothing.
    #[error("is not as it should be: {0}")]
    Json(#[from] serde_json::Error),
    /// A number is out of its range.
    #[error("has {key} = {value}, which must be from {least} to {most}")]
    Range {
        /// The setting.
        key: &'static str,
        /// What it is.
        value: i64,
        /// The least that works.
        least: i64,
        /// The most that works.
        most: i64,
    },
    /// The middle of the window would lie between two samples.
    #[error("has window_samples = {window}, which must be even")]
    Odd {
        /// The window asked for.
        window: usize,
    },
    /// Parts of a recording would fall between two windows.
    #[error(
        "has window_samples = {window}, but {length} samples in {frames} columns are {hop} from window to window: \
         it must be at least {}", 2 * hop
    )]
    Window {
        /// The window asked for.
        window: usize,
        /// Samples of a recording that are seen.
        length: usize,
        /// Columns of an image.
        frames: usize,
        /// Samples from one window to the next.
        hop: usize,
    },
    /// A mel band holds no frequency of the Fourier transform.
    #[error(
        "leaves band {band} of {bands} without a frequency: set window_samples above {window}, or make the images smaller"
    )]
    EmptyBand {
        /// The band, counted from 1.
        band: usize,
        /// How many there are.
        bands: usize,
        /// The window.
        window: usize,
    },
}

impl SoundSettings {
    /// Reads `sound.json` in a folder; the defaults where there is none.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Read`] and [`SettingsError::Json`].
    pub(super) fn beside(folder: &Path) -> Result<Self, SettingsError> {
        match plain_file::read(&folder.join(SETTINGS_FILE), MAX_SETTINGS_BYTES) {
            Ok(bytes) => {
                // A list would be read as the values of the first settings.
                let named: Map<String, Value> = serde_json::from_slice(&bytes)?;
                Ok(serde_json::from_value(named.into())?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// The spectrogram for images of `size`×`size`: as many bands, and as many windows in the length.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] for settings that are out of range or do not fit each other.
    ///
    /// # Panics
    ///
    /// If `size` is zero.
    pub fn log_mel(&self, size: usize) -> Result<LogMel, SettingsError> {
        assert!(size > 0, "images need at least one pixel");
        let rate = self.sample_rate_hz;
        let high_hz = self.high_hz.unwrap_or(rate / 2);
        self.check(high_hz)?;
        let length = rate as usize * self.length_ms as usize / 1_000;
        // The first window is centred at the start, the last at the end.
        let hops = (size - 1).max(1);
        in_range("length_ms", self.length_ms, (hops * 1_000).div_ceil(rate as usize), 60_000)?;
        let hop = length / hops;
        let default = ((rate * WINDOW_MS / 1_000) as usize).next_multiple_of(2).max(2 * hop);
        let window = self.window_samples.unwrap_or(default);
        if !window.is_multiple_of(2) {
            return Err(SettingsError::Odd { window });
        }
        if window < 2 * hop {
            return Err(SettingsError::Window { window, length, frames: size, hop });
        }
        let log_mel = LogMel {
            sample_rate_hz: rate,
            length_samples: hop * hops,
            window_samples: window,
            hop_samples: hop,
            bands: size,
            frames: size,
            low_hz: self.low_hz,
            high_hz,
            floor_db: self.floor_db,
            normalization: NORMALIZATION.to_owned(),
        };
        must_be_filled(&log_mel)?;
        Ok(log_mel)
    }

    fn check(&self, high_hz: u32) -> Result<(), SettingsError> {
        in_range("sample_rate_hz", self.sample_rate_hz, 1_000, 192_000)?;
        in_range("length_ms", self.length_ms, 10, 60_000)?;
        in_range("window_samples", self.window_samples.unwrap_or(16), 16, 65_536)?;
        in_range("high_hz", high_hz, 2, i64::from(self.sample_rate_hz / 2))?;
        in_range("low_hz", self.low_hz, 0, i64::from(high_hz) - 1)?;
        in_range("floor_db", self.floor_db, -200, -10)
    }
}

fn in_range(
    key: &'static str,
    value: impl TryInto<i64>,
    least: impl TryInto<i64>,
    most: i64,
) -> Result<(), SettingsError> {
    let [value, least] =
        [value.try_into().ok(), least.try_into().ok()].map(|it| it.unwrap_or(i64::MAX));
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(SettingsError::Range { key, value, least, most })
}

/// Refuses bands so narrow that they would be black in every image.
fn must_be_filled(log_mel: &LogMel) -> Result<(), SettingsError> {
    let LogMel { bands, window_samples: window, .. } = *log_mel;
    match MelFilters::new(log_mel).empty() {
        None => Ok(()),
        Some(band) => Err(SettingsError::EmptyBand { band: band + 1, bands, window }),
    }
}
