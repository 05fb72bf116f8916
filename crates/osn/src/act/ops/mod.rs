//! The two operations that every training step pays for, with a backward of their own.

pub(crate) mod convolution;
#[cfg(feature = "flex")]
mod flex;
pub(crate) mod spare;

#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::backend::Cube;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Scalar, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Int, Shape, Slice, Tensor};
use osn_core::held::{Cut, Form, Map, Maps, SigmaGradient};
use osn_core::measure::Layout;

use crate::act::ops::spare::Spare;
use osn_core::state_code::{ELASTICITY, LN_SCALE, LN_SIGMA, LOG, STATE_LEN, UNIT};

/// Backend operations behind the effective weight.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Autodiff
)]
pub(crate) trait SpectralOps: Backend {
    /// `Ŵ = s·W`, with an `s` for each block; a backend may write it over `spare`.
    fn effective_weight(
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        spare: Spare,
        form: Form,
    ) -> FloatTensor<Self> {
        let _ = (u, v, spare);
        composed_forward::<Self>(weight, state, form.cut)
    }

    /// The same with a `probe`, `[count]`, of which only the gradient is used: `⟨G, Ŵ⟩` of each block.
    fn probed_weight(
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        probe: FloatTensor<Self>,
        spare: Spare,
        form: Form,
    ) -> FloatTensor<Self> {
        let _ = probe;
        Self::effective_weight(weight, u, v, state, spare, form)
    }

    /// `⟨G, Ŵ⟩` of each block, `[count]`.
    fn sensitivity(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        state: IntTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        composed_sensitivity::<Self>(grad, weight, state, form.cut)
    }

    /// `∂L/∂W` from `G = ∂L/∂Ŵ`, of a weight that is one block.
    fn effective_weight_backward(
        grad: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        composed_backward::<Self>(grad, weight, u, v, state, form)
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl SpectralOps for Cube {}

impl<B: SpectralOps, C: CheckpointStrategy> SpectralOps for Autodiff<B, C> {
    fn effective_weight(
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        spare: Spare,
        form: Form,
    ) -> FloatTensor<Self> {
        let parent = weight.node();
        let saved = Saved::<B> { weight: weight.into_primitive(), u, v, state, form };
        match EffectiveWeight.prepare::<C>([parent]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(saved.clone(), saved.effective_weight(spare)),
            OpsKind::UnTracked(prep) => prep.finish(saved.effective_weight(Spare::default())),
        }
    }

    fn probed_weight(
        weight: FloatTensor<Self>,
        u: IntTensor<Self>,
        v: IntTensor<Self>,
        state: IntTensor<Self>,
        probe: FloatTensor<Self>,
        spare: Spare,
        form: Form,
    ) -> FloatTensor<Self> {
        let parents = [weight.node(), probe.node()];
        let saved = Saved::<B> { weight: weight.into_primitive(), u, v, state, form };
        match ProbedWeight.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(saved.clone(), saved.effective_weight(spare)),
            OpsKind::UnTracked(prep) => prep.finish(saved.effective_weight(Spare::default())),
        }
    }
}

/// The graph node of `Ŵ = s·W`; its one parent is `W`.
#[derive(Debug)]
struct EffectiveWeight;

#[derive(Clone, Debug)]
struct Saved<B: Backend> {
    weight: FloatTensor<B>,
    u: IntTensor<B>,
    v: IntTensor<B>,
    state: IntTensor<B>,
    form: Form,
}

impl<B: SpectralOps> Saved<B> {
    fn effective_weight(self, spare: Spare) -> FloatTensor<B> {
        let Saved { weight, u, v, state, form } = self;
        B::effective_weight(weight, u, v, state, spare, form)
    }

    /// Passes the gradient at `Ŵ` on to `W`, where that is trained.
    fn pass_on(self, grad: FloatTensor<B>, parent: Option<NodeId>, grads: &mut Gradients) {
        let Saved { weight, u, v, state, form } = self;
        if let Some(id) = parent {
            let grad = backward_of_blocks::<B>(grad, weight, u, v, state, form);
            grads.register::<B>(id, grad);
        }
    }
}

impl<B: SpectralOps> Backward<B, 1> for EffectiveWeight {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        ops.state.pass_on(grad, parent.map(|node| node.id), grads);
    }
}

/// The same with two parents, `W` and the probe.
#[derive(Debug)]
struct ProbedWeight;

