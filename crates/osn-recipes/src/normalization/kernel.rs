//! Batch normalization on the host, over planes of `[batch, channels, positions]`.
//!
//! Sums are taken over each plane, then over the planes of a channel in double precision and in one order, so
//! that the bits do not depend on the number of threads.

use rayon::prelude::*;

/// Numbers that one task reads.
const CHUNK: usize = 1 << 14;
/// So many sums side by side fill the processor's registers.
const LANES: usize = 16;

/// The sizes of one normalization.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) channels: usize,
    pub(super) positions: usize,
}

impl Sizes {
    /// Numbers in the images of one task.
    fn chunk(self) -> usize {
        let image = self.channels * self.positions;
        CHUNK.div_ceil(image.max(1)) * image.max(1)
    }
}

/// What becomes of a number of one channel: `f((x − mean)·scale + offset)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    mean: f32,
    /// `1/√(variance + ε)`
    inverse: f32,
    /// `γ/√(variance + ε)`
    scale: f32,
    offset: f32,
}

impl Channel {
    #[expect(clippy::cast_possible_truncation, reason = "tensors are f32")]
    pub(super) fn new([gamma, beta]: [f32; 2], [mean, variance]: [f32; 2], epsilon: f64) -> Self {
        let inverse = (f64::from(variance) + epsilon).sqrt().recip() as f32;
        Self { mean, inverse, scale: gamma * inverse, offset: beta }
    }

    fn before_activation(self, x: f32) -> f32 {
        (x - self.mean) * self.scale + self.offset
    }
}

/// `f(z) = z` above zero and `slope·z` elsewhere: no activation with a slope of 1.
fn activate(z: f32, slope: f32) -> f32 {
    z * derivative(z, slope)
}

fn derivative(z: f32, slope: f32) -> f32 {
    if z > 0.0 { 1.0 } else { slope }
}

/// The mean and the biased variance of each channel from one reading: those of each plane, and from them those
/// of all planes (Chan et al. 1983, equation 2.1).
pub(super) fn statistics(x: &[f32], sizes: Sizes) -> [Vec<f32>; 2] {
    let planes = of_planes([x, x], sizes, |_, x, _| mean_and_square(x));
    let of_channel = |channel| {
        let planes = || planes.iter().skip(channel).step_by(sizes.channels);
        let (images, positions) = (planes().len() as f64, sizes.positions as f64);
        let mean = planes().map(|plane| f64::from(plane[0])).sum::<f64>() / images;
        let within: f64 = planes().map(|plane| f64::from(plane[1])).sum();
        let between: f64 = planes().map(|plane| (f64::from(plane[0]) - mean).powi(2)).sum();
        [mean, (within / positions + between) / images]
    };
    per_channel(sizes, of_channel)
}

/// The mean of a plane and the sum of the squares around it.
fn mean_and_square(plane: &[f32]) -> [f32; 2] {
    let mean = sum(plane, plane, |x, _| [x, 0.0])[0] / plane.len() as f32;
    let square = sum(plane, plane, |x, _| [(x - mean) * (x - mean), 0.0])[0];
    [mean, square]
}

/// `f((x − mean)·scale + offset)`
pub(super) fn normalize(x: &[f32], channels: &[Channel], slope: f32, sizes: Sizes) -> Vec<f32> {
    let mut output = vec![0.0; x.len()];
    let chunks = output.par_chunks_mut(sizes.chunk()).zip(x.par_chunks(sizes.chunk()));
    chunks.for_each(|(output, x)| {
        let planes = output.chunks_mut(sizes.positions).zip(x.chunks(sizes.positions));
        for ((output, x), channel) in planes.zip(channels.iter().cycle()) {
            for (y, x) in output.iter_mut().zip(x) {
                *y = activate(channel.before_activation(*x), slope);
            }
        }
    });
    output
}

