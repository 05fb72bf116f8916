//! The smallest use: a model of your own, three lines of osn, and σ before and after.
//!
//! The network learns the sine, while no layer may stretch anything more than twice.
//!
//! `cargo run -p osn --example smallest`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use osn::prelude::*;
use osn::report::Table;

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    output: Linear,
}

impl Net {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.hidden.forward(x).tanh())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let hidden = LinearConfig::new(1, 32).init(&device);
    let model = Net { hidden, output: LinearConfig::new(32, 1).init(&device) };
    let mut adam = AdamConfig::new().init();

    let plan = Plan::new().select("**.weight").decide(Cap { target: 2.0, ..Cap::default() }); // what
    let (mut model, mut osn) = plan.attach(model)?; // held from here on
    let before = osn.report(&model)?;
    for step in 0..1500 {
        let x = Tensor::<2>::random([64, 1], Distribution::Uniform(-3.0, 3.0), &device);
        let loss = (model.forward(x.clone()) - x.sin()).square().mean();
        if step % 500 == 0 {
            println!("step {step:4}   loss {:.4}", loss.clone().into_scalar::<f32>());
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(0.01, model, gradients);
        osn.step(&mut model, &Signals::new())?; // after the optimizer, once
    }

    let after = osn.report(&model)?;
    println!("\nbefore\n{}\n\nafter\n{}", Table(&before), Table(&after));
    for layer in after {
        assert!(layer.effective_sigma() < 2.1, "the cap holds, but for its band of 5 %");
    }
    Ok(())
}
