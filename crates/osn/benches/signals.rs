//! What each signal costs in a training step, as a ratio to the step without osn.
//!
//! `cargo bench --workspace --bench signals` prints a table. The arms take turns, so that a machine that
//! others use too slows all of them alike; each number is the least over the rounds.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::time::Instant;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Distribution, Tensor};
use osn::rules::{Needs, Rule, Signals};
use osn::{Osn, Plan};

const ROUNDS: usize = 8;
const STEPS: u64 = 10;

/// A discriminator of 28×28 images, as the recipe `gan` has one.
#[derive(Module, Debug)]
struct Convolutions {
    layers: Vec<Conv2d>,
    last: Linear,
}

/// A network of three large matrices.
#[derive(Module, Debug)]
struct Perceptron {
    layers: Vec<Linear>,
}

/// A network that can be trained on noise.
trait Network: Module + Clone {
    fn new(device: &Device) -> Self;
    fn loss(&self, device: &Device) -> Tensor<1>;
}

impl Network for Convolutions {
    fn new(device: &Device) -> Self {
        let conv = |channels, kernel, stride| {
            let config =
                Conv2dConfig::new(channels, [kernel, kernel]).with_stride([stride, stride]);
            config.with_padding(burn::nn::PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
        };
        let layers = vec![conv([1, 16], 4, 2), conv([16, 32], 4, 2), conv([32, 64], 3, 1)];
        Self { layers, last: LinearConfig::new(64 * 7 * 7, 1).init(device) }
    }

    fn loss(&self, device: &Device) -> Tensor<1> {
        let images = Tensor::<4>::random([128, 1, 28, 28], Distribution::Default, device);
        let features = self.layers.iter().fold(images, |x, conv| leaky_relu(conv.forward(x), 0.1));
        self.last.forward(features.flatten::<2>(1, 3)).square().mean()
    }
}

impl Network for Perceptron {
    fn new(device: &Device) -> Self {
        let linear = |(inputs, outputs)| LinearConfig::new(inputs, outputs).init(device);
        Self { layers: [(784, 1024), (1024, 1024), (1024, 10)].map(linear).to_vec() }
    }

    fn loss(&self, device: &Device) -> Tensor<1> {
        let inputs = Tensor::<2>::random([128, 784], Distribution::Default, device);
        let layers = self.layers.iter();
        layers.fold(inputs, |x, layer| leaky_relu(layer.forward(x), 0.1)).square().mean()
    }
}

/// What is measured in one arm; the rule never acts, and reads back as often as `gan`'s rules do.
#[derive(Clone, Copy)]
struct Arm {
    name: &'static str,
    rule: Option<&'static str>,
    needs: Needs,
}

const NOTHING: Needs = Needs {
    separation: false,
    input_gradient_norm: false,
    metric: false,
    gradients: false,
    held_out: false,
    generalization: false,
    sigma_ratio: false,
};
const EVERY_10: Option<&str> = Some("cap:target=1e9,interval=10");

const ARMS: [Arm; 6] = [
    Arm { name: "without osn", rule: None, needs: NOTHING },
    Arm { name: "σ, u, v; read back every 50 steps", rule: Some("never"), needs: NOTHING },
    Arm { name: "and drift, stable rank, every 10", rule: EVERY_10, needs: NOTHING },
    Arm {
        name: "and ‖∇W‖, ‖ΔW‖, sensitivity",
        rule: EVERY_10,
        needs: Needs { gradients: true, ..NOTHING },
    },
    Arm {
        name: "and held-out sensitivity",
        rule: EVERY_10,
        needs: Needs { held_out: true, ..NOTHING },
    },
    Arm {
        name: "and σ₂/σ₁, every 10",
        rule: EVERY_10,
        needs: Needs { sigma_ratio: true, ..NOTHING },
    },
];

/// One arm in training.
struct Training<N> {
    model: N,
    osn: Option<Osn>,
    adam: ModuleOptimizer,
}

impl<N: Network> Training<N> {
    fn new(arm: Arm, start: &N) -> Self {
        let adam = AdamConfig::new().init();
        let Some(rule) = arm.rule else { return Self { model: start.clone(), osn: None, adam } };
        let rule = Rule::parse(rule).expect("a rule");
        let plan = Plan::new().select("**.weight").decide(rule).measure(arm.needs);
        let (model, osn) = plan.attach(start.clone()).expect("weights to hold");
        Self { model, osn: Some(osn), adam }
    }

    fn step(&mut self, device: &Device) {
        let gradients = self.model.loss(device).backward();
        if let Some(osn) = &mut self.osn {
            osn.observe(&self.model, &gradients).expect("the attached model");
            // The same gradients stand in for held-out ones: another forward is no cost of osn's.
            osn.observe_held_out(&self.model, &gradients).expect("the attached model");
        }
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        self.model = self.adam.step(1e-4, self.model.clone(), gradients);
        if let Some(osn) = &mut self.osn {
            osn.step(&mut self.model, &Signals::new()).expect("finite weights");
        }
    }
}

/// The seconds of a step of each arm: the least over the rounds.
fn measure<N: Network>(device: &Device) -> Vec<f64> {
    let start = N::new(device);
    let mut trainings = ARMS.map(|arm| Training::new(arm, &start));
    let mut times = vec![f64::INFINITY; ARMS.len()];
    for _ in 0..ROUNDS {
        for (training, time) in trainings.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            (0..STEPS).for_each(|_| training.step(device));
            *time = time.min(begin.elapsed().as_secs_f64() / STEPS as f64);
        }
    }
    times
}

fn main() {
    let device = Device::flex().autodiff();
    let networks = [measure::<Convolutions>(&device), measure::<Perceptron>(&device)];
    println!("| measured | three convolutions | three matrices |\n|---|---|---|");
    for (index, arm) in ARMS.iter().enumerate() {
        let cells = networks.each_ref().map(|times| match index {
            0 => format!("{:.2} ms", times[0] * 1e3),
            _ => format!("{:.3}", times[index] / times[0]),
        });
        println!("| {} | {} |", arm.name, cells.join(" | "));
    }
}
