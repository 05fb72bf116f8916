//! Every view of a weight, held in training: against matrices written out by the layers themselves,
//! their decompositions, and finite differences.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod support;

use burn::module::{Module, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Conv3dConfig};
use burn::nn::conv::{ConvTranspose2d, ConvTranspose2dConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};
use osn::rules::{Action, Rule, Signals};
use osn::views::{AsConvolution, Convolution, Layout, View};
use osn::{AttachError, Osn, Plan, Selection, SpectralNorm};
use osn_core::measure::convolution::ConvMap;
use osn_core::measure::{DenseMap, LinearMap, exact, singular_values};
use support::{Noise, draw, relative_error};

fn device() -> Device {
    Device::flex().autodiff()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    draw(shape, &device())
}

/// The largest singular value of what `layer` does to images of `shape`, written out column by
/// column with the layer's own forward.
fn written_out<const D: usize>(shape: [usize; D], layer: impl Fn(Tensor<D>) -> Tensor<D>) -> f64 {
    let count: usize = shape.iter().product();
    let mut columns: Vec<f32> = Vec::new();
    for index in 0..count {
        let mut impulse = vec![0.0f32; count];
        impulse[index] = 1.0;
        let impulse = Tensor::<1>::from_data(impulse.as_slice(), &device()).reshape(shape);
        columns.extend(values(layer(impulse)));
    }
    let rows = columns.len() / count;
    exact(&DenseMap::new(&columns, count, rows).unwrap()).unwrap().sigma
}

/// Refreshes until the estimate stands.
fn settle<M: Module>(model: &mut M, osn: &mut Osn) {
    (0..400).for_each(|_| drop(osn.step(model, &Signals::new()).unwrap()));
}

fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours / theirs - 1.0).abs() < tolerance, "{ours} is not {theirs}");
}

#[test]
fn the_operator_view_bounds_what_the_layer_does() {
    let config = Conv2dConfig::new([6, 4], [4, 2])
        .with_stride([2, 1])
        .with_groups(2)
        .with_dilation([1, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 0, 2, 3))
        .with_bias(false);
    let conv: Conv2d = config.init(&device()).map(&mut Noise(0));
    let view = View::Operator(conv.convolution([7, 6]));
    let (mut conv, mut osn) =
        Plan::new().select(Selection::paths("weight").view(view)).attach(conv).unwrap();
    settle(&mut conv, &mut osn);
    close(written_out([1, 6, 7, 6], |image| conv.forward(image)), 1.0, 1e-4);
}

#[test]
fn also_with_same_padding_and_an_even_kernel() {
    let config = Conv2dConfig::new([2, 3], [4, 3]).with_padding(PaddingConfig2d::Same);
    let conv = config.with_stride([1, 2]).with_bias(false).init(&device()).map(&mut Noise(0));
    let view = View::Operator(conv.convolution([5, 6]));
    let (mut conv, mut osn) =
        Plan::new().select(Selection::paths("weight").view(view)).attach(conv).unwrap();
    settle(&mut conv, &mut osn);
    close(written_out([1, 2, 5, 6], |image| conv.forward(image)), 1.0, 1e-4);
}

#[test]
fn also_in_one_and_three_dimensions() {
    let line: Conv1d =
        Conv1dConfig::new(3, 2, 3).with_bias(false).init(&device()).map(&mut Noise(0));
    let view = View::Operator(line.convolution([8]));
    let (mut line, mut osn) =
        Plan::new().select(Selection::paths("weight").view(view)).attach(line).unwrap();
    settle(&mut line, &mut osn);
    close(written_out([1, 3, 8], |image| line.forward(image)), 1.0, 1e-4);

    let config = Conv3dConfig::new([2, 3], [2, 3, 1]).with_stride([1, 2, 1]).with_bias(false);
    let solid = config.init(&device()).map(&mut Noise(0));
    let view = View::Operator(solid.convolution([3, 5, 2]));
    let (mut solid, mut osn) =
        Plan::new().select(Selection::paths("weight").view(view)).attach(solid).unwrap();
    settle(&mut solid, &mut osn);
    close(written_out([1, 2, 3, 5, 2], |image| solid.forward(image)), 1.0, 1e-4);
}

