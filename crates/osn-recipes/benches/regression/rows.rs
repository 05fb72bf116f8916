//! What is measured: the library on single layers, the recipes' own operations, and whole steps.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use osn::rules::{Rule, Signals};
use osn::{Osn, Plan};
use osn_core::measure::Layout;
use osn_core::measure::bounds::{IntervalParams, sigma_interval};
use osn_recipes::adam::adam;
use osn_recipes::convolution::{convolve, convolve_transpose};
use osn_recipes::data::sampler::noise;
use osn_recipes::decide::Decide;

use crate::networks::{Folder, NETWORKS, Outcome, case};

/// What is timed.
pub(crate) type Work = Box<dyn FnMut() -> Outcome<()>>;

/// A row's name, and how to prepare what it times.
type Row = (String, Box<dyn FnOnce() -> Outcome<Work>>);

/// All rows of the table; the order is its order.
pub(crate) fn rows() -> Vec<Row> {
    let linear = |inputs, outputs| move || LinearConfig::new(inputs, outputs).init(&device());
    let kernel = || Conv2dConfig::new([256, 256], [3, 3]).init(&device());
    let of_kernel = |layer: &Conv2d| layer.weight.val().sum();
    let of_matrix = |layer: &Linear| layer.weight.val().sum();
    let mut rows = Vec::from(layer("linear 1024×1024", linear(1024, 1024), of_matrix));
    rows.extend(layer("linear 4096×1024", linear(4096, 1024), of_matrix));
    rows.extend(layer("conv 256×256×3×3", kernel, of_kernel));
    rows.extend([
        row("certain bounds, 1024×1024", || Ok(bounds())),
        row("Adam, 1024×1024", || Ok(update())),
    ]);
    rows.extend(convolutions());
    rows.extend(NETWORKS.into_iter().flat_map(steps));
    rows
}

fn row(name: impl Into<String>, prepare: impl FnOnce() -> Outcome<Work> + 'static) -> Row {
    (name.into(), Box::new(prepare))
}

/// What the work makes is dropped within its time.
fn timed<T>(mut work: impl FnMut() -> Outcome<T> + 'static) -> Work {
    Box::new(move || work().map(drop))
}

fn device() -> Device {
    Device::flex().autodiff()
}

/// One constrained layer: what holding its weight costs by itself.
fn layer<M: Module + 'static>(
    name: &str,
    new: impl Fn() -> M + Copy + 'static,
    sum_of_weight: impl Fn(&M) -> Tensor<1> + Copy + 'static,
) -> [Row; 4] {
    let named = |what| format!("{what}, {name}");
    [
        row(named("first measurement"), move || {
            let layer = new();
            Ok(timed(move || held(layer.clone())))
        }),
        row(named("refresh"), move || {
            let (mut layer, mut osn) = held(new())?;
            Ok(timed(move || Ok(osn.step(&mut layer, &Signals::new())?)))
        }),
        row(named("effective weight and its sum"), move || {
            let (layer, _) = held(new())?;
            Ok(timed(move || Ok(sum_of_weight(&layer))))
        }),
        row(named("and the sum's backward"), move || {
            let (layer, _) = held(new())?;
            Ok(timed(move || Ok(sum_of_weight(&layer).backward())))
        }),
    ]
}

fn held<M: Module>(layer: M) -> Outcome<(M, Osn)> {
    Ok(Plan::new().select("**.weight").decide(Rule::parse("always")?).attach(layer)?)
}

fn bounds() -> Work {
    let (layout, params) = (Layout::new(&[1024, 1024], 0), IntervalParams::default());
    let entries = noise(0, 0, 0, 1024 * 1024);
    timed(move || Ok(sigma_interval(&entries, layout, &params)?))
}

fn update() -> Work {
    let mut layer = LinearConfig::new(1024, 1024).with_bias(false).init(&device());
    let (mut adam, gradient) = (adam(0.5, 0.999, 1e-8), layer.weight.val().inner());
    timed(move || {
        let mut gradients = GradientsParams::new();
        gradients.register(layer.weight.id, gradient.clone());
        layer = adam.step(1e-4, layer.clone(), gradients);
        Ok(())
    })
}

/// The second layers of `gan`'s two networks, preset `standard`, and their gradients.
fn convolutions() -> [Row; 4] {
    const PADDING: PaddingConfig2d = PaddingConfig2d::Explicit(1, 1, 1, 1);
    let conv = || -> (Conv2d, Tensor<4>) {
        let config = Conv2dConfig::new([32, 64], [4, 4]).with_stride([2, 2]);
        (config.with_padding(PADDING).init(&device()), images([64, 32, 14, 14]))
    };
    let transposed = || -> (ConvTranspose2d, Tensor<4>) {
        let config = ConvTranspose2dConfig::new([128, 64], [4, 4]).with_stride([2, 2]);
        (config.with_padding([1, 1]).init(&device()), images([32, 128, 7, 7]))
    };
    [
        row("convolution", move || {
            let (layer, images) = conv();
            Ok(timed(move || Ok(convolve(&layer, images.clone()))))
        }),
        row("convolution and backward", move || {
            let (layer, images) = conv();
            Ok(timed(move || Ok(convolve(&layer, images.clone()).sum().backward())))
        }),
        row("transposed convolution", move || {
            let (layer, images) = transposed();
            Ok(timed(move || Ok(convolve_transpose(&layer, images.clone()))))
        }),
        row("transposed convolution and backward", move || {
            let (layer, images) = transposed();
            let sum = move || convolve_transpose(&layer, images.clone()).sum();
            Ok(timed(move || Ok(sum().backward())))
        }),
    ]
}

/// With a gradient, as between two layers.
fn images(shape: [usize; 4]) -> Tensor<4> {
    Tensor::random(shape, Distribution::Default, &device()).require_grad()
}

/// A network's training step without osn and normalized at every step.
fn steps(network: &'static str) -> [Row; 2] {
    ["without", "always"].map(|arm| {
        row(format!("step of {network}, {arm}"), move || {
            let decide = (arm != "without").then(|| Decide::named(arm)).transpose()?;
            let step = case(network, decide.as_ref(), &Folder(None))?;
            Ok(timed(step))
        })
    })
}
