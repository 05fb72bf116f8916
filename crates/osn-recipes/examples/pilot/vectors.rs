//! A generator and a discriminator of fully connected layers, with the hinge loss.

use std::error::Error;
use std::time::Instant;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{leaky_relu, relu, tanh};
use burn::tensor::{Device, Tensor, TensorData};
use osn::rules::{Rule, Signals};
use osn::{Osn, Plan};
use osn_recipes::adversarial::objective::Objective;
use osn_recipes::adversarial::signals::{AdversarialSums, halves};
use osn_recipes::data::sampler::{Sampler, noise};
use osn_recipes::init;

use crate::energy::energy_distance;
use crate::points::{self, Points};
use crate::results::{Outcome, Trace};

/// What the networks learn to draw.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Data {
    Ring,
    Grid,
    Digits,
}

/// What happens half-way.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// The learning rate is multiplied by this.
    LearningRate(f64),
    /// Only so many points are left.
    Count(usize),
}

/// Every hyper-parameter of one run.
#[derive(Clone)]
pub(crate) struct VectorGan {
    pub(crate) data: Data,
    /// Points to train on; all where there are fewer.
    pub(crate) count: usize,
    pub(crate) latents: usize,
    pub(crate) generator_width: usize,
    /// Units of each hidden layer of D.
    pub(crate) width: usize,
    /// Hidden layers of D.
    pub(crate) depth: usize,
    pub(crate) batch: usize,
    pub(crate) steps: u64,
    pub(crate) n_dis: u64,
    pub(crate) learning_rate: f64,
    pub(crate) beta_1: f32,
    pub(crate) change: Option<Change>,
}

impl Default for VectorGan {
    fn default() -> Self {
        Self {
            data: Data::Ring,
            count: 10_000,
            latents: 8,
            generator_width: 64,
            width: 64,
            depth: 2,
            batch: 64,
            steps: 2_000,
            n_dis: 1,
            learning_rate: 1e-3,
            beta_1: 0.5,
            change: None,
        }
    }
}

/// Scorings in a run.
const SCORINGS: u64 = 20;
/// Points of each kind in a scoring.
const SCORED: usize = 500;

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Linear>,
}

impl Network {
    fn new(sizes: &[usize], device: &Device) -> Self {
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Self { layers: sizes.windows(2).map(layer).collect() }
    }

    /// All layers, with `activation` between them.
    fn forward(&self, x: Tensor<2>, activation: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("a network has a layer");
        last.forward(hidden.iter().fold(x, |x, layer| activation(layer.forward(x))))
    }

    fn discriminate(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(x, |x| leaky_relu(x, 0.1))
    }
}

struct Gan<'a> {
    config: &'a VectorGan,
    seed: u64,
    device: Device,
    train: Points,
    test: Points,
    sampler: Sampler,
    generator: Network,
    discriminator: Network,
    osn: Osn,
    watch: AdversarialSums,
    adam: [ModuleOptimizer; 2],
    learning_rate: f64,
    trace: Trace,
}

/// Trains one arm with one seed.
pub(crate) fn train(config: &VectorGan, arm: &str, seed: u64) -> Result<Outcome, Box<dyn Error>> {
    let start = Instant::now();
    let mut gan = Gan::new(config, arm, seed)?;
    let mut curve = Vec::new();
    for step in 1..=config.steps {
        gan.change_half_way(step);
        for update in 0..config.n_dis {
            gan.train_discriminator((step - 1) * config.n_dis + update)?;
        }
        gan.train_generator(step);
        if step.is_multiple_of(config.steps / SCORINGS) {
            curve.push(gan.score());
        }
    }
    Ok(Outcome::new(curve, gan.trace.mean(), start.elapsed().as_secs_f64()))
}

