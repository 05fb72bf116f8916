//! One training on several processes, on one machine or many: handwritten digits, a network with batch normalization, osn
//! on its weights, checkpoints, and a stop by Ctrl-C's cousin, the file `stop`.
//!
//! ```text
//! cargo build --release --workspace --features osn-mpi/mpi --example cluster
//! mpirun -n 3 target/release/examples/cluster FOLDER [STEPS]    # the same command goes on where it was
//! ```
//!
//! The weights in FOLDER are the same for every number of processes up to 12, and where a training is cut on 3 and goes on
//! on 2. A third word makes one worker fail, to see what a cluster does then: `nan@1:9` gives worker 1 a gradient that
//! is NaN at step 9; `error`, `panic`, `kill` and `stop` end it or let it stand still; `config` starts it with another one.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

#[path = "../../osn/examples/digits/mod.rs"]
mod digits;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::store::{ModuleRecord, ModuleSnapshot, SafetensorsStore};
use burn::tensor::activation::relu;
use burn::tensor::{Bytes, Device, Tensor};
use osn::prelude::*;
use osn::rules::{Generalization, Rule};
use osn::workers::Team;
use osn_mpi::MpiWorkers;

use digits::Digits;

/// The parts of a batch, whatever the number of processes: the result depends on this.
const SHARDS: usize = 12;
const RATE: f64 = 0.003;
const SAVE_EVERY: usize = 50;

fn main() -> ExitCode {
    osn_mpi::run(train)
}

#[derive(Module, Debug)]
struct Network {
    first: Linear,
    norm: BatchNorm,
    second: Linear,
    output: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(64, 48).init(device),
            norm: BatchNormConfig::new(48).init(device),
            second: LinearConfig::new(48, 48).init(device),
            output: LinearConfig::new(48, 10).init(device),
        }
    }

    /// From `[batch, 64]` to a score for each digit, `[batch, 10]`.
    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        let hidden = relu(self.norm.forward(self.first.forward(images)));
        self.output.forward(relu(self.second.forward(hidden)))
    }
}

fn train(workers: MpiWorkers) -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let folder = PathBuf::from(words.first().ok_or("name a folder for the weights")?);
    let n_steps = words.get(1).map_or(Ok(200), |steps| steps.parse::<usize>())?;
    let fault = words.get(2).map(|word| Fault::read(word)).transpose()?;

    let mut team = Team::new(workers, SHARDS)?;
    let device = Device::flex().autodiff();
    let (data, test) = team.agree(digits::train_and_test(&device))?;
    let rate = if has(&team, fault.as_ref(), "config", 0) { 2.0 * RATE } else { RATE };
    team.agree_on(&[("learning rate", rate.to_string()), ("steps", n_steps.to_string())])?;

    let plan = Plan::new().select("**.weight").decide(Rule::parse("auto:task=classify")?);
    let mut state = State::begin(&mut team, &plan, &folder, &device)?;
    let mut team = team.from_step(state.osn.steps());
    let loss = CrossEntropyLossConfig::new().init(&device);
    for step in usize::try_from(state.osn.steps())?..n_steps {
        if let Some(fault) = &fault {
            team.agree(fault.happen(&team, step + 1))?;
        }
        let nan = has(&team, fault.as_ref(), "nan", step + 1);
        state.step(&mut team, step, &data, &loss, nan)?;
        let stops = team.should_stop(folder.join("stop").exists());
        if stops || (step + 1) % SAVE_EVERY == 0 || step + 1 == n_steps {
            let saved = if team.is_first() { state.save(&folder) } else { Ok(()) };
            team.agree(saved)?;
        }
        if stops {
            break;
        }
    }
    if team.is_first() {
        let accuracy = test.accuracy(state.model.forward(test.images.clone()));
        println!("{} steps, test accuracy {accuracy:.3}", state.osn.steps());
    }
    Ok(())
}

/// All that goes on from step to step.
struct State {
    model: Network,
    osn: Osn,
    adam: ModuleOptimizer,
}

impl State {
    /// A new one, or the one in `folder`, in each case worker 0's.
    fn begin(
        team: &mut Team<MpiWorkers>,
        plan: &Plan,
        folder: &Path,
        device: &Device,
    ) -> Result<Self, Box<dyn Error>> {
        device.seed(1);
        let model = team.begin(Network::new(device))?;
        let (model, osn) = plan.clone().attach(model)?;
        let new = Self { model, osn, adam: AdamConfig::new().init() };
        let files = ["model", "adam", "osn.json"].map(|name| fs::read(folder.join(name)));
        let found = if team.is_first() {
            files.into_iter().collect::<Result<Vec<_>, _>>().ok()
        } else {
            None
        };
        // Only worker 0's disk is asked, so that none needs a shared one.
        let found: Vec<Vec<u8>> = found.unwrap_or_default();
        let found: Vec<Vec<u8>> =
            serde_json::from_slice(&team.share(serde_json::to_vec(&found)?)?)?;
        match <[Vec<u8>; 3]>::try_from(found) {
            Ok(files) => team.agree(new.load(files)).map_err(Into::into),
            Err(_) => Ok(new),
        }
    }

