//! The training loop.

use burn::tensor::{Device, Tensor, TensorData};
use osn::{AttachError, Change, LayerReport, Signals, StepError};

use super::players::{Discriminated, Players, WATCHED};
use super::{DOC, GanConfig};
use crate::adversarial::halves;
use crate::data::sampler::{Sampler, noise};
use crate::data::{self, Dataset};
use crate::decide::Decide;
use crate::judge::{Judge, Thoroughness};
use crate::run::{
    ImageGrid, Metrics, NonFinite, Observer, RunError, RunSummary, Session, TrainRequest,
};

/// What tells the noise of different uses apart.
const FOR_DISCRIMINATOR: u64 = 1;
const FOR_GENERATOR: u64 = 2;
const FOR_SCORES: u64 = 3;
const FOR_SAMPLES: u64 = 4;
const FOR_HELD_OUT: u64 = 5;

/// Of so many training images one is held out, whatever the rule, so that rules compare.
const HELD_OUT_OF: usize = 20;

/// Generated images in a sample grid, and in each of its rows.
const SAMPLES: usize = 64;
const SAMPLE_COLUMNS: usize = 8;

/// Trains as the config says, and leaves a complete run folder.
pub(super) fn train(
    request: &TrainRequest,
    config: &GanConfig,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let decide = crate::decide(request, &DOC)?;
    let device = crate::device(request)?;
    let data = load(request, config)?;
    let source = data.train.source.clone();
    let mut trainer = Trainer::new(config, data, &decide, request.seed, device)?;
    Session::start(request, &DOC, &decide, config, config.steps, &source)?
        .run(observer, |session, observer| trainer.run(session, observer))
}

/// The images, at the size of the networks.
fn load(request: &TrainRequest, config: &GanConfig) -> Result<Dataset, RunError> {
    let size = config.image_size;
    let mut data = data::load(request.data.as_deref(), size).map_err(|source| RunError::Data {
        name: request.data.clone().unwrap_or_else(|| data::EMBEDDED.to_owned()),
        source: Box::new(source),
    })?;
    let largest = data.train.height.max(data.train.width);
    if largest > size {
        let problem = format!("must be at least {largest}, the size of the images, not {size}");
        return Err(RunError::Config { key: "image_size".to_owned(), problem });
    }
    data.train = data.train.padded(size);
    data.test = data.test.padded(size);
    Ok(data)
}

/// Everything that a run changes and draws from.
struct Trainer<'a> {
    config: &'a GanConfig,
    seed: u64,
    data: Dataset,
    /// Which images D trains on, and which it only shows rules what it makes of.
    trained_on: Vec<usize>,
    held_out: Vec<usize>,
    sampler: Sampler,
    held_out_sampler: Sampler,
    judge: Judge,
    players: Players,
    signals: Signals,
    /// Scores that no rule has been told of yet.
    scores: Metrics,
    /// The plain device, on which samples are made and scored.
    device: Device,
}

impl<'a> Trainer<'a> {
    fn new(
        config: &'a GanConfig,
        data: Dataset,
        decide: &Decide,
        seed: u64,
        device: Device,
    ) -> Result<Self, RunError> {
        let judge = Judge::new(&data, config.eval_images, config.final_images, &device)?;
        let rules = Some(decide.rules.clone());
        let players = Players::new(config, data.train.channels, rules, seed, &device)
            .map_err(|error| attach_error(error, &decide.name))?;
        let (held_out, trained_on): (Vec<usize>, Vec<usize>) =
            (0..data.train.len()).partition(|index| index % HELD_OUT_OF == HELD_OUT_OF - 1);
        let sampler = Sampler::new(seed, trained_on.len());
        let held_out_sampler = Sampler::new(seed, held_out.len().max(1));
        Ok(Self {
            config,
            seed,
            data,
            trained_on,
            held_out,
            sampler,
            held_out_sampler,
            judge,
            players,
            signals: Signals::new(),
            scores: Metrics::new(),
            device,
        })
    }

