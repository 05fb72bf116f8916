//! Masked softmax, layer normalization and cross-entropy as operations of a backend, each with its backward.
//!
//! Burn's own are made of a dozen operations that each go over the memory; these go over it once. Only the CPU
//! has them, for f32; for other tensors the composed ones run.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::LayerNorm;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Int, Shape, Tensor, TensorData};

use crate::host::{backward, contiguous, is_plain, tensor, values, values_mut};
use crate::nmt::kernel::{self, Wanted};

/// ε of layer normalization (Ba et al. 2016 leave it open; PyTorch: 1e-5).
pub(super) const EPSILON: f32 = 1e-5;

/// Of so many keys a query may look at the first ones.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    /// The keys of each sentence, at least 1; what lies behind is padding.
    pub(super) lengths: Arc<[usize]>,
    /// Whether a query looks at no key behind its own place.
    pub(super) is_causal: bool,
}

impl Mask {
    /// How many of `keys` keys the query at a place of a sentence looks at.
    pub(super) fn n_seen(&self, sentence: usize, query: usize, keys: usize) -> usize {
        let most = if self.is_causal { keys.min(query + 1) } else { keys };
        most.min(self.lengths[sentence])
    }

    /// 0 where a query may look and a number that softmax makes 0 where it may not, `[batch, 1, queries, keys]`.
    fn penalties(&self, queries: usize, keys: usize, device: &Device) -> Tensor<4> {
        let batch = self.lengths.len();
        let rows = (0..batch * queries).map(|row| self.n_seen(row / queries, row % queries, keys));
        let row = |seen| (0..keys).map(move |key| if key < seen { 0.0 } else { -1e30_f32 });
        let values: Vec<f32> = rows.flat_map(row).collect();
        Tensor::from_data(TensorData::new(values, [batch, 1, queries, keys]), device)
    }
}

/// Where each query looks: `softmax(scale·scores)` over the keys that it may look at.
///
/// # Shapes
///
/// `[batch, heads, queries, keys]` → the same.
pub(super) fn attention_weights(scores: Tensor<4>, mask: &Mask, scale: f32) -> Tensor<4> {
    if is_plain(&scores) {
        let rows = Rows { mask: mask.clone(), scale };
        return Tensor::from_dispatch(Dispatch::masked_softmax(scores.into_dispatch(), rows));
    }
    let [_, _, queries, keys] = scores.dims();
    let penalties = mask.penalties(queries, keys, &scores.device());
    softmax(scores * scale + penalties, 3)
}

/// The layer's output, the shape of `x`.
pub(super) fn normalize(layer: &LayerNorm, x: Tensor<3>) -> Tensor<3> {
    match &layer.beta {
        Some(beta) if is_plain(&x) => {
            let [gamma, beta] =
                [&layer.gamma, beta].map(|parameter| parameter.val().into_dispatch());
            Tensor::from_dispatch(Dispatch::layer_normalized(x.into_dispatch(), gamma, beta))
        }
        _ => layer.forward(x),
    }
}

/// The mean of `−Σ q ln softmax(logits)` over rows, `[1]`, where `q` is `1 − smoothing` at the class, plus an
/// even share of `smoothing` everywhere (Szegedy et al. 2016, section 7).
///
/// # Shapes
///
/// `logits`: `[classes.len(), n_classes]`.
pub(super) fn cross_entropy(logits: Tensor<2>, classes: &[u32], smoothing: f32) -> Tensor<1> {
    if is_plain(&logits) {
        let rows = Classes { classes: classes.into(), smoothing };
        return Tensor::from_dispatch(Dispatch::smoothed_cross_entropy(
            logits.into_dispatch(),
            rows,
        ));
    }
    let count = classes.len();
    let places: Vec<i64> = classes.iter().copied().map(i64::from).collect();
    let places = Tensor::<2, Int>::from_data(TensorData::new(places, [count, 1]), &logits.device());
    let logs = log_softmax(logits, 1);
    let of_class = logs.clone().gather(1, places).mean();
    (of_class * (1.0 - smoothing) + logs.mean() * smoothing).neg()
}

/// What masked softmax does with each row.
#[derive(Clone, Debug)]
struct Rows {
    mask: Mask,
    scale: f32,
}

/// What logits should say.
#[derive(Clone, Debug)]
struct Classes {
    classes: Arc<[u32]>,
    smoothing: f32,
}

