//! Random numbers that are a pure function of where they are used, so that a run can be resumed.
//!
//! Nothing here carries state from draw to draw. Each draw has its own `ChaCha8` stream: the key
//! holds what the draw is for, the seed and a stream number, and the 64-bit nonce holds the step or
//! the epoch. Two draws that differ in any of these share no block of the cipher.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const PERMUTATION: u64 = 0x7065_726d; // "perm"
const NOISE: u64 = 0x6e6f_6973; // "nois"
const UNIFORM: u64 = 0x756e_6966; // "unif"
const DROPOUT: u64 = 0x6472_6f70; // "drop"

/// Draws batches that visit every image once an epoch, in an order of its own for each epoch.
///
/// What it returns depends on seed, count, step and batch size alone. It only remembers the order
/// of the epoch it was last in, to save the work.
#[derive(Debug, Clone)]
pub struct Sampler {
    seed: u64,
    count: usize,
    epoch: u64,
    order: Vec<usize>,
}

impl Sampler {
    /// A sampler over the images `0..count`.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    pub fn new(seed: u64, count: usize) -> Self {
        assert!(count > 0, "cannot sample from no images");
        Self { seed, count, epoch: 0, order: permutation(seed, 0, count) }
    }

    /// The images of the batch of a step: the places `step·batch_size ..` of the endless sequence
    /// of epochs.
    ///
    /// A batch may end one epoch and begin the next, so none is short and no image is left out.
    pub fn batch_indices(&mut self, step: u64, batch_size: usize) -> Vec<usize> {
        let first = u128::from(step) * batch_size as u128;
        (0..batch_size as u128).map(|offset| self.index(first + offset)).collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "a remainder of count fits usize")]
    fn index(&mut self, place: u128) -> usize {
        let count = self.count as u128;
        let epoch = (place / count) as u64;
        if epoch != self.epoch {
            self.order = permutation(self.seed, epoch, self.count);
            self.epoch = epoch;
        }
        self.order[(place % count) as usize]
    }
}

/// Of so many training images one is held out, whatever the rule, so that rules compare.
const HELD_OUT_OF: usize = 20;

/// Which of so many training images are trained on, and which only show rules what a network makes of
/// what it has not seen: the last of every twenty.
pub(crate) fn hold_out(count: usize) -> [Vec<usize>; 2] {
    let is_held_out = |index: &usize| index % HELD_OUT_OF == HELD_OUT_OF - 1;
    let (held_out, trained_on) = (0..count).partition(is_held_out);
    [trained_on, held_out]
}

/// Up to `count` of them, evenly: data may be sorted.
pub(crate) fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    (0..count).map(move |place| &all[place * all.len() / count])
}

/// Batches of some of the images, each visited once an epoch.
#[derive(Debug, Clone)]
pub(crate) struct Batches {
    indices: Vec<usize>,
    sampler: Sampler,
}

impl Batches {
    /// Batches of the images of these indices.
    pub(crate) fn new(seed: u64, indices: Vec<usize>) -> Self {
        Self { sampler: Sampler::new(seed, indices.len().max(1)), indices }
    }

    /// Whether there is no image to take.
    pub(crate) fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The images of a batch, as [`Sampler::batch_indices`] orders them.
    ///
    /// # Panics
    ///
    /// If there are no images.
    pub(crate) fn batch(&mut self, batch: u64, size: usize) -> Vec<usize> {
        let places = self.sampler.batch_indices(batch, size);
        places.into_iter().map(|place| self.indices[place]).collect()
    }

    /// The same of at most all images, so that none comes twice.
    ///
    /// # Panics
    ///
    /// If there are no images.
    pub(crate) fn distinct_batch(&mut self, batch: u64, size: usize) -> Vec<usize> {
        self.batch(batch, size.min(self.indices.len()))
    }
}

/// A random order of `0..count`, the same for the same seed and nonce (Fisher–Yates).
pub fn permutation(seed: u64, nonce: u64, count: usize) -> Vec<usize> {
    let mut generator = generator(PERMUTATION, seed, 0, nonce);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, below(&mut generator, last + 1));
    }
    order
}

