//! The training loop of every [`Game`].

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use osn::Change;
use osn::report::LayerSpectrum;
use osn_runs::metrics::Metrics;

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::{Discriminated, Generated, Logits, PlayerUpdate, Players};
use crate::adversarial::saturation::Saturation;
use crate::adversarial::settings::{HeldOut, Settings};
use crate::adversarial::signals::{halves, slope};
use crate::adversarial::watch::{Judged, between, by_image};
use crate::batch::number;
use crate::crew::{Crew, Shard};
use crate::data::image_set::Part;
use crate::data::sampler::Batches;
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

/// Images whose lines to real ones D's slope is taken on.
const WATCHED: usize = 8;

/// A step, and what is looked at beside it where it is logged.
pub(crate) struct Outcome {
    discriminated: Discriminated,
    generated: Generated,
    /// Logits of held-out images, by the discriminator before its update.
    held_out: Vec<f64>,
    /// Generated images of the generator's update, those of the first shard, without a gradient; worker 0 has them.
    images: Option<Tensor<4>>,
}

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
        let parts = settings.split(game.images(Part::Train).len());
        let [trained_on, held_out] = parts.map(|indices| Batches::new(seed, indices));
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

    fn update_at(&self, step: u64) -> PlayerUpdate {
        let is_logged = step.is_multiple_of(self.settings.log_every);
        PlayerUpdate { learning_rate: self.settings.learning_rate_at(step), is_logged }
    }

    /// `n_dis` updates, each on images and noise of its own; the last one's outcome, and where the step is logged
    /// the logits of held-out images just before it.
    fn train_discriminator(
        &mut self,
        step: u64,
        crew: &mut Crew,
    ) -> Result<(Discriminated, Vec<f64>), RunError> {
        let last = step * self.settings.n_dis - 1;
        let update = self.update_at(step);
        for batch in last + 1 - self.settings.n_dis..last {
            self.update_discriminator(batch, PlayerUpdate { is_logged: false, ..update }, crew)?;
        }
        let is_looked_at = update.is_logged && crew.is_first();
        let held_out = if is_looked_at { self.held_out_logits(last) } else { Vec::new() };
        Ok((self.update_discriminator(last, update, crew)?, held_out))
    }

    /// The logits of some held-out images, one number each; nothing is moved by it.
    fn held_out_logits(&mut self, batch: u64) -> Vec<f64> {
        if self.held_out.is_empty() {
            return Vec::new();
        }
        let indices = self.held_out.distinct_batch(batch, self.settings.batch_size);
        let condition = self.game.condition(Part::Train, &indices, &self.device);
        let images = self.game.real(Part::Train, &indices, &self.device);
        let discriminator = self.players.discriminator.network.valid();
        by_image(self.game.discriminate(&discriminator, images, &condition))
    }

    fn update_discriminator(
        &mut self,
        batch: u64,
        update: PlayerUpdate,
        crew: &mut Crew,
    ) -> Result<Discriminated, RunError> {
        if self.players.discriminator.wants_held_out() && !self.held_out.is_empty() {
            self.observe_held_out(batch)?;
        }
        self.last_batch = self.trained_on.batch(batch, self.settings.batch_size);
        let device = self.device.clone().autodiff();
        let draw = self.draw(FOR_DISCRIMINATOR, batch, &device);
        let (game, all) = (&self.game, &self.last_batch);
        let discriminate = |generator: &_, discriminator: &_, shard: Shard| {
            let indices = &all[shard.places(all.len())];
            let condition = game.condition(Part::Train, indices, &device);
            let fake = game.generate(generator, &condition, draw.of(shard)).detach();
            let real = game.real(Part::Train, indices, &device);
            let of = |real, fake, condition: &_| {
                game.discriminate(discriminator, Tensor::cat(vec![real, fake], 0), condition)
            };
            let of_part = (update.is_logged && shard.index == 0).then(|| {
                let count = looked_at(all.len(), shard);
                let condition = game.condition(Part::Train, &indices[..count], &device);
                let [real, fake] = [&real, &fake].map(|it| it.clone().narrow(0, 0, count));
                (of(real, fake, &condition), [count, all.len()])
            });
            Logits { of_all: of(real, fake, &condition), of_part }
        };
        self.players.train_discriminator(discriminate, update, &mut self.pending, crew)
    }

    fn observe_held_out(&mut self, batch: u64) -> Result<(), RunError> {
        let indices = self.held_out.distinct_batch(batch, self.settings.batch_size);
        let device = self.device.clone().autodiff();
        let draw = self.draw(FOR_HELD_OUT, batch, &self.device);
        // In validation mode: measuring must not move the running values of batch normalization.
        let generator = self.players.generator.network.valid();
        let on_plain = self.game.condition(Part::Train, &indices, &self.device);
        let fake = self.game.generate(&generator, &on_plain, draw);
        let real = self.game.real(Part::Train, &indices, &self.device);
        let condition = self.game.condition(Part::Train, &indices, &device);
        let game = &self.game;
        let discriminate = |network: &_, images| game.discriminate(network, images, &condition);
        match self.settings.held_out {
            HeldOut::Loss => {
                let images = Tensor::from_inner(Tensor::cat(vec![real, fake], 0));
                self.players.observe_held_out(|network| discriminate(network, images))
            }
            HeldOut::Separation => self.players.observe_separation(real, fake, discriminate),
        }
    }

    /// One update, on the condition of the discriminator's last, and the images that its first shard was made of.
    fn train_generator(
        &mut self,
        step: u64,
        crew: &mut Crew,
    ) -> Result<(Generated, Option<Tensor<4>>), RunError> {
        let device = self.device.clone().autodiff();
        let (game, all) = (&self.game, &self.last_batch);
        let draw = self.draw(FOR_GENERATOR, step, &device);
        let indices = |shard: Shard| &all[shard.places(all.len())];
        let mut seen = None;
        let generate = |generator: &_, shard| {
            let condition = game.condition(Part::Train, indices(shard), &device);
            let images = game.generate(generator, &condition, draw.of(shard));
            if shard.index == 0 {
                seen = Some(images.clone().without_autodiff());
            }
            (images, condition)
        };
        let update = self.update_at(step);
        let generated = self.players.train_generator(
            generate,
            |network, images, condition: &_| game.discriminate(network, images, condition),
            |images, shard| game.second_loss(images, indices(shard)),
            update,
            &mut self.pending_of_generator,
            crew,
        )?;
        Ok((generated, seen))
    }

    /// `E‖∇ₓD‖` on lines from the last generated images to the real ones of the same batch.
    fn slope(&self, images: Tensor<4>) -> f64 {
        let count = images.dims()[0].min(WATCHED);
        let (device, indices) = (self.device.clone().autodiff(), &self.last_batch[..count]);
        let real = self.game.real(Part::Train, indices, &self.device);
        let points = Tensor::from_inner(between(real, images.narrow(0, 0, count)));
        let condition = self.game.condition(Part::Train, indices, &device);
        let discriminator = self.players.discriminator.network.valid();
        number(slope(|images| self.game.discriminate(&discriminator, images, &condition), points))
    }

    /// What is recorded of a logged step beside its losses and layers.
    fn signals(&self, outcome: Outcome) -> Metrics {
        let Outcome { discriminated, generated, held_out, images } = outcome;
        let [real, fake] = halves(discriminated.logits).map(by_image);
        let mut signals = Judged { real, fake, held_out }.signals();
        let variance = discriminated.gradient_variance;
        signals.extend(variance.map(|it| ("discriminator_gradient_variance".to_owned(), it)));
        let sizes =
            [("discriminator", discriminated.gradients), ("generator", generated.gradients)];
        let mut non_finite = 0;
        for (network, sizes) in sizes.into_iter().filter_map(|(name, sizes)| Some((name, sizes?))) {
            signals.extend(sizes.signals(network));
            non_finite += sizes.non_finite;
        }
        let counts =
            [("non_finite_gradients", non_finite), ("saturated_logs", self.saturation.count())];
        signals.extend(counts.map(|(name, count)| (name.to_owned(), count as f64)));
        signals.extend(images.map(|images| ("slope".to_owned(), self.slope(images))));
        signals
    }

    fn draw<'d>(&self, stream: u64, step: u64, device: &'d Device) -> Draw<'d> {
        Draw { seed: self.seed, stream, step, device }
    }

    /// The error that ends the run when the discriminator has won for too long.
    fn saturation(&mut self, step: u64, loss: f64) -> Option<RunError> {
        let blind = self.settings.objective.of_blind_discriminator()?;
        self.saturation.see(step, loss, blind, self.settings.saturated_after)
    }
}

