//! Images in memory, as bytes.

use sha2::{Digest, Sha256};

use crate::data::error::DataError;
use crate::data::sound::description::SoundDescription;
use crate::metrics::feature_set::LEAST_SCORED;
use crate::run::trained_on::{Trainable, TrainedOn};

/// Images of one size, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// The values, `[count, channels, height, width]` in row-major order, 0 is black.
    pub pixels: Vec<u8>,
    /// One class for each image, if the data has classes.
    pub labels: Option<Vec<u8>>,
    /// Where the images come from, for people.
    pub source: String,
}

/// Images to train on and images to score against, which share no image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The name or the whole path of the folder that it was loaded by.
    pub name: String,
    /// What a model may learn from.
    pub train: ImageSet,
    /// What a model is only scored on.
    pub test: ImageSet,
    /// One in so many images is for testing, where the data come without a split.
    pub test_every: Option<usize>,
    /// How recordings became these images, where they did.
    pub sound: Option<SoundDescription>,
}

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What is trained on, and what is held out of it.
    Train,
    /// What the record's scores are of.
    Test,
}

/// What learns from these images, with a mark of every byte of them.
pub(super) fn trained_on<'a>(
    name: &str,
    source: &str,
    sets: impl IntoIterator<Item = &'a ImageSet>,
) -> TrainedOn {
    let mut digest = Sha256::new();
    sets.into_iter().for_each(|set| set.digest(&mut digest));
    let sha256 = Some(format!("{:x}", digest.finalize()));
    TrainedOn { source: source.to_owned(), name: Some(name.to_owned()), sha256, sound: None }
}

impl Trainable for Dataset {
    fn trained_on(&self) -> TrainedOn {
        let sets = [&self.train, &self.test];
        TrainedOn { sound: self.sound.clone(), ..trained_on(&self.name, &self.train.source, sets) }
    }

    fn n_scorable(&self) -> usize {
        self.train.len().min(self.test.len())
    }
}

impl Dataset {
    /// The images of a part.
    pub(crate) fn part(&self, part: Part) -> &ImageSet {
        match part {
            Part::Train => &self.train,
            Part::Test => &self.test,
        }
    }

    /// Refuses images of which there are too few for a score.
    ///
    /// # Errors
    ///
    /// [`DataError::Unscorable`].
    pub(crate) fn must_be_scorable(&self) -> Result<(), DataError> {
        let (train, test) = (self.train.len(), self.test.len());
        if train.min(test) < LEAST_SCORED {
            return Err(DataError::Unscorable { train, test, test_every: self.test_every });
        }
        Ok(())
    }

    /// Refuses recordings that are all of one class.
    ///
    /// # Errors
    ///
    /// [`DataError::OneClass`].
    pub(crate) fn must_tell_apart(&self) -> Result<(), DataError> {
        match self.sound.as_ref().map(|sound| &sound.classes[..]) {
            Some([class]) => Err(DataError::OneClass { class: class.clone() }),
            _ => Ok(()),
        }
    }

    /// How many classes there are, one more than the largest label; none where a part has no labels.
    pub(crate) fn class_count(&self) -> Option<usize> {
        let largest = |set: &ImageSet| set.labels.as_ref()?.iter().max().copied();
        Some(usize::from(largest(&self.train)?.max(largest(&self.test)?)) + 1)
    }
}

impl ImageSet {
    fn digest(&self, digest: &mut Sha256) {
        let labels = self.labels.as_deref().unwrap_or_default();
        for length in [self.channels, self.height, self.width, self.pixels.len(), labels.len()] {
            digest.update((length as u64).to_le_bytes());
        }
        digest.update(&self.pixels);
        digest.update(labels);
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.image_len().max(1)
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// How many values one image has: channels × height × width.
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Puts every image in the middle of a black square of `size` pixels.
    ///
    /// Where the border cannot be equal, the right and the lower side get the odd pixel.
    ///
    /// # Panics
    ///
    /// If `size` is smaller than the images.
    #[must_use]
    pub fn padded(&self, size: usize) -> Self {
        let (height, width) = (self.height, self.width);
        assert!(size >= height && size >= width, "cannot pad {height}x{width} images to {size}");
        let first = (size - height) / 2 * size + (size - width) / 2;
        let mut pixels = vec![0; self.len() * self.channels * size * size];
        let planes = self.pixels.chunks_exact(height * width);
        for (plane, target) in planes.zip(pixels.chunks_exact_mut(size * size)) {
            for (row, line) in plane.chunks_exact(width).enumerate() {
                let start = first + row * size;
                target[start..start + width].copy_from_slice(line);
            }
        }
        Self { height: size, width: size, pixels, ..self.without_pixels() }
    }

    /// The images of these indices, in their order.
    ///
    /// # Panics
    ///
    /// If an index is not below [`ImageSet::len`].
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let size = self.image_len();
        let images = indices.iter().map(|&index| &self.pixels[index * size..(index + 1) * size]);
        Self {
            pixels: images.flatten().copied().collect(),
            labels: self.batch_labels(indices),
            ..self.without_pixels()
        }
    }

    /// Gathers images as numbers in [−1, 1], `[indices, channels, height, width]`.
    ///
    /// # Panics
    ///
    /// If an index is not below [`ImageSet::len`].
    pub fn batch(&self, indices: &[usize]) -> Vec<f32> {
        let size = self.image_len();
        let images = indices.iter().map(|&index| &self.pixels[index * size..(index + 1) * size]);
        images.flatten().map(|&pixel| signed_unit(pixel)).collect()
    }

    /// Gathers the labels of images, or nothing where the data has no classes.
    ///
    /// # Panics
    ///
    /// If an index is not below [`ImageSet::len`].
    pub fn batch_labels(&self, indices: &[usize]) -> Option<Vec<u8>> {
        let labels = self.labels.as_ref()?;
        Some(indices.iter().map(|&index| labels[index]).collect())
    }

    pub(super) fn without_pixels(&self) -> Self {
        Self {
            pixels: Vec::new(),
            labels: self.labels.clone(),
            source: self.source.clone(),
            channels: self.channels,
            height: self.height,
            width: self.width,
        }
    }
}

/// Maps a byte to [−1, 1]: `pixel / 127.5 − 1`, so black is −1 and white is 1.
pub fn signed_unit(pixel: u8) -> f32 {
    f32::from(pixel) / 127.5 - 1.0
}

/// Maps a number to the nearest byte, the inverse of [`signed_unit`]; what lies outside [−1, 1] is
/// clamped and NaN becomes black.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest byte, saturating, as intended"
)]
pub fn pixel(value: f32) -> u8 {
    ((value + 1.0) * 127.5).round() as u8
}