/// Standard normal numbers for one use at one step (Box–Muller).
///
/// `stream` distinguishes the uses within a step: latents of the discriminator's step, of the
/// generator's, of the evaluation, and so on. The first numbers do not depend on how many are asked
/// for. The bits are the same on the same platform; another one's `ln`, `sin` and `cos` may round
/// differently.
pub fn noise(seed: u64, stream: u64, step: u64, count: usize) -> Vec<f32> {
    let mut generator = generator(NOISE, seed, stream, step);
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        values.extend(normal_pair(&mut generator));
    }
    values.truncate(count);
    values
}

/// Numbers uniform in [0, 1) for one use at one step; `stream` and `step` as in [`noise`].
pub(crate) fn uniforms<const N: usize>(seed: u64, stream: u64, step: u64) -> [f64; N] {
    let mut generator = generator(UNIFORM, seed, stream, step);
    std::array::from_fn(|_| uniform(&mut generator))
}

/// Factors of inverted dropout (Srivastava et al. 2014) for one use at one step: 0 with the chance `rate`, to
/// 2⁻¹⁶, else the same number throughout, so that their mean is 1. `stream` and `step` as in [`noise`].
///
/// # Panics
///
/// If `rate` is not from 0 to below 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to below 2^16; factors are f32"
)]
pub(crate) fn dropout(seed: u64, stream: u64, step: u64, rate: f64, count: usize) -> Vec<f32> {
    const STEPS: f64 = 65_536.0;
    assert!((0.0..1.0).contains(&rate), "nothing can be dropped at the rate {rate}");
    let dropped = (rate * STEPS) as u16;
    let factor = (STEPS / (STEPS - f64::from(dropped))) as f32;
    let mut bytes = vec![0; 2 * count];
    generator(DROPOUT, seed, stream, step).fill_bytes(&mut bytes);
    let draws = bytes.as_chunks().0.iter().map(|&draw| u16::from_le_bytes(draw));
    draws.map(|draw| if draw < dropped { 0.0 } else { factor }).collect()
}

/// Places in `0..bound` for one use at one step, drawn without bias and with repetition.
///
/// # Panics
///
/// If `bound` is zero.
pub fn indices(seed: u64, stream: u64, step: u64, bound: usize, count: usize) -> Vec<usize> {
    assert!(bound > 0, "cannot draw from nothing");
    let mut generator = generator(UNIFORM, seed, stream, step);
    (0..count).map(|_| below(&mut generator, bound)).collect()
}

fn generator(purpose: u64, seed: u64, stream: u64, nonce: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, word) in key.chunks_exact_mut(8).zip([purpose, seed, stream, 0]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(nonce);
    generator
}

/// A whole number below `bound`, without bias: the high half of a product (Lemire 2019), drawn
/// again in the few cases that would make some numbers likelier.
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are meant")]
fn below(generator: &mut ChaCha8Rng, bound: usize) -> usize {
    let bound = bound as u64;
    let uneven = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(generator.next_u64()) * u128::from(bound);
        if product as u64 >= uneven {
            return (product >> 64) as usize;
        }
    }
}

/// `√(−2 ln u)·(cos 2πt, sin 2πt)` with u uniform in (0, 1] and t in [0, 1).
#[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
fn normal_pair(generator: &mut ChaCha8Rng) -> [f32; 2] {
    let radius = (-2.0 * (1.0 - uniform(generator)).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * uniform(generator)).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}

/// Uniform in [0, 1), in steps of 2⁻⁵³.
fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scored_is_spread_over_all() {
        let spread = |all: &[usize], count| spread(all, count).copied().collect::<Vec<usize>>();
        assert_eq!(spread(&[10, 11, 12, 13, 14, 15], 3), [10, 12, 14]);
        assert_eq!(spread(&[10, 11], 5), [10, 11]);
        assert_eq!(spread(&[], 5), [0_usize; 0]);
    }
}