#[test]
fn also_transposed_with_groups_and_output_padding() {
    let config = ConvTranspose2dConfig::new([4, 6], [3, 4])
        .with_stride([2, 3])
        .with_padding([1, 0])
        .with_padding_out([1, 2])
        .with_groups(2)
        .with_bias(false);
    let up: ConvTranspose2d = config.init(&device()).map(&mut Noise(0));
    let view = View::Operator(up.convolution([3, 2]));
    let (mut up, mut osn) =
        Plan::new().select(Selection::paths("weight").view(view)).attach(up).unwrap();
    settle(&mut up, &mut osn);
    close(written_out([1, 4, 3, 2], |image| up.forward(image)), 1.0, 1e-4);
}

/// A weight of any rank, by itself.
#[derive(Module, Debug)]
struct Bare<const D: usize> {
    weight: Param<Tensor<D>>,
}

fn bare<const D: usize>(shape: [usize; D]) -> Bare<D> {
    Bare { weight: Param::from_tensor(random(shape)) }
}

#[test]
fn a_circular_operator_is_held_where_the_padding_wraps_more_than_once() {
    let convolution =
        Convolution { padding: Some(vec![(5, 4), (1, 0)]), ..Convolution::new([3, 4]) }.circular();
    let shape = [2, 3, 4, 2];
    let view = View::Operator(convolution.clone());
    let plan = Plan::new().select(Selection::paths("weight").view(view));
    let (mut model, mut osn) = plan.attach(bare(shape)).unwrap();
    settle(&mut model, &mut osn);
    let weight = values(model.weight.val());
    let map = ConvMap::new(&weight, convolution.geometry(&shape).unwrap()).unwrap();
    close(exact(&map).unwrap().sigma, 1.0, 1e-4);
}

/// σ of the map whose rows run along `axis`.
fn reshaped(weight: &[f32], shape: &[usize], axis: usize) -> f64 {
    exact(&DenseMap::from_tensor(weight, shape, axis).unwrap()).unwrap().sigma
}

#[test]
fn the_bidirectional_mean_is_held_at_its_target() {
    let shape = [3, 7, 2, 4];
    for axis in [0, 1] {
        let plan = Plan::new()
            .select(Selection::paths("weight").view(View::Bidirectional).output_axis(axis));
        let plan = plan.decide(Rule::parse("always:target=0.7").unwrap());
        let (mut model, mut osn) = plan.attach(bare(shape)).unwrap();
        settle(&mut model, &mut osn);
        let weight = values(model.weight.val());
        let mean = f64::midpoint(reshaped(&weight, &shape, 0), reshaped(&weight, &shape, 1));
        close(mean, 0.7, 1e-4);
    }
}

#[test]
fn a_linear_layer_is_seen_the_same_both_ways() {
    let model = bare([5, 9]);
    let held = |view| {
        let plan = Plan::new().select(Selection::paths("weight").view(view));
        values(plan.attach(model.clone()).unwrap().0.weight.val())
    };
    assert_eq!(held(View::Bidirectional), held(View::Matrix));
}

