//! Brings any image into the form that the feature network was trained on.

use burn::tensor::{Device, Tensor, TensorData};

/// Height and width, in pixels, of the images that the feature network sees.
pub const IMAGE_SIZE: usize = 28;

/// Turns images of any size and colour into grey ones of 28×28 pixels.
///
/// Colour channels are averaged. Then each output pixel is the mean of the input over the square
/// that it covers, `Y = R·X·Cᵀ` with rows of `R` and `C` that sum to one, so nothing is skipped
/// when shrinking; Parmar et al. 2022 show how far resizing that skips pixels moves such distances.
/// Images that are already grey and 28×28 come back unchanged.
///
/// # Shapes
///
/// - `images`: `[batch, channels, height, width]`, in [-1, 1]
/// - output: `[batch, 1, 28, 28]`, in [-1, 1]
pub(crate) fn to_network_input(images: Tensor<4>) -> Tensor<4> {
    let [_, channels, height, width] = images.dims();
    let grey = if channels == 1 { images } else { images.mean_dim(1) };
    if [height, width] == [IMAGE_SIZE, IMAGE_SIZE] {
        return grey;
    }
    let device = grey.device();
    let rows = box_filter(height, &device);
    let columns = box_filter(width, &device).transpose();
    rows.matmul(grey).matmul(columns)
}

/// The weights `[1, 1, 28, from]` that average `from` pixels over 28 equal stretches.
///
/// `weight[i][j]` is the length that stretch `i` shares with pixel `j`, over the stretch's length.
fn box_filter(from: usize, device: &Device) -> Tensor<4> {
    let stretch = from as f64 / IMAGE_SIZE as f64;
    let weight = |index: usize| {
        let (row, pixel) = (index / from, (index % from) as f64);
        let (start, end) = (row as f64 * stretch, (row + 1) as f64 * stretch);
        (end.min(pixel + 1.0) - start.max(pixel)).max(0.0) / stretch
    };
    let weights: Vec<f64> = (0..IMAGE_SIZE * from).map(weight).collect();
    Tensor::from_data(TensorData::new(weights, [1, 1, IMAGE_SIZE, from]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(images: Tensor<4>) -> Vec<f32> {
        images.into_data().iter().collect()
    }

    fn ramp(shape: [usize; 4], device: &Device) -> Tensor<4> {
        let values = (0..shape.iter().product()).map(|index| (index % 97) as f32 / 48.0 - 1.0);
        Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), shape), device)
    }

    #[test]
    fn a_grey_image_of_the_right_size_is_left_alone() {
        let images = ramp([2, 1, IMAGE_SIZE, IMAGE_SIZE], &Device::flex());
        assert_eq!(values(to_network_input(images.clone())), values(images));
    }

    #[test]
    fn halving_averages_two_by_two_pixels() {
        let large = ramp([1, 1, 56, 56], &Device::flex());
        let source = values(large.clone());
        let judged = values(to_network_input(large));
        for (index, value) in judged.iter().enumerate() {
            let corner = (index / IMAGE_SIZE) * 2 * 56 + (index % IMAGE_SIZE) * 2;
            let square = [corner, corner + 1, corner + 56, corner + 57];
            let mean = square.iter().map(|&pixel| source[pixel]).sum::<f32>() / 4.0;
            assert!((value - mean).abs() < 1e-6, "pixel {index}: {value} is not {mean}");
        }
    }

    #[test]
    fn resizing_keeps_the_mean_and_a_constant_image() {
        let device = Device::flex();
        for size in [14, 32, 45, 64] {
            let images = ramp([1, 1, size, size + 3], &device);
            let before = images.clone().mean().into_scalar::<f32>();
            let after = to_network_input(images).mean().into_scalar::<f32>();
            assert!((before - after).abs() < 1e-5, "size {size}: {before} became {after}");

            let flat = to_network_input(Tensor::full([1, 1, size, size], 0.25, &device));
            assert!(values(flat).iter().all(|value| (value - 0.25).abs() < 1e-6));
        }
    }

    #[test]
    fn colour_becomes_the_mean_of_its_channels() {
        let device = Device::flex();
        let channel = |value: f32| Tensor::<4>::full([1, 1, 28, 28], value, &device);
        let colour = Tensor::cat(vec![channel(0.9), channel(-0.3), channel(0.0)], 1);
        assert!(values(to_network_input(colour)).iter().all(|value| (value - 0.2).abs() < 1e-6));
    }
}
