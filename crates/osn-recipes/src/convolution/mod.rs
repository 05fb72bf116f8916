//! Convolutions of images at the speed of the matrix products that they are made of.
//!
//! Burn's own on the CPU copy every image to channels-last and back, element by element, and make the
//! gradient of a kernel by a convolution whose window is the whole image. These write patches as the
//! columns of a matrix (Chellapilla et al. 2006) and leave the rest to faer's products. Only the CPU has
//! them, for f32; for other tensors, and for groups or dilation, Burn's own run.

mod kernel;
mod ops;
mod patches;
mod phases;

use burn::backend::Dispatch;
use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::tensor::Tensor;

use crate::convolution::ops::{ConvolutionOps, Map};
use crate::host::is_plain;

/// The layer's output, `[batch, in, height, width]` → `[batch, out, height', width']`.
pub fn convolve(layer: &Conv2d, images: Tensor<4>) -> Tensor<4> {
    let padding = match layer.padding {
        PaddingConfig2d::Valid => Some([0, 0]),
        PaddingConfig2d::Explicit(top, left, bottom, right) if [top, left] == [bottom, right] => {
            Some([top, left])
        }
        _ => None,
    };
    let is_simple = layer.groups == 1 && layer.dilation == [1, 1];
    match (padding, &layer.bias) {
        (Some(padding), Some(bias)) if is_simple && is_plain(&images) => {
            let map = Map { stride: layer.stride, padding, is_transposed: false };
            apply(images, &layer.weight, bias, map)
        }
        _ => layer.forward(images),
    }
}

/// The layer's output, `[batch, in, height, width]` → `[batch, out, height', width']`.
pub fn convolve_transpose(layer: &ConvTranspose2d, images: Tensor<4>) -> Tensor<4> {
    let is_simple = layer.groups == 1 && layer.dilation == [1, 1] && layer.padding_out == [0, 0];
    match &layer.bias {
        Some(bias) if is_simple && is_plain(&images) => {
            let (stride, padding) = (layer.stride, layer.padding);
            apply(images, &layer.weight, bias, Map { stride, padding, is_transposed: true })
        }
        _ => layer.forward(images),
    }
}

fn apply(
    images: Tensor<4>,
    kernel: &Param<Tensor<4>>,
    bias: &Param<Tensor<1>>,
    map: Map,
) -> Tensor<4> {
    let [images, kernel] = [images, kernel.val()].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::convolve(images, kernel, bias.val().into_dispatch(), map))
}

#[cfg(test)]
mod tests {
    use burn::nn::conv::{Conv2dConfig, ConvTranspose2dConfig};
    use burn::tensor::Device;

    use super::*;
    use crate::waves::{must_agree, numbers, wave};

    /// The output and the gradients at the images, the kernel and the bias.
    fn output_and_gradients(
        images: &Tensor<4>,
        (kernel, bias): (&Tensor<4>, &Tensor<1>),
        output: Tensor<4>,
    ) -> [Vec<f32>; 4] {
        let weights = wave(output.dims(), 0.37);
        let gradients = (output.clone() * weights).sum().backward();
        let [of_images, of_kernel] =
            [images, kernel].map(|tensor| numbers(tensor.grad(&gradients).unwrap()));
        [numbers(output), of_images, of_kernel, numbers(bias.grad(&gradients).unwrap())]
    }

    const PARTS: [&str; 4] = ["output", "images' gradient", "kernel's gradient", "bias's gradient"];
    /// Batch, in, out, size, kernel, stride, padding; also such that the last pixels meet no kernel, one
    /// kernel is larger than the image, one is smaller than its stride, the padding is wider than the kernel, and chunks
    /// of images come out uneven.
    const CASES: [[usize; 7]; 11] = [
        [3, 2, 5, 28, 4, 2, 1],
        [70, 3, 4, 7, 3, 1, 1],
        [5, 1, 2, 8, 3, 2, 0],
        [2, 3, 2, 3, 5, 1, 1],
        [9, 2, 3, 9, 1, 2, 0],
        [4, 2, 2, 10, 3, 3, 2],
        [1, 1, 1, 1, 1, 1, 0],
        [33, 4, 3, 5, 2, 1, 2],
        [3, 2, 2, 1, 3, 3, 2],
        [3, 2, 2, 20, 2, 3, 3],
        [2, 1, 2, 17, 5, 4, 1],
    ];

