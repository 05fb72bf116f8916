//! The gradient of every action under every view against finite differences, in f64, of the function that it
//! claims to differentiate.

use crate::support::{Bare, device, draw, plan, relative_error, values};
use burn::tensor::Tensor;
use osn::rules::Action;
use osn::views::{Convolution, Layout, SigmaGradient, View};
use osn::{Plan, Selection, SpectralNorm};
use osn_core::measure::convolution::{ConvMap, Geometry};
use osn_core::measure::{DenseMap, LinearMap};

const SHAPE: [usize; 3] = [4, 3, 2];

/// The elements of a block, and the maps that it is seen as.
struct Block {
    elements: Vec<usize>,
    maps: Vec<Map>,
}

enum Map {
    /// A shape, and the axis of its rows.
    Dense(Vec<usize>, usize),
    Convolution(Geometry),
}

impl Map {
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Dense(shape, axis) => {
                let layout = Layout::new(shape, *axis);
                (layout.rows, layout.cols())
            }
            Self::Convolution(geometry) => (geometry.rows(), geometry.cols()),
        }
    }

    /// uᵀA v.
    fn form(&self, weight: &[f64], u: &[f64], v: &[f64]) -> f64 {
        let mut image = vec![0.0; u.len()];
        match self {
            Self::Dense(shape, axis) => {
                DenseMap::from_tensor(weight, shape, *axis).unwrap().apply(v, &mut image);
            }
            Self::Convolution(geometry) => {
                ConvMap::new(weight, *geometry).unwrap().apply(v, &mut image);
            }
        }
        image.iter().zip(u).map(|(a, b)| a * b).sum()
    }
}

/// `f(W) = Σ_b ⟨C_b, s(mean over maps of uᵀA(W_b)v)·W_b⟩` with u, v held constant, and with s held at `fixed` if
/// given.
struct Function<'a> {
    blocks: &'a [Block],
    action: Action,
    cotangent: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    fixed: Option<f64>,
}

impl Function<'_> {
    fn value(&self, weight: &[f64]) -> f64 {
        let (mut row, mut column, mut total) = (0, 0, 0.0);
        for Block { elements, maps } in self.blocks {
            let block: Vec<f64> = elements.iter().map(|&index| weight[index]).collect();
            let mut sigma = 0.0;
            for map in maps {
                let (rows, cols) = map.size();
                let (u, v) = (&self.u[row..row + rows], &self.v[column..column + cols]);
                sigma += map.form(&block, u, v) / maps.len() as f64;
                (row, column) = (row + rows, column + cols);
            }
            let scale = self.fixed.unwrap_or_else(|| self.action.scale(1.0, sigma));
            total += elements.iter().map(|&i| scale * weight[i] * self.cotangent[i]).sum::<f64>();
        }
        total
    }

    fn gradient(&self, weight: &[f64]) -> Vec<f64> {
        let difference = |index: usize| {
            let at = |delta: f64| {
                let mut weight = weight.to_vec();
                weight[index] += delta;
                self.value(&weight)
            };
            (at(1e-6) - at(-1e-6)) / 2e-6
        };
        (0..weight.len()).map(difference).collect()
    }
}

/// Returns ⟨G, Ŵ⟩ of a weight in one block too, by whose sign `InwardOnly` chooses.
fn check<const D: usize>(
    shape: [usize; D],
    (plan, action): (Plan, Action),
    gradient: SigmaGradient,
    blocks: &[Block],
    sign: f32,
) -> f64 {
    let (weight, noise) = (draw(shape, &device()), draw(shape, &device()));
    // Mostly along the weight, so that ⟨G, Ŵ⟩ has the sign that is asked for.
    let cotangent = weight.clone() * sign + noise * 0.3;
    let what = format!("{plan:?}");
    let (model, _) = plan.gradient(gradient).attach(Bare::of(weight)).unwrap();

    let loss = (model.weight.val() * cotangent.clone()).sum();
    let ours: Vec<f64> = values(model.weight.base().grad(&loss.backward()).unwrap());
    let (weight, cotangent): (Vec<f64>, Vec<f64>) =
        (values(model.weight.base()), values(cotangent));
    let state = model.weight.reparameterization::<SpectralNorm>().unwrap();
    let scale = state.scale()[0];
    let along: f64 = weight.iter().zip(&cotangent).map(|(w, c)| scale * w * c).sum();
    let is_detached = match gradient {
        SigmaGradient::Full => false,
        SigmaGradient::Detached => true,
        SigmaGradient::InwardOnly => along > 0.0,
    };
    let fixed = is_detached.then_some(scale);
    let function = Function { blocks, action, cotangent, u: state.u(), v: state.v(), fixed };
    let error = relative_error(&ours, &function.gradient(&weight));
    assert!(error < 1e-5, "{what} {gradient:?}: relative error {error:e}");
    along
}

