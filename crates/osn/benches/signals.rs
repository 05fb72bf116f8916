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

/// A network that is trained on 28×28 images of noise.
#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    matrices: Vec<Linear>,
}

impl Network {
    /// A discriminator, as the recipe `gan` has one.
    fn convolutions(device: &Device) -> Self {
        let conv = |channels, kernel, stride| {
            let config =
                Conv2dConfig::new(channels, [kernel, kernel]).with_stride([stride, stride]);
            config.with_padding(burn::nn::PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
        };
        let convolutions = vec![conv([1, 16], 4, 2), conv([16, 32], 4, 2), conv([32, 64], 3, 1)];
        Self { convolutions, matrices: vec![LinearConfig::new(64 * 7 * 7, 1).init(device)] }
    }

    /// Three large matrices.
    fn matrices(device: &Device) -> Self {
        let linear = |(inputs, outputs)| LinearConfig::new(inputs, outputs).init(device);
        let matrices = [(784, 1024), (1024, 1024), (1024, 10)].map(linear).to_vec();
        Self { convolutions: Vec::new(), matrices }
    }

    fn loss(&self, device: &Device) -> Tensor<1> {
        let images = Tensor::<4>::random([128, 1, 28, 28], Distribution::Default, device);
        let convolutions = self.convolutions.iter();
        let features = convolutions.fold(images, |x, conv| leaky_relu(conv.forward(x), 0.1));
        let (features, matrices) = (features.flatten::<2>(1, 3), self.matrices.iter());
        matrices.fold(features, |x, layer| leaky_relu(layer.forward(x), 0.1)).square().mean()
    }
}

/// What is measured in one arm; the rule never acts, and reads back as often as `gan`'s rules do.
#[derive(Clone, Copy)]
struct Arm {
    name: &'static str,
    rule: Option<&'static str>,
    needs: Needs,
}

fn arms() -> [Arm; 6] {
    let needs = Needs::default();
    let every_10 = Some("cap:target=1e9,interval=10");
    let arm = |name, rule, needs| Arm { name, rule, needs };
    [
        arm("without osn", None, needs),
        arm("σ, u, v; read back every 50 steps", Some("never"), needs),
        arm("and drift, stable rank, every 10", every_10, needs),
        arm("and ‖∇W‖, ‖ΔW‖, sensitivity", every_10, Needs { gradients: true, ..needs }),
        arm("and held-out sensitivity", every_10, Needs { held_out: true, ..needs }),
        arm("and σ₂/σ₁, every 10", every_10, Needs { sigma_ratio: true, ..needs }),
    ]
}

/// One arm in training.
struct Training {
    model: Network,
    osn: Option<Osn>,
    adam: ModuleOptimizer,
}

impl Training {
    fn new(arm: Arm, start: &Network) -> Self {
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
fn measure(start: &Network, device: &Device) -> Vec<f64> {
    let mut trainings = arms().map(|arm| Training::new(arm, start));
    let mut times = vec![f64::INFINITY; trainings.len()];
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
    let networks = [Network::convolutions(&device), Network::matrices(&device)];
    let networks = networks.map(|network| measure(&network, &device));
    println!("| measured | three convolutions | three matrices |\n|---|---|---|");
    for (index, arm) in arms().iter().enumerate() {
        let cells = networks.each_ref().map(|times| match index {
            0 => format!("{:.2} ms", times[0] * 1e3),
            _ => format!("{:.3}", times[index] / times[0]),
        });
        println!("| {} | {} |", arm.name, cells.join(" | "));
    }
}
