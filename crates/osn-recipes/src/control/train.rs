//! The training loop.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use osn::{AttachError, Change, LayerReport, Signals, StepError};

use super::learner::WATCHED;
use super::play::{Player, mean, returns};
use super::{ControlConfig, DOC, Learned, Learner, Replay};
use crate::decide::Decide;
use crate::run::{Metrics, NonFinite, Observer, RunError, RunSummary, Session, TrainRequest};

/// What tells the draws of different uses apart.
const FOR_BATCHES: u64 = 1;
const FOR_SCORES: u64 = 2;
/// A player takes two.
const FOR_PLAYING: u64 = 3;

/// Trains as the config says, and leaves a complete run folder.
pub(super) fn train(
    request: &TrainRequest,
    config: &ControlConfig,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let decide = crate::decide(request, &DOC)?;
    let device = crate::device(request)?;
    let mut trainer = Trainer::new(config, &decide, request.seed, device)?;
    Session::start(request, &DOC, &decide, config, config.steps, config.environment.name())?
        .run(observer, |session, observer| trainer.run(session, observer))
}

/// Everything that a run changes and draws from.
struct Trainer<'a> {
    config: &'a ControlConfig,
    seed: u64,
    player: Player,
    replay: Replay,
    learner: Learner,
    signals: Signals,
    /// Scores that no rule has been told of yet.
    scores: Metrics,
    /// The mean return at each evaluation so far.
    curve: Vec<f64>,
    /// The plain device, on which the agent acts.
    device: Device,
}

impl<'a> Trainer<'a> {
    fn new(
        config: &'a ControlConfig,
        decide: &Decide,
        seed: u64,
        device: Device,
    ) -> Result<Self, RunError> {
        let learner = Learner::new(config, Some(decide.rules.clone()), seed, &device)
            .map_err(|error| attach_error(error, &decide.name))?;
        Ok(Self {
            config,
            seed,
            player: Player::new(config.environment, seed, FOR_PLAYING),
            replay: Replay::new(config.memory),
            learner,
            signals: Signals::new(),
            scores: Metrics::new(),
            curve: Vec::new(),
            device,
        })
    }

    fn run(&mut self, session: &mut Session, observer: &mut dyn Observer) -> Result<(), RunError> {
        session.decided(self.changes(), observer)?;
        self.act_at_random();
        for step in 1..=self.config.steps {
            self.act(step);
            let learned = self.learn(step).map_err(step_error)?;
            session.step_done(step);
            session.decided(self.changes(), observer)?;
            if step.is_multiple_of(self.config.log_every) {
                self.log(step, learned, session, observer)?;
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

    fn act_at_random(&mut self) {
        for _ in 0..self.config.random_actions {
            self.replay.push(self.player.act(1.0, |_| 0));
        }
    }

    fn act(&mut self, step: u64) {
        let policy = self.learner.network.valid();
        let explore = self.config.exploration_at(step);
        for _ in 0..self.config.actions_per_step {
            let choose = |seen: &[f32]| policy.best_actions(&[seen.to_vec()], &self.device)[0];
            self.replay.push(self.player.act(explore, choose));
        }
    }

    fn learn(&mut self, step: u64) -> Result<Learned, StepError> {
        let size = self.config.batch_size;
        let batch = self.replay.batch(self.seed, FOR_BATCHES, step, size, &self.device);
        let signals = self.signals();
        let learned = self.learner.update(batch, self.config.learning_rate_at(step), &signals)?;
        if step.is_multiple_of(self.config.target_every) {
            self.learner.copy_to_target();
        }
        Ok(learned)
    }

    /// What the rules are told; a score once, when they decide next.
    fn signals(&mut self) -> Signals {
        if !self.learner.decides_next() {
            return Signals::new();
        }
        let scores = std::mem::take(&mut self.scores).into_iter();
        scores.fold(self.signals.clone(), |signals, (name, value)| signals.metric(name, value))
    }

    /// Reads back the step's losses, signals and layers; the first bad number ends the run.
    fn log(
        &mut self,
        step: u64,
        learned: Learned,
        session: &mut Session,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let loss = learned.loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        let mut signals = look_at(learned);
        let losses = [("q_network", loss), ("td_variance", signals["td_variance"])];
        self.signals = losses.iter().fold(Signals::new(), |s, (name, value)| s.loss(*name, *value));
        signals.insert("explore".to_owned(), self.config.exploration_at(step));
        signals.insert("episodes".to_owned(), self.player.episodes() as f64);
        let layers = self.layers().map_err(step_error)?;
        session.log(step, &losses[..1], signals, &layers, observer)
    }

    /// Lets the network play without chance; the last time as many episodes as count.
    fn evaluate(
        &mut self,
        step: u64,
        is_last: bool,
        session: &mut Session,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let config = self.config;
        let count = if is_last { config.final_episodes } else { config.eval_episodes };
        let (network, draws) = (self.learner.network.valid(), [self.seed, FOR_SCORES]);
        let returns = returns(&network, config.environment, draws, count, &self.device);
        self.curve.push(mean(&returns));
        self.scores = self.summarize(&returns);
        session.evaluated(step, self.scores.clone(), &Metrics::new(), "return", observer)
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

    fn changes(&mut self) -> Vec<Change> {
        self.learner.osn.as_mut().map_or_else(Vec::new, osn::Osn::take_changes)
    }

    fn layers(&self) -> Result<Vec<LayerReport>, StepError> {
        let report = |osn: &osn::Osn| osn.report(&self.learner.network);
        self.learner.osn.as_ref().map_or_else(|| Ok(Vec::new()), report)
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

fn step_error(error: StepError) -> RunError {
    match error {
        StepError::NotFinite { path, step } => {
            RunError::NonFinite { what: NonFinite::Layer(path), value: f64::NAN, step }
        }
        error => spectral(error),
    }
}

/// Rules that do not go with the network are a mistake in what was asked for.
fn attach_error(error: AttachError, decide: &str) -> RunError {
    match error {
        AttachError::Rule(source) => RunError::Rule { text: decide.to_owned(), source },
        error => spectral(error),
    }
}

fn spectral(source: impl std::error::Error + Send + Sync + 'static) -> RunError {
    RunError::Spectral { network: WATCHED.to_owned(), source: Box::new(source) }
}