#[test]
fn each_block_has_its_own_size_action_and_name() {
    // Heads along the last axis: a block's elements do not lie together.
    let sizes = Tensor::<1>::from_data([0.1f32, 1.0, 20.0], &device()).reshape([1, 3, 1]);
    let weight = random([6, 12]).reshape([6, 3, 4]).mul(sizes).reshape([6, 12]);
    let model = Bare { weight: Param::from_tensor(weight.clone()) };
    let plan = Plan::new()
        .select(Selection::paths("weight").view(View::Blocks { axis: 1, count: 3 }).output_axis(1));
    let plan = plan.decide(Rule::parse("cap:target=2").unwrap());
    let (mut model, mut osn) = plan.attach(model).unwrap();
    settle(&mut model, &mut osn);
    let sigma = |weight: Tensor<2>| {
        [0, 4, 8].map(|start| reshaped(&values(weight.clone().narrow(1, start, 4)), &[6, 4], 1))
    };
    let (raw, held) = (sigma(weight), sigma(model.weight.val()));
    for (raw, held) in raw.into_iter().zip(held) {
        close(held, raw.min(2.0), 1e-4);
    }
    let report = osn.report(&model).unwrap();
    let names: Vec<_> = report.iter().map(|layer| layer.layer.name()).collect();
    assert_eq!(names, ["weight[0]", "weight[1]", "weight[2]"]);
    assert!(matches!(report[2].applied.action, Action::Cap { .. }));
    for (layer, raw) in report.iter().zip(raw) {
        close(layer.sigma, raw, 1e-4);
        assert_eq!(layer.layer.shape, [6, 4]);
        assert!(layer.stable_rank >= 1.0 && layer.stable_rank <= 4.0);
    }
}

/// The entries, shape and output axis of a matrix.
type Written<'a> = (&'a [f32], &'a [usize], usize);

/// Checks the spectrum of one block of a weight against decompositions of its maps.
fn check_spectrum<const D: usize>(
    weight: Bare<D>,
    view: View,
    block: usize,
    count: usize,
    maps: &[Written],
) {
    let plan = Plan::new().select(Selection::paths("weight").view(view).output_axis(1));
    let plan = plan.decide(Rule::parse("always:target=0.5").unwrap());
    let (model, osn) = plan.attach(weight).unwrap();
    let found = &osn.spectra(&model, count).unwrap()[block];
    let of_map = |(entries, shape, axis): &Written| {
        singular_values(&DenseMap::from_tensor(entries, shape, *axis).unwrap()).unwrap()
    };
    let of_maps: Vec<Vec<f64>> = maps.iter().map(of_map).collect();
    assert_eq!(found.n_values, of_maps.iter().map(Vec::len).min().unwrap());
    assert_eq!(found.singular_values.len(), count.min(found.n_values));
    for (index, ours) in found.singular_values.iter().enumerate() {
        let theirs = of_maps.iter().map(|values| values[index]).sum::<f64>() / maps.len() as f64;
        close(*ours, theirs, 1e-6);
    }
    close(found.scale * found.singular_values[0], 0.5, 1e-3);
}

#[test]
fn spectra_are_those_of_the_maps_that_sigma_is_of() {
    let shape = [3, 7, 2, 4];
    let kernel = bare(shape);
    let weight = values(kernel.weight.val());
    let reshapings = [0, 1].map(|axis| (&weight[..], &shape[..], axis));
    check_spectrum(kernel.clone(), View::Bidirectional, 0, 2, &reshapings);
    check_spectrum(kernel, View::Reshaped, 0, 99, &reshapings[1..]);
    let blocks = bare([6, 12]);
    let second = values(blocks.weight.val().narrow(1, 4, 4));
    let view = View::Blocks { axis: 1, count: 3 };
    check_spectrum(blocks, view, 1, 99, &[(&second, &[6, 4], 1)]);
}

#[test]
fn a_convolution_as_an_operator_has_no_spectrum() {
    let view = View::Operator(Convolution::new([3, 4]));
    let (model, osn) = Plan::new()
        .select(Selection::paths("weight").view(view))
        .attach(bare([2, 3, 3, 3]))
        .unwrap();
    let spectra = osn.spectra(&model, 9).unwrap();
    assert_eq!((spectra.len(), spectra[0].n_values, spectra[0].singular_values.len()), (1, 0, 0));
}