/// The gradients at x, γ and β, from two readings.
pub(super) fn gradients(
    [x, grad]: [&[f32]; 2],
    channels: &[Channel],
    slope: f32,
    sizes: Sizes,
) -> [Vec<f32>; 3] {
    let [sums, products] = sums([x, grad], channels, slope, sizes);
    let count = (x.len() / sizes.channels) as f32;
    let with_means =
        channels.iter().zip(sums.iter().zip(&products)).map(|(channel, (sum, product))| {
            // x̂·Σ h·x̂/n is (x − mean) times this.
            (*channel, [sum / count, channel.inverse * channel.inverse * product / count])
        });
    let of_x = gradient([x, grad], &with_means.collect::<Vec<_>>(), slope, sizes);
    let of_gamma =
        channels.iter().zip(products).map(|(channel, product)| channel.inverse * product);
    [of_x, of_gamma.collect(), sums]
}

/// For each channel `Σ h` and `Σ h·(x − mean)`, where `h` is the gradient before the activation.
fn sums([x, grad]: [&[f32]; 2], channels: &[Channel], slope: f32, sizes: Sizes) -> [Vec<f32>; 2] {
    let planes = of_planes([x, grad], sizes, |channel, x, grad| {
        let channel = channels[channel];
        sum(x, grad, |x, grad| {
            let grad = grad * derivative(channel.before_activation(x), slope);
            [grad, grad * (x - channel.mean)]
        })
    });
    per_channel(sizes, |channel| {
        let planes = || planes.iter().skip(channel).step_by(sizes.channels);
        [0, 1].map(|which| planes().map(|plane| f64::from(plane[which])).sum())
    })
}

/// `scale·(h − a − b·(x − mean))` for the `[a, b]` of each channel.
fn gradient(
    [x, grad]: [&[f32]; 2],
    channels: &[(Channel, [f32; 2])],
    slope: f32,
    sizes: Sizes,
) -> Vec<f32> {
    let mut output = vec![0.0; x.len()];
    let chunks = output.par_chunks_mut(sizes.chunk()).zip(x.par_chunks(sizes.chunk()));
    chunks.zip(grad.par_chunks(sizes.chunk())).for_each(|((output, x), grad)| {
        let planes = output.chunks_mut(sizes.positions).zip(x.chunks(sizes.positions));
        let planes = planes.zip(grad.chunks(sizes.positions));
        for (((output, x), grad), (channel, [a, b])) in planes.zip(channels.iter().cycle()) {
            for ((output, x), grad) in output.iter_mut().zip(x).zip(grad) {
                let grad = grad * derivative(channel.before_activation(*x), slope);
                *output = channel.scale * (grad - a - b * (x - channel.mean));
            }
        }
    });
    output
}

#[expect(clippy::cast_possible_truncation, reason = "tensors are f32")]
fn per_channel(sizes: Sizes, values: impl Fn(usize) -> [f64; 2]) -> [Vec<f32>; 2] {
    (0..sizes.channels)
        .map(|channel| values(channel).map(|value| value as f32).into())
        .unzip()
        .into()
}

/// What `of` gives for the channel and the two planes at each, in order.
fn of_planes(
    [a, b]: [&[f32]; 2],
    sizes: Sizes,
    of: impl Fn(usize, &[f32], &[f32]) -> [f32; 2] + Sync,
) -> Vec<[f32; 2]> {
    let planes = a.par_chunks(sizes.positions).zip(b.par_chunks(sizes.positions)).enumerate();
    planes
        .with_min_len(CHUNK.div_ceil(sizes.positions))
        .map(|(index, (a, b))| of(index % sizes.channels, a, b))
        .collect()
}

/// `Σ f(a, b)`, as so many sums side by side as there are lanes.
fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> [f32; 2]) -> [f32; 2] {
    let ((blocks, rest), (others, other_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let [mut first, mut second] = [[0.0; LANES]; 2];
    for (block, other) in blocks.iter().zip(others) {
        for lane in 0..LANES {
            let added = f(block[lane], other[lane]);
            first[lane] += added[0];
            second[lane] += added[1];
        }
    }
    for (lane, (number, other)) in rest.iter().zip(other_rest).enumerate() {
        let added = f(*number, *other);
        first[lane] += added[0];
        second[lane] += added[1];
    }
    [first, second].map(|lanes| lanes.iter().sum())
}