impl<B: SpectralOps> Backward<B, 2> for ProbedWeight {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let saved = ops.state;
        let grad = grads.consume::<B>(&ops.node);
        let [parent, probe] = ops.parents;
        if let Some(node) = probe {
            let (weight, state) = (saved.weight.clone(), saved.state.clone());
            let along = B::sensitivity(grad.clone(), weight, state, saved.form);
            grads.register::<B>(node.id, along);
        }
        saved.pass_on(grad, parent.map(|node| node.id), grads);
    }
}

/// The effective weight of one layer; a pure function of its arguments.
pub(crate) fn effective_weight<const D: usize>(
    weight: Tensor<D>,
    u: Tensor<1, Int>,
    v: Tensor<1, Int>,
    state: Tensor<1, Int>,
    probe: Option<Tensor<1>>,
    spare: Spare,
    form: Form,
) -> Tensor<D> {
    let weight = weight.into_dispatch();
    let [u, v, state] = [u, v, state].map(Tensor::into_dispatch);
    Tensor::from_dispatch(match probe {
        None => Dispatch::effective_weight(weight, u, v, state, spare, form),
        Some(probe) => {
            let probe = probe.into_dispatch();
            Dispatch::probed_weight(weight, u, v, state, probe, spare, form)
        }
    })
}

/// Multiplied in f32 or better and rounded once: a scale rounded to half precision would put every entry, and with
/// them σ, off in the same direction.
fn composed_forward<B: Backend>(
    weight: FloatTensor<B>,
    state: IntTensor<B>,
    cut: Cut,
) -> FloatTensor<B> {
    let (dtype, shape) = (weight.dtype(), weight.shape());
    let compute = estimator_dtype(dtype.into());
    let scale = B::float_cast(scales::<B>(state, cut), compute);
    let weight = B::float_cast(B::float_reshape(weight, Shape::new(cut.shape())), compute);
    B::float_cast(B::float_reshape(B::float_mul(weight, scale), shape), dtype.into())
}

/// `s` of each block, `[1, count, 1]`.
fn scales<B: Backend>(state: IntTensor<B>, cut: Cut) -> FloatTensor<B> {
    let states = B::int_reshape(state, Shape::new([cut.count, STATE_LEN]));
    B::float_exp(entry::<B>(states, LN_SCALE, LOG, Shape::new([1, cut.count, 1])))
}

fn composed_sensitivity<B: Backend>(
    grad: FloatTensor<B>,
    weight: FloatTensor<B>,
    state: IntTensor<B>,
    cut: Cut,
) -> FloatTensor<B> {
    let compute = estimator_dtype(grad.dtype().into());
    let blocks = |tensor| B::float_reshape(B::float_cast(tensor, compute), Shape::new(cut.shape()));
    let products = B::float_mul(blocks(grad), blocks(weight));
    let sums = B::float_sum_dim(B::float_sum_dim(products, 2), 0);
    let along = B::float_mul(sums, B::float_cast(scales::<B>(state, cut), compute));
    B::float_reshape(along, Shape::new([cut.count]))
}

/// The backward of each block by itself, put together again.
fn backward_of_blocks<B: SpectralOps>(
    grad: FloatTensor<B>,
    weight: FloatTensor<B>,
    u: IntTensor<B>,
    v: IntTensor<B>,
    state: IntTensor<B>,
    form: Form,
) -> FloatTensor<B> {
    let Form { cut, maps, .. } = form;
    if cut.count == 1 {
        return B::effective_weight_backward(grad, weight, u, v, state, form);
    }
    let shape = grad.shape();
    let grad = B::float_reshape(grad, Shape::new(cut.shape()));
    let weight = B::float_reshape(weight, Shape::new(cut.shape()));
    let block_of = |tensor: &FloatTensor<B>, block: usize| {
        B::float_slice(tensor.clone(), &[Slice::full(), Slice::from(block..=block), Slice::full()])
    };
    let blocks = (0..cut.count).map(|block| {
        B::effective_weight_backward(
            block_of(&grad, block),
            block_of(&weight, block),
            part::<B>(&u, block, maps.rows()),
            part::<B>(&v, block, maps.cols()),
            part::<B>(&state, block, STATE_LEN),
            form,
        )
    });
    B::float_reshape(B::float_cat(blocks.collect(), 1), shape)
}

/// The `index`-th run of `length` numbers.
fn part<B: Backend>(codes: &IntTensor<B>, index: usize, length: usize) -> IntTensor<B> {
    B::int_slice(codes.clone(), &[Slice::from(index * length..(index + 1) * length)])
}

