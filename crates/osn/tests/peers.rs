//! What the tests of PyTorch, Flax, Equinox and others assert, as far as it has a meaning here.

mod support;

use burn::module::{Module, Param};
use burn::nn::attention::MultiHeadAttentionConfig;
use burn::nn::conv::{
    Conv1dConfig, Conv2dConfig, Conv3dConfig, ConvTranspose1dConfig, ConvTranspose2dConfig,
    ConvTranspose3dConfig,
};
use burn::nn::lstm::LstmConfig;
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use osn::rules::Signals;
use osn::select::{Kind, Selection};
use osn::{AttachError, Plan, SpectralNorm};
use support::{Noise, draw, exact_sigma};

fn device() -> Device {
    Device::flex().autodiff()
}

#[derive(Module, Debug)]
struct Two {
    first: Linear,
    second: Linear,
}

fn two() -> Two {
    Two {
        first: LinearConfig::new(6, 10).init(&device()),
        second: LinearConfig::new(10, 3).init(&device()),
    }
    .map(&mut Noise(0))
}

#[derive(Module, Debug)]
struct Bare {
    kernel: Param<Tensor<2>>,
}

fn bare(values: &[[f32; 3]; 3]) -> Bare {
    Bare { kernel: Param::from_tensor(Tensor::from_data(*values, &device())) }
}

#[test]
fn u_has_the_length_of_the_output_in_every_layer() {
    let plan = || Plan::new().select("weight");
    macro_rules! u_len {
        ($layer:expr) => {{
            let (layer, _) = plan().attach($layer).unwrap();
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
    assert!(error.to_string().contains("there are: first.weight, second.weight"), "{error}");
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
    let (model, _) = Plan::new()
        .select("kernel")
        .attach(bare(&[[1.0, 0.0, 0.0], [0.0, -5.0, 0.0], [0.0, 0.0, 2.0]]))
        .unwrap();
    let values: Vec<f32> = model.kernel.val().into_data().iter().collect();
    let expected = [0.2, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.4];
    assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
}

#[test]
fn four_times_the_identity_has_sigma_four() {
    let model = bare(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]);
    let (mut model, mut osn) = Plan::new().select("kernel").attach(model).unwrap();
    for _ in 0..10 {
        osn.step(&mut model, &Signals::new()).unwrap();
        assert!((osn.report(&model).unwrap()[0].sigma - 4.0).abs() < 1e-6);
    }
}

#[test]
fn removing_one_keeps_the_other() {
    let (model, _) = Plan::new().select("**.weight").attach(two()).unwrap();
    let effective = exact_sigma(&model.first.weight.val(), 1);
    let model = Two { first: model.first.materialize(), second: model.second };
    assert!(model.first.weight.reparameterization::<SpectralNorm>().is_none());
    assert!(model.second.weight.reparameterization::<SpectralNorm>().is_some());
    assert!((effective - exact_sigma(&model.first.weight.val(), 1)).abs() < 1e-12);
}

#[test]
fn backpropagation_reaches_the_stored_weight_and_the_loss_falls() {
    let (mut model, mut osn) = Plan::new().select("**.weight").attach(two()).unwrap();
    let mut adam = AdamConfig::new().init();
    let x = draw([32, 6], &device());
    let wanted = x.clone().narrow(1, 0, 3);
    let mut losses = Vec::new();
    for _ in 0..10 {
        let out = model.second.forward(model.first.forward(x.clone()));
        let loss = (out - wanted.clone()).square().mean();
        losses.push(loss.clone().into_data().iter::<f64>().next().unwrap());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        assert!(gradients.get::<2>(model.first.weight.id).is_some());
        model = adam.step(0.03, model, gradients);
        osn.step(&mut model, &Signals::new()).unwrap();
    }
    assert!(losses[9] < losses[0], "{losses:?}");
}

#[test]
fn the_network_is_one_lipschitz_on_random_pairs() {
    let (model, _) = Plan::new().select("**.weight").attach(two()).unwrap();
    let [a, b] = [0, 1].map(|_| draw([64, 6], &device()));
    let forward = |x: Tensor<2>| model.second.forward(model.first.forward(x));
    let norms = |x: Tensor<2>| x.square().sum_dim(1).sqrt();
    let gain = norms(forward(a.clone()) - forward(b.clone())) / norms(a - b);
    let largest: f32 = gain.max().into_data().iter().next().unwrap();
    assert!(largest <= 1.0001, "{largest}");
}

#[test]
fn attention_and_recurrent_layers_are_recognised() {
    let attention = MultiHeadAttentionConfig::new(8, 2).init(&device());
    let (_, osn) = Plan::new().select("**.weight").attach(attention).unwrap();
    assert!(osn.layers().all(|layer| layer.kind == Kind::Attention));
    assert_eq!(osn.layers().count(), 4);
    let lstm = LstmConfig::new(5, 7, true).init(&device());
    let recurrent = Selection::default().kind(Kind::Recurrent);
    let (_, osn) = Plan::new().select(recurrent).attach(lstm).unwrap();
    assert_eq!(osn.layers().count(), 8, "input and hidden transform of four gates");
}

#[test]
fn a_clone_after_a_forward_and_a_backward_is_whole() {
    let (model, _) = Plan::new().select("**.weight").attach(two()).unwrap();
    let x = draw([4, 6], &device());
    let loss = model.second.forward(model.first.forward(x.clone())).sum();
    let _ = loss.backward();
    let clone = model.clone();
    let out = |model: &Two| -> Vec<f32> {
        model.second.forward(model.first.forward(x.clone())).into_data().iter().collect()
    };
    assert_eq!(out(&clone), out(&model));
}
