//! What the tests of PyTorch, Flax, Equinox and others assert, as far as it has a meaning here.

use crate::support::{Bare, device, draw, exact_sigma, noisy, plan, values};
use burn::module::Module;
use burn::nn::attention::MultiHeadAttentionConfig;
use burn::nn::conv::{
    Conv1dConfig, Conv2dConfig, Conv3dConfig, ConvTranspose1dConfig, ConvTranspose2dConfig,
    ConvTranspose3dConfig,
};
use burn::nn::lstm::LstmConfig;
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Tensor;
use osn::rules::Signals;
use osn::select::{Kind, Selection};
use osn::{AttachError, Osn, Plan, SpectralNorm};

#[derive(Module, Debug)]
struct Two {
    first: Linear,
    second: Linear,
}

impl Two {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(self.first.forward(x))
    }
}

fn two() -> Two {
    noisy(Two {
        first: LinearConfig::new(6, 10).init(&device()),
        second: LinearConfig::new(10, 3).init(&device()),
    })
}

fn held_two() -> (Two, Osn) {
    plan("always").attach(two()).unwrap()
}

fn held(matrix: [[f32; 3]; 3]) -> (Bare<2>, Osn) {
    plan("always").attach(Bare::of(Tensor::from_data(matrix, &device()))).unwrap()
}

#[test]
fn u_has_the_length_of_the_output_in_every_layer() {
    macro_rules! u_len {
        ($layer:expr) => {{
            let (layer, _) = plan("always").attach($layer).unwrap();
            layer.weight.reparameterization::<SpectralNorm>().unwrap().u().len()
        }};
    }
    let device = device();
    assert_eq!(u_len!(LinearConfig::new(4, 9).init(&device)), 9);
    assert_eq!(u_len!(Conv1dConfig::new(4, 9, 3).init(&device)), 9);
    assert_eq!(u_len!(Conv2dConfig::new([4, 9], [3, 2]).init(&device)), 9);
    assert_eq!(u_len!(Conv3dConfig::new([4, 9], [2, 3, 2]).init(&device)), 9);
    assert_eq!(u_len!(ConvTranspose1dConfig::new([4, 9], 3).init(&device)), 9);
    assert_eq!(u_len!(ConvTranspose2dConfig::new([4, 9], [3, 2]).init(&device)), 9);
    assert_eq!(u_len!(ConvTranspose3dConfig::new([4, 9], [2, 3, 2]).init(&device)), 9);
}

#[test]
fn attaching_twice_is_refused() {
    let (model, _) = Plan::new().select("first.weight").attach(two()).unwrap();
    let error = Plan::new().select("first.weight").attach(model).unwrap_err();
    assert!(matches!(error, AttachError::AlreadyAttached { path } if path == "first.weight"));
}

#[test]
fn a_bias_and_a_layer_without_weights_are_refused() {
    let error = Plan::new().select("first.bias").attach(two()).unwrap_err();
    let AttachError::NothingSelected { available, .. } = error else { panic!("{error}") };
    assert_eq!(available, "first.weight, second.weight");
    assert!(Plan::new().select("**").attach(Relu::new()).is_err());
}

#[test]
fn a_glob_takes_what_it_names_and_no_more() {
    let (model, osn) = Plan::new().select("sec*.weight").attach(two()).unwrap();
    assert!(model.first.weight.reparameterization::<SpectralNorm>().is_none());
    assert!(model.second.weight.reparameterization::<SpectralNorm>().is_some());
    assert_eq!(
        osn.layers().map(|layer| layer.path.as_str()).collect::<Vec<_>>(),
        ["second.weight"]
    );
}

#[test]
fn a_diagonal_matrix_is_divided_by_its_largest_entry() {
    let (model, _) = held([[1.0, 0.0, 0.0], [0.0, -5.0, 0.0], [0.0, 0.0, 2.0]]);
    let values: Vec<f32> = values(model.weight.val());
    let expected = [0.2, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.4];
    assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
}

#[test]
fn four_times_the_identity_has_sigma_four() {
    let (mut model, mut osn) = held([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]);
    for _ in 0..10 {
        osn.step(&mut model, &Signals::new()).unwrap();
        assert!((osn.report(&model).unwrap()[0].sigma - 4.0).abs() < 1e-6);
    }
}

#[test]
fn removing_one_keeps_the_other() {
    let (model, _) = held_two();
    let effective = exact_sigma(&model.first.weight.val(), 1);
    let model = Two { first: model.first.materialize(), second: model.second };
    assert!(model.first.weight.reparameterization::<SpectralNorm>().is_none());
    assert!(model.second.weight.reparameterization::<SpectralNorm>().is_some());
    assert!((effective - exact_sigma(&model.first.weight.val(), 1)).abs() < 1e-12);
}

#[test]
fn backpropagation_reaches_the_stored_weight_and_the_loss_falls() {
    let (mut model, mut osn) = held_two();
    let mut adam = AdamConfig::new().init();
    let x = draw([32, 6], &device());
    let wanted = x.clone().narrow(1, 0, 3);
    let mut losses = Vec::new();
    for _ in 0..10 {
        let loss = (model.forward(x.clone()) - wanted.clone()).square().mean();
        losses.push(values::<f64, 1>(loss.clone())[0]);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        assert!(gradients.get::<2>(model.first.weight.id).is_some());
        model = adam.step(0.03, model, gradients);
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    assert!(losses[9] < losses[0], "{losses:?}");
}

#[test]
fn the_network_is_one_lipschitz_on_random_pairs() {
    let (model, _) = held_two();
    let [a, b] = [0, 1].map(|_| draw([64, 6], &device()));
    let norms = |x: Tensor<2>| x.square().sum_dim(1).sqrt();
    let gain = norms(model.forward(a.clone()) - model.forward(b.clone())) / norms(a - b);
    let largest: Vec<f32> = values(gain.max());
    assert!(largest[0] <= 1.0001, "{largest:?}");
}

#[test]
fn attention_and_recurrent_layers_are_recognised() {
    let attention = MultiHeadAttentionConfig::new(8, 2).init(&device());
    let (_, osn) = plan("always").attach(attention).unwrap();
    assert!(osn.layers().all(|layer| layer.kind == Kind::Attention));
    assert_eq!(osn.layers().count(), 4);
    let lstm = LstmConfig::new(5, 7, true).init(&device());
    let recurrent = Selection::default().kind(Kind::Recurrent);
    let (_, osn) = Plan::new().select(recurrent).attach(lstm).unwrap();
    assert_eq!(osn.layers().count(), 8, "input and hidden transform of four gates");
}

#[test]
fn a_clone_after_a_forward_and_a_backward_is_whole() {
    let (model, _) = held_two();
    let x = draw([4, 6], &device());
    let loss = model.forward(x.clone()).sum();
    let _ = loss.backward();
    let clone = model.clone();
    let out = |model: &Two| -> Vec<f32> { values(model.forward(x.clone())) };
    assert_eq!(out(&clone), out(&model));
}
