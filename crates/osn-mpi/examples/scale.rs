//! How long workers take for a sum of integers, and for each part of a training step: what `docs/scale.md` predicts from, and
//! what it is held to.
//!
//! ```text
//! mpirun -n 2 target/release/examples/scale 12 50 158 500    # shards of a batch, and the widths of networks
//! ```
//!
//! A network has four square layers of a width, with a constraint on each; a shard has eight examples. Worker 0 prints
//! medians in seconds, in lines of fields between tabs:
//!
//! - `sum`, workers, bytes, the time of one sum;
//! - `step`, workers, shards, parameters, and the times of the gradients of its shards, of their mean, and of the update.
//!
//! `peers/scale.py` starts this and reads them.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor};
use osn::prelude::*;
use osn::rules::Rule;
use osn::workers::{Team, Workers, WorkersError};
use osn_mpi::MpiWorkers;

/// The integers in the sums.
const NUMBERS: [usize; 9] = [1, 8, 64, 512, 4_096, 32_768, 262_144, 2_097_152, 16_777_216];
const LAYERS: usize = 4;
const EXAMPLES: usize = 8;
const RATE: f64 = 1e-4;

fn main() -> ExitCode {
    osn_mpi::run(measure)
}

fn measure(mut workers: MpiWorkers) -> Result<(), Box<dyn Error>> {
    let words = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let (&shards, widths) = words.split_first().ok_or("name a number of shards, and widths")?;
    let (rank, count) = (workers.rank(), workers.count());
    for numbers in NUMBERS {
        let time = time_of_sum(&mut workers, numbers)?;
        if rank == 0 {
            println!("sum\t{count}\t{}\t{time:e}", 8 * numbers);
        }
    }
    let mut team = Team::new(workers, shards)?;
    for &width in widths {
        let [gradients, mean, update] = times_of_step(&mut team, width)?;
        if rank == 0 {
            let parameters = LAYERS * width * (width + 1);
            println!("step\t{count}\t{shards}\t{parameters}\t{gradients:e}\t{mean:e}\t{update:e}");
        }
    }
    Ok(())
}

/// Of several sums one after the other, so that the start of one worker before another counts for little.
fn time_of_sum(workers: &mut MpiWorkers, numbers: usize) -> Result<f64, WorkersError> {
    let mut values = vec![0; numbers];
    let repeats = (2_000_000 / numbers).clamp(1, 300);
    let mut times = Vec::new();
    for _ in 0..8 {
        let start = Instant::now();
        for _ in 0..repeats {
            workers.sum(&mut values)?;
        }
        times.push(start.elapsed().as_secs_f64() / repeats as f64);
    }
    // The first one touches new memory and makes connections.
    Ok(median(times.split_off(1)))
}

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Linear>,
}

impl Network {
    fn new(width: usize, device: &Device) -> Self {
        Self { layers: (0..LAYERS).map(|_| LinearConfig::new(width, width).init(device)).collect() }
    }

    /// Of `[examples, width]`.
    fn loss(&self, examples: Tensor<2>) -> Tensor<1> {
        let output = self.layers.iter().fold(examples, |it, layer| relu(layer.forward(it)));
        output.square().mean()
    }
}

fn times_of_step(team: &mut Team<MpiWorkers>, width: usize) -> Result<[f64; 3], Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let model = team.begin(Network::new(width, &device))?;
    let plan = Plan::new().select("**.weight").decide(Rule::parse("always")?);
    let (mut model, mut osn) = plan.attach(model)?;
    let examples = Tensor::random([EXAMPLES, width], Distribution::Normal(0.0, 1.0), &device);
    let mut adam = AdamConfig::new().init();
    let mut times = [const { Vec::new() }; 3];
    for step in 0..if width < 1000 { 44 } else { 9 } {
        let start = Instant::now();
        let mut sum = team.sum(&model);
        for _ in team.shards() {
            sum.add(&model, model.loss(examples.clone()).backward());
        }
        let summed = Instant::now();
        let gradients = sum.mean(team, &model)?;
        let averaged = Instant::now();
        let gradients = GradientsParams::from_grads(gradients, &model);
        model = osn.optimize(&mut adam, RATE, model, gradients);
        osn.step_with(team, &mut model, &[])?;
        let parts = [summed - start, averaged - summed, averaged.elapsed()];
        // The first two steps touch new memory.
        for (times, part) in times.iter_mut().zip(parts).filter(|_| step >= 2) {
            times.push(part.as_secs_f64());
        }
    }
    Ok(times.map(median))
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
