//! MountainCar-v0: a car too weak for the hill in front of it (Moore 1990).

use crate::control::environment::{Environment, Outcome, check_action, seen};

const PUSH: f64 = 0.001;
const GRAVITY: f64 = 0.0025;
const LARGEST_SPEED: f64 = 0.07;
const POSITIONS: [f64; 2] = [-1.2, 0.6];
const GOAL: f64 = 0.5;
pub(super) const N_ACTIONS: usize = 3;
const STEP_LIMIT: u32 = 200;

/// A car in a valley; the actions 0, 1, 2 push it left, not at all, or right. Reward −1 a step until it
/// is at the goal on the right.
///
/// ```text
/// v ← clamp(v + 0.001·(a − 1) − 0.0025·cos 3x, ±0.07);  x ← clamp(x + v, −1.2, 0.6)
/// ```
///
/// and the wall on the left stops it.
#[derive(Clone, Debug, PartialEq)]
pub struct MountainCar {
    /// Position and velocity.
    state: [f64; 2],
    steps: u32,
}

impl MountainCar {
    /// An episode that starts at `[x, v]`.
    pub fn starting_at(state: [f64; 2]) -> Self {
        Self { state, steps: 0 }
    }
}

impl Environment for MountainCar {
    fn observation(&self) -> Vec<f32> {
        seen(self.state)
    }

    fn step(&mut self, action: usize) -> Outcome {
        check_action(action, N_ACTIONS);
        let [position, speed] = self.state;
        let push = (action as f64 - 1.0) * PUSH;
        let speed =
            (speed + push - GRAVITY * (3.0 * position).cos()).clamp(-LARGEST_SPEED, LARGEST_SPEED);
        let position = (position + speed).clamp(POSITIONS[0], POSITIONS[1]);
        let hits_wall = position == POSITIONS[0] && speed < 0.0;
        let speed = if hits_wall { 0.0 } else { speed };
        self.state = [position, speed];
        self.steps += 1;
        Outcome {
            reward: -1.0,
            terminated: position >= GOAL && speed >= 0.0,
            truncated: self.steps >= STEP_LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushing_the_way_it_rolls_reaches_the_goal_and_pushing_right_does_not() {
        let steps = |push: fn(&MountainCar) -> usize| {
            let mut car = MountainCar::starting_at([-0.5, 0.0]);
            (1..=200).find(|_| car.step(push(&car)).terminated)
        };
        let with_the_roll = steps(|car| if car.state[1] < 0.0 { 0 } else { 2 }).unwrap();
        assert!((90..150).contains(&with_the_roll), "{with_the_roll}");
        assert_eq!(steps(|_| 2), None);
    }

    #[test]
    fn the_goal_is_half_way_up_the_positive_side() {
        let ends = |x: f64| MountainCar::starting_at([x, 0.05]).step(2).terminated;
        assert_eq!([0.44, 0.46].map(ends), [false, true]);
    }

    #[test]
    fn the_wall_stops_the_car() {
        let mut car = MountainCar::starting_at([-1.19, -0.05]);
        car.step(0);
        assert_eq!(car.state, [-1.2, 0.0]);
    }
}