    fn load(self, [model, adam, osn]: [Vec<u8>; 3]) -> Result<Self, Box<dyn Error>> {
        let Self { model: new, osn: mut controller, adam: optimizer } = self;
        let model = new.load_record(ModuleRecord::from_bytes(Bytes::from_bytes_vec(model))?);
        controller.resume(serde_json::from_slice(&osn)?)?;
        let adam = optimizer.from_bytes(Bytes::from_bytes_vec(adam))?;
        Ok(Self { model, osn: controller, adam })
    }

    fn step(
        &mut self,
        team: &mut Team<MpiWorkers>,
        step: usize,
        data: &Digits,
        cross_entropy: &CrossEntropyLoss,
        nan: bool,
    ) -> Result<(), Box<dyn Error>> {
        let (batch, mut told) = (data.batch(step), Vec::new());
        let mut sum = team.sum(&self.model);
        for shard in team.shards() {
            // 60 of the 64 digits of a batch, 5 for each shard: shards count alike, so they are of one size.
            let images = batch.images.clone().narrow(0, shard * 5, 5);
            let labels = batch.labels.clone().narrow(0, shard * 5, 5);
            let loss = cross_entropy.forward(self.model.forward(images), labels);
            let train_loss = loss.clone().into_scalar::<f64>();
            told.push(
                Signals::new()
                    .generalization(Generalization { train_loss, held_out_loss: train_loss }),
            );
            let loss = if nan { loss * f32::NAN } else { loss };
            sum.add(&self.model, loss.backward());
        }
        let gradients = sum.mean(team, &self.model)?;
        self.osn.observe(&self.model, &gradients)?;
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        let model = self.model.clone();
        self.model = self.osn.optimize(&mut self.adam, RATE, model, gradients);
        for change in self.osn.step_with(team, &mut self.model, &told)? {
            if team.is_first() {
                println!("step {}: {} {}: {}", change.step, change.name, change.to, change.reason);
            }
        }
        Ok(())
    }

    fn save(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        // Validation mode settles what is pending of the running values.
        let model = self.model.valid();
        // Without metadata, which Burn writes in another order each time: this file is compared.
        let file = SafetensorsStore::from_file(folder.join("weights.safetensors"));
        model.save_into(&mut file.overwrite(true).clear_metadata())?;
        fs::write(folder.join("model"), model.into_record().into_bytes()?.to_vec())?;
        fs::write(folder.join("adam"), self.adam.into_bytes()?.to_vec())?;
        fs::write(folder.join("osn.json"), serde_json::to_string(&self.osn.state())?)?;
        Ok(())
    }
}

/// A failure to try: what happens to which worker before which step.
struct Fault {
    what: String,
    worker: usize,
    step: usize,
}

impl Fault {
    fn read(word: &str) -> Result<Self, Box<dyn Error>> {
        let parts = word.split_once('@').and_then(|(what, at)| Some((what, at.split_once(':')?)));
        let (what, (worker, step)) = parts.ok_or("a fault is `what@worker:step`")?;
        Ok(Self { what: what.to_owned(), worker: worker.parse()?, step: step.parse()? })
    }

    fn happen(&self, team: &Team<MpiWorkers>, step: usize) -> Result<(), String> {
        let signal = |name: &str| {
            let process = std::process::id().to_string();
            // The shell knows how; the program `kill` is not on every machine.
            Command::new("sh")
                .args(["-c", &format!("kill {name} {process}")])
                .status()
                .map(drop)
                .map_err(|it| it.to_string())
        };
        if !has(team, Some(self), &self.what, step) {
            return Ok(());
        }
        match self.what.as_str() {
            "error" => Err("the disk is full".to_owned()),
            "panic" => panic!("this worker panics"),
            "kill" => signal("-KILL"),
            "stop" => signal("-STOP"),
            _ => Ok(()),
        }
    }
}

/// Whether a fault is of this worker and step; step 0 is the start.
fn has(team: &Team<MpiWorkers>, fault: Option<&Fault>, what: &str, step: usize) -> bool {
    fault.is_some_and(|it| it.what == what && it.worker == team.rank() && it.step == step)
}
