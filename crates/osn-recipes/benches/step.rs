//! What osn adds to a training step of the `gan` recipe, quick preset.
//!
//! `cargo bench --workspace --bench step` runs it.

use burn::tensor::{Device, Tensor};
use osn::{Rule, Signals};
use osn_recipes::data::sampler::noise;
use osn_recipes::gan::{GanConfig, Players};

/// How the discriminator is trained: without osn, measured only, always normalized.
const ARMS: [&str; 3] = ["without", "never", "always"];

fn main() {
    divan::main();
}

fn players(arm: &str) -> (Players, GanConfig) {
    let config = GanConfig::quick();
    let rule = (arm != "without").then(|| Rule::parse(arm).expect("a rule").into());
    let players = Players::new(&config, 1, rule, 0, &Device::flex()).expect("finite weights");
    (players, config)
}

fn tensor<const D: usize>(stream: u64, shape: [usize; D]) -> Tensor<D> {
    let values = noise(0, stream, 0, shape.iter().product());
    let device = Device::flex().autodiff();
    Tensor::<1>::from_data(values.as_slice(), &device).reshape(shape)
}

#[divan::bench(args = ARMS, sample_count = 30)]
fn discriminator_step(bencher: divan::Bencher, arm: &str) {
    let (mut players, config) = players(arm);
    let (real, latents) = batch(&config);
    bencher.bench_local(|| {
        players.train_discriminator(real.clone(), latents.clone(), &Signals::new())
    });
}

#[divan::bench(args = ARMS, sample_count = 30)]
fn gan_step(bencher: divan::Bencher, arm: &str) {
    let (mut players, config) = players(arm);
    let (real, latents) = batch(&config);
    bencher.bench_local(|| {
        let outcome = players.train_discriminator(real.clone(), latents.clone(), &Signals::new());
        (outcome, players.train_generator(latents.clone()))
    });
}

fn batch(config: &GanConfig) -> (Tensor<4>, Tensor<2>) {
    let (count, size) = (config.batch_size, config.image_size);
    (tensor(0, [count, 1, size, size]), tensor(1, [count, config.latent_size]))
}
