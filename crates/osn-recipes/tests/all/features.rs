//! Checks the committed feature network against the test images, which it never saw in training.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use osn_recipes::data::fashion_mnist;
use osn_recipes::data::image_set::ImageSet;
use osn_recipes::data::sampler::noise;
use osn_recipes::features::input::IMAGE_SIZE;
use osn_recipes::features::network::{CLASS_COUNT, FEATURE_COUNT, FeatureError, FeatureNet};
use osn_recipes::metrics::feature_set::Features;
use osn_recipes::metrics::frechet::frechet_distance;

static COMMITTED: &[u8] = include_bytes!("../../assets/features/fashion_mnist.safetensors");

fn pretrained() -> FeatureNet {
    FeatureNet::pretrained(&Device::flex()).unwrap()
}

fn test_images() -> ImageSet {
    fashion_mnist::embedded().unwrap().test
}

fn first(count: usize, images: &ImageSet) -> ImageSet {
    let pixels = images.pixels[..count * images.image_len()].to_vec();
    let labels = images.labels.as_ref().map(|labels| labels[..count].to_vec());
    ImageSet { pixels, labels, ..images.clone() }
}

fn tensor(images: &ImageSet) -> Tensor<4> {
    let indices: Vec<usize> = (0..images.len()).collect();
    let shape = [images.len(), images.channels, images.height, images.width];
    Tensor::from_data(TensorData::new(images.batch(&indices), shape), &Device::flex())
}

fn assert_close(left: &[f64], right: &[f64]) {
    assert_eq!(left.len(), right.len());
    for (index, (left, right)) in left.iter().zip(right).enumerate() {
        let bound = 1e-4 * left.abs().max(1.0);
        assert!((left - right).abs() < bound, "feature {index}: {left} is not {right}");
    }
}

#[test]
fn the_committed_network_names_at_least_91_of_100_unseen_images() {
    let accuracy = pretrained().accuracy(&test_images()).unwrap();
    assert!(accuracy >= 0.91, "test accuracy is {accuracy}");
}

#[test]
fn the_noted_accuracy_is_the_accuracy() {
    let header_len = usize::from_le_bytes(COMMITTED[..8].try_into().unwrap());
    let header: serde_json::Value = serde_json::from_slice(&COMMITTED[8..][..header_len]).unwrap();
    let noted: f64 = header["__metadata__"]["test_accuracy"].as_str().unwrap().parse().unwrap();
    let measured = pretrained().accuracy(&test_images()).unwrap();
    // Another processor may round two images at a decision boundary the other way.
    assert!((measured - noted).abs() <= 2e-4, "noted {noted}, measured {measured}");
}

#[test]
fn every_image_has_64_finite_features() {
    let features = pretrained().embed(&first(2_000, &test_images())).unwrap();
    assert_eq!((features.count(), features.dim()), (2_000, FEATURE_COUNT));
    assert!(features.values().iter().all(|value| value.is_finite()));
}

#[test]
fn no_feature_is_dead() {
    let features = pretrained().embed(&first(2_000, &test_images())).unwrap();
    let deviations: Vec<f64> =
        (0..FEATURE_COUNT).map(|feature| deviation(&features, feature)).collect();
    let mean = deviations.iter().sum::<f64>() / FEATURE_COUNT as f64;
    let dead: Vec<_> =
        (0..FEATURE_COUNT).filter(|&place| deviations[place] < 0.05 * mean).collect();
    assert!(dead.is_empty(), "features {dead:?} hardly vary, others by {mean}");
}

