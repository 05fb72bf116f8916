//! What an agent remembers of what it did.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::control::task::ControlTask;
use crate::crew::Shard;
use crate::data::sampler;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};

/// One action and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// What the agent saw.
    pub observation: Vec<f32>,
    /// What it did.
    pub action: usize,
    /// What it got.
    pub reward: f64,
    /// What it saw then.
    pub next: Vec<f32>,
    /// Whether nothing can be earned from there on. An episode that was cut off is not over.
    pub terminated: bool,
}

/// The last transitions, of which batches are drawn (Lin 1992; Mnih et al. 2015).
#[derive(Clone, Debug)]
pub struct Replay {
    capacity: usize,
    /// Where the next transition goes, once the memory is full.
    oldest: usize,
    transitions: Vec<Transition>,
}

/// Some transitions as tensors.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[batch, observation_size]`.
    pub observations: Tensor<2>,
    /// `[batch, 1]`.
    pub actions: Tensor<2, Int>,
    /// `[batch, 1]`.
    pub rewards: Tensor<2>,
    /// `[batch, observation_size]`.
    pub next: Tensor<2>,
    /// 0 where the episode terminated, else 1, `[batch, 1]`.
    pub goes_on: Tensor<2>,
}

impl Replay {
    /// An empty memory of so many transitions.
    ///
    /// # Panics
    ///
    /// If `capacity` is zero.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a memory of nothing remembers nothing");
        Self { capacity, oldest: 0, transitions: Vec::new() }
    }

    /// Remembers a transition, in place of the oldest where the memory is full.
    pub fn push(&mut self, transition: Transition) {
        if self.transitions.len() < self.capacity {
            self.transitions.push(transition);
        } else {
            self.transitions[self.oldest] = transition;
            self.oldest = (self.oldest + 1) % self.capacity;
        }
    }

    /// Puts everything that is remembered into a checkpoint, in its order.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what cannot be written.
    pub fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        let all = || self.transitions.iter();
        let numbers = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        parts.put_numbers("replay/seen", all().flat_map(|it| numbers(&it.observation)));
        parts.put_numbers("replay/next", all().flat_map(|it| numbers(&it.next)));
        parts.put_numbers("replay/rewards", all().map(|it| it.reward));
        parts.put_value("replay/actions", &all().map(|it| it.action).collect::<Vec<_>>())?;
        parts.put_value("replay/ends", &all().map(|it| it.terminated).collect::<Vec<_>>())?;
        parts.put_value("replay/oldest", &self.oldest)
    }

    /// Remembers what was saved of a task and nothing else.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what is missing, does not go together or is of another task.
    pub fn load(
        &mut self,
        parts: &CheckpointContents,
        task: ControlTask,
    ) -> Result<(), ContentsError> {
        let (seen, next) = (parts.numbers("replay/seen")?, parts.numbers("replay/next")?);
        let rewards = parts.numbers("replay/rewards")?;
        let actions: Vec<usize> = parts.value("replay/actions")?;
        let ends: Vec<bool> = parts.value("replay/ends")?;
        let oldest: usize = parts.value("replay/oldest")?;
        let (count, length) = (rewards.len(), task.observation_size());
        let goes_together = [actions.len(), ends.len()] == [count; 2]
            && [seen.len(), next.len()] == [count * length; 2]
            && (1..=self.capacity).contains(&count);
        if !goes_together {
            return Err(ContentsError::part("replay", "its parts are of different lengths"));
        }
        if actions.iter().any(|&action| action >= task.n_actions()) {
            return Err(ContentsError::part("replay/actions", "there is no such action"));
        }
        let is_full = count == self.capacity;
        if oldest >= if is_full { count } else { 1 } {
            return Err(ContentsError::part("replay/oldest", "there is no such place"));
        }
        let row = |of: &[f64], index: usize| rounded(&of[index * length..(index + 1) * length]);
        let transition = |index: usize| Transition {
            observation: row(&seen, index),
            action: actions[index],
            reward: rewards[index],
            next: row(&next, index),
            terminated: ends[index],
        };
        self.transitions = (0..count).map(transition).collect();
        self.oldest = oldest;
        Ok(())
    }

    /// Draws a batch, a pure function of seed, stream, step and what is remembered; a transition may
    /// come twice.
    ///
    /// # Panics
    ///
    /// If nothing is remembered.
    pub fn batch(&self, seed: u64, stream: u64, step: u64, size: usize, device: &Device) -> Batch {
        let places = sampler::indices(seed, stream, step, self.transitions.len(), size);
        let drawn: Vec<_> = places.into_iter().map(|place| &self.transitions[place]).collect();
        Batch::new(&drawn, device)
    }
}

