//! Acting: one player that explores while the network learns, and greedy episodes that only score it.

use std::collections::VecDeque;

use burn::tensor::Device;

use crate::control::environment::Environment;
use crate::control::model::QNetwork;
use crate::control::replay::Transition;
use crate::control::task::ControlTask;
use crate::data::sampler::uniforms;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};

/// Episodes whose mean is the recent return.
const RECENT: usize = 100;
/// Actions after which an episode of any task is cut off.
const LONGEST_EPISODE: u64 = 500;

/// Plays one episode after the other, partly at random.
#[derive(Debug)]
pub struct Player {
    task: ControlTask,
    seed: u64,
    stream: u64,
    environment: Box<dyn Environment>,
    /// Actions taken, in all episodes.
    actions: u64,
    /// Those of the current episode: replayed from its start they lead to its current state.
    of_episode: Vec<usize>,
    /// The sum of rewards in the current episode.
    so_far: f64,
    /// How many episodes ended.
    episodes: u64,
    /// The sums of rewards in the last of them.
    recent: VecDeque<f64>,
}

impl Player {
    /// A player at the start of its first episode. It draws from `stream` and the next one.
    pub fn new(task: ControlTask, seed: u64, stream: u64) -> Self {
        let environment = task.start(seed, stream, 0);
        Self {
            task,
            seed,
            stream,
            environment,
            actions: 0,
            of_episode: Vec::new(),
            so_far: 0.0,
            episodes: 0,
            recent: VecDeque::new(),
        }
    }

    /// One action: at random with the chance `explore`, else what `choose` makes of the observation.
    pub fn act(&mut self, explore: f64, choose: impl FnOnce(&[f32]) -> usize) -> Transition {
        let observation = self.environment.observation();
        let [chance, which]: [f64; 2] = uniforms(self.seed, self.stream + 1, self.actions);
        let action = if chance < explore { self.any_action(which) } else { choose(&observation) };
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
    /// [`ContentsError`] for what cannot be written.
    pub fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        parts.put_numbers("player/recent", self.recent.iter().copied());
        parts.put_value("player", &(self.actions, self.so_far, &self.of_episode, self.episodes))
    }

    /// Goes to where it was: an episode is a function of its start and the actions.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what is missing, no action, or more than an episode has.
    pub fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.recent = parts.numbers("player/recent")?.into();
        (self.actions, self.so_far, self.of_episode, self.episodes) = parts.value("player")?;
        let counted = self.recent.len() as u64 == self.episodes.min(RECENT as u64);
        if !counted || self.episodes >= u64::MAX / 2 {
            return Err(ContentsError::part("player/recent", "it has another number of returns"));
        }
        if self.of_episode.iter().any(|&action| action >= self.task.n_actions()) {
            return Err(ContentsError::part("player", "there is no such action"));
        }
        let (episode, begun) = (self.episodes, self.of_episode.len() as u64);
        if self.actions > episode.saturating_mul(LONGEST_EPISODE).saturating_add(begun) {
            return Err(ContentsError::part(
                "player",
                "it acted more often than its episodes allow",
            ));
        }
        self.environment = self.task.start(self.seed, self.stream, episode);
        for &action in &self.of_episode {
            if self.environment.step(action).is_end() {
                return Err(ContentsError::part("player", "its episode goes on after its end"));
            }
        }
        Ok(())
    }

    /// The mean return of the last hundred episodes that ended, or of all where there are fewer.
    pub fn recent_return(&self) -> Option<f64> {
        let count = self.recent.len() as f64;
        (count > 0.0).then(|| self.recent.iter().sum::<f64>() / count)
    }

    /// Episodes that ended.
    pub fn episodes(&self) -> u64 {
        self.episodes
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
        let earned = std::mem::take(&mut self.so_far);
        self.note(earned);
        self.environment = self.task.start(self.seed, self.stream, self.episodes);
    }

    /// Notes the return of an episode that ended.
    fn note(&mut self, earned: f64) {
        self.episodes += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(earned);
    }
}

/// The returns of `count` episodes that `network` plays without chance, all at once; the starts are
/// those of `seed` and `stream`.
pub fn returns(
    network: &QNetwork,
    task: ControlTask,
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
    use super::*;
    use crate::control::config::ControlConfig;

    #[test]
    fn a_player_explores_as_often_as_it_is_told_and_starts_anew_after_an_end() {
        let mut player = Player::new(ControlTask::Cartpole, 1, 10);
        let mut chosen = 0;
        let mut act = |_: &[f32]| {
            chosen += 1;
            1
        };
        let transitions: Vec<_> = (0..2_000).map(|_| player.act(0.25, &mut act)).collect();
        assert!((1_400..1_600).contains(&chosen), "{chosen} of 2,000");
        let ends: Vec<usize> = (0..2_000).filter(|&place| transitions[place].terminated).collect();
        assert_eq!(player.episodes(), ends.len() as u64);
        // A step earns 1, so the last hundred episodes earned what lies between their ends.
        let last_hundred = (ends[ends.len() - 1] - ends[ends.len() - 101]) as f64;
        assert_eq!(player.recent_return(), Some(last_hundred / 100.0));
        for pair in transitions.windows(2) {
            assert_eq!(pair[0].next == pair[1].observation, !pair[0].terminated);
        }
    }

    #[test]
    fn the_recent_return_is_the_mean_of_the_last_hundred() {
        let mut player = Player::new(ControlTask::Cartpole, 1, 10);
        assert_eq!(player.recent_return(), None);
        (0..150).for_each(|earned| player.note(f64::from(earned)));
        assert_eq!(player.recent_return(), Some(99.5));
    }

    #[test]
    fn a_checkpoint_of_a_player_does_not_grow_with_its_episodes() {
        let saved = |episodes: u32| {
            let mut player = Player::new(ControlTask::Cartpole, 1, 10);
            (0..episodes).for_each(|earned| player.note(f64::from(earned)));
            let mut parts = CheckpointContents::default();
            player.save(&mut parts).unwrap();
            (parts, player)
        };
        let size = |episodes| saved(episodes).0.to_bytes().unwrap().len();
        assert_eq!(size(1_000), size(9_999));
        let (parts, player) = saved(150);
        let mut loaded = Player::new(ControlTask::Cartpole, 1, 10);
        loaded.load(&parts).unwrap();
        assert_eq!((loaded.episodes, &loaded.recent), (150, &player.recent));
    }

    #[test]
    fn episodes_played_together_return_what_each_returns_alone() {
        let device = Device::flex();
        let network = crate::init::xavier(QNetwork::new(&ControlConfig::quick(), &device), 3, 0);
        let together = returns(&network, ControlTask::Cartpole, [4, 1], 5, &device);
        let alone = |episode: u64| {
            let mut environment = ControlTask::Cartpole.start(4, 1, episode);
            let mut act = || {
                let action = network.best_actions(&[environment.observation()], &device)[0];
                environment.step(action)
            };
            1.0 + std::iter::repeat_with(&mut act).take_while(|it| !it.is_end()).count() as f64
        };
        assert_eq!(together, (0..5).map(alone).collect::<Vec<f64>>());
    }
}
