//! Mel bands: triangles over the frequencies of a Fourier transform.

use crate::data::sound::description::LogMel;

/// Below this frequency Slaney's scale is linear.
const LINEAR_BELOW_HZ: f64 = 1_000.0;
/// Hertz in a mel of the linear part.
const HZ_PER_MEL: f64 = 200.0 / 3.0;
/// Mels in which the frequency grows 6.4-fold, above.
const MELS_PER_STEP: f64 = 27.0;
const STEP: f64 = 6.4;

/// The mel bands of Slaney's Auditory Toolbox (1998), each of area one over its hertz, as
/// `librosa.filters.mel`.
///
/// With the edges `f_0 … f_(n+1)` evenly spaced in mel, band b is a triangle that rises from `f_b` to
/// `f_(b+1)` and falls to `f_(b+2)`, times `2/(f_(b+2) − f_b)`.
#[derive(Clone, Debug)]
pub struct MelFilters {
    /// For each band its first frequency and the weights from there.
    bands: Vec<(usize, Vec<f64>)>,
    n_bins: usize,
}

impl MelFilters {
    /// The bands of a spectrogram, over the frequencies k·rate/window for k = 0 … window/2.
    pub fn new(log_mel: &LogMel) -> Self {
        let n_bins = log_mel.window_samples / 2 + 1;
        let hz_per_bin = f64::from(log_mel.sample_rate_hz) / log_mel.window_samples as f64;
        let [low, high] = [log_mel.low_hz, log_mel.high_hz].map(|it| mel(f64::from(it)));
        let step = (high - low) / (log_mel.bands + 1) as f64;
        let edges: Vec<_> = (0..log_mel.bands + 2).map(|it| hz(low + it as f64 * step)).collect();
        let bands = edges.windows(3).map(|edges| band(edges, hz_per_bin, n_bins)).collect();
        Self { bands, n_bins }
    }

    /// Frequencies of the Fourier transform.
    pub fn n_bins(&self) -> usize {
        self.n_bins
    }

    /// The first band that no frequency falls into.
    pub(super) fn empty(&self) -> Option<usize> {
        self.bands.iter().position(|(_, weights)| weights.is_empty())
    }

    /// The bands of a spectrum: M·x.
    pub fn apply(&self, spectrum: &[f64]) -> Vec<f64> {
        let dot = |(first, weights): &(usize, Vec<f64>)| {
            weights.iter().zip(&spectrum[*first..]).map(|(weight, value)| weight * value).sum()
        };
        self.bands.iter().map(dot).collect()
    }

    /// Mᵀ·y.
    pub(super) fn transposed(&self, bands: &[f64]) -> Vec<f64> {
        let mut spectrum = vec![0.0; self.n_bins];
        for ((first, weights), band) in self.bands.iter().zip(bands) {
            for (value, weight) in spectrum[*first..].iter_mut().zip(weights) {
                *value += weight * band;
            }
        }
        spectrum
    }
}

/// The weights of one band between three edges, from the first frequency that has one.
fn band(edges: &[f64], hz_per_bin: f64, n_bins: usize) -> (usize, Vec<f64>) {
    let [low, middle, high] = [edges[0], edges[1], edges[2]];
    let weight = |bin: usize| {
        let hz = bin as f64 * hz_per_bin;
        let triangle = ((hz - low) / (middle - low)).min((high - hz) / (high - middle));
        triangle.max(0.0) * 2.0 / (high - low)
    };
    let weights = (0..n_bins).map(weight);
    let mut inside = weights.enumerate().skip_while(|(_, weight)| *weight == 0.0).peekable();
    let first = inside.peek().map_or(0, |(bin, _)| *bin);
    (first, inside.map(|(_, weight)| weight).take_while(|weight| *weight > 0.0).collect())
}

fn mel(hz: f64) -> f64 {
    if hz < LINEAR_BELOW_HZ {
        return hz / HZ_PER_MEL;
    }
    LINEAR_BELOW_HZ / HZ_PER_MEL + (hz / LINEAR_BELOW_HZ).ln() / STEP.ln() * MELS_PER_STEP
}

fn hz(mel: f64) -> f64 {
    let linear = LINEAR_BELOW_HZ / HZ_PER_MEL;
    if mel < linear {
        return mel * HZ_PER_MEL;
    }
    LINEAR_BELOW_HZ * ((mel - linear) / MELS_PER_STEP * STEP.ln()).exp()
}
