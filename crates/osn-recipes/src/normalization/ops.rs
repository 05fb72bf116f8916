//! Batch normalization and an activation as one operation of a backend, with its backward.
//!
//! With `z = γ·x̂ + β`, `x̂ = (x − μ)/√(σ² + ε)` over a batch of `n` numbers in each channel, and `h = g·f'(z)`, the
//! gradients of `⟨g, f(z)⟩` are `Σ h` at β, `Σ h·x̂` at γ, and at x `γ/√(σ² + ε) · (h − Σ h/n − x̂·Σ h·x̂/n)`
//! (Ioffe and Szegedy 2015, section 3).

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::{ActivationOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Flex, Scalar, TensorMetadata, backend_extension,
};

use crate::host::{backward, contiguous, tensor, values};
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

/// The normalization by the statistics of the batch, and that by given ones, for tensors of f32.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait NormalizationOps: Backend {
    /// The output, and the mean and the biased variance of each channel.
    fn normalize_batch(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        formula: Formula,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The output with a given mean and variance of each channel.
    fn normalize_by(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        formula: Formula,
    ) -> FloatTensor<Self>;
}

impl NormalizationOps for Flex {
    fn normalize_batch(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        formula: Formula,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let x = contiguous(x);
        let sizes = sizes(&x);
        let [mean, variance] =
            kernel::statistics(values(&x), sizes).map(|values| tensor(values, [sizes.channels]));
        let channels = channels([&gamma, &beta, &mean, &variance], formula);
        (normalized(&x, &channels, formula), mean, variance)
    }

    fn normalize_by(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        formula: Formula,
    ) -> FlexTensor {
        let channels = channels([&gamma, &beta, &mean, &variance], formula);
        normalized(&contiguous(x), &channels, formula)
    }
}

impl<C: CheckpointStrategy> NormalizationOps for Autodiff<Flex, C> {
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
            Flex::normalize_batch(x.clone(), gamma.clone(), beta.clone(), formula);
        let statistics =
            [mean.clone(), variance.clone()].map(<Self as AutodiffBackend>::from_inner);
        let output = match Normalize.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(Saved { x, gamma, beta, mean, variance, formula }, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        let [mean, variance] = statistics;
        (output, mean, variance)
    }

    /// Composed of Burn's own: only a frozen layer comes here.
    fn normalize_by(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        formula: Formula,
    ) -> FloatTensor<Self> {
        let z = Self::batch_norm(x, gamma, beta, mean, variance, formula.epsilon);
        Self::leaky_relu(z, Scalar::Float(formula.slope))
    }
}

/// The graph node of a normalization; its parents are x, γ and β.
#[derive(Debug)]
struct Normalize;

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    mean: FlexTensor,
    variance: FlexTensor,
    formula: Formula,
}

impl Backward<Flex, 3> for Normalize {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        backward(ops, grads, gradients);
    }
}

/// The gradients at x, γ and β.
fn gradients(saved: Saved, grad: FlexTensor) -> [FlexTensor; 3] {
    let Saved { x, gamma, beta, mean, variance, formula } = saved;
    let (x, grad) = (contiguous(x), contiguous(grad));
    let channels = channels([&gamma, &beta, &mean, &variance], formula);
    let [of_x, of_gamma, of_beta] =
        kernel::gradients([values(&x), values(&grad)], &channels, formula.slope(), sizes(&x));
    [tensor(of_x, x.shape()), tensor(of_gamma, gamma.shape()), tensor(of_beta, beta.shape())]
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
    tensor(output, x.shape())
}
