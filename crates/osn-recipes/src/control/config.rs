//! Every hyper-parameter of the recipe, with where it comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::task::ControlTask;
use crate::data::need::Need;
use crate::run::check::{
    ANY, MAX_BATCH, MAX_STEPS, MAX_UNITS, above_zero, below_one, check_shards, check_weights,
    check_widths, parts, within, zero_or_more,
};
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::training::Pace;

/// A step can only be stopped at its end.
const MAX_ACTIONS_PER_STEP: u64 = 10_000;
/// Nor can what comes before the first.
const MAX_RANDOM_ACTIONS: u64 = 10_000_000;
/// Some two gigabytes of transitions.
const MAX_MEMORY: u64 = 10_000_000;
/// No task shows or offers more numbers.
const MOST_OBSERVED: u64 = 16;
/// Episodes that are played at once.
const MAX_EPISODES: u64 = 100_000;

/// Hyper-parameters of `control`. One step is one update of the Q-network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControlConfig {
    /// What to act in: `cartpole`, `acrobot` or `mountain_car`.
    pub environment: ControlTask,
    /// Units of each hidden layer, from the observation on. Mnih et al. 2015 end in one of 512 behind
    /// convolutions; two of 128 are plenty for six numbers.
    pub hidden_sizes: Vec<usize>,
    /// Updates of the Q-network.
    pub steps: u64,
    /// Actions between two updates (Mnih et al. 2015: 4). Fresh experience is cheap here, and corrects
    /// values that have run away.
    pub actions_per_step: u64,
    /// Random actions before the first update, to fill the memory.
    pub random_actions: u64,
    /// Transitions remembered; new ones replace the oldest (Mnih et al. 2015: 1,000,000 on Atari).
    pub memory: usize,
    /// Transitions in a batch (Mnih et al. 2015: 32).
    pub batch_size: usize,
    /// Equal parts that a batch is cut into, for as many workers at most. A loss is the mean over those of the parts, so
    /// the result depends on this, and never on the workers.
    pub shards: usize,
    /// What a reward one action later is worth, γ (Mnih et al. 2015: 0.99).
    pub discount: f64,
    /// Updates between two copies to the target network (Mnih et al. 2015: 10,000 on Atari).
    pub target_every: u64,
    /// Learning rate at the first update; it falls linearly.
    pub learning_rate: f64,
    /// Part of the learning rate that is left at the last update; 1 keeps it.
    pub learning_rate_end: f64,
    /// Adam's β₁ (Kingma and Ba 2015: 0.9).
    pub beta_1: f32,
    /// Adam's β₂ (Kingma and Ba 2015: 0.999).
    pub beta_2: f32,
    /// Adam's ε (Kingma and Ba 2015: 1e-8; Rainbow, Hessel et al. 2018: 1.5e-4). Gogianu et al. 2021 vary
    /// it from 1e-4 to 1e-2 beside the learning rate.
    pub epsilon: f32,
    /// Where the Huber loss turns from a parabola to lines. Mnih et al. 2015 clip the error at 1, with
    /// rewards clipped to 1 too; here values are near 100, and with 1 the rare transition that ends an
    /// episode weighs too little against the many that do not (see `README.md`).
    pub huber_delta: f32,
    /// Part of actions that are random, at the first update (Mnih et al. 2015: 1).
    pub explore_start: f64,
    /// The same from `explore_steps` on (Mnih et al. 2015: 0.1).
    pub explore_end: f64,
    /// Updates over which the part of random actions falls linearly.
    pub explore_steps: u64,
    /// Steps between two log lines and two read-backs of σ.
    pub log_every: u64,
    /// Steps between two evaluations of the greedy policy.
    pub eval_every: u64,
    /// Episodes of an evaluation while training.
    pub eval_episodes: usize,
    /// Episodes of the evaluation at the end.
    pub final_episodes: usize,
}

impl ControlConfig {
    /// Two to three minutes on two cores.
    pub fn quick() -> Self {
        Self {
            environment: ControlTask::Cartpole,
            hidden_sizes: vec![128, 128],
            steps: 40_000,
            actions_per_step: 8,
            random_actions: 5_000,
            memory: 50_000,
            batch_size: 64,
            shards: 1,
            discount: 0.99,
            target_every: 100,
            learning_rate: 1e-3,
            learning_rate_end: 0.0,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            huber_delta: 100.0,
            explore_start: 1.0,
            explore_end: 0.05,
            explore_steps: 10_000,
            log_every: 100,
            eval_every: 2_000,
            eval_episodes: 20,
            final_episodes: 100,
        }
    }

