//! The short-time Fourier transform and its inverse.

use std::f64::consts::TAU;
use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::data::sound::description::LogMel;

/// Below this, a sample that no window covers is not divided by the windows' squares.
const UNCOVERED: f64 = 1e-10;

/// One window's spectrum: window/2 + 1 frequencies from 0.
pub type Spectrum = Vec<Complex<f64>>;

/// The short-time Fourier transform with a periodic Hann window, as `librosa.stft` with its defaults:
/// the window at column t is centred at the sample t·hop, and beyond the ends there is silence.
#[derive(Clone)]
pub struct Stft {
    window: Vec<f64>,
    hop: usize,
    frames: usize,
    /// Samples of a sound.
    length: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

impl fmt::Debug for Stft {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (window, hop, frames) = (self.window.len(), self.hop, self.frames);
        write!(formatter, "Stft {{ window: {window}, hop: {hop}, frames: {frames} }}")
    }
}

impl Stft {
    /// The transform of a spectrogram.
    pub fn new(log_mel: &LogMel) -> Self {
        let length = log_mel.window_samples;
        let hann = |at: usize| 0.5 - 0.5 * (TAU * at as f64 / length as f64).cos();
        let mut planner = RealFftPlanner::new();
        Self {
            window: (0..length).map(hann).collect(),
            hop: log_mel.hop_samples,
            frames: log_mel.frames,
            length: log_mel.length_samples,
            forward: planner.plan_fft_forward(length),
            inverse: planner.plan_fft_inverse(length),
        }
    }

    /// The spectrum of each window.
    pub fn transform(&self, sound: &[f64]) -> Vec<Spectrum> {
        let half = self.window.len() / 2;
        let at = |place: usize| place.checked_sub(half).and_then(|it| sound.get(it)).copied();
        let spectrum = |frame: usize| {
            let samples = (frame * self.hop..).zip(&self.window);
            self.spectrum(
                samples.map(|(place, weight)| weight * at(place).unwrap_or(0.0)).collect(),
            )
        };
        (0..self.frames).map(spectrum).collect()
    }

    fn spectrum(&self, mut windowed: Vec<f64>) -> Spectrum {
        let mut spectrum = self.forward.make_output_vec();
        self.forward.process(&mut windowed, &mut spectrum).expect("both have the plan's length");
        spectrum
    }

    /// The sound whose spectra are nearest to these (Griffin and Lim 1984, equation
    /// 6): windowed once more, added, and divided by the sum of the squared windows.
    pub fn invert(&self, spectra: &[Spectrum]) -> Vec<f64> {
        let half = self.window.len() / 2;
        let mut sound = vec![0.0; self.length + self.window.len()];
        let mut squares = vec![0.0; sound.len()];
        for (frame, spectrum) in spectra.iter().enumerate() {
            let samples = self.samples(spectrum);
            let start = frame * self.hop;
            for (place, (sample, weight)) in samples.iter().zip(&self.window).enumerate() {
                sound[start + place] += sample * weight;
                squares[start + place] += weight * weight;
            }
        }
        let covered = sound.iter().zip(&squares).skip(half).take(self.length);
        covered
            .map(|(sample, square)| if *square > UNCOVERED { sample / square } else { 0.0 })
            .collect()
    }

    fn samples(&self, spectrum: &Spectrum) -> Vec<f64> {
        let mut spectrum = spectrum.clone();
        // A real sound has real values at 0 and at half the rate.
        for end in [0, self.window.len() / 2] {
            spectrum[end].im = 0.0;
        }
        let mut samples = self.inverse.make_output_vec();
        self.inverse.process(&mut spectrum, &mut samples).expect("both have the plan's length");
        samples.into_iter().map(|sample| sample / self.window.len() as f64).collect()
    }
}