    fn run(&mut self, session: &mut Session, observer: &mut dyn Observer) -> Result<(), RunError> {
        session.decided(self.changes(), observer)?;
        for step in 1..=self.config.steps {
            let discriminated = self.train_discriminator(step)?;
            let generator_loss = self.train_generator(step);
            session.step_done(step);
            session.decided(self.changes(), observer)?;
            if step.is_multiple_of(self.config.log_every) {
                self.log(step, discriminated, generator_loss, session, observer)?;
            }
            let is_last = step == self.config.steps || observer.should_stop();
            if is_last || step.is_multiple_of(self.config.eval_every) {
                self.evaluate(step, is_last, session, observer)?;
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// `n_dis` updates, each on images and noise of its own; the last one's outcome.
    fn train_discriminator(&mut self, step: u64) -> Result<Discriminated, RunError> {
        let first = (step - 1) * self.config.n_dis;
        let mut outcome = self.update_discriminator(first)?;
        for batch in first + 1..first + self.config.n_dis {
            outcome = self.update_discriminator(batch)?;
        }
        Ok(outcome)
    }

    fn update_discriminator(&mut self, batch: u64) -> Result<Discriminated, RunError> {
        if self.players.wants_held_out() && !self.held_out.is_empty() {
            self.look_at_held_out(batch).map_err(|error| self.step_error(error))?;
        }
        let real = self.real(batch);
        let latents = self.training_latents(FOR_DISCRIMINATOR, batch);
        let signals = self.signals();
        self.players
            .train_discriminator(real, latents, &signals)
            .map_err(|error| self.step_error(error))
    }

    /// What the rules are told; a score once, when they decide next.
    fn signals(&mut self) -> Signals {
        if !self.players.decides_next() {
            return Signals::new();
        }
        let scores = std::mem::take(&mut self.scores).into_iter();
        scores.fold(self.signals.clone(), |signals, (name, value)| signals.metric(name, value))
    }

    fn train_generator(&mut self, step: u64) -> Tensor<1> {
        self.players.train_generator(self.training_latents(FOR_GENERATOR, step))
    }

    fn look_at_held_out(&mut self, batch: u64) -> Result<(), StepError> {
        let size = self.config.batch_size.min(self.held_out.len());
        let places = self.held_out_sampler.batch_indices(batch, size);
        let real =
            self.images(&places.iter().map(|&place| self.held_out[place]).collect::<Vec<_>>());
        let latents = self.latents(FOR_HELD_OUT, batch, size, &self.device);
        self.players.look_at_held_out(real, latents)
    }

    fn real(&mut self, batch: u64) -> Tensor<4> {
        let places = self.sampler.batch_indices(batch, self.config.batch_size);
        self.images(&places.iter().map(|&place| self.trained_on[place]).collect::<Vec<_>>())
    }

    fn images(&self, indices: &[usize]) -> Tensor<4> {
        let (size, channels) = (self.config.image_size, self.data.train.channels);
        let shape = [indices.len(), channels, size, size];
        let images = TensorData::new(self.data.train.batch(indices), shape);
        Tensor::from_data(images, &self.device.clone().autodiff())
    }

    fn training_latents(&self, stream: u64, step: u64) -> Tensor<2> {
        let device = self.device.clone().autodiff();
        self.latents(stream, step, self.config.batch_size, &device)
    }

    fn latents(&self, stream: u64, step: u64, count: usize, device: &Device) -> Tensor<2> {
        let size = self.config.latent_size;
        let values = noise(self.seed, stream, step, count * size);
        Tensor::from_data(TensorData::new(values, [count, size]), device)
    }

    /// Reads back the step's losses, signals and layers; the first bad number ends the run.
    fn log(
        &mut self,
        step: u64,
        discriminated: Discriminated,
        generator_loss: Tensor<1>,
        session: &mut Session,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let losses =
            [("discriminator", scalar(discriminated.loss)), ("generator", scalar(generator_loss))];
        self.signals = losses.iter().fold(Signals::new(), |s, (name, value)| s.loss(*name, *value));
        let layers = self.layers().map_err(|error| self.step_error(error))?;
        session.log(step, &losses, race(discriminated.logits), &layers, observer)
    }

    /// Draws samples and scores the generator; the last time against all test images.
    fn evaluate(
        &mut self,
        step: u64,
        is_last: bool,
        session: &mut Session,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let generator = self.players.judged();
        let generate = |stream, chunk, count| {
            generator.forward(self.latents(stream, chunk, count, &self.device))
        };
        let samples: Vec<f32> = generate(FOR_SAMPLES, 0, SAMPLES).into_data().iter().collect();
        session.samples(step, &self.grid(&samples))?;
        let how = if is_last { Thoroughness::Full } else { Thoroughness::Quick };
        let metrics = self.judge.score(how, |chunk, count| generate(FOR_SCORES, chunk, count))?;
        self.scores.clone_from(&metrics);
        session.evaluated(step, metrics, self.judge.floor(how), "frechet", observer)
    }

    fn grid<'b>(&self, values: &'b [f32]) -> ImageGrid<'b> {
        ImageGrid {
            values,
            count: SAMPLES,
            channels: self.data.train.channels,
            height: self.config.image_size,
            width: self.config.image_size,
            columns: SAMPLE_COLUMNS,
        }
    }

    /// osn counts updates of the discriminator, of which each step has `n_dis`.
    fn step_error(&self, error: StepError) -> RunError {
        match error {
            StepError::NotFinite { path, step } => RunError::NonFinite {
                what: NonFinite::Layer(path),
                value: f64::NAN,
                step: step.div_ceil(self.config.n_dis),
            },
            error => spectral(error),
        }
    }

    fn changes(&mut self) -> Vec<Change> {
        self.players.osn.as_mut().map_or_else(Vec::new, osn::Osn::take_changes)
    }

    fn layers(&self) -> Result<Vec<LayerReport>, StepError> {
        let report = |osn: &osn::Osn| osn.report(&self.players.discriminator);
        self.players.osn.as_ref().map_or_else(|| Ok(Vec::new()), report)
    }
}

/// How the race stands: the separation P(D(real) > D(fake)) − P(D(real) < D(fake)) over all pairs,
/// which is free of the discriminator's scale and offset, and the mean logits.
fn race(logits: Tensor<2>) -> Metrics {
    let [real, fake] = halves(logits).map(|half| half.into_data().iter().collect::<Vec<f64>>());
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

fn scalar(loss: Tensor<1>) -> f64 {
    loss.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}

/// Rules that do not go with the networks are a mistake in what was asked for.
fn attach_error(error: AttachError, decide: &str) -> RunError {
    match error {
        AttachError::Rule(source) => RunError::Rule { text: decide.to_owned(), source },
        error => spectral(error),
    }
}

fn spectral(source: impl std::error::Error + Send + Sync + 'static) -> RunError {
    RunError::Spectral { network: WATCHED.to_owned(), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separation_counts_pairs() {
        let logits = Tensor::<2>::from_data([[3.0f32], [1.0], [2.0], [0.0]], &Device::flex());
        // Of the pairs (3,2), (3,0), (1,2), (1,0) three are in order: (3 − 1)/4.
        let race = race(logits);
        assert_eq!(race["separation"], 0.5);
        assert_eq!(race["logit_real"], 2.0);
    }
}
