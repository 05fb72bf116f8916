//! The `cgan` recipe, small enough for a test: a few steps of tiny networks on real images.

use crate::runs::{Run, normal, picture, request};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use osn_recipes::batch;
use osn_recipes::cgan::model::{Discriminator, Generator};
use osn_recipes::gan::config::GanConfig;
use osn_recipes::init;

#[test]
fn the_same_seed_gives_the_same_record_and_the_same_pictures() {
    let out = tempfile::tempdir().unwrap();
    crate::runs::a_seed_decides(request("cgan", &[], out.path()));
}

#[test]
fn every_weight_of_the_discriminator_is_held_the_embedding_of_classes_too() {
    let run = Run::of("cgan", Some("always:target=2"), &[]);
    let held: Vec<_> = run.layers.iter().map(|layer| (layer.path.as_str(), layer.target)).collect();
    let names = ["down1.weight", "down2.weight", "keep.weight", "logit.weight", "class.weight"];
    assert_eq!(held, names.map(|name| (name, Some(2.0))));
    for layer in &run.layers {
        assert!((layer.sigma * layer.scale - 2.0).abs() < 1e-3, "{layer:?}");
    }
}

#[test]
fn a_run_is_judged_as_a_whole_by_class_and_by_label() {
    let run = Run::of("cgan", None, &[]);
    let classes = (0..10).map(|class| run.metrics[&format!("intra_frechet/{class}")]);
    let mean = classes.sum::<f64>() / 10.0;
    assert!((run.metrics["intra_frechet"] - mean).abs() < 1e-9 * mean);
    assert!(run.metrics["intra_frechet"] > 3.0 * run.real_vs_real["intra_frechet"]);
    // After six steps an image of a class is one by chance; real ones are recognized.
    assert!(run.metrics["label_accuracy"] < 0.4, "{}", run.metrics["label_accuracy"]);
    assert!(run.real_vs_real["label_accuracy"] > 0.85, "{}", run.real_vs_real["label_accuracy"]);
    let picture = image::load_from_memory(&picture(&run, 6)).unwrap();
    assert_eq!(picture.width(), picture.height(), "ten images of each of ten classes");
}

fn small() -> GanConfig {
    GanConfig { g_channels: 4, d_channels: 4, ..GanConfig::quick() }
}

fn classes(labels: [u8; 4]) -> Tensor<1, Int> {
    batch::classes(&labels, &Device::flex().autodiff())
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

#[test]
fn the_discriminator_is_a_linear_layer_and_a_projection_on_the_class() {
    let network = Discriminator::new(&small(), 1, 10, &Device::flex().autodiff());
    let network = init::xavier(network, 3, 1);
    let images = normal(0, 0, [4, 1, 28, 28]);
    let of = |labels| values(network.forward(images.clone(), classes(labels)));
    let (as_1, as_2) = (of([1; 4]), of([2; 4]));
    assert!(as_1.iter().zip(&as_2).all(|(one, two)| (one - two).abs() > 1e-4), "{as_1:?}");
    let mixed = of([1, 2, 1, 2]);
    let expected = [as_1[0], as_2[1], as_1[2], as_2[3]];
    assert!(mixed.iter().zip(expected).all(|(ours, it)| (ours - it).abs() < 1e-5), "{mixed:?}");
}

#[test]
fn before_training_the_class_changes_no_image() {
    let network = Generator::new(&small(), 1, 10, &Device::flex().autodiff());
    let latents = normal(1, 0, [4, 64]);
    let of = |labels| {
        let images: Tensor<4> = network.valid().forward(latents.clone(), &classes(labels));
        images.into_data().iter().collect::<Vec<f32>>()
    };
    assert_eq!(of([0, 1, 2, 3]), of([9; 4]));
}
