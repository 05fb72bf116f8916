//! WAV files, also such as no honest program writes.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

/// What the chunk `fmt ` says.
#[derive(Clone, Copy)]
pub(crate) struct Fmt {
    pub(crate) tag: u16,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
    pub(crate) bits: u16,
}

impl Fmt {
    /// Whole numbers of 16 bits at 16 kHz in one channel.
    pub(crate) const USUAL: Self = Self { tag: 1, channels: 1, rate: 16_000, bits: 16 };

    pub(crate) fn bytes(self) -> Vec<u8> {
        let frame = self.channels * self.bits.div_ceil(8);
        let mut bytes = Vec::new();
        bytes.extend(self.tag.to_le_bytes());
        bytes.extend(self.channels.to_le_bytes());
        bytes.extend(self.rate.to_le_bytes());
        bytes.extend(self.rate.wrapping_mul(frame.into()).to_le_bytes());
        bytes.extend(frame.to_le_bytes());
        bytes.extend(self.bits.to_le_bytes());
        bytes
    }
}

/// A chunk with the byte behind it that makes its length even.
pub(crate) fn chunk(name: &str, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    let padding = &[0][..body.len() % 2];
    [name.as_bytes(), &length, body, padding].concat()
}

/// A WAV file of these chunks.
pub(crate) fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = [&b"WAVE"[..], &chunks.concat()].concat();
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&b"RIFF"[..], &length, &body].concat()
}

/// A WAV file of samples that are stored already.
pub(crate) fn wav(fmt: Fmt, data: &[u8]) -> Vec<u8> {
    riff(&[chunk("fmt ", &fmt.bytes()), chunk("data", data)])
}

/// Samples as whole numbers of 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "samples lie in [-1, 1]")]
pub(crate) fn in_16_bits(samples: &[f64]) -> Vec<u8> {
    let stored = |sample: &f64| ((sample * 32_767.0).round() as i16).to_le_bytes();
    samples.iter().flat_map(stored).collect()
}

/// A tone that fades.
pub(crate) fn tone(hz: f64, rate: u32, count: usize) -> Vec<f64> {
    let sample = |at: usize| {
        let seconds = at as f64 / f64::from(rate);
        0.5 * (TAU * hz * seconds).sin() * (-3.0 * seconds).exp()
    };
    (0..count).map(sample).collect()
}

/// A fifth of a second of a tone, as a WAV file.
pub(crate) fn tone_file(hz: f64) -> Vec<u8> {
    wav(Fmt::USUAL, &in_16_bits(&tone(hz, 16_000, 3_200)))
}

/// So many recordings of each class, of tones that are its own.
pub(crate) fn fill(folder: &Path, classes: &[&str], count: usize) {
    for (number, class) in classes.iter().enumerate() {
        fs::create_dir_all(folder.join(class)).unwrap();
        for index in 0..count {
            let hz = 200.0 * (2 * number + 1) as f64 + index as f64;
            fs::write(folder.join(class).join(format!("{index:03}.wav")), tone_file(hz)).unwrap();
        }
    }
}
