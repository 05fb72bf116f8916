//! From the action that is wanted to the one in force, without a jump.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::number::maybe_infinite;

/// How fast what is in force may move, per optimizer step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// How far the blend may move in one step, in `(0, 1]`. Default: 0.01, on or off in 100 steps.
    pub blend_per_step: f64,
    /// How far `ln target` may move in one step, greater than 0. Default: 0.01, 1 % a step.
    #[serde(with = "maybe_infinite")]
    pub log_target_per_step: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { blend_per_step: 0.01, log_target_per_step: 0.01 }
    }
}

/// Why rates cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RatesError {
    /// The blend's rate is outside `(0, 1]`.
    #[error("blend_per_step {blend_per_step} must be greater than 0 and at most 1")]
    Blend {
        /// What was asked for.
        blend_per_step: f64,
    },
    /// The target's rate is not positive.
    #[error("log_target_per_step {log_target_per_step} must be greater than 0")]
    LogTarget {
        /// What was asked for.
        log_target_per_step: f64,
    },
}

impl Rates {
    /// Checks that both rates move what they should and that the blend cannot overshoot.
    ///
    /// # Errors
    ///
    /// [`RatesError`] if the blend's rate is outside `(0, 1]` or the target's is not positive.
    pub fn validate(&self) -> Result<(), RatesError> {
        let Self { blend_per_step, log_target_per_step } = *self;
        if !(blend_per_step > 0.0 && blend_per_step <= 1.0) {
            return Err(RatesError::Blend { blend_per_step });
        }
        if log_target_per_step.is_nan() || log_target_per_step <= 0.0 {
            return Err(RatesError::LogTarget { log_target_per_step });
        }
        Ok(())
    }
}

/// The action in force on one layer, and its blend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AppliedAction {
    /// The action, with the target that is in force now.
    pub action: Action,
    /// The blend `a`: how much of the action is in force, from 0 (exactly off) to 1.
    pub blend: f64,
}

impl AppliedAction {
    /// The factor `s` on a weight of this `sigma`; see [`Action::scale`].
    pub fn scale(&self, sigma: f64) -> f64 {
        self.action.scale(self.blend, sigma)
    }

    /// Whether the scale of a weight depends on its `σ`: an action on the weight itself, with a blend above 0.
    pub fn follows_sigma(&self) -> bool {
        self.blend > 0.0 && matches!(self.action, Action::Normalize { .. } | Action::Cap { .. })
    }

    /// Whether the effective weight is the stored one, to the bit.
    pub fn leaves_weight(&self) -> bool {
        self.blend == 0.0
            || matches!(
                self.action,
                Action::Off | Action::ScaleUpdate { .. } | Action::CapUpdate { .. }
            )
    }

    /// The elasticity `γ` on a weight of this `sigma`; see [`Action::elasticity`].
    pub fn elasticity(&self, sigma: f64) -> f64 {
        self.action.elasticity(self.blend, sigma)
    }

    /// The factor on the update of a weight of this `sigma`; see [`Action::update_factor`].
    pub fn update_factor(&self, sigma: f64) -> f64 {
        self.action.update_factor(self.blend, sigma)
    }
}

/// Moves the action in force on one layer towards the wanted one at bounded rates, so that a switch
/// never jumps.
///
/// With `s₁` the scale at blend 1, one step at fixed `σ` changes `ln s` by at most
///
/// ```text
/// blend_per_step·|ln s₁(σ)| + log_target_per_step
/// ```
///
/// where `|ln s₁| ≤ |ln(c/σ)|` for normalising and a hard cap, and `≤ max(0, ln(σ/c)) + ln 2/τ` for a
/// soft one.
///
/// ```
/// use osn_core::act::{Action, Actuator, Rates};
///
/// let mut actuator = Actuator::new(Action::Normalize { target: 1.0 });
/// assert_eq!(actuator.applied().scale(4.0), 0.25);
/// let applied = actuator.step(Action::Off, 4.0, &Rates { blend_per_step: 0.5, ..Rates::default() });
/// assert_eq!(applied.scale(4.0), 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actuator {
    applied: AppliedAction,
}

