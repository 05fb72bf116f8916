//! The parts of a WAV file: how its samples are stored, and these.

use crate::data::sound::wav_error::WavError;

pub(super) const PCM: u16 = 1;
pub(super) const FLOAT: u16 = 3;
/// The true encoding is then the first number of the subformat.
const EXTENSIBLE: u16 = 0xfffe;
const SUBFORMAT: usize = 24;

/// How samples are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub is_float: bool,
    pub channels: u16,
    pub rate: u32,
    /// Bytes of a sample of one channel.
    pub width: u16,
}

/// The format and the bytes of the samples, whole frames.
pub(super) fn parts(bytes: &[u8]) -> Result<(Format, &[u8]), WavError> {
    let (b"RIFF", Some(b"WAVE")) = (bytes.get(..4).unwrap_or_default(), bytes.get(8..12)) else {
        return Err(WavError::NotWav { start: bytes.iter().take(4).copied().collect() });
    };
    let (mut rest, mut format) = (&bytes[12..], None);
    while let Some(([a, b, c, d, length @ ..], body)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes(*length);
        let whole = body.get(..length as usize);
        match [*a, *b, *c, *d].as_slice() {
            b"fmt " => format = Some(read_format(whole.unwrap_or(body))?),
            b"data" => {
                let format =
                    format.ok_or(WavError::Broken("says nothing of its samples before them"))?;
                let there = body.len();
                let data = whole.ok_or(WavError::Cut { promised: length, there })?;
                let frame = usize::from(format.width) * usize::from(format.channels);
                return Ok((format, &data[..data.len() / frame * frame]));
            }
            _ => {}
        }
        // A chunk of odd length has a byte behind it that does not count.
        rest = body.get(length as usize + length as usize % 2..).unwrap_or_default();
    }
    Err(WavError::Broken("has no samples: no chunk \"data\""))
}

fn read_format(body: &[u8]) -> Result<Format, WavError> {
    let short = |at: usize| Some(u16::from_le_bytes(*body.get(at..)?.first_chunk()?));
    let rate = || Some(u32::from_le_bytes(*body.get(4..)?.first_chunk()?));
    let read = || Some((short(0)?, short(2)?, rate()?, short(12)?, short(14)?));
    let found = read().ok_or(WavError::Broken("has a chunk \"fmt \" that is too short"))?;
    let (tag, channels, rate, frame, bits) = found;
    let encoding = if tag == EXTENSIBLE { short(SUBFORMAT).unwrap_or(tag) } else { tag };
    let width = frame.checked_div(channels).ok_or(WavError::Broken("has no channels"))?;
    let is_float = encoding == FLOAT;
    let is_known = match encoding {
        PCM => (1..=4).contains(&width) && bits.div_ceil(8) == width,
        FLOAT => width == 4 && bits == 32,
        _ => false,
    };
    if !is_known {
        return Err(WavError::Encoding { name: name(encoding, bits) });
    }
    Ok(Format { is_float, channels, rate, width })
}

/// An encoding as people call it.
fn name(encoding: u16, bits: u16) -> String {
    match encoding {
        PCM => format!("whole numbers of {bits} bits"),
        FLOAT => format!("floating-point numbers of {bits} bits"),
        2 | 0x11 => "ADPCM".to_owned(),
        6 => "A-law".to_owned(),
        7 => "µ-law".to_owned(),
        0x31 => "GSM 6.10".to_owned(),
        0x50 | 0x55 => "MPEG audio".to_owned(),
        other => format!("the encoding {other:#06x}"),
    }
}
