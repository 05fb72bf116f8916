//! What a switch does to a training with Adam, with and without `Plan::keep_step_size`.
//!
//! `cargo run --release -p osn --example switch --features flex` prints a table: the loss before
//! the switch, the largest mean loss of ten steps after it, and the loss 1,000 steps later.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::num::NonZeroU64;

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use osn::prelude::*;

const SWITCH: usize = 1000;
const STEPS: usize = 2000;
const SEEDS: u64 = 5;

/// A regression network whose layers have σ of about 4.
#[derive(Module, Debug)]
struct Net {
    layers: Vec<Linear>,
}

impl Net {
    fn new(device: &Device) -> Self {
        let layer = |(inputs, outputs)| {
            let mut layer: Linear = LinearConfig::new(inputs, outputs).init(device);
            let normal = Distribution::Normal(0.0, 2.0 / f64::from(32_u8).sqrt());
            layer.weight = Param::from_tensor(Tensor::random([inputs, outputs], normal, device));
            layer
        };
        Self { layers: [(8, 32), (32, 32), (32, 32), (32, 1)].map(layer).to_vec() }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("four layers");
        last.forward(hidden.iter().fold(x, |x, layer| layer.forward(x).tanh()))
    }
}

/// The mean squared error on a batch of a smooth function of eight numbers, with a little noise.
fn loss(model: &Net, device: &Device) -> Tensor<1> {
    let x = Tensor::<2>::random([64, 8], Distribution::Normal(0.0, 1.0), device);
    let part = |index| x.clone().narrow(1, index, 1);
    let truth = part(0) * part(1) + part(2).tanh() * 2.0 - part(3).square() * 0.5;
    let noise = Tensor::random([64, 1], Distribution::Normal(0.0, 0.1), device);
    (model.forward(x) - truth - noise).square().mean()
}

/// The losses of one training.
fn train(rule: &str, keep: Option<u64>, rate: f64, seed: u64) -> Vec<f64> {
    let device = Device::flex().autodiff();
    device.seed(seed);
    let rule = Rule::parse(rule).expect("a rule");
    let plan = Plan::new().select("**.weight").decide(rule);
    let plan = match keep.and_then(NonZeroU64::new) {
        Some(steps) => plan.keep_step_size(steps),
        None => plan,
    };
    let (mut model, mut osn) = plan.attach(Net::new(&device)).expect("weights to hold");
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let mut losses = Vec::with_capacity(STEPS);
    for _ in 0..STEPS {
        let loss = loss(&model, &device);
        losses.push(loss.clone().into_data().iter::<f64>().next().expect("a loss"));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = osn.optimize(&mut adam, rate, model, gradients);
        osn.step(&mut model, &Signals::new()).expect("finite weights");
    }
    losses
}

/// Before the switch, the worst of after it, and at the end: means over the seeds.
fn summary(rule: &str, keep: Option<u64>, rate: f64) -> [f64; 3] {
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let mut sums = [0.0; 3];
    for seed in 0..SEEDS {
        let losses = train(rule, keep, rate, seed);
        let after = losses[SWITCH..SWITCH + 500].chunks(10).map(mean);
        let found = [
            mean(&losses[SWITCH - 100..SWITCH]),
            after.fold(0.0, f64::max),
            mean(&losses[STEPS - 100..]),
        ];
        for (sum, found) in sums.iter_mut().zip(found) {
            *sum += found / SEEDS as f64;
        }
    }
    sums
}

fn main() {
    println!("switch  target  learning rate  kept for  before  worst after  at the end");
    for switch in ["off", "on"] {
        for target in [1, 2] {
            for rate in [0.001, 0.003, 0.01, 0.03] {
                for keep in [None, Some(100), Some(1000)] {
                    let rule = format!("schedule:target={target},{switch}={SWITCH}");
                    let [before, worst, end] = summary(&rule, keep, rate);
                    let kept = keep.map_or("-".to_owned(), |steps: u64| steps.to_string());
                    println!(
                        "{switch:6}  {target:6}  {rate:13}  {kept:>8}  {before:6.3}  \
                         {worst:11.3}  {end:10.3}"
                    );
                }
            }
        }
    }
}