impl<'a> Gan<'a> {
    fn new(config: &'a VectorGan, arm: &str, seed: u64) -> Result<Self, Box<dyn Error>> {
        let device = Device::flex().autodiff();
        let (mut train, test) = load(config.data);
        train.values.truncate(config.count * train.size);
        let (size, width) = (train.size, config.generator_width);
        let generator = Network::new(&[config.latents, width, width, size], &device);
        let hidden = std::iter::repeat_n(config.width, config.depth);
        let sizes: Vec<usize> = std::iter::once(size).chain(hidden).chain([1]).collect();
        let discriminator = init::xavier(Network::new(&sizes, &device), seed, 1);
        let rule = Rule::parse(arm)?;
        let watch = AdversarialSums::new(osn::rules::Needs { separation: true, ..rule.needs() });
        let plan = Plan::new().network("discriminator").select("**.weight").decide(rule);
        let (discriminator, osn) = plan.attach(discriminator)?;
        let adam = || {
            let config = AdamConfig::new().with_beta_1(config.beta_1).with_epsilon(1e-8);
            config.init()
        };
        Ok(Self {
            config,
            seed,
            sampler: Sampler::new(seed, train.len()),
            generator: init::xavier(generator, seed, 0),
            discriminator,
            osn,
            watch,
            adam: [adam(), adam()],
            learning_rate: config.learning_rate,
            trace: Trace::default(),
            device,
            train,
            test,
        })
    }

    fn change_half_way(&mut self, step: u64) {
        if step != self.config.steps / 2 {
            return;
        }
        match self.config.change {
            Some(Change::LearningRate(factor)) => self.learning_rate *= factor,
            Some(Change::Count(count)) => self.sampler = Sampler::new(self.seed, count),
            None => {}
        }
    }

    fn train_discriminator(&mut self, update: u64) -> Result<(), Box<dyn Error>> {
        let indices = self.sampler.batch_indices(update, self.config.batch);
        let real = self.tensor(self.train.batch(&indices), self.train.size);
        let fake = self.generate(1, update, self.config.batch).detach();
        let logits = self.discriminator.discriminate(Tensor::cat(vec![real, fake], 0));
        let [real, fake] = halves(logits.clone());
        let loss = Objective::Hinge.of_discriminator(real, fake);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.discriminator);
        let discriminator = self.discriminator.clone();
        self.discriminator = self.adam[0].step(self.learning_rate, discriminator, gradients);
        self.watch.add_logits(&logits);
        let mut signals = Signals::new();
        if self.osn.decides_next() || (self.osn.steps() + 1).is_multiple_of(10) {
            let seen = self.watch.take();
            self.trace.add(seen);
            signals = signals.adversarial(seen);
        }
        let changes = self.osn.step(&mut self.discriminator, &signals)?;
        if let Some(target) = changes.last().and_then(|change| change.to.target()) {
            self.trace.target(target);
        }
        Ok(())
    }

    fn train_generator(&mut self, step: u64) {
        let discriminator = self.discriminator.valid();
        let samples = self.generate(2, step, self.config.batch);
        let found = self.watch.generator_loss(
            Objective::Hinge,
            samples,
            |samples| discriminator.discriminate(samples),
            None,
        );
        let gradients = GradientsParams::from_grads(found.gradients, &self.generator);
        self.generator = self.adam[1].step(self.learning_rate, self.generator.clone(), gradients);
    }

    fn generate(&self, stream: u64, step: u64, count: usize) -> Tensor<2> {
        let size = self.config.latents;
        let latents = self.tensor(noise(self.seed, stream, step, count * size), size);
        let samples = self.generator.forward(latents, relu);
        if self.config.data == Data::Digits { tanh(samples) } else { samples }
    }

    fn tensor(&self, values: Vec<f32>, size: usize) -> Tensor<2> {
        let rows = values.len() / size;
        Tensor::from_data(TensorData::new(values, [rows, size]), &self.device)
    }

    fn score(&self) -> f64 {
        let samples: Vec<f32> = self.generate(3, 0, SCORED).into_data().iter().collect();
        energy_distance(&samples, &self.test.values, self.test.size)
    }
}

/// What to train on and what to be judged by.
fn load(data: Data) -> (Points, Points) {
    const MANY: usize = 10_000;
    match data {
        Data::Ring => (points::ring(MANY, 10), points::ring(SCORED, 11)),
        Data::Grid => (points::grid(MANY, 10), points::grid(SCORED, 11)),
        Data::Digits => points::digits(),
    }
}