fn whole(count: usize, maps: Vec<Map>) -> [Block; 1] {
    [Block { elements: (0..count).collect(), maps }]
}

#[test]
fn gradients_of_every_action_are_those_of_the_function() {
    for (rule, action) in [
        ("never", Action::Off),
        ("always", Action::Normalize { target: 1.0 }),
        ("always:target=2.5", Action::Normalize { target: 2.5 }),
        ("cap:target=0.7", Action::Cap { target: 0.7, sharpness: f64::INFINITY }),
        ("cap:target=1.1,sharpness=3", Action::Cap { target: 1.1, sharpness: 3.0 }),
    ] {
        for gradient in [SigmaGradient::Full, SigmaGradient::Detached, SigmaGradient::InwardOnly] {
            for axis in 0..3 {
                let plan = plan(rule).select(Selection::paths("weight").output_axis(axis));
                let blocks = whole(24, vec![Map::Dense(SHAPE.to_vec(), axis)]);
                let held = || (plan.clone(), action);
                assert!(check(SHAPE, held(), gradient, &blocks, 1.0) > 0.0);
                assert!(check(SHAPE, held(), gradient, &blocks, -1.0) < 0.0);
            }
        }
    }
}

fn check_view<const D: usize>(shape: [usize; D], axis: usize, view: View, blocks: &[Block]) {
    let plan = Plan::new().select(Selection::paths("weight").view(view).output_axis(axis));
    for sign in [1.0, -1.0] {
        let held = (plan.clone(), Action::Normalize { target: 1.0 });
        check(shape, held, SigmaGradient::Full, blocks, sign);
    }
}

#[test]
fn the_gradient_of_every_view_is_that_of_its_function() {
    let shape = [4, 3, 2, 5];
    for axis in [0, 1] {
        let both = [axis, 1 - axis].map(|axis| Map::Dense(shape.to_vec(), axis));
        check_view(shape, axis, View::Bidirectional, &whole(120, both.into()));
    }
    let convolutions = [
        Convolution::new([5, 6]).stride([2, 1]).groups(2),
        Convolution::new([5, 6]).dilation([2, 1]).padding([3, 1]).groups(4).circular(),
        Convolution::new([3, 2]).stride([3, 2]).padding([0, 1]).transposed([2, 1]),
    ];
    for convolution in convolutions {
        let map = Map::Convolution(convolution.geometry(&shape).unwrap());
        check_view(shape, 0, View::Operator(convolution), &whole(120, vec![map]));
    }
    // Cut along the first axis, the elements of a block are neighbours; along the second not.
    for (axis, block_shape) in [(0, [2, 6]), (1, [4, 3])] {
        let blocks = [0, 1].map(|block| {
            let inside = |index: &usize| [index / 6 / 2, index % 6 / 3][axis] == block;
            let maps = vec![Map::Dense(block_shape.to_vec(), 1)];
            Block { elements: (0..24).filter(inside).collect(), maps }
        });
        check_view([4, 6], 1, View::Blocks { axis, count: 2 }, &blocks);
    }
}

#[test]
fn one_gradient_serves_two_forwards_of_one_backward() {
    let [weight, a, b] = [0; 3].map(|_| draw(SHAPE, &device()));
    let (model, _) = plan("always").attach(Bare::of(weight)).unwrap();
    let gradient = |loss: Tensor<1>| -> Vec<f64> {
        values(model.weight.base().grad(&loss.backward()).unwrap())
    };
    let loss = |c: &Tensor<3>| (model.weight.val() * c.clone()).sum();
    let together = gradient(loss(&a) + loss(&b));
    let apart = gradient(loss(&a)).into_iter().zip(gradient(loss(&b))).map(|(a, b)| a + b);
    for (together, apart) in together.into_iter().zip(apart) {
        assert!((together - apart).abs() < 1e-5);
    }
}
