//! A rule of your own: what it decides, what it remembers, and a run that is stopped and goes on.
//!
//! The rule caps every layer at a multiple of the smallest σ that it has had. What it remembers is saved with
//! the run, so the resumed run decides what the first would have.
//!
//! `cargo run -p osn --example own_rule`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

mod classifier;
mod digits;

use std::error::Error;

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Device;
use osn::prelude::*;
use osn::report::{Layer, Table};
use osn::rules::{Action, Context, Decision, DecisionRule};

use classifier::Classifier;

/// Caps every layer at `factor` times the smallest σ that it has had.
struct Ratchet {
    factor: f64,
}

impl DecisionRule for Ratchet {
    /// The smallest σ of each layer so far; what it is made of must survive JSON.
    type Memory = Vec<Option<f64>>;

    fn name(&self) -> &'static str {
        "ratchet"
    }

    fn parameters(&self) -> String {
        format!("factor={}", self.factor)
    }

    fn interval(&self) -> Option<u64> {
        Some(20)
    }

    fn begin(&self, layers: &[Layer]) -> Self::Memory {
        vec![None; layers.len()]
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        let pairs = memory.iter_mut().zip(context.measurements);
        let decision = |(smallest, measured): (&mut Option<f64>, &osn::report::Measurement)| {
            let least = smallest.map_or(measured.sigma, |least| least.min(measured.sigma));
            *smallest = Some(least);
            let action = Action::Cap { target: self.factor * least, sharpness: f64::INFINITY };
            Decision {
                action, reason: format!("{} times the smallest σ, {least:.3}", self.factor)
            }
        };
        pairs.map(decision).collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let (train, test) = digits::train_and_test(&device)?;
    let plan = Plan::new().select("**.weight").decide(Rule::custom(Ratchet { factor: 1.2 }));
    println!("rules: {}", plan.rules().label());

    let (model, mut osn) = plan.clone().attach(Classifier::new(&device))?;
    let (model, _) = model.fit(&mut osn, &train, 0..110)?;
    // What a file would hold: the weights with u, v and σ, and what the rule remembers.
    let (record, state) = (model.into_record().into_bytes()?, serde_json::to_string(&osn.state())?);
    println!("stopped after step {}: {} bytes of state", osn.steps(), state.len());

    let (model, mut osn) = plan.attach(Classifier::new(&device))?;
    osn.resume(serde_json::from_str(&state)?)?;
    let model = model.load_record(ModuleRecord::from_bytes(record)?);
    let (model, _) = model.fit(&mut osn, &train, 110..300)?;
    let layers = osn.report(&model)?;
    println!("after step {}\n\n{}", osn.steps(), Table(&layers));
    println!("\ntest accuracy {:.3}", test.accuracy(model.forward(test.images.clone())));
    Ok(())
}
