//! The training loop.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use osn::Change;
use osn::report::LayerSpectrum;
use osn_runs::metrics::Metrics;

use crate::batch::number;
use crate::control::config::ControlConfig;
use crate::control::learner::{Learned, Learner};
use crate::control::play::{Player, mean, returns};
use crate::control::replay::Replay;
use crate::crew::Crew;
use crate::decide::Decide;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::pending::PendingSignals;
use crate::run::training::{Scored, Snapshot, Thoroughness, Training};

/// The stream of each use of random numbers.
const FOR_BATCHES: u64 = 1;
const FOR_SCORES: u64 = 2;
/// A player uses two.
const FOR_PLAYING: u64 = 3;
const FOR_VALIDATION: u64 = 5;

/// Everything that a run changes and draws from.
pub(super) struct Trainer<'a> {
    config: &'a ControlConfig,
    seed: u64,
    player: Player,
    replay: Replay,
    learner: Learner,
    pending: PendingSignals,
    /// The sum of the mean returns at the evaluations so far, and how many these are.
    curve: (f64, u64),
    /// Whether a rule follows a score.
    is_validated: bool,
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
            is_validated: learner.trained.needs().metric,
            learner,
            pending: PendingSignals::default(),
            curve: (0.0, 0),
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
        let policy = self.learner.trained.network.valid();
        let explore = self.config.exploration_at(step);
        for _ in 0..self.config.actions_per_step {
            let choose = |seen: &[f32]| policy.best_actions(&[seen.to_vec()], &self.device)[0];
            self.replay.push(self.player.act(explore, choose));
        }
    }

    fn learn(&mut self, step: u64, crew: &mut Crew) -> Result<Learned, RunError> {
        let size = self.config.batch_size;
        let batch = self.replay.batch(self.seed, FOR_BATCHES, step, size, &self.device);
        let rate = self.config.learning_rate_at(step);
        let learned = self.learner.update(&batch, rate, &mut self.pending, crew)?;
        if step.is_multiple_of(self.config.target_every) {
            self.learner.copy_to_target();
        }
        Ok(learned)
    }

    /// The returns of so many episodes without chance, from starts of this stream.
    fn play(&self, stream: u64, count: usize) -> Vec<f64> {
        let (task, starts) = (self.config.environment, [self.seed, stream]);
        returns(&self.learner.trained.plain(), task, starts, count, &self.device)
    }

    fn summarize(&self, returns: &[f64]) -> Metrics {
        let (sum, count) = self.curve;
        let mut metrics = mean_and_worst(returns);
        metrics.insert("area".to_owned(), sum / count as f64);
        if let Some(recent) = self.player.recent_return() {
            metrics.insert("recent_return".to_owned(), recent);
        }
        metrics
    }
}

impl Training for Trainer<'_> {
    type Outcome = Learned;

    fn step(&mut self, step: u64, crew: &mut Crew) -> Result<Learned, RunError> {
        self.act(step);
        self.learn(step, crew)
    }

    fn changes(&mut self) -> Vec<Change> {
        self.learner.trained.changes()
    }

    fn poll(&mut self, step: u64, learned: Learned) -> Result<Snapshot, RunError> {
        let loss = number(learned.loss.clone());
        let mut signals = look_at(learned);
        signals.insert("explore".to_owned(), self.config.exploration_at(step));
        signals.insert("episodes".to_owned(), self.player.episodes() as f64);
        let layers = self.learner.trained.layers()?;
        let losses = vec![("q_network", loss)];
        Ok(Snapshot { losses, signals, layers, ..Snapshot::default() })
    }

    fn spectra(&self) -> Result<Vec<LayerSpectrum>, RunError> {
        self.learner.trained.spectra()
    }

    /// Lets the network play without chance; at the end as many episodes as count. The area is of the
    /// evaluations of one size, so the last of these, and not the one at the end, is its last.
    fn score(&mut self, thoroughness: Thoroughness) -> Result<Scored, RunError> {
        let count = match thoroughness {
            Thoroughness::Quick => self.config.eval_episodes,
            Thoroughness::Full => self.config.final_episodes,
        };
        let returns = self.play(FOR_SCORES, count);
        if thoroughness == Thoroughness::Quick {
            self.curve = (self.curve.0 + mean(&returns), self.curve.1 + 1);
        }
        Ok(Scored { metrics: self.summarize(&returns), ..Scored::default() })
    }

    /// The same from starts of their own.
    fn validate(&mut self) -> Result<Metrics, RunError> {
        if !self.is_validated {
            return Ok(Metrics::new());
        }
        let scores = mean_and_worst(&self.play(FOR_VALIDATION, self.config.eval_episodes));
        self.pending.scores(&scores);
        Ok(scores)
    }

    fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        self.learner.save(parts)?;
        self.replay.save(parts)?;
        self.player.save(parts)?;
        parts.put_value("curve", &self.curve)?;
        parts.put_value("pending", &self.pending)
    }

    fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.learner.load(parts)?;
        self.replay.load(parts, self.config.environment)?;
        self.player.load(parts)?;
        self.curve = parts.value("curve")?;
        if self.curve.1 >= u64::MAX / 2 {
            return Err(ContentsError::part("curve", "nobody was evaluated so often"));
        }
        self.pending = parts.value("pending")?;
        Ok(())
    }
}

fn mean_and_worst(returns: &[f64]) -> Metrics {
    let worst = returns.iter().copied().fold(f64::INFINITY, f64::min);
    Metrics::from([("return".to_owned(), mean(returns)), ("worst_return".to_owned(), worst)])
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
