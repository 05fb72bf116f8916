//! Sounds at another sample rate.

use std::error::Error;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// At least so many samples are transformed at once: the filter is as long, so it falls off within
/// hundredths of half the lower rate.
const BLOCK: usize = 2_048;

/// A sound at the rate `to`, without what neither rate can hold; the same length in seconds.
///
/// # Errors
///
/// What `rubato` says.
pub fn resampled(sound: &[f64], from: u32, to: u32) -> Result<Vec<f64>, Box<dyn Error>> {
    if from == to {
        return Ok(sound.to_vec());
    }
    let [rate_in, rate_out] = [from, to].map(|rate| rate as usize);
    let (window, fixed) = (WindowFunction::BlackmanHarris2, FixedSync::Input);
    let mut resampler = Fft::new_custom(rate_in, rate_out, block(from, to), 1, 1, window, fixed)?;
    let input = InterleavedSlice::new(sound, 1, sound.len())?;
    Ok(resampler.process_all(&input, sound.len(), None)?.take_data())
}

/// An even number of the smallest blocks that both rates share: half an odd one is the delay of
/// `rubato`'s filter, of which it takes away whole samples only.
fn block(from: u32, to: u32) -> usize {
    let (mut shared, mut rest) = (from, to);
    while rest > 0 {
        (shared, rest) = (rest, shared % rest);
    }
    let smallest = (from / shared) as usize;
    smallest * BLOCK.div_ceil(smallest).next_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn tone(hz: f64, rate: u32, count: usize) -> Vec<f64> {
        (0..count).map(|at| (TAU * hz * at as f64 / f64::from(rate)).sin()).collect()
    }

    #[test]
    fn a_tone_is_the_same_tone_at_every_rate_and_in_its_place() {
        for from in [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000] {
            let n_in = from as usize / 2;
            let found = resampled(&tone(1_000.0, from, n_in), from, 16_000).unwrap();
            assert!(found.len().abs_diff(8_000) <= 1, "{from}: {}", found.len());
            // Where it begins and ends a tone has all frequencies.
            let ends = 1_000..found.len() - 1_000;
            let expected = tone(1_000.0, 16_000, found.len());
            let apart = ends.map(|at| (found[at] - expected[at]).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-4, "{from}: {apart}");
        }
    }

    #[test]
    fn a_tone_above_half_the_rate_is_gone_and_not_folded_down() {
        let found = resampled(&tone(9_000.0, 44_100, 22_050), 44_100, 16_000).unwrap();
        let loudest = found[1_000..7_000].iter().copied().map(f64::abs).fold(0.0, f64::max);
        assert!(loudest < 1e-4, "{loudest}");
    }
}