impl Actuator {
    /// Starts with an action fully in force: a layer is constrained from its first forward on.
    pub fn new(initial: Action) -> Self {
        let blend = if initial == Action::Off { 0.0 } else { 1.0 };
        Self { applied: AppliedAction { action: initial, blend } }
    }

    /// What is in force now.
    pub fn applied(&self) -> AppliedAction {
        self.applied
    }

    /// Moves one optimizer step towards the wanted action, and returns what is then in force.
    ///
    /// - The same kind of action: the blend rises to 1 and `ln target` moves to the wanted one, each
    ///   at its rate and from where it is; of `Keep` it is the scale that moves, at the rate of a target.
    /// - `Keep` after `Normalize`, or the other way round: it takes over at the scale that the weight has, by its `sigma` as
    ///   it was last read, and goes on as the same kind.
    /// - `Off`, another kind, or a cap of another sharpness: the blend first falls to 0 with the old
    ///   action in place. At 0 both are the same function, and the wanted action takes over at its own
    ///   target.
    ///
    /// The wanted action and the rates are taken to be valid ([`Action::validate`],
    /// [`Rates::validate`]).
    pub fn step(&mut self, wanted: Action, sigma: f64, rates: &Rates) -> AppliedAction {
        if self.applied.blend == 0.0 {
            self.applied.action = wanted;
        }
        self.applied = taken_over(self.applied, wanted, sigma);
        match (self.applied.action.number(), wanted.number()) {
            (Some(from), Some(to)) if self.applied.action.with_number(to) == wanted => {
                let number = approach_by_ratio(from, to, rates.log_target_per_step);
                self.applied.action = wanted.with_number(number);
                self.applied.blend = approach(self.applied.blend, 1.0, rates.blend_per_step);
            }
            _ => self.release(wanted, rates),
        }
        self.applied
    }

    fn release(&mut self, wanted: Action, rates: &Rates) {
        self.applied.blend = approach(self.applied.blend, 0.0, rates.blend_per_step);
        if self.applied.blend == 0.0 {
            self.applied.action = wanted;
        }
    }
}

/// `Keep` in the place of `Normalize` or the other way round, at the scale that a weight of this `sigma` has; all else as it
/// is.
fn taken_over(applied: AppliedAction, wanted: Action, sigma: f64) -> AppliedAction {
    let scale = applied.scale(sigma);
    let action = match (applied.action, wanted) {
        (Action::Normalize { .. }, Action::Keep { .. }) => Action::Keep { scale },
        (Action::Keep { .. }, Action::Normalize { .. }) => {
            Action::Normalize { target: scale * sigma }
        }
        _ => return applied,
    };
    if action.validate().is_ok() { AppliedAction { action, blend: 1.0 } } else { applied }
}

/// How far beyond a rate the last step to a goal may go, relative to the rate: a hundred steps of 0.01
/// sum to 1 only up to rounding, and must not take a hundred and one.
const ROUNDING: f64 = 1e-9;

fn approach(value: f64, goal: f64, rate: f64) -> f64 {
    if (goal - value).abs() <= rate * (1.0 + ROUNDING) {
        return goal;
    }
    value + rate.copysign(goal - value)
}