#[test]
fn groups_give_the_largest_of_their_norms() {
    let shape = [6, 2, 1, 1];
    let model = bare(shape);
    let raw = values(model.weight.val());
    let groups =
        Plan::new().select(Selection::paths("weight").view(View::Blocks { axis: 0, count: 3 }));
    let (blocks, _) = groups.attach(model.clone()).unwrap();
    let each = blocks.weight.reparameterization::<SpectralNorm>().unwrap().sigma();
    let view = View::Operator(Convolution::new([3, 3]).groups(3));
    let (mut whole, mut osn) =
        Plan::new().select(Selection::paths("weight").view(view)).attach(model).unwrap();
    settle(&mut whole, &mut osn);
    let sigma = whole.weight.reparameterization::<SpectralNorm>().unwrap().sigma();
    close(sigma[0], each.iter().copied().fold(0.0, f64::max), 1e-4);
    assert!((0..3).all(|g| {
        let block = &raw[g * 4..(g + 1) * 4];
        (reshaped(block, &[2, 2], 0) / each[g] - 1.0).abs() < 1e-4
    }));
}

/// `f(W) = Σ_b ⟨C_b, s(mean over maps of uᵀA(W_b)v)·W_b⟩` with u, v held constant.
fn function(weight: &[f64], cotangent: &[f64], u: &[f64], v: &[f64], maps: &[Maps]) -> f64 {
    let (mut row, mut column, mut total) = (0, 0, 0.0);
    for maps in maps {
        let block: Vec<f64> = maps.elements.iter().map(|&index| weight[index]).collect();
        let mut sigma = 0.0;
        for map in &maps.views {
            let (rows, cols) = map.size();
            sigma += map.form(&block, &u[row..row + rows], &v[column..column + cols])
                / maps.views.len() as f64;
            (row, column) = (row + rows, column + cols);
        }
        let scale = Action::Normalize { target: 1.0 }.scale(1.0, sigma);
        total += maps.elements.iter().map(|&i| scale * weight[i] * cotangent[i]).sum::<f64>();
    }
    total
}

/// The elements of a block, and the maps that it is seen as.
struct Maps {
    elements: Vec<usize>,
    views: Vec<Seen>,
}

enum Seen {
    Dense(Vec<usize>, usize),
    Convolution(osn_core::measure::convolution::Geometry),
}