    /// Compares the output of a layer and its gradients with what Burn's own forward gives.
    fn must_be_burns(
        case: [usize; 7],
        images: Tensor<4>,
        (kernel, bias): (&Param<Tensor<4>>, &Param<Tensor<1>>),
        [ours, burns]: [&dyn Fn(Tensor<4>) -> Tensor<4>; 2],
    ) {
        let (images, parameters) = (images.require_grad(), (&kernel.val(), &bias.val()));
        let [ours, burns] = [ours, burns]
            .map(|forward| output_and_gradients(&images, parameters, forward(images.clone())));
        for (what, (ours, burns)) in PARTS.iter().zip(ours.iter().zip(&burns)) {
            must_agree(&format!("{case:?}, {what}"), ours, burns, 1e-5);
        }
    }

    #[test]
    fn a_convolution_and_its_gradients_are_burns_own() {
        for case in CASES {
            let [batch, from, to, size, kernel, stride, padding] = case;
            let config = Conv2dConfig::new([from, to], [kernel; 2])
                .with_stride([stride; 2])
                .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding));
            let mut layer = config.init(&Device::flex().autodiff());
            layer.weight = Param::from_tensor(wave([to, from, kernel, kernel], 1.3));
            layer.bias = Some(Param::from_tensor(wave([to], 2.1)));
            must_be_burns(
                case,
                wave([batch, from, size, size], 0.71),
                (&layer.weight, layer.bias.as_ref().unwrap()),
                [&|images| convolve(&layer, images), &|images| layer.forward(images)],
            );
        }
    }

    #[test]
    fn a_transposed_convolution_and_its_gradients_are_burns_own() {
        for case in CASES {
            let [batch, to, from, size, kernel, stride, padding] = case;
            if (size - 1) * stride + kernel <= 2 * padding {
                continue;
            }
            let config = ConvTranspose2dConfig::new([from, to], [kernel; 2])
                .with_stride([stride; 2])
                .with_padding([padding; 2]);
            let mut layer = config.init(&Device::flex().autodiff());
            layer.weight = Param::from_tensor(wave([from, to, kernel, kernel], 1.3));
            layer.bias = Some(Param::from_tensor(wave([to], 2.1)));
            must_be_burns(
                case,
                wave([batch, from, size, size], 0.71),
                (&layer.weight, layer.bias.as_ref().unwrap()),
                [&|images| convolve_transpose(&layer, images), &|images| layer.forward(images)],
            );
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let config =
            Conv2dConfig::new([3, 8], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        let mut layer = config.init(&Device::flex().autodiff());
        layer.weight = Param::from_tensor(wave([8, 3, 3, 3], 1.3));
        let images = wave([37, 3, 9, 9], 0.71).require_grad();
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let output = convolve(&layer, images.clone());
                let parameters = (&layer.weight.val(), &layer.bias.as_ref().unwrap().val());
                output_and_gradients(&images, parameters, output)
            })
        };
        assert!(bits(1) == bits(3));
    }

    #[test]
    fn an_empty_batch_gives_an_empty_one_and_a_gradient_of_zero() {
        let layer = Conv2dConfig::new([2, 3], [3, 3]).init(&Device::flex().autodiff());
        let output = convolve(&layer, wave([0, 2, 9, 9], 0.71));
        assert_eq!(output.dims(), [0, 3, 7, 7]);
        let gradient = layer.weight.val().grad(&output.sum().backward()).unwrap();
        assert_eq!(numbers(gradient), [0.0; 54]);
    }

    #[test]
    fn sides_may_differ_in_size_stride_and_padding() {
        let config = Conv2dConfig::new([2, 3], [3, 5])
            .with_stride([2, 1])
            .with_padding(PaddingConfig2d::Explicit(0, 2, 0, 2));
        let layer = config.init(&Device::flex().autodiff());
        must_be_burns(
            [0; 7],
            wave([5, 2, 7, 18], 0.71),
            (&layer.weight, layer.bias.as_ref().unwrap()),
            [&|images| convolve(&layer, images), &|images| layer.forward(images)],
        );
    }

    #[test]
    fn what_the_kernels_cannot_do_is_left_to_burn() {
        let config = Conv2dConfig::new([2, 2], [3, 3]).with_groups(2).with_dilation([2, 2]);
        let layer = config.init(&Device::flex());
        let images = wave([1, 2, 9, 9], 0.71).inner();
        assert_eq!(numbers(convolve(&layer, images.clone())), numbers(layer.forward(images)));
    }
}