fn approach_by_ratio(value: f64, goal: f64, log_rate: f64) -> f64 {
    let distance = (goal / value).ln();
    if distance.abs() <= log_rate * (1.0 + ROUNDING) {
        return goal;
    }
    value * log_rate.copysign(distance).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NORMALIZE: Action = Action::Normalize { target: 1.0 };
    const HARD_CAP: Action = Action::Cap { target: 1.0, sharpness: f64::INFINITY };

    fn run(actuator: &mut Actuator, wanted: Action, steps: usize) -> AppliedAction {
        (0..steps).map(|_| actuator.step(wanted, 4.0, &Rates::default())).last().unwrap()
    }

    #[test]
    fn an_initial_action_is_in_force_at_once() {
        assert_eq!(
            Actuator::new(NORMALIZE).applied(),
            AppliedAction { action: NORMALIZE, blend: 1.0 }
        );
        assert_eq!(
            Actuator::new(Action::Off).applied(),
            AppliedAction { action: Action::Off, blend: 0.0 }
        );
    }

    #[test]
    fn switching_off_takes_exactly_a_hundred_steps_with_the_old_action_in_place() {
        let mut actuator = Actuator::new(NORMALIZE);
        for done in 1..100 {
            let applied = actuator.step(Action::Off, 4.0, &Rates::default());
            assert_eq!(applied.action, NORMALIZE);
            assert!((applied.blend - (1.0 - f64::from(done) / 100.0)).abs() < 1e-12);
        }
        let last = actuator.step(Action::Off, 4.0, &Rates::default());
        assert_eq!(last, AppliedAction { action: Action::Off, blend: 0.0 });
    }

    #[test]
    fn switching_on_rises_from_zero_at_its_own_target() {
        let mut actuator = Actuator::new(Action::Off);
        let wanted = Action::Normalize { target: 5.0 };
        assert_eq!(run(&mut actuator, wanted, 1), AppliedAction { action: wanted, blend: 0.01 });
        assert_eq!(run(&mut actuator, wanted, 99), AppliedAction { action: wanted, blend: 1.0 });
    }

    #[test]
    fn ten_steps_of_a_tenth_are_ten_although_they_do_not_sum_to_one() {
        let rates = Rates { blend_per_step: 0.1, ..Rates::default() };
        let mut actuator = Actuator::new(Action::Off);
        let blends: Vec<f64> =
            (0..10).map(|_| actuator.step(NORMALIZE, 4.0, &rates).blend).collect();
        assert!(blends[8] < 0.9, "the case that needs an allowance for rounding");
        assert_eq!(blends[9], 1.0);
    }

    #[test]
    fn turning_round_midway_goes_on_from_where_it_is() {
        let mut actuator = Actuator::new(NORMALIZE);
        let low = run(&mut actuator, Action::Off, 30).blend;
        let back = run(&mut actuator, NORMALIZE, 1).blend;
        assert!((low - 0.7).abs() < 1e-12 && (back - 0.71).abs() < 1e-12);
    }

    #[test]
    fn another_kind_of_action_passes_through_zero() {
        let soft = Action::Cap { target: 1.0, sharpness: 8.0 };
        for (old, new) in [(NORMALIZE, HARD_CAP), (HARD_CAP, NORMALIZE), (HARD_CAP, soft)] {
            let mut actuator = Actuator::new(old);
            assert_eq!(run(&mut actuator, new, 99).action, old);
            assert_eq!(run(&mut actuator, new, 1), AppliedAction { action: new, blend: 0.0 });
            assert_eq!(run(&mut actuator, new, 100), AppliedAction { action: new, blend: 1.0 });
        }
    }

    #[test]
    fn a_new_target_is_reached_by_equal_ratios_at_full_blend() {
        let mut actuator = Actuator::new(NORMALIZE);
        let wanted = Action::Normalize { target: 2.0 };
        let after_ten = run(&mut actuator, wanted, 10);
        assert_eq!(after_ten.blend, 1.0);
        assert!((after_ten.action.target().unwrap() - 0.1_f64.exp()).abs() < 1e-12);
        // ln 2 = 0.6931: the 70th step of 0.01 arrives.
        assert_ne!(run(&mut actuator, wanted, 59).action, wanted);
        assert_eq!(run(&mut actuator, wanted, 1).action, wanted);
    }

    #[test]
    fn what_is_let_go_keeps_its_scale_and_is_held_again_from_there() {
        let (rates, mut actuator) = (Rates::default(), Actuator::new(NORMALIZE));
        let keep = Action::Keep { scale: 0.25 };
        let at_once = AppliedAction { action: keep, blend: 1.0 };
        assert_eq!(actuator.step(keep, 4.0, &rates), at_once);
        assert_eq!(actuator.step(keep, 9.0, &rates).scale(9.0), 0.25, "σ is free");
        // At σ 8 the weight has a size of 2, from which the target falls by 1 % a step.
        let held = actuator.step(NORMALIZE, 8.0, &rates);
        assert!(
            (held.action.target().unwrap() - 2.0 * (-0.01_f64).exp()).abs() < 1e-12,
            "{held:?}"
        );
        assert_eq!(
            run(&mut actuator, NORMALIZE, 70),
            AppliedAction { action: NORMALIZE, blend: 1.0 }
        );
        let broken = Actuator::new(keep).step(NORMALIZE, f64::NAN, &rates);
        assert_eq!(broken.action, keep, "without a size it passes through zero");
    }

    #[test]
    fn a_scale_that_is_kept_and_not_the_one_in_force_is_reached_by_equal_ratios() {
        let mut actuator = Actuator::new(NORMALIZE);
        let wanted = Action::Keep { scale: 1.0 };
        let Action::Keep { scale } = run(&mut actuator, wanted, 10).action else { panic!() };
        assert!((scale - 0.25 * 0.1_f64.exp()).abs() < 1e-12);
        assert_eq!(run(&mut actuator, wanted, 130).action, wanted);
        let off = run(&mut actuator, Action::Off, 100);
        assert!(off.leaves_weight() && !actuator.applied().follows_sigma());
    }

    #[test]
    fn rates_that_stand_still_or_overshoot_are_refused() {
        for blend_per_step in [0.0, -0.1, 1.5, f64::NAN] {
            assert!(Rates { blend_per_step, ..Rates::default() }.validate().is_err());
        }
        for log_target_per_step in [0.0, -0.1, f64::NAN] {
            assert!(Rates { log_target_per_step, ..Rates::default() }.validate().is_err());
        }
        let at_once = Rates { blend_per_step: 1.0, log_target_per_step: f64::INFINITY };
        assert_eq!(at_once.validate(), Ok(()));
        let text = serde_json::to_string(&at_once).unwrap();
        assert_eq!(serde_json::from_str::<Rates>(&text).unwrap(), at_once);
    }

    fn any_action() -> impl Strategy<Value = Action> {
        let target = 0.01..100.0_f64;
        let sharpness = prop_oneof![Just(f64::INFINITY), Just(0.5), Just(8.0)];
        prop_oneof![
            Just(Action::Off),
            target.clone().prop_map(|target| Action::Normalize { target }),
            target.clone().prop_map(|scale| Action::Keep { scale }),
            (target, sharpness).prop_map(|(target, sharpness)| Action::Cap { target, sharpness }),
        ]
    }

    fn any_rates() -> impl Strategy<Value = Rates> {
        (0.001..0.5_f64, 0.001..0.5_f64).prop_map(|(blend_per_step, log_target_per_step)| Rates {
            blend_per_step,
            log_target_per_step,
        })
    }

    proptest! {
        #[test]
        fn no_sequence_of_wishes_makes_the_scale_jump(
            initial in any_action(),
            wishes in proptest::collection::vec((any_action(), 1..40_usize), 1..8),
            rates in any_rates(),
            log_sigma in -5.0..5.0_f64,
        ) {
            let sigma = log_sigma.exp();
            let log_at_full = |applied: AppliedAction| applied.action.scale(1.0, sigma).ln().abs();
            let mut actuator = Actuator::new(initial);
            for (wanted, steps) in wishes {
                for _ in 0..steps {
                    let before = actuator.applied();
                    let after = actuator.step(wanted, sigma, &rates);
                    let moved = (after.scale(sigma).ln() - before.scale(sigma).ln()).abs();
                    let at_full = log_at_full(before).max(log_at_full(after));
                    let bound = rates.blend_per_step * at_full + rates.log_target_per_step;
                    prop_assert!(moved <= bound + 1e-8, "{before:?} to {after:?}: {moved} > {bound}");
                    prop_assert!((0.0..=1.0).contains(&after.blend));
                }
            }
        }

        #[test]
        fn what_is_wanted_is_reached_in_the_end(
            initial in any_action(), wanted in any_action(), rates in any_rates(),
        ) {
            let mut actuator = Actuator::new(initial);
            // Down and up again, and a target ten thousand times as large, at the slowest rate.
            for _ in 0..12_000 {
                actuator.step(wanted, 1.5, &rates);
            }
            prop_assert_eq!(actuator, Actuator::new(wanted));
        }

        #[test]
        fn an_actuator_survives_a_file_midway(
            initial in any_action(), wanted in any_action(), steps in 0..150_usize,
        ) {
            let mut actuator = Actuator::new(initial);
            for _ in 0..steps {
                actuator.step(wanted, 1.5, &Rates::default());
            }
            let text = serde_json::to_string(&actuator).unwrap();
            prop_assert_eq!(serde_json::from_str::<Actuator>(&text).unwrap(), actuator);
        }
    }
}
