//! Passes whole sets of images through the feature network, a batch at a time.

use burn::tensor::{Device, Tensor, TensorData};

use crate::batch;
use crate::data::image_set::ImageSet;
use crate::features::input::to_network_input;
use crate::features::network::{CLASS_COUNT, FEATURE_COUNT, FeatureNet};
use crate::metrics::feature_set::{Features, MetricError};

/// How many images go through the network at once, to bound its memory.
const BATCH_SIZE: usize = 250;

impl FeatureNet {
    /// Computes the features of a set of images of any size and colour, in the set's order.
    ///
    /// # Errors
    ///
    /// [`MetricError::NonFinite`] where a feature overflows.
    pub fn embed(&self, images: &ImageSet) -> Result<Features, MetricError> {
        self.embed_batches(batches(images, &self.device()))
    }

    /// Computes the features of images that come in batches, say from a generator.
    ///
    /// A feature depends on its own image alone, so how images are batched changes nothing beyond
    /// rounding. No gradient is recorded.
    ///
    /// # Shapes
    ///
    /// - each batch: `[batch, channels, height, width]`, in [-1, 1]; any size and colour, see
    ///   [`to_network_input`]
    ///
    /// # Errors
    ///
    /// [`MetricError::NonFinite`] where an image holds a value that is not finite.
    pub fn embed_batches(
        &self,
        batches: impl IntoIterator<Item = Tensor<4>>,
    ) -> Result<Features, MetricError> {
        let features = |batch: Tensor<4>| self.features(to_network_input(batch.without_autodiff()));
        let values: Vec<f32> =
            batches.into_iter().flat_map(|batch| numbers(features(batch))).collect();
        Features::from_f32(FEATURE_COUNT, &values)
    }

    /// The class that the network assigns to each image.
    pub fn classify(&self, images: &ImageSet) -> Vec<u8> {
        batches(images, &self.device())
            .flat_map(|batch| classes(self.logits(to_network_input(batch.without_autodiff()))))
            .collect()
    }

    /// The class that the network assigns to each image, by its features.
    #[expect(clippy::cast_possible_truncation, reason = "features are computed in f32")]
    pub(crate) fn classes_of(&self, features: &Features) -> Vec<u8> {
        let values: Vec<f32> = features.values().iter().map(|value| *value as f32).collect();
        let shape = [features.count(), features.dim()];
        let features = Tensor::from_data(TensorData::new(values, shape), &self.device());
        classes(self.classify_features(features))
    }

    /// Computes the share of images, 0 to 1, whose class the network gets right.
    ///
    /// There is none for images without labels.
    pub fn accuracy(&self, images: &ImageSet) -> Option<f64> {
        let labels = images.labels.as_ref().filter(|labels| !labels.is_empty())?;
        let classes = self.classify(images);
        let right = classes.iter().zip(labels).filter(|(class, label)| class == label).count();
        Some(right as f64 / labels.len() as f64)
    }
}

fn batches(images: &ImageSet, device: &Device) -> impl Iterator<Item = Tensor<4>> {
    let ranges = (0..images.len()).step_by(BATCH_SIZE);
    ranges.map(move |start| {
        let indices: Vec<usize> = (start..images.len().min(start + BATCH_SIZE)).collect();
        batch::images(images, &indices, device)
    })
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn classes(logits: Tensor<2>) -> Vec<u8> {
    numbers(logits).chunks_exact(CLASS_COUNT).map(position_of_largest).collect()
}

fn position_of_largest(logits: &[f32]) -> u8 {
    let mut largest = 0;
    for (class, logit) in (0..).zip(logits) {
        if *logit > logits[usize::from(largest)] {
            largest = class;
        }
    }
    largest
}
