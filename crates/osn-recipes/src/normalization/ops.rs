//! Batch normalization and an activation as one operation of a backend, with its backward.
//!
//! With `z = γ·x̂ + β`, `x̂ = (x − μ)/√(σ² + ε)` over a batch of `n` numbers in each channel, and `h = g·f'(z)`, the
//! gradients of `⟨g, f(z)⟩` are `Σ h` at β, `Σ h·x̂` at γ, and at x `γ/√(σ² + ε) · (h − Σ h/n − x̂·Σ h·x̂/n)`
//! (Ioffe and Szegedy 2015, section 3).

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::backend::Cube;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Flex, Scalar, TensorMetadata, backend_extension,
};
use burn::tensor::{DType, TensorData};

use crate::host::{contiguous, values};
use crate::normalization::kernel::{self, Channel, Sizes};

/// What is the same for all channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formula {
    /// Added to the variance.
    pub(crate) epsilon: f64,
    /// `f(z)` is `z` above zero and `slope·z` elsewhere.
    pub(crate) slope: f64,
}

impl Formula {
    #[expect(clippy::cast_possible_truncation, reason = "tensors are f32")]
    fn slope(self) -> f32 {
        self.slope as f32
    }
}

/// The normalization by the statistics of the batch, that by given ones, and the gradients of the first.
#[backend_extension(
    Flex,
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Autodiff
)]
pub(crate) trait NormalizationOps: Backend {
    /// The output, and the mean and the biased variance of each channel.
    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        formula: Formula,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        burns::normalize_batch::<Self>(x, gamma, beta, formula)
    }

    /// The output with a given mean and variance of each channel.
    fn normalize_by(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        formula: Formula,
    ) -> FloatTensor<Self> {
        burns::normalize_by::<Self>(x, gamma, beta, mean, variance, formula)
    }

    /// The gradients at `x`, `gamma` and `beta` of [`normalize_batch`](Self::normalize_batch), which gave the
    /// mean and the variance.
    fn normalize_batch_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        formula: Formula,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        burns::normalize_batch_backward::<Self>(x, gamma, beta, mean, variance, grad, formula)
    }
}

/// Burn's own operations, for other devices and other numbers than f32.
mod burns {
    use super::{Backend, FloatTensor, Formula, Scalar};

    type Three<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    pub(super) fn normalize_batch<B: Backend>(
        x: FloatTensor<B>,
        gamma: FloatTensor<B>,
        beta: FloatTensor<B>,
        formula: Formula,
    ) -> Three<B> {
        let result = B::batch_norm_train(x, gamma, beta, formula.epsilon);
        let output = B::leaky_relu(result.output, Scalar::Float(formula.slope));
        (output, result.mean, result.variance)
    }

    pub(super) fn normalize_by<B: Backend>(
        x: FloatTensor<B>,
        gamma: FloatTensor<B>,
        beta: FloatTensor<B>,
        mean: FloatTensor<B>,
        variance: FloatTensor<B>,
        formula: Formula,
    ) -> FloatTensor<B> {
        let z = B::batch_norm(x, gamma, beta, mean, variance, formula.epsilon);
        B::leaky_relu(z, Scalar::Float(formula.slope))
    }

