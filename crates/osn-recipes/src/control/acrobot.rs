//! Acrobot-v1: two links, of which only the joint between them is driven (Sutton 1996).

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use crate::control::environment::{Environment, Outcome, check_action, seen};

/// Both links are 1 m long and 1 kg heavy, with the middle of the mass in the middle and a moment of
/// inertia of 1 kg·m²; where a factor below is one of these it is left out.
const CENTRE: f64 = 0.5;
const INERTIA: f64 = 1.0;
const GRAVITY: f64 = 9.8;
/// Seconds between two actions.
const STEP_SECS: f64 = 0.2;
/// Largest angular velocities, in radians a second.
const LARGEST_TURN: [f64; 2] = [4.0 * PI, 9.0 * PI];
pub(super) const N_ACTIONS: usize = 3;
const STEP_LIMIT: u32 = 500;

/// Two links that hang from a fixed point; the actions 0, 1, 2 are torques of −1, 0 and 1 N·m at the
/// joint between them. Reward −1 a step, and 0 for the one that lifts the tip a link's length above the
/// fixed point, which ends the episode.
///
/// The equations are those of Sutton and Barto's book, integrated by one step of the classical
/// Runge-Kutta method an action; `θ₁` is measured from hanging down, `θ₂` from the first link.
#[derive(Clone, Debug, PartialEq)]
pub struct Acrobot {
    /// θ₁, θ₂ and their velocities.
    state: [f64; 4],
    steps: u32,
}

impl Acrobot {
    /// An episode that starts at `[θ₁, θ₂, θ̇₁, θ̇₂]`, rounded to f32 as Gymnasium rounds its starts.
    #[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
    pub fn starting_at(state: [f64; 4]) -> Self {
        Self { state: state.map(|part| f64::from(part as f32)), steps: 0 }
    }

    fn is_up(&self) -> bool {
        let [first, second, ..] = self.state;
        -first.cos() - (second + first).cos() > 1.0
    }
}

impl Environment for Acrobot {
    fn observation(&self) -> Vec<f32> {
        let [first, second, first_turn, second_turn] = self.state;
        seen([first.cos(), first.sin(), second.cos(), second.sin(), first_turn, second_turn])
    }

    fn step(&mut self, action: usize) -> Outcome {
        check_action(action, N_ACTIONS);
        let [first, second, first_turn, second_turn] = runge_kutta(self.state, action as f64 - 1.0);
        self.state = [
            wrapped(first),
            wrapped(second),
            first_turn.clamp(-LARGEST_TURN[0], LARGEST_TURN[0]),
            second_turn.clamp(-LARGEST_TURN[1], LARGEST_TURN[1]),
        ];
        self.steps += 1;
        let terminated = self.is_up();
        Outcome {
            reward: if terminated { 0.0 } else { -1.0 },
            terminated,
            truncated: self.steps >= STEP_LIMIT,
        }
    }
}

/// The same angle in [−π, π].
fn wrapped(mut angle: f64) -> f64 {
    while angle > PI {
        angle -= TAU;
    }
    while angle < -PI {
        angle += TAU;
    }
    angle
}

fn runge_kutta(state: [f64; 4], torque: f64) -> [f64; 4] {
    let at = |slope: [f64; 4], secs: f64| derivative(moved(state, slope, secs), torque);
    let k1 = derivative(state, torque);
    let k2 = at(k1, STEP_SECS / 2.0);
    let k3 = at(k2, STEP_SECS / 2.0);
    let k4 = at(k3, STEP_SECS);
    let slope = std::array::from_fn(|i| k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
    moved(state, slope, STEP_SECS / 6.0)
}

fn moved(state: [f64; 4], slope: [f64; 4], secs: f64) -> [f64; 4] {
    std::array::from_fn(|i| state[i] + secs * slope[i])
}

/// `d/dt` of the state, with `d₁, d₂, φ₁, φ₂` as in the book.
fn derivative([first, second, first_turn, second_turn]: [f64; 4], torque: f64) -> [f64; 4] {
    let (sin, cos) = second.sin_cos();
    let square = CENTRE * CENTRE;
    let d1 = square + (1.0 + square + 2.0 * CENTRE * cos) + 2.0 * INERTIA;
    let d2 = square + CENTRE * cos + INERTIA;
    let phi2 = CENTRE * GRAVITY * (first + second - FRAC_PI_2).cos();
    let phi1 = -CENTRE * second_turn * second_turn * sin
        - 2.0 * CENTRE * second_turn * first_turn * sin
        + (CENTRE + 1.0) * GRAVITY * (first - FRAC_PI_2).cos()
        + phi2;
    let second_twist = (torque + d2 / d1 * phi1 - CENTRE * first_turn * first_turn * sin - phi2)
        / (square + INERTIA - d2 * d2 / d1);
    let first_twist = -(d2 * second_twist + phi1) / d1;
    [first_turn, second_turn, first_twist, second_twist]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pumping_in_the_rhythm_of_the_second_link_lifts_the_tip_and_ends_the_episode() {
        let mut acrobot = Acrobot::starting_at([0.05, 0.0, 0.0, 0.0]);
        let mut act = || acrobot.step(if acrobot.state[3] > 0.0 { 2 } else { 0 });
        let outcomes: Vec<Outcome> = (0..500).map(|_| act()).collect();
        let first = outcomes.iter().position(|outcome| outcome.terminated).unwrap();
        assert!(outcomes[..first].iter().all(|outcome| outcome.reward == -1.0));
        assert_eq!(outcomes[first].reward, 0.0);
    }

    #[test]
    fn a_straight_acrobot_is_up_from_a_third_of_a_turn_on() {
        // Its tip is −2·cos θ₁ above the fixed point, which is 1 at 120 degrees.
        let is_up =
            |degrees: f64| Acrobot::starting_at([degrees.to_radians(), 0.0, 0.0, 0.0]).is_up();
        assert_eq!([119.0, 121.0, 239.0, 241.0].map(is_up), [false, true, true, false]);
    }

    #[test]
    fn without_torque_hanging_still_stays_so() {
        let mut acrobot = Acrobot::starting_at([0.0; 4]);
        (0..50).for_each(|_| _ = acrobot.step(1));
        assert!(acrobot.state.iter().all(|part| part.abs() < 1e-12), "{:?}", acrobot.state);
    }
}