fn composed_backward<B: Backend>(
    grad: FloatTensor<B>,
    weight: FloatTensor<B>,
    u: IntTensor<B>,
    v: IntTensor<B>,
    state: IntTensor<B>,
    form: Form,
) -> FloatTensor<B> {
    let (dtype, shape, rank) = (grad.dtype(), grad.shape(), grad.rank());
    let compute = estimator_dtype(dtype.into());
    let grad = B::float_cast(grad, compute);
    let state = B::int_reshape(state, Shape::new([1, STATE_LEN]));
    let ln_scale = entry::<B>(state.clone(), LN_SCALE, LOG, ones(rank));
    let scale = B::float_cast(B::float_exp(ln_scale), compute);
    let scaled = B::float_mul(grad.clone(), scale.clone());
    if form.gradient == SigmaGradient::Detached {
        return B::float_cast(scaled, dtype.into());
    }
    // ⟨G, Ŵ⟩ = ⟨s·G, W⟩
    let weight = B::float_cast(weight, compute);
    let along = B::float_sum(B::float_mul(scaled.clone(), weight));
    let along = if form.gradient == SigmaGradient::InwardOnly {
        B::float_clamp_max(along, Scalar::from(0.0))
    } else {
        along
    };
    let elasticity = B::float_cast(entry::<B>(state.clone(), ELASTICITY, UNIT, ones(1)), compute);
    let ln_sigma = B::float_cast(entry::<B>(state, LN_SIGMA, LOG, ones(1)), compute);
    // A zero weight has elasticity 0, and ln 0 is coded as a finite number: no NaN can arise.
    let factor = B::float_mul(
        B::float_mul(along, elasticity),
        B::float_exp(B::float_neg(B::float_clamp_min(ln_sigma, Scalar::from(-87.0)))),
    );
    let sigma_gradient = B::float_reshape(sigma_gradient::<B>(u, v, form.maps, compute), shape);
    let radial = B::float_mul(sigma_gradient, B::float_reshape(factor, ones(rank)));
    B::float_cast(B::float_sub(scaled, radial), dtype.into())
}

/// `∂σ/∂W` in the memory order of the weight: the mean over the maps of `view⁻¹(u vᵀ)`.
pub(crate) fn sigma_gradient<B: Backend>(
    u: IntTensor<B>,
    v: IntTensor<B>,
    maps: Maps,
    dtype: FloatDType,
) -> FloatTensor<B> {
    let unit = maps.share().sqrt() / UNIT;
    let decode = |codes| B::float_mul_scalar(B::int_into_float(codes, dtype), unit.into());
    let (u, v) = (decode(u), decode(v));
    let (mut row, mut column) = (0, 0);
    let gradients = maps.iter().map(|map| {
        let (rows, columns) = (row..row + map.rows(), column..column + map.cols());
        (row, column) = (rows.end, columns.end);
        let u = B::float_slice(u.clone(), &[Slice::from(rows)]);
        let v = B::float_slice(v.clone(), &[Slice::from(columns)]);
        let gradient = match map {
            Map::Matrix(layout) => outer::<B>(u, v, *layout),
            Map::Convolution(geometry) => convolution::kernel_gradient::<B>(u, v, geometry),
        };
        let count = gradient.shape().num_elements();
        B::float_reshape(gradient, Shape::new([count]))
    });
    let gradients: Vec<_> = gradients.collect();
    gradients.into_iter().reduce(|a, b| B::float_add(a, b)).expect("a block has a map")
}

/// `u vᵀ` in the memory order of the weight, `[outer, rows, inner]`.
fn outer<B: Backend>(u: FloatTensor<B>, v: FloatTensor<B>, layout: Layout) -> FloatTensor<B> {
    let u = B::float_reshape(u, Shape::new([1, layout.rows, 1]));
    let v = B::float_reshape(v, Shape::new([layout.outer, 1, layout.inner]));
    B::float_mul(u, v)
}

/// One column of the states `[blocks, STATE_LEN]`, divided by its unit, in a `shape` to broadcast.
fn entry<B: Backend>(
    states: IntTensor<B>,
    index: usize,
    unit: f64,
    shape: Shape,
) -> FloatTensor<B> {
    let code = B::int_slice(states, &[Slice::full(), Slice::from(index..=index)]);
    let value = B::float_mul_scalar(B::int_into_float(code, FloatDType::F32), (1.0 / unit).into());
    B::float_reshape(value, shape)
}

