//! What osn adds to a training step of the `gan` recipe, quick preset.
//!
//! `cargo bench --workspace --bench step` runs it.

use burn::tensor::{Device, Tensor};
use mimalloc::MiMalloc;
use osn_recipes::adversarial::players::{Discriminated, Players};
use osn_recipes::data::sampler::noise;
use osn_recipes::decide::Decide;
use osn_recipes::gan::config::GanConfig;
use osn_recipes::gan::game;
use osn_recipes::gan::model::{Discriminator, Generator};
use osn_recipes::run::error::RunError;
use osn_recipes::run::pending::PendingSignals;

/// As the command has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How the discriminator is trained: without osn, measured only, always normalized.
const ARMS: [&str; 3] = ["without", "never", "always"];

fn main() {
    divan::main();
}

type Gan = Players<Generator, Discriminator>;

fn players(arm: &str) -> (Gan, GanConfig) {
    let config = GanConfig::quick();
    let decide = (arm != "without").then(|| Decide::named(arm).expect("a rule"));
    let players = game::players(&config, 1, decide.as_ref(), 0, &Device::flex());
    (players.expect("finite weights"), config)
}

fn train_discriminator(
    players: &mut Gan,
    real: &Tensor<4>,
    latents: &Tensor<2>,
) -> Result<Discriminated, RunError> {
    let fake = players.generator.network.forward(latents.clone()).detach();
    let images = Tensor::cat(vec![real.clone(), fake], 0);
    players.train_discriminator(|network| network.forward(images), &mut PendingSignals::default())
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
    bencher.bench_local(|| train_discriminator(&mut players, &real, &latents));
}

#[divan::bench(args = ARMS, sample_count = 30)]
fn gan_step(bencher: divan::Bencher, arm: &str) {
    let (mut players, config) = players(arm);
    let (real, latents) = batch(&config);
    let mut pending = PendingSignals::default();
    bencher.bench_local(|| {
        let outcome = train_discriminator(&mut players, &real, &latents);
        let images = players.generator.network.forward(latents.clone());
        (outcome, players.train_generator(images, Discriminator::forward, |_| None, &mut pending))
    });
}

fn batch(config: &GanConfig) -> (Tensor<4>, Tensor<2>) {
    let (count, size) = (config.training.batch_size, config.image_size);
    (tensor(0, [count, 1, size, size]), tensor(1, [count, config.latent_size]))
}