fn deviation(features: &Features, feature: usize) -> f64 {
    let column = features.values().iter().skip(feature).step_by(FEATURE_COUNT);
    let count = features.count() as f64;
    let mean = column.clone().sum::<f64>() / count;
    (column.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[test]
fn the_feature_distance_grows_with_noise() {
    let network = pretrained();
    let images = first(4_000, &test_images());
    let (real, other) =
        (tensor(&images).narrow(0, 0, 2_000), tensor(&images).narrow(0, 2_000, 2_000));
    let noise = noise(1, 0, 0, other.shape().num_elements());
    let noise = Tensor::from_data(TensorData::new(noise, other.dims()), &Device::flex());
    let embed = |images: Tensor<4>| network.embed_batches(images.split(500, 0)).unwrap();
    let real = embed(real);
    let distance = |images: Tensor<4>| frechet_distance(&real, &embed(images)).unwrap();
    let real_vs_real = distance(other.clone());
    let faint = distance(other.clone() + noise.clone() * 0.1);
    let strong = distance(other + noise * 0.3);
    assert!(
        2.0 * real_vs_real < faint && 2.0 * faint < strong,
        "{real_vs_real}, {faint}, {strong}"
    );
}

#[test]
fn batching_does_not_change_features() {
    let network = pretrained();
    let images = first(60, &test_images());
    let together = network.embed(&images).unwrap();
    for size in [1, 7, 60] {
        let apart = network.embed_batches(tensor(&images).split(size, 0)).unwrap();
        assert_close(together.values(), apart.values());
    }
}

#[test]
fn a_colour_image_of_twice_the_size_has_the_features_of_the_grey_one() {
    let network = pretrained();
    let images = first(20, &test_images());
    let grey = tensor(&images);
    let wide = grey.clone().repeat_dim(1, 3).reshape([20, 3, IMAGE_SIZE, 1, IMAGE_SIZE, 1]);
    let wide = wide.repeat_dim(3, 2).repeat_dim(5, 2);
    let colour = wide.reshape([20, 3, 2 * IMAGE_SIZE, 2 * IMAGE_SIZE]);
    let expected = network.embed_batches([grey]).unwrap();
    assert_close(expected.values(), network.embed_batches([colour]).unwrap().values());
}

#[test]
fn no_gradient_is_recorded_for_images_under_autodiff() {
    let network = FeatureNet::pretrained(&Device::flex().autodiff()).unwrap();
    let shape = [3, 1, IMAGE_SIZE, IMAGE_SIZE];
    let count = i64::try_from(shape.iter().product::<usize>()).unwrap();
    let images = Tensor::<1, Int>::arange(0..count, &Device::flex()).float().sin().reshape(shape);
    assert!(!network.features(images.clone()).is_autodiff());
    let tracked = Tensor::from_inner(images.clone()).require_grad();
    let plain = network.embed_batches([images]).unwrap();
    assert_close(plain.values(), network.embed_batches([tracked]).unwrap().values());
}

#[test]
fn weights_survive_saving_and_loading() {
    let network = pretrained();
    assert_eq!(network.num_params(), 121_994);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    network.save(&path, &[("seed", "7".to_owned())]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let read = FeatureNet::load(&bytes, &Device::flex()).unwrap();
    let images = first(10, &test_images());
    assert_eq!(network.embed(&images).unwrap(), read.embed(&images).unwrap());
}

#[test]
fn weights_cut_short_anywhere_are_an_error() {
    let device = Device::flex();
    for kept in (0..COMMITTED.len()).step_by(COMMITTED.len() / 50).chain([COMMITTED.len() - 1]) {
        let error = FeatureNet::load(&COMMITTED[..kept], &device).unwrap_err();
        assert!(matches!(error, FeatureError::Unreadable { .. }), "{kept} bytes: {error}");
    }
}

#[test]
fn a_weight_that_is_not_a_number_is_an_error_that_names_its_tensor() {
    let mut bytes = COMMITTED.to_vec();
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&0x7e00_u16.to_le_bytes()); // NaN in half precision
    let error = FeatureNet::load(&bytes, &Device::flex()).unwrap_err();
    assert!(matches!(&error, FeatureError::NotFinite { name } if !name.is_empty()), "{error}");
}

#[test]
fn a_file_larger_than_any_network_of_this_kind_is_an_error() {
    let error = FeatureNet::load(&vec![0; 2 << 20], &Device::flex()).unwrap_err();
    assert!(matches!(error, FeatureError::TooLarge { bytes, .. } if bytes == 2 << 20));
}

#[test]
fn weights_of_another_network_are_an_error() {
    let mut bytes = COMMITTED.to_vec();
    let place = bytes.windows(11).position(|text| text == b"head.weight").unwrap();
    bytes[place..place + 4].copy_from_slice(b"tail");
    let error = FeatureNet::load(&bytes, &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("head.weight"), "{error}");
}

#[test]
fn logits_have_one_column_a_class() {
    let images = Tensor::zeros([3, 1, IMAGE_SIZE, IMAGE_SIZE], &Device::flex());
    assert_eq!(pretrained().logits(images).dims(), [3, CLASS_COUNT]);
}