impl Seen {
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

fn check_gradient<const D: usize>(shape: [usize; D], axis: usize, view: &View, maps: &[Maps]) {
    let model = bare(shape);
    let plan = Plan::new().select(Selection::paths("weight").view(view.clone()).output_axis(axis));
    let (model, _) = plan.attach(model).unwrap();
    let cotangent = random(shape);
    let loss = (model.weight.val() * cotangent.clone()).sum();
    let ours = model.weight.base().grad(&loss.backward()).unwrap();
    let doubles = |tensor: Tensor<D>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
    let (weight, cotangent) = (doubles(model.weight.base()), doubles(cotangent));
    let state = model.weight.reparameterization::<SpectralNorm>().unwrap();
    let (u, v) = (state.u(), state.v());
    let difference = |index: usize| {
        let at = |delta: f64| {
            let mut weight = weight.clone();
            weight[index] += delta;
            function(&weight, &cotangent, &u, &v, maps)
        };
        (at(1e-6) - at(-1e-6)) / 2e-6
    };
    let theirs: Vec<f64> = (0..weight.len()).map(difference).collect();
    let error = relative_error(&doubles(ours), &theirs);
    assert!(error < 1e-5, "{view:?} axis {axis}: relative error {error:e}");
}

fn whole(count: usize, views: Vec<Seen>) -> [Maps; 1] {
    [Maps { elements: (0..count).collect(), views }]
}

#[test]
fn the_gradient_of_every_view_is_that_of_its_function() {
    let shape = [4, 3, 2, 5];
    for axis in [0, 1] {
        let both = [axis, 1 - axis].map(|axis| Seen::Dense(shape.to_vec(), axis));
        check_gradient(shape, axis, &View::Bidirectional, &whole(120, both.into()));
    }
    let convolutions = [
        Convolution::new([5, 6]).stride([2, 1]).groups(2),
        Convolution::new([5, 6]).dilation([2, 1]).padding([3, 1]).groups(4).circular(),
        Convolution::new([3, 2]).stride([3, 2]).padding([0, 1]).transposed([2, 1]),
    ];
    for convolution in convolutions {
        let seen = Seen::Convolution(convolution.geometry(&shape).unwrap());
        check_gradient(shape, 0, &View::Operator(convolution), &whole(120, vec![seen]));
    }
    // Cut along the first axis, the elements of a block are neighbours; along the second not.
    for (axis, block_shape) in [(0, [2, 6]), (1, [4, 3])] {
        let blocks = [0, 1].map(|block| {
            let inside = |index: &usize| [index / 6 / 2, index % 6 / 3][axis] == block;
            let views = vec![Seen::Dense(block_shape.to_vec(), 1)];
            Maps { elements: (0..24).filter(inside).collect(), views }
        });
        check_gradient([4, 6], 1, &View::Blocks { axis, count: 2 }, &blocks);
    }
}

#[test]
fn the_chosen_norm_is_at_its_target_after_training() {
    let shape = [4, 3, 3, 3];
    let convolution = Convolution::new([6, 6]);
    let views = [
        View::Reshaped,
        View::Bidirectional,
        View::Operator(convolution.clone()),
        View::Blocks { axis: 0, count: 2 },
    ];
    for view in views {
        let config = Conv2dConfig::new([3, 4], [3, 3]).with_padding(PaddingConfig2d::Same);
        let conv: Conv2d = config.with_bias(false).init(&device()).map(&mut Noise(0));
        let plan = Plan::new().select(Selection::paths("weight").view(view.clone()));
        let plan = plan.decide(Rule::parse("always:target=1.5").unwrap());
        let (mut conv, mut osn) = plan.attach(conv).unwrap();
        let (mut sgd, input) = (SgdConfig::new().init(), random([4, 3, 6, 6]));
        for step in 0..400 {
            let loss = (conv.forward(input.clone()) - 1.0).square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &conv);
            // The rate goes to zero: what is held is then what the last refresh has measured.
            conv = sgd.step(0.05 * 0.97f64.powi(step), conv, gradients);
            osn.step(&mut conv, &Signals::new()).unwrap();
        }
        let weight = values(conv.weight.val());
        let sigmas = match view {
            View::Reshaped => vec![reshaped(&weight, &shape, 0)],
            View::Bidirectional => {
                vec![f64::midpoint(reshaped(&weight, &shape, 0), reshaped(&weight, &shape, 1))]
            }
            View::Blocks { .. } => {
                weight.chunks(54).map(|block| reshaped(block, &[2, 3, 3, 3], 0)).collect()
            }
            _ => vec![written_out([1, 3, 6, 6], |image| conv.forward(image))],
        };
        for sigma in sigmas {
            close(sigma, 1.5, 1e-3);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused = |view| {
        let plan = Plan::new().select(Selection::paths("weight").view(view));
        plan.attach(bare([6, 2, 3, 3])).unwrap_err()
    };
    let uneven = refused(View::Blocks { axis: 0, count: 4 });
    assert!(matches!(uneven, AttachError::UnevenBlocks { count: 4, .. }), "{uneven}");
    let missing = refused(View::Blocks { axis: 4, count: 2 });
    assert!(matches!(missing, AttachError::NoSuchAxis { axis: 4, .. }), "{missing}");
    let line = refused(View::Operator(Convolution::new([9])));
    assert!(matches!(line, AttachError::Convolution { .. }), "{line}");
    let groups = refused(View::Operator(Convolution::new([9, 9]).groups(4)));
    assert!(matches!(groups, AttachError::Convolution { .. }), "{groups}");
}