impl<T: Game> Training for Trainer<'_, T> {
    type Outcome = Outcome;

    fn step(&mut self, step: u64, crew: &mut Crew) -> Result<Self::Outcome, RunError> {
        let (discriminated, held_out) = self.train_discriminator(step, crew)?;
        let (generated, images) = self.train_generator(step, crew)?;
        Ok(Outcome { discriminated, generated, held_out, images })
    }

    fn changes(&mut self) -> Vec<Change> {
        let mut changes = self.players.discriminator.changes();
        changes.append(&mut self.players.generator.changes());
        changes
    }

    fn poll(&mut self, step: u64, outcome: Outcome) -> Result<Snapshot, RunError> {
        let Generated { loss, second, .. } = outcome.generated.clone();
        let of_discriminator = number(outcome.discriminated.loss.clone());
        let mut losses = vec![("discriminator", of_discriminator), ("generator", number(loss))];
        losses.extend(second.map(|(name, loss)| (name, number(loss))));
        let mut layers = self.players.discriminator.layers()?;
        layers.append(&mut self.players.generator.layers()?);
        let diverged = self.saturation(step, of_discriminator);
        let signals = self.signals(outcome);
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
            real_vs_real: self.game.scorer().real_vs_real(thoroughness)?.clone(),
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

/// How many real images of a batch are looked at alone, at the start of its first shard: that shard, or half of a whole
/// batch.
fn looked_at(batch: usize, shard: Shard) -> usize {
    batch / shard.count.max(2)
}
