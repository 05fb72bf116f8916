//! Rules from a file: which rule decides which layer is text, and each decision comes with its reason.
//!
//! It trains a classifier of digits under `rules_file.toml`, or under a file of yours, and prints every
//! decision with its step. A file with a mistake is refused with the line and what would be right there.
//!
//! `cargo run -p osn --example rules_file` or `cargo run -p osn --example rules_file -- my_rules.toml`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

mod classifier;
mod digits;

use std::error::Error;
use std::fs;

use burn::tensor::Device;
use osn::Change;
use osn::prelude::*;
use osn::rules::Rules;

use classifier::Classifier;

const RULES: &str = include_str!("rules_file.toml");

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
    let (model, mut osn) = plan.attach(Classifier::new(&device))?;
    osn.wanted().iter().for_each(show);
    let (model, changes) = model.fit(&mut osn, &train, 0..400)?;
    changes.iter().for_each(show);
    println!("\ntest accuracy {:.3}", test.accuracy(model.forward(test.images.clone())));
    Ok(())
}

fn show(change: &Change) {
    let Change { step, name, to, reason, .. } = change;
    println!("step {step:3}   {name:13}   {:17}   {reason}", to.to_string());
}
