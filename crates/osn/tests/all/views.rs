//! Every view of a weight, held in training: against matrices written out by the layers themselves,
//! their decompositions, and finite differences.

use crate::support::{Bare, device, draw, exact_sigma, exact_sigma_of, noisy, plan, steps, values};
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Conv3d, Conv3dConfig};
use burn::nn::conv::{ConvTranspose2d, ConvTranspose2dConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::Tensor;
use osn::rules::{Action, Signals};
use osn::views::{AsConvolution, Convolution, View};
use osn::{AttachError, Osn, Plan, Selection, SpectralNorm};
use osn_core::measure::convolution::ConvMap;
use osn_core::measure::{DenseMap, exact, singular_values};

/// The largest singular value of what `layer` does to images of `shape`, written out column by
/// column with the layer's own forward.
fn written_out<const D: usize>(shape: [usize; D], layer: impl Fn(Tensor<D>) -> Tensor<D>) -> f64 {
    let count: usize = shape.iter().product();
    let mut columns: Vec<f32> = Vec::new();
    for index in 0..count {
        let mut impulse = vec![0.0f32; count];
        impulse[index] = 1.0;
        let impulse = Tensor::<1>::from_data(impulse.as_slice(), &device()).reshape(shape);
        columns.extend(values::<f32, D>(layer(impulse)));
    }
    let rows = columns.len() / count;
    exact(&DenseMap::new(&columns, count, rows).unwrap()).unwrap().sigma
}

/// A plan for the parameter `weight`, seen through `view`.
fn seen(view: View) -> Plan {
    Plan::new().select(Selection::paths("weight").view(view))
}

/// Attaches, and refreshes until the estimate stands.
fn settled<M: Module>(plan: Plan, model: M) -> (M, Osn) {
    let (mut model, mut osn) = plan.attach(model).unwrap();
    steps(&mut osn, &mut model, 400);
    (model, osn)
}

fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours / theirs - 1.0).abs() < tolerance, "{ours} is not {theirs}");
}

/// Holds `layer` as the convolution that it is, and checks the σ of what it does to images of `shape`.
fn check_operator<M: Module, const D: usize>(
    layer: M,
    convolution: Convolution,
    shape: [usize; D],
    forward: impl Fn(&M, Tensor<D>) -> Tensor<D>,
) {
    let (layer, _) = settled(seen(View::Operator(convolution)), noisy(layer));
    close(written_out(shape, |image| forward(&layer, image)), 1.0, 1e-4);
}

#[test]
fn the_operator_view_bounds_what_the_layer_does() {
    let config = Conv2dConfig::new([6, 4], [4, 2])
        .with_stride([2, 1])
        .with_groups(2)
        .with_dilation([1, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 0, 2, 3));
    let conv = config.with_bias(false).init(&device());
    let convolution = conv.convolution([7, 6]);
    check_operator(conv, convolution, [1, 6, 7, 6], Conv2d::forward);
}

#[test]
fn also_with_same_padding_and_an_even_kernel() {
    let config = Conv2dConfig::new([2, 3], [4, 3]).with_padding(PaddingConfig2d::Same);
    let conv = config.with_stride([1, 2]).with_bias(false).init(&device());
    let convolution = conv.convolution([5, 6]);
    check_operator(conv, convolution, [1, 2, 5, 6], Conv2d::forward);
}

#[test]
fn also_in_one_and_three_dimensions() {
    let line = Conv1dConfig::new(3, 2, 3).with_bias(false).init(&device());
    let convolution = line.convolution([8]);
    check_operator(line, convolution, [1, 3, 8], Conv1d::forward);
    let config = Conv3dConfig::new([2, 3], [2, 3, 1]).with_stride([1, 2, 1]).with_bias(false);
    let solid = config.init(&device());
    let convolution = solid.convolution([3, 5, 2]);
    check_operator(solid, convolution, [1, 2, 3, 5, 2], Conv3d::forward);
}

#[test]
fn also_transposed_with_groups_and_output_padding() {
    let config = ConvTranspose2dConfig::new([4, 6], [3, 4])
        .with_stride([2, 3])
        .with_padding([1, 0])
        .with_padding_out([1, 2])
        .with_groups(2);
    let up = config.with_bias(false).init(&device());
    let convolution = up.convolution([3, 2]);
    check_operator(up, convolution, [1, 4, 3, 2], ConvTranspose2d::forward);
}

fn bare<const D: usize>(shape: [usize; D]) -> Bare<D> {
    Bare::of(draw(shape, &device()))
}

#[test]
fn a_circular_operator_is_held_where_the_padding_wraps_more_than_once() {
    let convolution =
        Convolution { padding: Some(vec![(5, 4), (1, 0)]), ..Convolution::new([3, 4]) }.circular();
    let shape = [2, 3, 4, 2];
    let (model, _) = settled(seen(View::Operator(convolution.clone())), bare(shape));
    let weight: Vec<f32> = values(model.weight.val());
    let map = ConvMap::new(&weight, convolution.geometry(&shape).unwrap()).unwrap();
    close(exact(&map).unwrap().sigma, 1.0, 1e-4);
}

/// The mean σ of both reshapings of a kernel.
fn bidirectional(weight: &[f32], shape: &[usize]) -> f64 {
    f64::midpoint(exact_sigma_of(weight, shape, 0), exact_sigma_of(weight, shape, 1))
}

