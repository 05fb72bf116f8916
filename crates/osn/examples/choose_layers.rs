//! Choosing layers: by path, by kind and by exception, each choice with a view and a rule of its own.
//!
//! A small convolutional network reads digits. Its convolutions are normalized, the first as the map
//! that it is and not by its kernel; its hidden layer may double; its output is not touched. The plan
//! says what it holds, and why not the rest, before the first step.
//!
//! `cargo run -p osn --example choose_layers`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

mod digits;

use std::error::Error;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use osn::prelude::*;
use osn::report::Table;
use osn::rules::{Rules, ScopedRule};
use osn::select::{Kind, Select};
use osn::views::{AsConvolution, View};

use digits::Digits;

const STEPS: usize = 600;

#[derive(Module, Debug)]
struct Reader {
    edges: Conv2d,
    parts: Conv2d,
    hidden: Linear,
    output: Linear,
}

impl Reader {
    fn new(device: &Device) -> Self {
        Self {
            edges: Conv2dConfig::new([1, 8], [3, 3]).with_stride([2, 2]).init(device),
            parts: Conv2dConfig::new([8, 16], [2, 2]).init(device),
            hidden: LinearConfig::new(64, 32).init(device),
            output: LinearConfig::new(32, 10).init(device),
        }
    }

    /// From `[batch, 64]` to a score for each digit, `[batch, 10]`.
    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        let images = images.reshape([-1, 1, 8, 8]);
        let parts = relu(self.parts.forward(relu(self.edges.forward(images))));
        self.output.forward(relu(self.hidden.forward(parts.flatten(1, 3))))
    }
}

/// What to hold, and as which map: where two selections match a weight, the later one has it.
fn plan(model: &Reader) -> Plan {
    // σ is the true Lipschitz constant of the first convolution.
    let as_it_is = View::Operator(model.edges.convolution([8, 8]));
    Plan::new()
        .select(Selection::paths("**.weight").exclude("output.*"))
        .select(Selection::paths("edges.weight").view(as_it_is))
        .decide(rules())
}

/// How: the last rule that selects a layer decides it.
fn rules() -> Rules {
    let convolutions = Select { kinds: vec![Kind::Conv], ..Select::default() };
    let doubled = Cap { relative_to_init: Some(2.0), ..Cap::default() };
    Rules::from_iter([
        ScopedRule { select: Select::default(), rule: doubled.into() },
        ScopedRule { select: convolutions, rule: Always { target: 1.0 }.into() },
    ])
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let (train, test) = digits::train_and_test(&device)?;
    let model = Reader::new(&device);
    let plan = plan(&model);
    show_plan(&plan, &model)?;

    let (model, osn) = plan.attach(model)?;
    println!("\nbefore training\n{}", Table(&osn.report(&model)?));
    let (model, osn) = fit(model, osn, &train)?;
    let layers = osn.report(&model)?;
    println!("\nafter {STEPS} steps\n{}", Table(&layers));
    println!("\ntest accuracy {:.3}", test.accuracy(model.forward(test.images.clone())));
    assert!((layers[0].effective_sigma() - 1.0).abs() < 1e-5, "the first is normalized");
    Ok(())
}

fn show_plan(plan: &Plan, model: &Reader) -> Result<(), Box<dyn Error>> {
    println!("the plan");
    for choice in plan.explain(model)? {
        let verdict = choice.left_out.map_or("held".to_owned(), |why| format!("not held: {why}"));
        println!("  {:14}  {:14}  {verdict}", choice.path, format!("{:?}", choice.shape));
    }
    Ok(())
}

fn fit(mut model: Reader, mut osn: Osn, train: &Digits) -> Result<(Reader, Osn), Box<dyn Error>> {
    let mut adam = AdamConfig::new().init();
    let cross_entropy = CrossEntropyLossConfig::new().init(&train.images.device());
    for step in 0..STEPS {
        let batch = train.batch(step);
        let loss = cross_entropy.forward(model.forward(batch.images), batch.labels);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(0.003, model, gradients);
        osn.step(&mut model, &Signals::new())?;
    }
    Ok((model, osn))
}
