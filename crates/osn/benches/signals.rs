//! What rules and signals add to a training step, in percent of the step without osn.
//!
//! `cargo bench --workspace --bench signals` prints a table. The arms take turns step by step, and each step is
//! compared with the one without osn in the same turn, so that a machine that others use too slows both alike. A
//! number is the mean over 50 consecutive steps, with all read-backs between, of the median over the rounds.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::iter;
use std::time::Instant;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Distribution, Tensor};
use mimalloc::MiMalloc;
use osn::rules::{Generalization, Needs, Rule, Signals};
use osn::{Osn, Plan};

/// Keeps its pages: what the system takes to hand out new ones differs from run to run by more than what is measured.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ROUNDS: usize = 5;
/// Steps in a round: as many as lie between two read-backs that come whatever the rule.
const STEPS: usize = 50;

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

/// What decides in one arm, and what is measured besides; rules read back as often as `gan`'s do.
#[derive(Clone, Copy)]
struct Arm {
    name: &'static str,
    rule: Option<&'static str>,
    needs: Needs,
}

fn arms() -> [Arm; 10] {
    let needs = Needs::default();
    let every_10 = Some("cap:target=1e9,interval=10");
    let auto = Some("auto:task=classify,interval=10");
    let arm = |name, rule, needs| Arm { name, rule, needs };
    [
        arm("without osn", None, needs),
        arm("the same again: what noise makes", None, needs),
        arm("`never`", Some("never"), needs),
        arm("an idle `cap`: σ every 10 steps", every_10, needs),
        arm("`always`", Some("always"), needs),
        arm("`auto:task=classify` with its losses", auto, needs),
        arm("the idle `cap` and the stable rank", every_10, Needs { stable_rank: true, ..needs }),
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
        let Some(rule) = arm.rule else {
            return Self { model: start.clone(), osn: None, adam };
        };
        let rule = Rule::parse(rule).expect("a rule");
        let plan = Plan::new().select("**.weight").decide(rule).measure(arm.needs);
        let (model, osn) = plan.attach(start.clone()).expect("weights to hold");
        Self { model, osn: Some(osn), adam }
    }

    fn step(&mut self, device: &Device) {
        let loss = self.model.loss(device);
        let signals = self.signals(&loss, device);
        let gradients = loss.backward();
        if let Some(osn) = &mut self.osn {
            osn.observe(&self.model, &gradients).expect("the attached model");
            // The same gradients stand in for held-out ones: another forward is no cost of osn's.
            osn.observe_held_out(&self.model, &gradients).expect("the attached model");
        }
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        self.model = self.adam.step(1e-4, self.model.clone(), gradients);
        if let Some(osn) = &mut self.osn {
            osn.step(&mut self.model, &signals).expect("finite weights");
        }
    }

    /// The two losses where a rule that needs them decides next.
    fn signals(&self, loss: &Tensor<1>, device: &Device) -> Signals {
        let is_due = |osn: &Osn| osn.needs().generalization && osn.decides_next();
        if !self.osn.as_ref().is_some_and(is_due) {
            return Signals::new();
        }
        let held_out = self.model.valid().loss(&device.clone().without_autodiff());
        let [train_loss, held_out_loss] =
            [loss.clone(), held_out].map(|loss| loss.into_scalar::<f64>());
        Signals::new().generalization(Generalization { train_loss, held_out_loss })
    }
}

/// The median seconds of a step without osn, and of each other arm the ratio to it.
fn measure(start: &Network, device: &Device) -> Vec<f64> {
    let mut trainings = arms().map(|arm| Training::new(arm, start));
    let count = trainings.len();
    // Each turn begins at another arm: what an arm leaves in the caches and the allocator is not always for the same one.
    let mut turn = |first: usize| {
        let mut seconds = vec![0.0; count];
        for arm in (first..first + count).map(|arm| arm % count) {
            let begin = Instant::now();
            trainings[arm].step(device);
            seconds[arm] = begin.elapsed().as_secs_f64();
        }
        seconds
    };
    (0..STEPS).for_each(|index| drop(turn(index)));
    // The step in a round and the first arm do not go together.
    let turns: Vec<_> = (0..ROUNDS * STEPS).map(|index| turn(index + index / STEPS)).collect();
    let ratio = |arm: usize| {
        let at_step = |step: usize| {
            median(turns.iter().skip(step).step_by(STEPS).map(|turn| turn[arm] / turn[0]))
        };
        (0..STEPS).map(at_step).sum::<f64>() / STEPS as f64
    };
    let without = median(turns.iter().map(|turn| turn[0]));
    iter::once(without).chain((1..count).map(ratio)).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let device = Device::flex().autodiff();
    println!("| rule, signals | three convolutions | three matrices |\n|---|---|---|");
    let networks = [Network::convolutions(&device), Network::matrices(&device)];
    let networks = networks.map(|network| measure(&network, &device));
    for (index, arm) in arms().iter().enumerate() {
        let cells = networks.each_ref().map(|times| match index {
            0 => format!("{:.2} ms", times[0] * 1e3),
            _ => format!("{:+.1} %", 100.0 * (times[index] - 1.0)),
        });
        println!("| {} | {} |", arm.name, cells.join(" | "));
    }
}
