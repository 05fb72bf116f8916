//! Training through `burn-train`'s `Learner`: where `osn.step` goes.
//!
//! The learner owns the model and the loop, so a small module stands around the network: it shares osn with the
//! outside, and its `TrainStep::optimize` is the optimizer's step with osn's behind it. An error of osn stops the
//! training.
//!
//! `cargo run -p osn --example learner`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

mod classifier;
mod digits;

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use burn_train::metric::AccuracyMetric;
use burn_train::{
    ClassificationOutput, InferenceStep, Interrupter, Learner, SupervisedTraining, TrainOutput,
    TrainStep,
};
use osn::StepError;
use osn::prelude::*;
use osn::report::Table;

use classifier::Classifier;
use digits::Digits;

fn classify(network: &Classifier, batch: Digits) -> ClassificationOutput {
    let scores = network.forward(batch.images);
    let loss = CrossEntropyLossConfig::new().init(&scores.device());
    let loss = loss.forward(scores.clone(), batch.labels.clone());
    ClassificationOutput::new(loss, scores, batch.labels)
}

/// The network as the learner trains it.
#[derive(Module, Debug)]
struct Held {
    network: Classifier,
    #[module(skip)]
    shared: Arc<Mutex<Shared>>,
}

/// What lives outside the module tree.
struct Shared {
    osn: Osn,
    error: Option<StepError>,
    interrupter: Interrupter,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Keeps the first error, and stops the training.
    fn check<T>(&mut self, result: Result<T, StepError>) {
        if let Err(error) = result {
            self.interrupter.stop(Some(&error.to_string()));
            self.error.get_or_insert(error);
        }
    }
}

impl TrainStep for Held {
    type Input = Digits;
    type Output = ClassificationOutput;

    fn step(&self, batch: Digits) -> TrainOutput<ClassificationOutput> {
        let output = classify(&self.network, batch);
        let gradients = output.loss.backward();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let observed = shared.osn.observe(&self.network, &gradients); // does nothing where no rule asks
        shared.check(observed);
        TrainOutput::new(self, gradients, output)
    }

    fn optimize(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let Self { network, shared } = self;
        let mut held = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let mut network = held.osn.optimize(optimizer, rate, network, gradients);
        let stepped = held.osn.step(&mut network, &Signals::new()); // after the optimizer, once
        held.check(stepped);
        drop(held);
        Self { network, shared }
    }
}

impl InferenceStep for Held {
    type Input = Digits;
    type Output = ClassificationOutput;

    fn step(&self, batch: Digits) -> ClassificationOutput {
        classify(&self.network, batch)
    }
}

impl Batcher<usize, Digits> for Digits {
    /// An item is the number of a batch; these digits are on their device already.
    fn batch(&self, numbers: Vec<usize>, _: &Device) -> Digits {
        Digits::batch(self, numbers[0])
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex();
    device.seed(1);
    let (train, _) = digits::train_and_test(&device.clone().autodiff())?;
    let (_, test) = digits::train_and_test(&device)?;
    let loader = |digits: &Digits, n_batches: usize| {
        let numbers = InMemDataset::new((0..n_batches).collect());
        DataLoaderBuilder::new(digits.clone()).batch_size(1).shuffle(1).build(numbers)
    };
    let folder = std::env::temp_dir().join(format!("osn-learner-{}", std::process::id()));
    let training = SupervisedTraining::<Held>::new(&folder, loader(&train, 20), loader(&test, 7))
        .num_epochs(20)
        .metric_valid_numeric(AccuracyMetric::new())
        .with_application_logger(None);

    let plan = Plan::new().select("**.weight").decide(Cap { target: 2.0, ..Cap::default() });
    let (network, osn) = plan.attach(Classifier::new(&device.autodiff()))?;
    let shared = Shared { osn, error: None, interrupter: training.interrupter() };
    let shared = Arc::new(Mutex::new(shared));
    let model = Held { network, shared: shared.clone() };
    let result = training.launch(Learner::new(model, AdamConfig::new().init(), 0.003));
    std::fs::remove_dir_all(folder)?;

    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = shared.error.take() {
        return Err(error.into());
    }
    let network = result.model.network;
    let layers = shared.osn.report(&network)?;
    println!("after {} steps\n\n{}", shared.osn.steps(), Table(&layers));
    println!("\ntest accuracy {:.3}", test.accuracy(network.forward(test.images.clone())));
    for layer in layers {
        assert!(layer.effective_sigma() < 2.2, "the cap holds, but for its band of 5 %");
    }
    Ok(())
}
