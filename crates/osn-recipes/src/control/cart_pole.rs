//! CartPole-v1: a pole that stands on a cart (Barto, Sutton and Anderson 1983).

use crate::control::environment::{Environment, Outcome, check_action, seen};

const GRAVITY: f64 = 9.8;
const CART_MASS: f64 = 1.0;
const POLE_MASS: f64 = 0.1;
/// From the joint to the middle of the pole, in metres.
const HALF_LENGTH: f64 = 0.5;
/// How hard the cart is pushed, in newtons.
const FORCE: f64 = 10.0;
/// Seconds between two actions.
const STEP_SECS: f64 = 0.02;
/// The episode ends where the cart is farther from the middle than this, in metres,
const LARGEST_POSITION: f64 = 2.4;
/// or the pole farther from upright than this, in degrees.
const LARGEST_DEGREES: f64 = 12.0;
pub(super) const N_ACTIONS: usize = 2;
const STEP_LIMIT: u32 = 500;

/// A pole on a cart that is pushed left (action 0) or right (1). Reward 1 a step.
///
/// With `θ` the angle from upright, `x` the position, `M` the whole mass and `m`, `l` the mass and half
/// length of the pole:
///
/// ```text
/// t = (F + m·l·θ̇²·sin θ)/M
/// θ̈ = (g·sin θ − t·cos θ)/(l·(4/3 − m·cos²θ/M))
/// ẍ = t − m·l·θ̈·cos θ/M
/// ```
///
/// integrated by Euler's method, the positions before the velocities.
#[derive(Clone, Debug, PartialEq)]
pub struct CartPole {
    /// Position, velocity, angle, angular velocity.
    state: [f64; 4],
    steps: u32,
}

impl CartPole {
    /// An episode that starts at `[x, ẋ, θ, θ̇]`.
    pub fn starting_at(state: [f64; 4]) -> Self {
        Self { state, steps: 0 }
    }

    fn has_fallen(&self) -> bool {
        let [position, _, angle, _] = self.state;
        position.abs() > LARGEST_POSITION || angle.abs() > LARGEST_DEGREES.to_radians()
    }
}

impl Environment for CartPole {
    fn observation(&self) -> Vec<f32> {
        seen(self.state)
    }

    fn step(&mut self, action: usize) -> Outcome {
        check_action(action, N_ACTIONS);
        let force = if action == 1 { FORCE } else { -FORCE };
        let [x, speed, angle, turn] = self.state;
        let [acceleration, twist] = accelerations(angle, turn, force);
        self.state = [
            x + STEP_SECS * speed,
            speed + STEP_SECS * acceleration,
            angle + STEP_SECS * turn,
            turn + STEP_SECS * twist,
        ];
        self.steps += 1;
        Outcome { reward: 1.0, terminated: self.has_fallen(), truncated: self.steps >= STEP_LIMIT }
    }
}

/// Those of the cart and of the pole's angle.
fn accelerations(angle: f64, turn: f64, force: f64) -> [f64; 2] {
    let mass = CART_MASS + POLE_MASS;
    let lever = POLE_MASS * HALF_LENGTH;
    let (sin, cos) = angle.sin_cos();
    let thrust = (force + lever * turn * turn * sin) / mass;
    let twist =
        (GRAVITY * sin - cos * thrust) / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cos * cos / mass));
    [thrust - lever * twist * cos / mass, twist]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_that_stands_is_cut_off_after_500_steps() {
        let mut cart = CartPole::starting_at([0.0; 4]);
        // Against the way the pole leans and turns: enough to keep it up.
        let mut act = || {
            let [x, speed, angle, turn] = cart.state;
            cart.step(usize::from(angle + 0.5 * turn + 0.01 * x + 0.05 * speed > 0.0))
        };
        let outcomes: Vec<Outcome> = (0..500).map(|_| act()).collect();
        assert!(outcomes.iter().all(|outcome| !outcome.terminated));
        assert!(outcomes[499].truncated && !outcomes[498].truncated);
    }

    #[test]
    fn a_cart_that_leaves_the_track_ends_the_episode() {
        let end = |x: f64| CartPole::starting_at([x, 0.0, 0.0, 0.0]).step(1).terminated;
        assert_eq!([2.39, -2.39, 2.41, -2.41].map(end), [false, false, true, true]);
    }
}
