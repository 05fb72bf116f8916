//! The training loop of every [`Game`].

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use osn::Change;
use osn::report::LayerSpectrum;
use osn_runs::metrics::Metrics;

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::{Discriminated, Generated, Players};
use crate::adversarial::saturation::Saturation;
use crate::adversarial::settings::Settings;
use crate::adversarial::signals::halves;
use crate::batch::number;
use crate::data::image_set::Part;
use crate::data::sampler::{Batches, hold_out};
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::pending::PendingSignals;
use crate::run::training::{Scored, Snapshot, Thoroughness, Training};
use crate::scorer::Against;

/// The stream of each use of noise.
const FOR_DISCRIMINATOR: u64 = 1;
const FOR_GENERATOR: u64 = 2;
const FOR_SCORES: u64 = 3;
const FOR_SAMPLES: u64 = 4;
const FOR_HELD_OUT: u64 = 5;
const FOR_VALIDATION: u64 = 6;

/// Everything that a run changes and draws from.
pub(crate) struct Trainer<'a, T: Game> {
    game: T,
    settings: &'a Settings,
    seed: u64,
    pub(crate) players: Players<T::Generator, T::Discriminator>,
    /// What both networks train on, and what only measures D for the rules.
    trained_on: Batches,
    held_out: Batches,
    /// The images of the discriminator's last update.
    last_batch: Vec<usize>,
    /// The signals that each network's rules have not seen yet.
    pending: PendingSignals,
    pending_of_generator: PendingSignals,
    saturation: Saturation,
    /// The plain device.
    device: Device,
}

impl<'a, T: Game> Trainer<'a, T> {
    /// A trainer of `players` on the plain `device`.
    pub(crate) fn new(
        game: T,
        settings: &'a Settings,
        players: Players<T::Generator, T::Discriminator>,
        seed: u64,
        device: Device,
    ) -> Self {
        let [trained_on, held_out] =
            hold_out(game.images(Part::Train).len()).map(|indices| Batches::new(seed, indices));
        Self {
            game,
            settings,
            seed,
            players,
            trained_on,
            held_out,
            last_batch: Vec::new(),
            pending: PendingSignals::default(),
            pending_of_generator: PendingSignals::default(),
            saturation: Saturation::default(),
            device,
        }
    }

    /// `n_dis` updates, each on images and noise of its own; the last one's outcome.
    fn train_discriminator(&mut self, step: u64) -> Result<Discriminated, RunError> {
        let first = (step - 1) * self.settings.n_dis;
        let mut outcome = self.update_discriminator(first)?;
        for batch in first + 1..first + self.settings.n_dis {
            outcome = self.update_discriminator(batch)?;
        }
        Ok(outcome)
    }

    fn update_discriminator(&mut self, batch: u64) -> Result<Discriminated, RunError> {
        if self.players.discriminator.wants_held_out() && !self.held_out.is_empty() {
            self.observe_held_out(batch)?;
        }
        self.last_batch = self.trained_on.batch(batch, self.settings.batch_size);
        let device = self.device.clone().autodiff();
        let condition = self.game.condition(Part::Train, &self.last_batch, &device);
        let draw = self.draw(FOR_DISCRIMINATOR, batch, &device);
        let generator = &self.players.generator.network;
        let fake = self.game.generate(generator, &condition, draw).detach();
        let images =
            Tensor::cat(vec![self.game.real(Part::Train, &self.last_batch, &device), fake], 0);
        let discriminate = |network: &_| self.game.discriminate(network, images, &condition);
        self.players.train_discriminator(discriminate, &mut self.pending)
    }

    fn observe_held_out(&mut self, batch: u64) -> Result<(), RunError> {
        let indices = self.held_out.distinct_batch(batch, self.settings.batch_size);
        let device = self.device.clone().autodiff();
        let draw = self.draw(FOR_HELD_OUT, batch, &self.device);
        // In validation mode: measuring must not move the running values of batch normalization.
        let generator = self.players.generator.network.valid();
        let on_plain = self.game.condition(Part::Train, &indices, &self.device);
        let fake = Tensor::from_inner(self.game.generate(&generator, &on_plain, draw));
        let images = Tensor::cat(vec![self.game.real(Part::Train, &indices, &device), fake], 0);
        let condition = self.game.condition(Part::Train, &indices, &device);
        self.players.observe_held_out(|network| self.game.discriminate(network, images, &condition))
    }

    /// One update, on the condition of the discriminator's last.
    fn train_generator(&mut self, step: u64) -> Result<Generated, RunError> {
        let device = self.device.clone().autodiff();
        let (game, indices) = (&self.game, &self.last_batch);
        let condition = game.condition(Part::Train, indices, &device);
        let draw = self.draw(FOR_GENERATOR, step, &device);
        let images = game.generate(&self.players.generator.network, &condition, draw);
        self.players.train_generator(
            images,
            |network, images| game.discriminate(network, images, &condition),
            |images| game.second_loss(images, indices),
            &mut self.pending_of_generator,
        )
    }

