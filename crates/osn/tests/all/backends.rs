//! A training on the device of `OSN_TEST_DEVICE` beside the same on Flex.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::store::ModuleRecord;
use burn::tensor::activation::relu;
use burn::tensor::{Bytes, Device, Tensor};
use osn::prelude::*;

use crate::digits::train_and_test;
use crate::support::{device, plan};

#[derive(Module, Debug)]
struct Network {
    first: Conv2d,
    second: Conv2d,
    output: Linear,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            first: Conv2dConfig::new([1, 16], [3, 3]).init(device),
            second: Conv2dConfig::new([16, 32], [3, 3]).init(device),
            output: LinearConfig::new(32 * 4 * 4, 10).init(device),
        }
    }

    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        let images = images.reshape([-1, 1, 8, 8]);
        let features = relu(self.second.forward(relu(self.first.forward(images))));
        self.output.forward(features.reshape([-1, 32 * 4 * 4]))
    }
}

/// The losses of 50 steps under `always` from these weights, and σ of each layer after them.
fn trained(weights: Vec<u8>, device: &Device) -> Vec<f64> {
    let weights = ModuleRecord::from_bytes(Bytes::from_bytes_vec(weights)).unwrap();
    let model = Network::new(device).load_record(weights);
    let (mut model, mut osn) = plan("always").attach(model).unwrap();
    let (mut adam, (data, _)) = (AdamConfig::new().init(), train_and_test(device).unwrap());
    let cross_entropy = CrossEntropyLossConfig::new().init(device);
    let mut numbers = Vec::new();
    for step in 0..50 {
        let batch = data.batch(step);
        let loss = cross_entropy.forward(model.forward(batch.images), batch.labels);
        numbers.push(loss.clone().into_scalar::<f64>());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = osn.optimize(&mut adam, 0.003, model, gradients);
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    numbers.extend(osn.report(&model).unwrap().iter().map(|layer| layer.sigma));
    numbers
}

#[test]
fn fifty_steps_come_near_those_on_flex() {
    let flex = Device::flex().autodiff();
    flex.seed(1);
    let weights = Network::new(&flex).into_record().into_bytes().unwrap().to_vec();
    let [there, here] = [&device(), &flex].map(|device| trained(weights.clone(), device));
    assert!(here[49] < 0.5 * here[0], "it learns: {here:?}");
    let differences = there.iter().zip(&here).map(|(there, here)| (there / here - 1.0).abs());
    let differences: Vec<_> = differences.collect();
    // Rounding grows with the steps.
    let bounds = (0..).map(|number| if number < 10 { 1e-6 } else { 1e-4 });
    assert!(differences.iter().zip(bounds).all(|(it, bound)| *it < bound), "{differences:?}");
}
