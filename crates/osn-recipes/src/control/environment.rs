//! What an agent acts in.

use std::fmt::Debug;

/// One episode going on: equations of motion, a reward, an end.
///
/// A deterministic function of its start and the actions; it computes in f64, as Gymnasium does.
pub trait Environment: Debug {
    /// What the agent sees.
    fn observation(&self) -> Vec<f32>;

    /// Moves on by one action. After the end it goes on moving; whoever acts starts a new episode.
    ///
    /// # Panics
    ///
    /// If there is no such action.
    fn step(&mut self, action: usize) -> Outcome;
}

/// What an action came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The reward of the action.
    pub reward: f64,
    /// The episode ended of itself: nothing can be earned after it.
    pub terminated: bool,
    /// The episode was cut off at its last allowed action: more could have been earned.
    pub truncated: bool,
}

impl Outcome {
    /// Whether a new episode has to start.
    pub fn is_end(self) -> bool {
        self.terminated || self.truncated
    }
}

/// Rounds to the f32 in which an agent sees.
#[expect(clippy::cast_possible_truncation, reason = "observations are f32")]
pub(super) fn seen<const N: usize>(state: [f64; N]) -> Vec<f32> {
    state.into_iter().map(|part| part as f32).collect()
}

/// Refuses an action that an environment does not have.
pub(super) fn check_action(action: usize, count: usize) {
    assert!(action < count, "the actions are 0..{count}, not {action}");
}
