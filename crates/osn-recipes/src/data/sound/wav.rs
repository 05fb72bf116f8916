//! Recordings from WAV files.

use std::io::{Cursor, Read};

use hound::{SampleFormat, WavReader, WavSpec};

use crate::data::sound::riff::{self, FLOAT, Format, PCM};
use crate::data::sound::wav_error::{LEAST_RATE, MOST_RATE, WavError};

/// A recording with one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Each the mean of the channels; whole numbers lie in [−1, 1).
    pub samples: Vec<f32>,
    /// Samples a second.
    pub rate: u32,
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