    pub(super) fn normalize_batch_backward<B: Backend>(
        x: FloatTensor<B>,
        gamma: FloatTensor<B>,
        beta: FloatTensor<B>,
        mean: FloatTensor<B>,
        variance: FloatTensor<B>,
        grad: FloatTensor<B>,
        formula: Formula,
    ) -> Three<B> {
        let Formula { epsilon, slope } = formula;
        let statistics = (mean.clone(), variance.clone());
        let z = B::batch_norm(x.clone(), gamma.clone(), beta, statistics.0, statistics.1, epsilon);
        let through = B::float_mul_scalar(grad.clone(), Scalar::Float(slope));
        let above = B::float_mul_scalar(B::relu_backward(z, grad), Scalar::Float(1.0 - slope));
        let grad = B::float_add(through, above);
        let backward = B::batch_norm_train_backward(x, gamma, mean, variance, epsilon, grad);
        (backward.x_grad, backward.gamma_grad, backward.beta_grad)
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl NormalizationOps for Cube {}

impl NormalizationOps for Flex {
    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        formula: Formula,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !are_single([&x, &gamma, &beta]) {
            return burns::normalize_batch::<Self>(x, gamma, beta, formula);
        }
        let x = contiguous(x);
        let sizes = sizes(&x);
        let [mean, variance] =
            kernel::statistics(values(&x), sizes).map(|values| tensor(values, [sizes.channels]));
        let channels = channels([&gamma, &beta, &mean, &variance], formula);
        (normalized(&x, &channels, formula), mean, variance)
    }

    fn normalize_by(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        formula: Formula,
    ) -> FloatTensor<Self> {
        if !are_single([&x, &gamma, &beta, &mean, &variance]) {
            return burns::normalize_by::<Self>(x, gamma, beta, mean, variance, formula);
        }
        let channels = channels([&gamma, &beta, &mean, &variance], formula);
        normalized(&contiguous(x), &channels, formula)
    }

    fn normalize_batch_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        formula: Formula,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !are_single([&x, &gamma, &beta, &mean, &variance, &grad]) {
            return burns::normalize_batch_backward::<Self>(
                x, gamma, beta, mean, variance, grad, formula,
            );
        }
        let (x, grad) = (contiguous(x), contiguous(grad));
        let sizes = sizes(&x);
        let channels = channels([&gamma, &beta, &mean, &variance], formula);
        let [x_grad, gamma_grad, beta_grad] =
            kernel::gradients([values(&x), values(&grad)], &channels, formula.slope(), sizes);
        let of_channels = [sizes.channels];
        (
            tensor(x_grad, x.shape().dims::<4>()),
            tensor(gamma_grad, of_channels),
            tensor(beta_grad, of_channels),
        )
    }
}

fn are_single<const N: usize>(tensors: [&FlexTensor; N]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

fn sizes(x: &FlexTensor) -> Sizes {
    let [_, channels, height, width] = x.shape().dims();
    Sizes { channels, positions: height * width }
}

/// What each channel is normalized by; in order γ, β, mean and variance.
fn channels(parameters: [&FlexTensor; 4], formula: Formula) -> Vec<Channel> {
    let [gamma, beta, mean, variance] = parameters.map(|tensor| contiguous(tensor.clone()));
    let parameters = values(&gamma).iter().zip(values(&beta));
    let statistics = values(&mean).iter().zip(values(&variance));
    let channel = |((gamma, beta), (mean, variance)): ((&f32, &f32), (&f32, &f32))| {
        Channel::new([*gamma, *beta], [*mean, *variance], formula.epsilon)
    };
    parameters.zip(statistics).map(channel).collect()
}

fn normalized(x: &FlexTensor, channels: &[Channel], formula: Formula) -> FlexTensor {
    let output = kernel::normalize(values(x), channels, formula.slope(), sizes(x));
    tensor(output, x.shape().dims::<4>())
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

impl<B: NormalizationOps, C: CheckpointStrategy> NormalizationOps for Autodiff<B, C> {
    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        formula: Formula,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let parents = [x.node(), gamma.node(), beta.node()];
        let x = x.into_primitive();
        let (gamma, beta) = (gamma.into_primitive(), beta.into_primitive());
        let (output, mean, variance) =
            B::normalize_batch(x.clone(), gamma.clone(), beta.clone(), formula);
        let statistics =
            [mean.clone(), variance.clone()].map(<Self as AutodiffBackend>::from_inner);
        let output = match Normalize.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(Saved::<B> { x, gamma, beta, mean, variance, formula }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        let [mean, variance] = statistics;
        (output, mean, variance)
    }
}

/// The graph node of a normalization; its parents are x, γ and β.
#[derive(Debug)]
struct Normalize;

#[derive(Clone, Debug)]
struct Saved<B: Backend> {
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
    formula: Formula,
}

impl<B: NormalizationOps> Backward<B, 3> for Normalize {
    type State = Saved<B>;

    fn backward(self, ops: Ops<Saved<B>, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let Saved { x, gamma, beta, mean, variance, formula } = ops.state;
        let (of_x, of_gamma, of_beta) =
            B::normalize_batch_backward(x, gamma, beta, mean, variance, grad, formula);
        for (node, gradient) in ops.parents.into_iter().zip([of_x, of_gamma, of_beta]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