#[test]
fn the_bidirectional_mean_is_held_at_its_target() {
    let shape = [3, 7, 2, 4];
    for axis in [0, 1] {
        let selection = Selection::paths("weight").view(View::Bidirectional).output_axis(axis);
        let (model, _) = settled(plan("always:target=0.7").select(selection), bare(shape));
        close(bidirectional(&values(model.weight.val()), &shape), 0.7, 1e-4);
    }
}

#[test]
fn a_linear_layer_is_seen_the_same_both_ways() {
    let model = bare([5, 9]);
    let held =
        |view| -> Vec<f32> { values(seen(view).attach(model.clone()).unwrap().0.weight.val()) };
    assert_eq!(held(View::Bidirectional), held(View::Matrix));
}

#[test]
fn each_block_has_its_own_size_action_and_name() {
    // Heads along the last axis: a block's elements do not lie together.
    let sizes = Tensor::<1>::from_data([0.1f32, 1.0, 20.0], &device()).reshape([1, 3, 1]);
    let weight = draw([6, 3, 4], &device()).mul(sizes).reshape([6, 12]);
    let blocks = Selection::paths("weight").view(View::Blocks { axis: 1, count: 3 });
    let plan = plan("cap:target=2").select(blocks.output_axis(1));
    let (model, osn) = settled(plan, Bare::of(weight.clone()));
    let sigma = |weight: Tensor<2>| {
        [0, 4, 8].map(|start| exact_sigma(&weight.clone().narrow(1, start, 4), 1))
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
    let selection = Selection::paths("weight").view(view).output_axis(1);
    let (model, osn) = plan("always:target=0.5").select(selection).attach(weight).unwrap();
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
    let weight: Vec<f32> = values(kernel.weight.val());
    let reshapings = [0, 1].map(|axis| (&weight[..], &shape[..], axis));
    check_spectrum(kernel.clone(), View::Bidirectional, 0, 2, &reshapings);
    check_spectrum(kernel, View::Reshaped, 0, 99, &reshapings[1..]);
    let blocks = bare([6, 12]);
    let second: Vec<f32> = values(blocks.weight.val().narrow(1, 4, 4));
    let view = View::Blocks { axis: 1, count: 3 };
    check_spectrum(blocks, view, 1, 99, &[(&second, &[6, 4], 1)]);
}

#[test]
fn a_convolution_as_an_operator_has_no_spectrum() {
    let view = View::Operator(Convolution::new([3, 4]));
    let (model, osn) = seen(view).attach(bare([2, 3, 3, 3])).unwrap();
    let spectra = osn.spectra(&model, 9).unwrap();
    assert_eq!((spectra.len(), spectra[0].n_values, spectra[0].singular_values.len()), (1, 0, 0));
}

#[test]
fn groups_give_the_largest_of_their_norms() {
    let shape = [6, 2, 1, 1];
    let model = bare(shape);
    let raw: Vec<f32> = values(model.weight.val());
    let (blocks, _) = seen(View::Blocks { axis: 0, count: 3 }).attach(model.clone()).unwrap();
    let each = blocks.weight.reparameterization::<SpectralNorm>().unwrap().sigma();
    let (whole, _) = settled(seen(View::Operator(Convolution::new([3, 3]).groups(3))), model);
    let sigma = whole.weight.reparameterization::<SpectralNorm>().unwrap().sigma();
    close(sigma[0], each.iter().copied().fold(0.0, f64::max), 1e-4);
    assert!((0..3).all(|g| {
        let block = &raw[g * 4..(g + 1) * 4];
        (exact_sigma_of(block, &[2, 2], 0) / each[g] - 1.0).abs() < 1e-4
    }));
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
        let conv = noisy(config.with_bias(false).init(&device()));
        let plan = plan("always:target=1.5").select(Selection::paths("*").view(view.clone()));
        let (mut conv, mut osn) = plan.attach(conv).unwrap();
        let (mut sgd, input) = (SgdConfig::new().init(), draw([4, 3, 6, 6], &device()));
        for step in 0..400 {
            let loss = (conv.forward(input.clone()) - 1.0).square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &conv);
            // The rate goes to zero: what is held is then what the last refresh has measured.
            conv = sgd.step(0.05 * 0.97f64.powi(step), conv, gradients);
            osn.step(&mut conv, &Signals::new()).unwrap();
        }
        let weight: Vec<f32> = values(conv.weight.val());
        let sigmas = match view {
            View::Reshaped => vec![exact_sigma_of(&weight, &shape, 0)],
            View::Bidirectional => vec![bidirectional(&weight, &shape)],
            View::Blocks { .. } => {
                weight.chunks(54).map(|block| exact_sigma_of(block, &[2, 3, 3, 3], 0)).collect()
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
    let refused = |view| seen(view).attach(bare([6, 2, 3, 3])).unwrap_err();
    let uneven = refused(View::Blocks { axis: 0, count: 4 });
    assert!(matches!(uneven, AttachError::UnevenBlocks { count: 4, .. }), "{uneven}");
    let missing = refused(View::Blocks { axis: 4, count: 2 });
    assert!(matches!(missing, AttachError::NoSuchAxis { axis: 4, .. }), "{missing}");
    let line = refused(View::Operator(Convolution::new([9])));
    assert!(matches!(line, AttachError::Convolution { .. }), "{line}");
    let groups = refused(View::Operator(Convolution::new([9, 9]).groups(4)));
    assert!(matches!(groups, AttachError::Convolution { .. }), "{groups}");
}
