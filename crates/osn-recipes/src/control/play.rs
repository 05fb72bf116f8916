//! Acting: one player that learns while it plays, and episodes that only judge.

use burn::tensor::Device;

use super::environment::{Environment, Task};
use super::{QNetwork, Transition};
use crate::data::sampler::uniforms;
use crate::run::{Parts, PartsError};

/// Episodes whose mean is the recent return.
const RECENT: usize = 100;
/// Actions after which an episode of any task is cut off.
const LONGEST_EPISODE: u64 = 500;

/// Plays one episode after the other, partly at random.
#[derive(Debug)]
pub struct Player {
    task: Task,
    seed: u64,
    stream: u64,
    environment: Box<dyn Environment>,
    /// Actions taken, in all episodes.
    actions: u64,
    /// Those of the episode that goes on: they lead from its start to where it is.
    of_episode: Vec<usize>,
    /// The sum of rewards in the episode that goes on.
    so_far: f64,
    /// The sums of those that ended.
    returns: Vec<f64>,
}

impl Player {
    /// A player at the start of its first episode. `stream` tells its draws apart from others'; it
    /// takes this one and the next.
    pub fn new(task: Task, seed: u64, stream: u64) -> Self {
        let environment = task.start(seed, stream, 0);
        let (of_episode, returns) = (Vec::new(), Vec::new());
        Self { task, seed, stream, environment, actions: 0, of_episode, so_far: 0.0, returns }
    }

    /// One action: at random with the chance `explore`, else what `choose` makes of the observation.
    pub fn act(&mut self, explore: f64, choose: impl FnOnce(&[f32]) -> usize) -> Transition {
        let observation = self.environment.observation();
        let [lot, which]: [f64; 2] = uniforms(self.seed, self.stream + 1, self.actions);
        let action = if lot < explore { self.any_action(which) } else { choose(&observation) };
        let outcome = self.environment.step(action);
        self.actions += 1;
        self.of_episode.push(action);
        self.so_far += outcome.reward;
        let transition = Transition {
            observation,
            action,
            reward: outcome.reward,
            next: self.environment.observation(),
            terminated: outcome.terminated,
        };
        if outcome.is_end() {
            self.begin_anew();
        }
        transition
    }

    /// Puts what it did into a checkpoint.
    ///
    /// # Errors
    ///
    /// [`PartsError`] for what cannot be written.
    pub fn save(&self, parts: &mut Parts) -> Result<(), PartsError> {
        parts.put_numbers("player/returns", self.returns.iter().copied());
        parts.put_value("player", &(self.actions, self.so_far, &self.of_episode))
    }

    /// Goes to where it was: an episode is a function of its start and the actions.
    ///
    /// # Errors
    ///
    /// [`PartsError`] for what is missing, no action, or more than an episode has.
    pub fn load(&mut self, parts: &Parts) -> Result<(), PartsError> {
        self.returns = parts.numbers("player/returns")?;
        (self.actions, self.so_far, self.of_episode) = parts.value("player")?;
        if self.of_episode.iter().any(|&action| action >= self.task.n_actions()) {
            return Err(PartsError::part("player", "there is no such action"));
        }
        let (episode, begun) = (self.returns.len() as u64, self.of_episode.len() as u64);
        if self.actions > episode * LONGEST_EPISODE + begun {
            return Err(PartsError::part("player", "it acted more often than its episodes allow"));
        }
        self.environment = self.task.start(self.seed, self.stream, episode);
        for &action in &self.of_episode {
            if self.environment.step(action).is_end() {
                return Err(PartsError::part("player", "its episode goes on after its end"));
            }
        }
        Ok(())
    }

    /// The mean return of the last hundred episodes that ended, or of all where there are fewer.
    pub fn recent_return(&self) -> Option<f64> {
        let recent = &self.returns[self.returns.len().saturating_sub(RECENT)..];
        (!recent.is_empty()).then(|| mean(recent))
    }

    /// Episodes that ended.
    pub fn episodes(&self) -> usize {
        self.returns.len()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to below the number of actions"
    )]
    fn any_action(&self, which: f64) -> usize {
        (which * self.task.n_actions() as f64) as usize
    }

    fn begin_anew(&mut self) {
        self.of_episode.clear();
        self.returns.push(std::mem::take(&mut self.so_far));
        let episode = self.returns.len() as u64;
        self.environment = self.task.start(self.seed, self.stream, episode);
    }
}

/// The returns of `count` episodes that `network` plays without chance, all at once; the starts are
/// those of `seed` and `stream`.
pub fn returns(
    network: &QNetwork,
    task: Task,
    [seed, stream]: [u64; 2],
    count: usize,
    device: &Device,
) -> Vec<f64> {
    let mut returns = vec![0.0; count];
    let start = |index: usize| (index, task.start(seed, stream, index as u64));
    let mut playing: Vec<(usize, Box<dyn Environment>)> = (0..count).map(start).collect();
    while !playing.is_empty() {
        let observations: Vec<_> = playing.iter().map(|(_, it)| it.observation()).collect();
        let mut actions = network.best_actions(&observations, device).into_iter();
        playing.retain_mut(|(index, environment)| {
            let outcome = environment.step(actions.next().unwrap_or_default());
            returns[*index] += outcome.reward;
            !outcome.is_end()
        });
    }
    returns
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::super::ControlConfig;
    use super::*;

    #[test]
    fn a_player_explores_as_often_as_it_is_told_and_starts_anew_after_an_end() {
        let mut player = Player::new(Task::Cartpole, 1, 10);
        let mut chosen = 0;
        let mut act = |_: &[f32]| {
            chosen += 1;
            1
        };
        let transitions: Vec<_> = (0..2_000).map(|_| player.act(0.25, &mut act)).collect();
        assert!((1_400..1_600).contains(&chosen), "{chosen} of 2,000");
        let ends = transitions.iter().filter(|it| it.terminated).count();
        assert_eq!(player.episodes(), ends);
        let earned: f64 = player.returns.iter().sum::<f64>() + player.so_far;
        assert_eq!(earned, 2_000.0);
        for pair in transitions.windows(2) {
            assert_eq!(pair[0].next == pair[1].observation, !pair[0].terminated);
        }
    }

    #[test]
    fn the_recent_return_is_the_mean_of_the_last_hundred() {
        let mut player = Player::new(Task::Cartpole, 1, 10);
        assert_eq!(player.recent_return(), None);
        player.returns = (0..150).map(f64::from).collect();
        assert_eq!(player.recent_return(), Some(99.5));
    }

    #[test]
    fn episodes_played_together_return_what_each_returns_alone() {
        let device = Device::flex();
        let network = crate::init::xavier(QNetwork::new(&ControlConfig::quick(), &device), 3, 0);
        let together = returns(&network, Task::Cartpole, [4, 1], 5, &device);
        let alone = |episode: u64| {
            let mut environment = Task::Cartpole.start(4, 1, episode);
            let mut act = || {
                let action = network.best_actions(&[environment.observation()], &device)[0];
                environment.step(action)
            };
            1.0 + std::iter::repeat_with(&mut act).take_while(|it| !it.is_end()).count() as f64
        };
        assert_eq!(together, (0..5).map(alone).collect::<Vec<f64>>());
    }
}