/// The three operations, for tensors of f32.
#[backend_extension(Flex, Autodiff)]
trait RowOps: Backend {
    fn masked_softmax(scores: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self>;

    fn layer_normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn smoothed_cross_entropy(logits: FloatTensor<Self>, rows: Classes) -> FloatTensor<Self>;
}

impl RowOps for Flex {
    fn masked_softmax(scores: FlexTensor, rows: Rows) -> FlexTensor {
        let [_, heads, queries, keys] = scores.shape().dims();
        let mut scores = contiguous(scores);
        let n_seen = |row| rows.mask.n_seen(row / (heads * queries), row % queries, keys);
        kernel::softmax(values_mut(&mut scores), keys, rows.scale, n_seen);
        scores
    }

    fn layer_normalized(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor) -> FlexTensor {
        let shape = x.shape();
        let [x, gamma, beta] = [x, gamma, beta].map(contiguous);
        tensor(kernel::layer_norm(values(&x), values(&gamma), values(&beta), EPSILON), shape)
    }

    fn smoothed_cross_entropy(logits: FlexTensor, rows: Classes) -> FlexTensor {
        cross_entropy_and_gradient(logits, &rows).0
    }
}

impl<C: CheckpointStrategy> RowOps for Autodiff<Flex, C> {
    fn masked_softmax(scores: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self> {
        let (parent, scale) = (scores.node(), rows.scale);
        let output = Flex::masked_softmax(scores.into_primitive(), rows);
        match Softmax.prepare::<C>([parent]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((output.clone(), scale), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn layer_normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let parents = [x.node(), gamma.node(), beta.node()];
        let (x, gamma) = (x.into_primitive(), gamma.into_primitive());
        let output = Flex::layer_normalized(x.clone(), gamma.clone(), beta.into_primitive());
        match Normalize.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, gamma), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn smoothed_cross_entropy(logits: FloatTensor<Self>, rows: Classes) -> FloatTensor<Self> {
        let parent = logits.node();
        let (loss, gradient) = cross_entropy_and_gradient(logits.into_primitive(), &rows);
        match CrossEntropy.prepare::<C>([parent]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(gradient, loss),
            OpsKind::UnTracked(prep) => prep.finish(loss),
        }
    }
}

/// The loss and its gradient at the logits.
fn cross_entropy_and_gradient(logits: FlexTensor, rows: &Classes) -> (FlexTensor, FlexTensor) {
    let [_, width] = logits.shape().dims();
    let mut logits = contiguous(logits);
    let wanted = Wanted { classes: &rows.classes, smoothing: rows.smoothing };
    let loss = kernel::cross_entropy(values_mut(&mut logits), width, wanted);
    (tensor(vec![loss], [1]), logits)
}

/// The graph node of masked softmax.
#[derive(Debug)]
struct Softmax;

impl Backward<Flex, 1> for Softmax {
    /// The probabilities and the scale.
    type State = (FlexTensor, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        backward(ops, grads, |(probabilities, scale), grad| {
            let [.., keys] = probabilities.shape().dims::<4>();
            let (probabilities, mut grad) = (contiguous(probabilities), contiguous(grad));
            kernel::softmax_gradient(values(&probabilities), values_mut(&mut grad), keys, scale);
            [grad]
        });
    }
}

/// The graph node of layer normalization; its parents are x, γ and β.
#[derive(Debug)]
struct Normalize;

impl Backward<Flex, 3> for Normalize {
    /// x and γ.
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        backward(ops, grads, |(x, gamma), grad| {
            let shapes = [x.shape(), gamma.shape(), gamma.shape()];
            let [x, gamma, grad] = [x, gamma, grad].map(contiguous);
            let [of_x, of_gamma, of_beta] =
                kernel::layer_norm_gradients(values(&x), values(&gamma), values(&grad), EPSILON);
            let [x, gamma, beta] = shapes;
            [tensor(of_x, x), tensor(of_gamma, gamma), tensor(of_beta, beta)]
        });
    }
}

/// The graph node of the loss.
#[derive(Debug)]
struct CrossEntropy;

impl Backward<Flex, 1> for CrossEntropy {
    /// The gradient of the loss.
    type State = FlexTensor;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        backward(ops, grads, |gradient, grad| {
            [Flex::float_mul(gradient, Flex::float_reshape(grad, Shape::new([1, 1])))]
        });
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LayerNormConfig;
    use burn::tensor::activation::log_softmax;

    use super::*;
    use crate::waves::{self, numbers};

    fn wave<const D: usize>(shape: [usize; D], frequency: f32) -> Tensor<D> {
        waves::wave(shape, frequency) * 3.0
    }

    fn must_agree(what: &str, ours: &[f32], theirs: &[f32]) {
        assert_eq!(ours.len(), theirs.len(), "{what}");
        let size = theirs.iter().fold(0.1_f32, |size, x| size.max(x.abs()));
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() <= 2e-6 * size, "{what}: {a} and {b}");
        }
    }

