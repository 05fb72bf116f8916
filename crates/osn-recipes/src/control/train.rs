//! The training loop.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use osn::{Change, LayerSpectrum};

use super::play::{Player, mean, returns};
use super::{ControlConfig, Learned, Learner, Replay};
use crate::batch::number;
use crate::decide::Decide;
use crate::run::{
    Look, Metrics, Parts, PartsError, RunError, Scored, Thoroughness, Told, Training,
};

/// What tells the draws of different uses apart.
const FOR_BATCHES: u64 = 1;
const FOR_SCORES: u64 = 2;
/// A player takes two.
const FOR_PLAYING: u64 = 3;

/// Everything that a run changes and draws from.
pub(super) struct Trainer<'a> {
    config: &'a ControlConfig,
    seed: u64,
    player: Player,
    replay: Replay,
    learner: Learner,
    told: Told,
    /// The mean return at each evaluation so far.
    curve: Vec<f64>,
    /// The plain device, on which the agent acts.
    device: Device,
}

impl<'a> Trainer<'a> {
    /// A new network, and a memory of random actions.
    pub(super) fn new(
        config: &'a ControlConfig,
        decide: &Decide,
        seed: u64,
        device: Device,
    ) -> Result<Self, RunError> {
        let learner = Learner::new(config, Some(decide), seed, &device)?;
        let mut trainer = Self {
            config,
            seed,
            player: Player::new(config.environment, seed, FOR_PLAYING),
            replay: Replay::new(config.memory),
            learner,
            told: Told::default(),
            curve: Vec::new(),
            device,
        };
        trainer.act_at_random();
        Ok(trainer)
    }

    fn act_at_random(&mut self) {
        for _ in 0..self.config.random_actions {
            self.replay.push(self.player.act(1.0, |_| 0));
        }
    }

    fn act(&mut self, step: u64) {
        let policy = self.learner.held.network.valid();
        let explore = self.config.exploration_at(step);
        for _ in 0..self.config.actions_per_step {
            let choose = |seen: &[f32]| policy.best_actions(&[seen.to_vec()], &self.device)[0];
            self.replay.push(self.player.act(explore, choose));
        }
    }

    fn learn(&mut self, step: u64) -> Result<Learned, RunError> {
        let size = self.config.batch_size;
        let batch = self.replay.batch(self.seed, FOR_BATCHES, step, size, &self.device);
        let rate = self.config.learning_rate_at(step);
        let learned = self.learner.update(batch, rate, &mut self.told)?;
        if step.is_multiple_of(self.config.target_every) {
            self.learner.copy_to_target();
        }
        Ok(learned)
    }

    fn summarize(&self, returns: &[f64]) -> Metrics {
        let worst = returns.iter().copied().fold(f64::INFINITY, f64::min);
        let mut metrics = Metrics::from([
            ("return".to_owned(), mean(returns)),
            ("worst_return".to_owned(), worst),
            ("area".to_owned(), mean(&self.curve)),
        ]);
        if let Some(recent) = self.player.recent_return() {
            metrics.insert("recent_return".to_owned(), recent);
        }
        metrics
    }
}

impl Training for Trainer<'_> {
    type Outcome = Learned;

    fn step(&mut self, step: u64) -> Result<Learned, RunError> {
        self.act(step);
        self.learn(step)
    }

    fn changes(&mut self) -> Vec<Change> {
        self.learner.held.changes()
    }

    fn look(&mut self, step: u64, learned: Learned) -> Result<Look, RunError> {
        let loss = number(learned.loss.clone());
        let mut signals = look_at(learned);
        self.told.losses(&[("q_network", loss), ("td_variance", signals["td_variance"])]);
        signals.insert("explore".to_owned(), self.config.exploration_at(step));
        signals.insert("episodes".to_owned(), self.player.episodes() as f64);
        let layers = self.learner.held.layers()?;
        Ok(Look { losses: vec![("q_network", loss)], signals, layers, diverged: None })
    }

    fn spectra(&self) -> Result<Vec<LayerSpectrum>, RunError> {
        self.learner.held.spectra()
    }

    /// Lets the network play without chance; at the end as many episodes as count.
    fn score(&mut self, thoroughness: Thoroughness) -> Result<Scored, RunError> {
        let count = match thoroughness {
            Thoroughness::Quick => self.config.eval_episodes,
            Thoroughness::Full => self.config.final_episodes,
        };
        let (network, draws) = (self.learner.held.network.valid(), [self.seed, FOR_SCORES]);
        let returns = returns(&network, self.config.environment, draws, count, &self.device);
        self.curve.push(mean(&returns));
        let metrics = self.summarize(&returns);
        self.told.scores(&metrics);
        Ok(Scored { metrics, floor: Metrics::new(), headline: "return", samples: None })
    }

    fn save(&self, parts: &mut Parts) -> Result<(), PartsError> {
        self.learner.save(parts)?;
        self.replay.save(parts)?;
        self.player.save(parts)?;
        parts.put_numbers("curve", self.curve.iter().copied());
        parts.put_value("told", &self.told)
    }

    fn load(&mut self, parts: &Parts) -> Result<(), PartsError> {
        self.learner.load(parts)?;
        self.replay.load(parts, self.config.environment)?;
        self.player.load(parts)?;
        self.curve = parts.numbers("curve")?;
        self.told = parts.value("told")?;
        Ok(())
    }
}

/// The mean value of the actions taken, and the variance of the errors of those values.
fn look_at(learned: Learned) -> Metrics {
    let values = learned.values.without_autodiff();
    let host = |tensor: Tensor<2>| tensor.into_data().iter::<f64>().collect::<Vec<f64>>();
    let errors = host(learned.targets - values.clone());
    let (values, middle) = (host(values), mean(&errors));
    let squares: Vec<f64> = errors.iter().map(|error| (error - middle).powi(2)).collect();
    Metrics::from([("value".to_owned(), mean(&values)), ("td_variance".to_owned(), mean(&squares))])
}
