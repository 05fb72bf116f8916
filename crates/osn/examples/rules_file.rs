//! Rules from a file: which rule decides which layer is text, and each decision comes with its reason.
//!
//! It trains a classifier of digits under `rules_file.toml`, or under a file of yours, and prints every
//! decision as it is made. A file with a mistake is refused with the line and what would be right there.
//!
//! `cargo run -p osn --example rules_file` or `cargo run -p osn --example rules_file -- my_rules.toml`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

mod digits;

use std::error::Error;
use std::fs;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use osn::Change;
use osn::prelude::*;
use osn::rules::Rules;

const RULES: &str = include_str!("rules_file.toml");

#[derive(Module, Debug)]
struct Classifier {
    first: Linear,
    second: Linear,
    output: Linear,
}

impl Classifier {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(64, 48).init(device),
            second: LinearConfig::new(48, 48).init(device),
            output: LinearConfig::new(48, 10).init(device),
        }
    }

    /// From `[batch, 64]` to a score for each digit, `[batch, 10]`.
    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.second.forward(relu(self.first.forward(images)))))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => fs::read_to_string(path)?,
        None => RULES.to_owned(),
    };
    // As one line for people: `main` would show the error's fields.
    let rules = Rules::from_toml(&text).map_err(|error| error.to_string())?;
    for (index, entry) in rules.entries().iter().enumerate() {
        println!("rule {}: {entry}", index + 1);
    }
    println!();
    train(rules)
}

fn train(rules: Rules) -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let (train, test) = digits::train_and_test(&device)?;
    let plan = Plan::new().select("**.weight").decide(rules);
    let (mut model, mut osn) = plan.attach(Classifier::new(&device))?;
    let mut adam = AdamConfig::new().init();
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    osn.wanted().iter().for_each(show);
    for step in 0..400 {
        let batch = train.batch(step);
        let loss = cross_entropy.forward(model.forward(batch.images), batch.labels);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(0.003, model, gradients);
        osn.step(&mut model, &Signals::new())?.iter().for_each(show);
    }
    println!("\ntest accuracy {:.3}", test.accuracy(model.forward(test.images.clone())));
    Ok(())
}

fn show(change: &Change) {
    let Change { step, name, to, reason, .. } = change;
    println!("step {step:3}   {name:13}   {:17}   {reason}", to.to_string());
}