    /// Four times the updates of a wider network: the setting for comparisons.
    pub fn standard() -> Self {
        Self {
            hidden_sizes: vec![256, 256],
            steps: 160_000,
            memory: 200_000,
            explore_steps: 40_000,
            eval_every: 8_000,
            ..Self::quick()
        }
    }

    /// The learning rate of the update `step`, counted from 1.
    pub(super) fn learning_rate_at(&self, step: u64) -> f64 {
        let left = between(1.0, self.learning_rate_end, step - 1, self.steps);
        self.learning_rate * left
    }

    /// The part of random actions before the update `step`, counted from 1.
    pub(super) fn exploration_at(&self, step: u64) -> f64 {
        between(self.explore_start, self.explore_end, step - 1, self.explore_steps)
    }
}

impl Config for ControlConfig {
    const NO_DATA: Option<&'static str> =
        Some("control takes none; choose with --set environment=cartpole, acrobot or mountain_car");

    fn presets() -> Vec<Self> {
        vec![Self::quick(), Self::standard()]
    }

    fn idle(&self) -> Vec<(&'static str, String)> {
        let mut idle = Vec::new();
        if self.explore_start == self.explore_end {
            let why = "explore_start and explore_end are the same";
            idle.push(("explore_steps", why.to_owned()));
        }
        if self.explore_steps == 0 {
            let why = "with explore_steps=0 the part is explore_end at once";
            idle.push(("explore_start", why.to_owned()));
        }
        idle
    }

    fn need(&self) -> Need {
        Need::Nothing(self.environment.name())
    }

    fn shards(&self) -> usize {
        self.shards
    }

    fn pace(&self) -> Pace {
        Pace { steps: self.steps, log_every: self.log_every, eval_every: self.eval_every }
    }

    fn check(&self) -> Result<(), RunError> {
        within(&[
            ("steps", self.steps, 1..=MAX_STEPS),
            ("actions_per_step", self.actions_per_step, 1..=MAX_ACTIONS_PER_STEP),
            ("random_actions", self.random_actions, 1..=MAX_RANDOM_ACTIONS),
            ("memory", self.memory as u64, 1..=MAX_MEMORY),
            ("batch_size", self.batch_size as u64, 2..=MAX_BATCH),
            ("target_every", self.target_every, ANY),
            ("log_every", self.log_every, ANY),
            ("eval_every", self.eval_every, ANY),
            ("eval_episodes", self.eval_episodes as u64, 1..=MAX_EPISODES),
            ("final_episodes", self.final_episodes as u64, 1..=MAX_EPISODES),
        ])?;
        check_shards(self.shards, self.batch_size)?;
        check_widths("hidden_sizes", &self.hidden_sizes, MAX_UNITS)?;
        check_weights(MOST_OBSERVED, &self.hidden_sizes)?;
        zero_or_more(&[("epsilon", f64::from(self.epsilon))])?;
        above_zero(&[
            ("learning_rate", self.learning_rate),
            ("huber_delta", f64::from(self.huber_delta)),
        ])?;
        below_one(&[("beta_1", f64::from(self.beta_1)), ("beta_2", f64::from(self.beta_2))])?;
        parts(&[
            ("discount", self.discount),
            ("learning_rate_end", self.learning_rate_end),
            ("explore_start", self.explore_start),
            ("explore_end", self.explore_end),
        ])
    }
}

/// On the line from `first` at 0 to `last` at `count`, and `last` from there on.
fn between(first: f64, last: f64, index: u64, count: u64) -> f64 {
    let part = if index < count { index as f64 / count as f64 } else { 1.0 };
    first + (last - first) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exploration_falls_to_its_end_and_stays_and_the_learning_rate_falls_to_the_last_update() {
        let config = ControlConfig {
            steps: 100,
            learning_rate: 2.0,
            learning_rate_end: 0.5,
            explore_start: 1.0,
            explore_end: 0.25,
            explore_steps: 10,
            ..ControlConfig::quick()
        };
        let explored = [1, 6, 11, 100].map(|step| config.exploration_at(step));
        assert_eq!(explored, [1.0, 0.625, 0.25, 0.25]);
        assert_eq!([1, 51].map(|step| config.learning_rate_at(step)), [2.0, 1.5]);
    }
}
