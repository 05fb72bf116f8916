//! Sounds from spectra without phases.

use realfft::num_complex::Complex;

use crate::data::sound::mel::MelFilters;
use crate::data::sound::stft::{Spectrum, Stft};

const ITERATIONS: usize = 64;
/// Perraudin et al. 2013 (section 4): 0.99 is nearly the best, and safe.
const MOMENTUM: f64 = 0.99;
/// Keeps a phase of nothing finite.
const TINY: f64 = f64::MIN_POSITIVE;
const UNMIXING_STEPS: usize = 500;

/// A sound whose windows have spectra near these magnitudes, by the fast Griffin-Lim algorithm (Griffin
/// and Lim 1984; Perraudin, Balazs and Søndergaard 2013, algorithm 2) from phases of zero, as
/// `librosa.griffinlim` with `init=None`. The same magnitudes give the same sound.
///
/// # Shapes
///
/// `magnitudes`: for each window, window/2 + 1 values.
pub fn sound(stft: &Stft, magnitudes: &[Vec<f64>]) -> Vec<f64> {
    sound_after(stft, magnitudes, ITERATIONS)
}

/// [`sound`] after so many iterations.
pub fn sound_after(stft: &Stft, magnitudes: &[Vec<f64>], iterations: usize) -> Vec<f64> {
    let real = |spectrum: &Vec<f64>| spectrum.iter().map(|&it| Complex::new(it, 0.0)).collect();
    let mut guess: Vec<Spectrum> = magnitudes.iter().map(real).collect();
    let mut before: Option<Vec<Spectrum>> = None;
    for _ in 0..iterations {
        let rebuilt = stft.transform(&stft.invert(&guess));
        guess = with_phases(magnitudes, &rebuilt, before.as_deref());
        before = Some(rebuilt);
    }
    stft.invert(&guess)
}

/// The magnitudes with the phases of `rebuilt`, moved on from the spectra before.
fn with_phases(
    magnitudes: &[Vec<f64>],
    rebuilt: &[Spectrum],
    before: Option<&[Spectrum]>,
) -> Vec<Spectrum> {
    let part = MOMENTUM / (1.0 + MOMENTUM);
    let place = |frame: usize, bin: usize| {
        let moved =
            before.map_or(rebuilt[frame][bin], |it| rebuilt[frame][bin] - it[frame][bin] * part);
        moved / (moved.norm() + TINY) * magnitudes[frame][bin]
    };
    let spectrum = |frame: usize| (0..rebuilt[frame].len()).map(|bin| place(frame, bin)).collect();
    (0..rebuilt.len()).map(spectrum).collect()
}

/// A power spectrum x ≥ 0 whose mel bands are near `bands`: min ‖M·x − y‖, by the multiplicative updates
/// of Lee and Seung 2001 (theorem 1), `x ← x·Mᵀy / MᵀMx`, which never leave `x ≥ 0`.
///
/// There are more frequencies than bands, so many spectra fit; this one has every frequency that a
/// band of some power has. `librosa.feature.inverse.mel_to_stft` solves the same problem by L-BFGS.
pub fn unmixed(filters: &MelFilters, bands: &[f64]) -> Vec<f64> {
    let wanted = filters.transposed(bands);
    let mut spectrum = wanted.clone();
    for _ in 0..UNMIXING_STEPS {
        let found = filters.transposed(&filters.apply(&spectrum));
        for ((value, wanted), found) in spectrum.iter_mut().zip(&wanted).zip(found) {
            *value *= if found > 0.0 { wanted / found } else { 0.0 };
        }
    }
    spectrum
}
