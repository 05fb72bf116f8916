//! Multi-head attention, and what a forward pass takes along.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::data::sampler::dropout;
use crate::nmt::ops::{Mask, attention_weights};

/// `softmax(Q Kᵀ/√d) V` in several heads, each with its columns of the projections (Vaswani et al. 2017,
/// section 3.2.2).
#[derive(Module, Debug)]
pub(super) struct MultiHeadAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

/// The keys and values that queries look at, each `[batch, heads, keys, width/heads]`.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) keys: Tensor<4>,
    pub(super) values: Tensor<4>,
}

impl Memory {
    /// These and then those of `later`.
    pub(super) fn then(self, later: Self) -> Self {
        Self {
            keys: Tensor::cat(vec![self.keys, later.keys], 2),
            values: Tensor::cat(vec![self.values, later.values], 2),
        }
    }
}

/// What one attention did: logits and where each query looked, both `[batch, heads, queries,
/// keys]`.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) logits: Tensor<4>,
    pub(super) weights: Tensor<4>,
    pub(super) mask: Mask,
}

/// What a forward pass takes along.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Absent where nothing is dropped.
    pub(super) dropout: Option<Dropout>,
    /// What every attention did, in the order of the pass; absent where nobody asks.
    pub(super) seen: Option<Vec<Seen>>,
}

impl Pass {
    /// The numbers, some of them dropped in training.
    pub(super) fn drop(&mut self, x: Tensor<3>) -> Tensor<3> {
        match &mut self.dropout {
            Some(dropout) => dropout.apply(x),
            None => x,
        }
    }
}

/// Inverted dropout, drawn anew for each step and place (Srivastava et al. 2014).
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropout {
    /// The chance that a number is dropped, below 1.
    pub(super) rate: f64,
    pub(super) seed: u64,
    /// The stream of the next draw; each place of a pass has its own.
    pub(super) stream: u64,
    pub(super) step: u64,
}

impl Dropout {
    fn apply(&mut self, x: Tensor<3>) -> Tensor<3> {
        let (shape, device) = (x.dims(), x.device());
        let factors = dropout(self.seed, self.stream, self.step, self.rate, shape.iter().product());
        self.stream += 1;
        x * Tensor::from_data(TensorData::new(factors, shape), &device)
    }
}

impl MultiHeadAttention {
    pub(super) fn new(width: usize, heads: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(width, width).init(device);
        Self { query: linear(), key: linear(), value: linear(), output: linear(), heads }
    }

    /// Keys and values of `x`, `[batch, keys, width]`.
    pub(super) fn remember(&self, x: Tensor<3>) -> Memory {
        Memory {
            keys: self.by_head(self.key.forward(x.clone())),
            values: self.by_head(self.value.forward(x)),
        }
    }

    /// What the queries of `x` find in a memory.
    ///
    /// # Shapes
    ///
    /// `x` and the result: `[batch, queries, width]`.
    pub(super) fn look(
        &self,
        x: Tensor<3>,
        memory: &Memory,
        mask: &Mask,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let [batch, queries, width] = x.dims();
        let queried = self.by_head(self.query.forward(x));
        let scores = queried.matmul(memory.keys.clone().swap_dims(2, 3));
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        let scale = (width as f64 / self.heads as f64).sqrt().recip() as f32;
        let kept = pass.seen.is_some().then(|| scores.clone());
        let weights = attention_weights(scores, mask, scale);
        if let (Some(seen), Some(scores)) = (&mut pass.seen, kept) {
            seen.push(Seen {
                logits: scores * scale,
                weights: weights.clone(),
                mask: mask.clone(),
            });
        }
        let found = weights.matmul(memory.values.clone());
        self.output.forward(found.swap_dims(1, 2).reshape([batch, queries, width]))
    }

    /// `[batch, length, width]` → `[batch, heads, length, width/heads]`.
    fn by_head(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, length, width] = x.dims();
        x.reshape([batch, length, self.heads, width / self.heads]).swap_dims(1, 2)
    }
}