    fn draw<'d>(&self, stream: u64, step: u64, device: &'d Device) -> Draw<'d> {
        Draw { seed: self.seed, stream, step, device }
    }

    /// The error that ends the run when the discriminator has won for too long.
    fn saturation(&mut self, step: u64, loss: f64) -> Option<RunError> {
        let blind = self.settings.objective.of_blind_discriminator();
        self.saturation.see(step, loss, blind, self.settings.saturated_after?)
    }
}

impl<T: Game> Training for Trainer<'_, T> {
    type Outcome = (Discriminated, Generated);

    fn step(&mut self, step: u64) -> Result<Self::Outcome, RunError> {
        Ok((self.train_discriminator(step)?, self.train_generator(step)?))
    }

    fn changes(&mut self) -> Vec<Change> {
        let mut changes = self.players.discriminator.changes();
        changes.append(&mut self.players.generator.changes());
        changes
    }

    fn poll(
        &mut self,
        step: u64,
        (discriminated, generated): Self::Outcome,
    ) -> Result<Snapshot, RunError> {
        let of_discriminator = number(discriminated.loss);
        let mut losses =
            vec![("discriminator", of_discriminator), ("generator", number(generated.loss))];
        losses.extend(generated.second.map(|(name, loss)| (name, number(loss))));
        let mut layers = self.players.discriminator.layers()?;
        layers.append(&mut self.players.generator.layers()?);
        let diverged = self.saturation(step, of_discriminator);
        let signals = logit_signals(discriminated.logits);
        Ok(Snapshot { losses, signals, layers, diverged, ..Snapshot::default() })
    }

    fn spectra(&self) -> Result<Vec<LayerSpectrum>, RunError> {
        let mut spectra = self.players.discriminator.spectra()?;
        spectra.append(&mut self.players.generator.spectra()?);
        Ok(spectra)
    }

    fn score(&mut self, thoroughness: Thoroughness) -> Result<Scored, RunError> {
        let generator = self.players.scored_generator();
        let draw = |stream| self.draw(stream, 0, &self.device);
        let against = Against::Test(thoroughness);
        Ok(Scored {
            metrics: self.game.score(&generator, against, draw(FOR_SCORES))?,
            real_vs_real: self.game.scorer().real_vs_real(thoroughness).clone(),
            samples: Some(self.game.samples(&generator, draw(FOR_SAMPLES))),
            ..Scored::default()
        })
    }

    fn validate(&mut self) -> Result<Metrics, RunError> {
        let draw = self.draw(FOR_VALIDATION, 0, &self.device);
        let generator = self.players.scored_generator();
        let scores = self.game.score(&generator, Against::HeldOut, draw)?;
        self.pending.scores(&scores);
        self.pending_of_generator.scores(&scores);
        Ok(scores)
    }

    /// The last batch is not saved: each step begins by drawing one.
    fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        self.players.save(parts)?;
        parts.put_value("saturation", &self.saturation)?;
        parts.put_value("pending", &self.pending)?;
        parts.put_value("pending_of_generator", &self.pending_of_generator)
    }

    fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.players.load(parts)?;
        self.saturation = parts.value("saturation")?;
        self.pending = parts.value("pending")?;
        self.pending_of_generator = parts.value("pending_of_generator")?;
        Ok(())
    }
}

/// The separation P(D(real) > D(fake)) − P(D(real) < D(fake)) over all pairs, which does not depend on the
/// discriminator's scale and offset (it is 2·AUC − 1), and the mean logits. An image with several
/// logits counts with their mean.
fn logit_signals(logits: Tensor<2>) -> Metrics {
    let [real, fake] =
        halves(logits.mean_dim(1)).map(|half| half.into_data().iter().collect::<Vec<f64>>());
    let order = |real: f64, fake: f64| f64::from(real > fake) - f64::from(real < fake);
    let separation: f64 =
        real.iter().map(|&r| fake.iter().map(|&f| order(r, f)).sum::<f64>()).sum();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    Metrics::from([
        ("separation".to_owned(), separation / (real.len() * fake.len()) as f64),
        ("logit_real".to_owned(), mean(&real)),
        ("logit_fake".to_owned(), mean(&fake)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separation_counts_pairs() {
        let logits = Tensor::<2>::from_data([[3.0f32], [1.0], [2.0], [0.0]], &Device::flex());
        // Of the pairs (3,2), (3,0), (1,2), (1,0) three are in order: (3 − 1)/4.
        let signals = logit_signals(logits);
        assert_eq!(signals["separation"], 0.5);
        assert_eq!(signals["logit_real"], 2.0);
    }

    #[test]
    fn an_image_with_several_logits_counts_with_their_mean() {
        let logits = Tensor::<2>::from_data([[3.0f32, -1.0], [1.0, 2.0]], &Device::flex());
        let signals = logit_signals(logits);
        assert_eq!([signals["separation"], signals["logit_real"]], [-1.0, 1.0]);
    }
}