fn ones(rank: usize) -> Shape {
    Shape::from(vec![1; rank])
}

/// Half-precision weights are measured and differentiated in f32.
fn estimator_dtype(dtype: FloatDType) -> FloatDType {
    if dtype == FloatDType::F64 { FloatDType::F64 } else { FloatDType::F32 }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::{DType, TensorData};

    use super::*;
    use osn_core::state_code::{State, encode_unit};

    fn floats(values: &[f32], shape: &[usize]) -> FloatTensor<Flex> {
        let data = TensorData::new(values.to_vec(), shape.to_vec());
        burn::backend::flex::FlexTensor::from_data(data)
    }

    fn codes(values: &[i32]) -> IntTensor<Flex> {
        burn::backend::flex::FlexTensor::from_data(TensorData::new(values.to_vec(), [values.len()]))
    }

    fn wave(length: usize, frequency: f32) -> Vec<f32> {
        (0..length).map(|index| (index as f32 * frequency).sin()).collect()
    }

    fn dense(layout: Layout, gradient: SigmaGradient) -> Form {
        let inner = layout.outer * layout.rows * layout.inner;
        let maps = Maps::Matrix(layout);
        Form { cut: Cut { outer: 1, count: 1, inner }, maps, gradient }
    }

    #[test]
    fn the_kernel_and_the_composed_backward_agree() {
        for (outer, rows, inner) in [(6, 5, 1), (1, 4, 7), (3, 4, 5), (300, 256, 1), (3, 64, 400)] {
            let layout = Layout { outer, rows, inner };
            let shape = [outer, rows, inner];
            let count = outer * rows * inner;
            let unit = |length: usize, frequency: f32| {
                let wave = wave(length, frequency);
                codes(&wave.iter().map(|&x| encode_unit(f64::from(x) * 0.1)).collect::<Vec<_>>())
            };
            let (u, v) = (unit(rows, 0.7), unit(layout.cols(), 1.3));
            let state =
                State { sigma: 2.5, scale: 0.4, elasticity: 0.8, residual: 0.0, bad_step: 0 };
            let state = codes(&state.encode());
            let (grad, weight) = (wave(count, 0.3), wave(count, 0.31));
            for gradient in
                [SigmaGradient::Full, SigmaGradient::Detached, SigmaGradient::InwardOnly]
            {
                let form = dense(layout, gradient);
                let run = |backward: fn(_, _, _, _, _, _) -> FloatTensor<Flex>| {
                    let (grad, weight) = (floats(&grad, &shape), floats(&weight, &shape));
                    backward(grad, weight, u.clone(), v.clone(), state.clone(), form)
                };
                let fast = run(<Flex as SpectralOps>::effective_weight_backward);
                let slow = run(composed_backward::<Flex>);
                assert_eq!(fast.dtype(), DType::F32);
                let pairs = fast.storage::<f32>().iter().zip(slow.storage::<f32>());
                for (fast, slow) in pairs {
                    assert!((fast - slow).abs() < 1e-4 * slow.abs().max(0.1), "{fast} {slow}");
                }
            }
        }
    }

    #[test]
    fn the_kernel_and_the_composed_sensitivity_are_the_scaled_inner_product() {
        let shape = [3, 64, 40];
        let form = dense(Layout { outer: 3, rows: 64, inner: 40 }, SigmaGradient::Full);
        let state = State { sigma: 2.5, scale: 0.4, elasticity: 1.0, residual: 0.0, bad_step: 0 };
        let (grad, weight) = (wave(3 * 64 * 40, 0.3), wave(3 * 64 * 40, 0.31));
        let products = grad.iter().zip(&weight).map(|(g, w)| f64::from(*g) * f64::from(*w));
        let expected = 0.4 * products.sum::<f64>();
        let (grad, weight) = (floats(&grad, &shape), floats(&weight, &shape));
        let state = codes(&state.encode());
        let fast =
            <Flex as SpectralOps>::sensitivity(grad.clone(), weight.clone(), state.clone(), form);
        let slow = composed_sensitivity::<Flex>(grad, weight, state, form.cut);
        for along in [fast, slow] {
            assert_eq!(along.shape(), Shape::new([1]));
            let ours = f64::from(along.storage::<f32>()[0]);
            assert!((ours / expected - 1.0).abs() < 1e-4, "{ours} {expected}");
        }
    }
}
