//! Recordings from WAV files.

use std::io::{self, Cursor, Read};

use hound::{SampleFormat, WavReader, WavSpec};

use crate::data::sound::riff::{self, FLOAT, Format, PCM};

const LEAST_RATE: u32 = 1_000;
const MOST_RATE: u32 = 384_000;

/// What to do with a file that another program can read.
const CONVERT: &str = "convert it, for example by ffmpeg -i FILE -c:a pcm_s16le NEW.wav";

/// A recording with one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Each the mean of the channels; whole numbers lie in [−1, 1).
    pub samples: Vec<f32>,
    /// Samples a second.
    pub rate: u32,
}

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

/// Reads a WAV file: whole numbers of 8, 16, 24 or 32 bits or floating-point numbers of 32, of any number of
/// channels.
///
/// Takes no more memory than a small multiple of the bytes, whatever their headers say.
///
/// # Errors
///
/// [`WavError`], all but [`Read`](WavError::Read).
pub fn parse(bytes: &[u8]) -> Result<Recording, WavError> {
    let (format, data) = riff::parts(bytes)?;
    if !(LEAST_RATE..=MOST_RATE).contains(&format.rate) {
        return Err(WavError::Rate(format.rate));
    }
    if data.is_empty() {
        return Err(WavError::Empty);
    }
    let samples = decode(format, data).map_err(|error| WavError::Decode(error.to_string()))?;
    if let Some((place, &value)) = samples.iter().enumerate().find(|(_, it)| !it.is_finite()) {
        return Err(WavError::NotFinite { value, place });
    }
    Ok(Recording { samples: mono(samples, format.channels.into()), rate: format.rate })
}

/// The samples of all channels. `hound` gets a header of ours: it does not skip the odd bytes behind chunks,
/// and is strict about fields that say things twice.
fn decode(format: Format, data: &[u8]) -> hound::Result<Vec<f32>> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes();
    let header = [&b"RIFF\0\0\0\0WAVE"[..], &fmt(format), b"data", &length].concat();
    let reader = WavReader::new(Cursor::new(header).chain(data))?;
    if format.is_float {
        return reader.into_samples::<f32>().collect();
    }
    let one = f64::from(1_u32 << (format.width * 8 - 1));
    #[expect(clippy::cast_possible_truncation, reason = "24 bits are kept, of what is heard")]
    let scaled = |sample: i32| (f64::from(sample) / one) as f32;
    reader.into_samples::<i32>().map(|sample| sample.map(scaled)).collect()
}

/// The chunk that says how samples are stored, one a second: samples do not depend on their rate, and the
/// bytes of a second at the true one may be more than 32 bits count.
fn fmt(Format { is_float, channels, width, .. }: Format) -> Vec<u8> {
    let (tag, frame) = (if is_float { FLOAT } else { PCM }, channels * width);
    [
        &b"fmt \x10\0\0\0"[..],
        &tag.to_le_bytes(),
        &channels.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &u32::from(frame).to_le_bytes(),
        &frame.to_le_bytes(),
        &(width * 8).to_le_bytes(),
    ]
    .concat()
}

#[expect(clippy::cast_possible_truncation, reason = "a mean of numbers of 32 bits")]
fn mono(samples: Vec<f32>, channels: usize) -> Vec<f32> {
    if channels == 1 {
        return samples;
    }
    let mean = |frame: &[f32]| {
        (frame.iter().copied().map(f64::from).sum::<f64>() / channels as f64) as f32
    };
    samples.chunks_exact(channels).map(mean).collect()
}

/// A sound with one channel as the bytes of a WAV file of 16 bits; what lies outside [−1, 1] is clamped.
///
/// # Errors
///
/// What `hound` says.
pub(crate) fn to_bytes(sound: &[f64], rate: u32) -> hound::Result<Vec<u8>> {
    let (sample_rate, sample_format) = (rate, SampleFormat::Int);
    let spec = WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
    for sample in sound {
        #[expect(clippy::cast_possible_truncation, reason = "it saturates, as intended")]
        writer.write_sample((sample * f64::from(i16::MAX)).round() as i16)?;
    }
    writer.finalize()?;
    Ok(bytes.into_inner())
}
