//! Why a file is no recording.

use std::io;

pub(super) const LEAST_RATE: u32 = 1_000;
pub(super) const MOST_RATE: u32 = 384_000;

/// What to do with a file that another program can read.
const CONVERT: &str = "convert it, for example by ffmpeg -i FILE -c:a pcm_s16le NEW.wav";

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It starts like no WAV file.
    #[error("is no WAV file, it starts with {start:02x?}: {CONVERT}, or remove it")]
    NotWav {
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// Its parts make no recording.
    #[error("{0}: fetch or write it again")]
    Broken(&'static str),
    /// It promises more than it has.
    #[error("promises {promised} bytes of samples and has {there}: fetch or write it again")]
    Cut {
        /// The bytes that its header promises.
        promised: u32,
        /// The bytes that follow.
        there: usize,
    },
    /// Its samples are stored in a way that is not read.
    #[error(
        "holds {name}, but only whole numbers of 8, 16, 24 or 32 bits and floating-point numbers of 32 are read: {CONVERT}"
    )]
    Encoding {
        /// The way, as people call it.
        name: String,
    },
    /// No recording has such a rate.
    #[error(
        "has {0} samples a second, which must be from {LEAST_RATE} to {MOST_RATE}: write it again"
    )]
    Rate(u32),
    /// There is no sample in it.
    #[error("holds no sound, not one sample: remove it")]
    Empty,
    /// A sample is no number.
    #[error("has {value} at its sample {place}: write it again, or remove it")]
    NotFinite {
        /// NaN or an infinity.
        value: f32,
        /// Counted from 0, all channels.
        place: usize,
    },
    /// The decoder or the resampler stopped.
    #[error("cannot be decoded ({0}): write it again, or remove it")]
    Decode(String),
}
