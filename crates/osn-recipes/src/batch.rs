//! Images and labels as tensors, and back.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::image_set::ImageSet;
use crate::run::samples::ImageGrid;

/// The images of these indices, `[indices, channels, height, width]`, in [−1, 1].
///
/// # Panics
///
/// If an index is not below the number of images.
pub fn images(set: &ImageSet, indices: &[usize], device: &Device) -> Tensor<4> {
    let shape = [indices.len(), set.channels, set.height, set.width];
    Tensor::from_data(TensorData::new(set.batch(indices), shape), device)
}

/// Classes as a tensor, `[labels]`.
pub fn classes(labels: &[u8], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = labels.iter().copied().map(i64::from).collect();
    let count = labels.len();
    Tensor::from_data(TensorData::new(labels, [count]), device)
}

/// The classes of the images of these indices, `[indices]`, of images that have classes.
///
/// # Panics
///
/// If an index is not below the number of images.
pub(crate) fn classes_of(set: &ImageSet, indices: &[usize], device: &Device) -> Tensor<1, Int> {
    classes(&set.batch_labels(indices).unwrap_or_default(), device)
}

/// The one number of a tensor `[1]`; NaN of none.
pub fn number(tensor: Tensor<1>) -> f64 {
    tensor.into_data().iter().next().unwrap_or(f64::NAN)
}

/// All numbers of a tensor, in the order of its shape.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.without_autodiff().into_data().iter().collect()
}

/// Numbers as a tensor without a graph.
pub(crate) fn tensor<const D: usize>(
    numbers: &[f64],
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    let data = TensorData::new(numbers.to_vec(), shape).convert::<f32>();
    Tensor::from_data(data, &device.clone().without_autodiff())
}

/// The mean of one of the numbers of each shard, `[1]`, without a graph.
pub(crate) fn mean_of(shards: &[Vec<f64>], at: usize, device: &Device) -> Tensor<1> {
    let sum: f64 = shards.iter().map(|shard| shard[at]).sum();
    tensor(&[sum / shards.len() as f64], [1], device)
}

/// The first and the second halves of what each shard has behind its first number, one shard behind the other.
pub(crate) fn joined_halves(shards: &[Vec<f64>]) -> [Vec<f64>; 2] {
    let halves = shards.iter().map(|shard| shard[1..].split_at(shard.len() / 2));
    let (first, second): (Vec<&[f64]>, Vec<&[f64]>) = halves.unzip();
    [first.concat(), second.concat()]
}

/// Images `[count, channels, height, width]`, to be shown in so many columns.
pub fn grid(images: Tensor<4>, columns: usize) -> ImageGrid {
    let [count, channels, height, width] = images.dims();
    let values = images.into_data().iter().collect();
    ImageGrid { values, count, channels, height, width, columns }
}