/// The f32 that the numbers were before.
#[expect(clippy::cast_possible_truncation, reason = "each was an f32")]
fn rounded(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&number| number as f32).collect()
}

impl Batch {
    /// The transitions of one shard.
    pub(super) fn of(&self, shard: Shard) -> Self {
        Self {
            observations: shard.of(self.observations.clone()),
            actions: shard.of(self.actions.clone()),
            rewards: shard.of(self.rewards.clone()),
            next: shard.of(self.next.clone()),
            goes_on: shard.of(self.goes_on.clone()),
        }
    }

    /// The transitions on a device.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "rewards and actions are small numbers"
    )]
    pub fn new(transitions: &[&Transition], device: &Device) -> Self {
        let column = |value: fn(&Transition) -> f32| {
            let values: Vec<f32> = transitions.iter().map(|it| value(it)).collect();
            Tensor::from_data(TensorData::new(values, [transitions.len(), 1]), device)
        };
        let actions: Vec<i64> = transitions.iter().map(|it| it.action as i64).collect();
        Self {
            observations: rows(transitions.iter().map(|it| &it.observation), device),
            actions: Tensor::from_data(TensorData::new(actions, [transitions.len(), 1]), device),
            rewards: column(|it| it.reward as f32),
            next: rows(transitions.iter().map(|it| &it.next), device),
            goes_on: column(|it| f32::from(!it.terminated)),
        }
    }
}

/// Observations of one length as `[count, length]`.
pub(super) fn rows<'a>(
    observations: impl IntoIterator<Item = &'a Vec<f32>>,
    device: &Device,
) -> Tensor<2> {
    let mut count = 0;
    let values: Vec<f32> =
        observations.into_iter().inspect(|_| count += 1).flatten().copied().collect();
    let shape = [count, values.len() / count];
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn transition(number: u8) -> Transition {
        let observation = vec![f32::from(number); 2];
        let next = vec![f32::from(number) + 0.5; 2];
        let reward = f64::from(number);
        Transition { observation, action: 1, reward, next, terminated: number == 4 }
    }

    fn remembered(replay: &Replay) -> Vec<f64> {
        replay.transitions.iter().map(|it| it.reward).collect()
    }

    #[test]
    fn a_full_memory_forgets_the_oldest() {
        let mut replay = Replay::new(3);
        (0..5).for_each(|number| replay.push(transition(number)));
        assert_eq!(remembered(&replay), [3.0, 4.0, 2.0]);
    }

    #[test]
    fn a_batch_keeps_the_parts_of_a_transition_together() {
        let mut replay = Replay::new(8);
        (0..8).for_each(|number| replay.push(transition(number)));
        let batch = replay.batch(1, 2, 3, 64, &Device::flex());
        let values = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
        let (seen, next) = (values(batch.observations), values(batch.next));
        let (rewards, goes_on) = (values(batch.rewards), values(batch.goes_on));
        for index in 0..64 {
            assert_eq!(seen[2 * index..2 * index + 2], [rewards[index]; 2]);
            assert_eq!(next[2 * index], rewards[index] + 0.5);
            assert_eq!(goes_on[index] == 0.0, rewards[index] == 4.0);
        }
        let drawn: BTreeSet<u32> = rewards.iter().map(|it| it.to_bits()).collect();
        assert_eq!(drawn.len(), 8, "64 draws of 8 miss one with a chance of 2 in 1,000");
    }
}