    /// What a function gives, and the gradient at its argument under uneven weights.
    fn with_gradient<const D: usize, const E: usize>(
        x: &Tensor<D>,
        function: impl Fn(Tensor<D>) -> Tensor<E>,
    ) -> [Vec<f32>; 2] {
        let output = function(x.clone());
        let gradients = (output.clone() * wave(output.dims(), 0.37)).sum().backward();
        [numbers(output), numbers(x.grad(&gradients).unwrap())]
    }

    fn compare([ours, theirs]: [[Vec<f32>; 2]; 2]) {
        for (what, (ours, theirs)) in ["output", "gradient"].iter().zip(ours.iter().zip(&theirs)) {
            must_agree(what, ours, theirs);
        }
    }

    /// Sizes around the lanes and the chunks of the kernels.
    const WIDTHS: [usize; 5] = [1, 3, 16, 17, 64];

    #[test]
    fn masked_softmax_is_that_of_burn_under_penalties() {
        for keys in WIDTHS {
            for is_causal in [false, true] {
                let mask = Mask { lengths: [keys, 1, keys.div_ceil(2)].into(), is_causal };
                let x = wave([3, 2, keys.max(5), keys], 1.3).require_grad();
                let penalties = mask.penalties(keys.max(5), keys, &x.device());
                compare([
                    with_gradient(&x, |x| attention_weights(x, &mask, 0.7)),
                    with_gradient(&x, |x| softmax(x * 0.7 + penalties.clone(), 3)),
                ]);
            }
        }
    }

    #[test]
    fn layer_normalization_and_its_three_gradients_are_burns() {
        for width in [3, 16, 17, 64] {
            let mut layer = LayerNormConfig::new(width).init(&Device::flex().autodiff());
            layer.gamma = burn::module::Param::from_tensor(wave([width], 0.9) + 1.0);
            layer.beta = Some(burn::module::Param::from_tensor(wave([width], 0.2)));
            let x = wave([7, 11, width], 2.3).require_grad();
            let run = |forward: &dyn Fn(Tensor<3>) -> Tensor<3>| {
                let output = forward(x.clone());
                let gradients = (output.clone() * wave(output.dims(), 0.37)).sum().backward();
                let of = |parameter: Tensor<1>| numbers(parameter.grad(&gradients).unwrap());
                let beta = layer.beta.as_ref().unwrap().val();
                let of_x = numbers(x.grad(&gradients).unwrap());
                [numbers(output), of_x, of(layer.gamma.val()), of(beta)]
            };
            let ours = run(&|x| normalize(&layer, x));
            let theirs = run(&|x| layer.forward(x));
            for (what, (ours, theirs)) in ["y", "x", "γ", "β"].iter().zip(ours.iter().zip(&theirs))
            {
                waves::must_agree(&format!("{what} at {width}"), ours, theirs, 2e-5);
            }
        }
    }

    #[test]
    fn cross_entropy_and_its_gradient_are_those_of_the_logarithm_of_burns_softmax() {
        for width in [3, 16, 100] {
            for smoothing in [0.0, 0.1] {
                let x = wave([70, width], 1.7).require_grad();
                let count = u32::try_from(width).unwrap();
                let classes: Vec<u32> = (0..70).map(|row| row * 7 % count).collect();
                let one_hot = classes.iter().flat_map(|&class| {
                    (0..count).map(move |place| if place == class { 1.0_f32 } else { 0.0 })
                });
                let one_hot = TensorData::new(one_hot.collect::<Vec<f32>>(), [70, width]);
                let one_hot = Tensor::<2>::from_data(one_hot, &x.device());
                let wanted = one_hot * (1.0 - smoothing) + smoothing / width as f32;
                compare([
                    with_gradient(&x, |x| cross_entropy(x, &classes, smoothing)),
                    with_gradient(&x, |x| (log_softmax(x, 1) * wanted.clone()).sum().neg() / 70.0),
                ]);
            }
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let layer = LayerNormConfig::new(24).init(&Device::flex().autodiff());
        // More than is done by one thread.
        let x = wave([200, 20, 24], 2.3).require_grad();
        let classes = vec![5; 4_000];
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let loss =
                    |x| cross_entropy(normalize(&layer, x).reshape([4_000, 24]), &classes, 0.1);
                with_gradient(&x, loss)
            })
        };
        assert!(bits(1) == bits(3));
    }
}
