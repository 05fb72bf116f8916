//! Which environments there are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::acrobot::{self, Acrobot};
use crate::control::cart_pole::{self, CartPole};
use crate::control::environment::Environment;
use crate::control::mountain_car::{self, MountainCar};
use crate::data::sampler::uniforms;

/// Which environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ControlTask {
    /// Keep a pole upright on a cart: 1 a step, 500 at most.
    Cartpole,
    /// Swing the lower of two links above a line: −1 a step, −500 at least.
    Acrobot,
    /// Rock a car out of a valley: −1 a step, −200 at least.
    MountainCar,
}

impl ControlTask {
    /// The name that Gymnasium has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cartpole => "CartPole-v1",
            Self::Acrobot => "Acrobot-v1",
            Self::MountainCar => "MountainCar-v0",
        }
    }

    /// How many numbers an observation has.
    pub fn observation_size(self) -> usize {
        match self {
            Self::Cartpole => 4,
            Self::Acrobot => 6,
            Self::MountainCar => 2,
        }
    }

    /// How many actions there are.
    pub fn n_actions(self) -> usize {
        match self {
            Self::Cartpole => cart_pole::N_ACTIONS,
            Self::Acrobot => acrobot::N_ACTIONS,
            Self::MountainCar => mountain_car::N_ACTIONS,
        }
    }

    /// The start of an episode: a pure function of seed, stream and episode, distributed as Gymnasium's
    /// are.
    pub fn start(self, seed: u64, stream: u64, episode: u64) -> Box<dyn Environment> {
        let drawn: [f64; 4] = uniforms(seed, stream, episode);
        let within = |low: f64, high: f64| drawn.map(|part| low + (high - low) * part);
        match self {
            Self::Cartpole => Box::new(CartPole::starting_at(within(-0.05, 0.05))),
            Self::Acrobot => Box::new(Acrobot::starting_at(within(-0.1, 0.1))),
            Self::MountainCar => Box::new(MountainCar::starting_at([within(-0.6, -0.4)[0], 0.0])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASKS: [ControlTask; 3] =
        [ControlTask::Cartpole, ControlTask::Acrobot, ControlTask::MountainCar];

    #[test]
    fn a_start_depends_on_seed_stream_and_episode_and_on_nothing_else() {
        for task in TASKS {
            let start = |seed, stream, episode| task.start(seed, stream, episode).observation();
            assert_eq!(start(1, 2, 3), start(1, 2, 3));
            for other in [start(2, 2, 3), start(1, 3, 3), start(1, 2, 4)] {
                assert_ne!(start(1, 2, 3), other, "{}", task.name());
            }
            assert_eq!(start(0, 0, 0).len(), task.observation_size());
        }
    }

    #[test]
    fn starts_fill_the_range_that_they_are_drawn_from() {
        for (task, low, high) in [
            (ControlTask::Cartpole, -0.05, 0.05),
            (ControlTask::Acrobot, -0.1, 0.1),
            (ControlTask::MountainCar, -0.6, -0.4),
        ] {
            // The last number of an observation of these two is a part of the state as it is.
            let place =
                if task == ControlTask::MountainCar { 0 } else { task.observation_size() - 1 };
            let starts: Vec<f32> =
                (0..2_000).map(|episode| task.start(5, 0, episode).observation()[place]).collect();
            let (least, most) =
                starts.iter().fold((1.0_f32, -1.0_f32), |(a, b), &x| (a.min(x), b.max(x)));
            let gap = 0.01 * (high - low);
            assert!(least >= low && least < low + gap, "{}: {least}", task.name());
            assert!(most <= high && most > high - gap, "{}: {most}", task.name());
        }
    }

    #[test]
    fn every_episode_is_cut_off_at_its_limit() {
        for (task, limit) in [(ControlTask::Acrobot, 500), (ControlTask::MountainCar, 200)] {
            let mut environment = task.start(1, 0, 0);
            // The action that does nothing never gets there.
            let ends: Vec<bool> = (0..limit).map(|_| environment.step(1).truncated).collect();
            assert!(ends[limit - 1] && !ends[..limit - 1].contains(&true), "{}", task.name());
        }
    }

    #[test]
    #[should_panic(expected = "the actions are 0..2, not 2")]
    fn an_unknown_action_is_refused() {
        ControlTask::Cartpole.start(0, 0, 0).step(2);
    }
}
