//! Images with the labels that a network is trained on, which may be randomized.

use crate::classify::config::ClassifyConfig;
use crate::classify::model::Sizes;
use crate::classify::norms::Inputs;
use crate::data::image_set::{Dataset, ImageSet};
use crate::data::names::EMBEDDED;
use crate::data::sampler::{hold_out, permutation, uniforms};
use crate::run::check::ensure;
use crate::run::error::RunError;

/// The stream of these draws.
const FOR_CHOICE: u64 = 1 << 40;
const FOR_LABELS: u64 = 1;

/// The data has no classes to learn.
#[derive(Debug, thiserror::Error)]
#[error(
    "classify needs labelled images; use {EMBEDDED}, a folder with the four IDX files, or WAV files in folders by class"
)]
struct NoLabels;

/// What a network learns from and is scored on.
#[derive(Clone, Debug)]
pub struct Examples {
    /// The training images, with the labels that the network is trained on.
    pub train: ImageSet,
    /// The test images, with their own labels.
    pub test: ImageSet,
    /// Which of the training images the network trains on.
    pub trained_on: Vec<usize>,
    /// The held-out ones, on which only rules measure it: one in twenty.
    pub held_out: Vec<usize>,
    /// The sizes that a network for them needs.
    pub sizes: Sizes,
}

impl Examples {
    /// The images that the config asks for, a share of their labels randomized.
    ///
    /// # Errors
    ///
    /// [`RunError::Data`] for images without labels, [`RunError::Config`] for more images than there are.
    pub fn new(data: Dataset, config: &ClassifyConfig, seed: u64) -> Result<Self, RunError> {
        let n_classes = data.class_count().ok_or_else(|| RunError::data(&data.name, NoLabels))?;
        data.must_tell_apart().map_err(|source| RunError::data(&data.name, source))?;
        let (asked, found) = (config.train_images.unwrap_or(0), data.train.len());
        ensure("train_images", asked <= found, || {
            format!("must be at most {found}, all that there are, not {asked}")
        })?;
        let mut train = chosen(data.train, config.train_images, seed);
        train.labels =
            train.labels.map(|labels| randomized(&labels, config.label_noise, n_classes, seed));
        let [trained_on, held_out] = hold_out(train.len());
        let sizes = Sizes { channels: train.channels, side: train.height, n_classes };
        Ok(Self { train, test: data.test, trained_on, held_out, sizes })
    }

    /// The lengths of the images that the network trains on.
    pub fn inputs(&self) -> Inputs {
        let length = |&index: &usize| {
            let values = self.train.batch(&[index]);
            values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>()
        };
        let squares: Vec<f64> = self.trained_on.iter().map(length).collect();
        Inputs {
            frobenius: squares.iter().sum::<f64>().sqrt(),
            radius: squares.iter().copied().fold(0.0, f64::max).sqrt(),
            count: squares.len(),
        }
    }
}

/// `count` of the images, drawn without repetition, or all of them in their own order.
fn chosen(images: ImageSet, count: Option<usize>, seed: u64) -> ImageSet {
    let Some(count) = count.filter(|&count| count < images.len()) else { return images };
    images.select(&permutation(seed, FOR_CHOICE, images.len())[..count])
}

/// The labels, each replaced with chance `share` by one of the classes drawn evenly, which may be the
/// right one (Zhang et al. 2017).
///
/// With one seed, a label that is replaced at a small share is replaced by the same class at a larger one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number below the number of classes, which are bytes"
)]
pub fn randomized(labels: &[u8], share: f64, n_classes: usize, seed: u64) -> Vec<u8> {
    let pending = |(place, &label): (u64, &u8)| {
        let [chance, class] = uniforms(seed, FOR_LABELS, place);
        if chance < share { (class * n_classes as f64) as u8 } else { label }
    };
    (0..).zip(labels).map(pending).collect()
}
