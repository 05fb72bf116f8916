//! From sound to image and back.

use realfft::num_complex::Complex;

use crate::data::image_set::pixel;
use crate::data::sound::description::LogMel;
use crate::data::sound::griffin_lim;
use crate::data::sound::mel::MelFilters;
use crate::data::sound::stft::{Spectrum, Stft};

/// Makes images of sounds and sounds of images.
#[derive(Clone, Debug)]
pub struct Spectrograms {
    log_mel: LogMel,
    filters: MelFilters,
    stft: Stft,
}

impl Spectrograms {
    /// What makes these spectrograms.
    pub fn new(log_mel: &LogMel) -> Self {
        let (filters, stft) = (MelFilters::new(log_mel), Stft::new(log_mel));
        Self { log_mel: log_mel.clone(), filters, stft }
    }

    /// The power in each band and window, as `librosa.feature.melspectrogram` with power 2: `[frames][bands]`,
    /// the lowest band first.
    pub fn power(&self, sound: &[f64]) -> Vec<Vec<f64>> {
        let spectra = self.stft.transform(sound);
        let power = |spectrum: &Spectrum| {
            let power: Vec<_> = spectrum.iter().map(Complex::norm_sqr).collect();
            self.filters.apply(&power)
        };
        spectra.iter().map(power).collect()
    }

    /// A sound as an image, `[bands, frames]` from the highest band down: decibels below its loudest
    /// cell, `floor_db` is black and 0 dB is white. Silence is black.
    pub fn image(&self, sound: &[f64]) -> Vec<u8> {
        let power = self.power(sound);
        let loudest = power.iter().flatten().copied().fold(0.0, f64::max);
        let cell = |band: usize, frame: usize| self.pixel_of(power[frame][band], loudest);
        let bands = (0..self.log_mel.bands).rev();
        bands
            .flat_map(|band| (0..self.log_mel.frames).map(move |frame| cell(band, frame)))
            .collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "a byte is coarser than either")]
    fn pixel_of(&self, power: f64, loudest: f64) -> u8 {
        if loudest <= 0.0 {
            return 0;
        }
        let decibels = 10.0 * (power / loudest).log10();
        // −1 is black and 1 is white.
        let value = 1.0 - 2.0 * decibels / f64::from(self.log_mel.floor_db);
        pixel(value.max(-1.0) as f32)
    }

    /// An image as a sound whose spectrogram is near it, at most 0.9 loud.
    ///
    /// # Shapes
    ///
    /// `image`: `[bands, frames]` in [−1, 1]; what lies outside is clamped, and NaN is black.
    pub fn sound(&self, image: &[f32]) -> Vec<f64> {
        let magnitudes: Vec<_> = (0..self.log_mel.frames)
            .map(|frame| {
                let power = griffin_lim::unmixed(&self.filters, &self.powers(image, frame));
                power.into_iter().map(f64::sqrt).collect()
            })
            .collect();
        let sound = griffin_lim::sound(&self.stft, &magnitudes);
        let loudest = sound.iter().copied().fold(0.0, |most: f64, it| most.max(it.abs()));
        sound.into_iter().map(|sample| sample * (0.9 / loudest.max(f64::MIN_POSITIVE))).collect()
    }

    /// The powers of the bands in a column of an image, relative to a white cell; of a black cell none.
    fn powers(&self, image: &[f32], frame: usize) -> Vec<f64> {
        let LogMel { bands, frames, floor_db, .. } = self.log_mel;
        let power = |band: usize| {
            let value = f64::from(image[(bands - 1 - band) * frames + frame]).clamp(-1.0, 1.0);
            let decibels = (1.0 - value) / 2.0 * f64::from(floor_db);
            if value > -1.0 { 10_f64.powf(decibels / 10.0) } else { 0.0 }
        };
        (0..bands).map(power).collect()
    }
}
