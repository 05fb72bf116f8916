//! The rule `cap`.

use serde::{Deserialize, Serialize};

use super::{
    Decision, RuleError,
    deciding::{Context, Deciding},
    rule::{INTERVAL, RuleDoc, checked, parameters, required, required_interval},
};
use crate::{
    Action, Layer,
    number::{concise, maybe_infinite},
};

/// Holds a layer down while its own σ is above a cap, and leaves it alone while it is below.
///
/// With cap `c` and hysteresis `h`, a layer that is free is held from `σ > c·(1 + h)` on, at once. A
/// layer that is held is let go at `σ < c·(1 − h)`, once it has been held for `dwell` steps: holding is
/// urgent, letting go is not. So a layer switches at most twice in `dwell` steps, and a σ that only
/// trembles inside the band never switches it. A σ that is not finite switches nothing.
///
/// σ is that of the stored weight. The hard cap is `W·min(1, c/σ)` of SNGP (Liu et al. 2020); a finite
/// sharpness gives the soft cap of [`Action::Cap`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cap {
    /// The largest σ `c` of an effective weight, greater than 0. Default: 1.
    pub target: f64,
    /// How sharp the cap's corner is, greater than 0. Default: infinite, a hard cap.
    #[serde(with = "maybe_infinite")]
    pub sharpness: f64,
    /// Half the width `h` of the band in which nothing switches, as a part of `c`, in `[0, 1)`.
    /// Default: 0.05.
    pub hysteresis: f64,
    /// Optimizer steps for which a layer is held at least. Default: 200.
    pub dwell: u64,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Cap {
    fn default() -> Self {
        Self { target: 1.0, sharpness: f64::INFINITY, hysteresis: 0.05, dwell: 200, interval: 10 }
    }
}

impl Deciding for Cap {
    /// The step since which each layer is held; nothing for a layer that is not.
    type Memory = Vec<Option<u64>>;

    parameters! {
        "cap", "Holds a layer down while its σ is above a cap, and leaves it alone below.";
        target = "1", "the cap on σ";
        sharpness = "inf", "how sharp the cap's corner is; inf is a hard cap";
        hysteresis = "0.05", "half the width of the band in which nothing switches, as a part of target";
        dwell = "200", "optimizer steps for which a layer is held at least";
        interval = "10", INTERVAL;
    }

    fn validate(&self) -> Result<(), RuleError> {
        checked(&Self::DOC, self.action())?;
        let is_part = (0.0..1.0).contains(&self.hysteresis);
        let expected = "at least 0 and less than 1";
        required(&Self::DOC, is_part, "hysteresis", self.hysteresis, expected)?;
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn begin(&self, layers: &[Layer]) -> Self::Memory {
        vec![None; layers.len()]
    }

    fn at_attach(&self, _: &Layer) -> Decision {
        Decision { action: Action::Off, reason: "not measured yet: leave".to_owned() }
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        let layers = memory.iter_mut().zip(context.measurements);
        layers
            .map(|(held_since, measured)| self.decide_one(held_since, context.step, measured.sigma))
            .collect()
    }
}

impl Cap {
    /// Decides about one layer of stored `sigma`; `held_since` is the step since which it is held.
    fn decide_one(&self, held_since: &mut Option<u64>, step: u64, sigma: f64) -> Decision {
        let before = *held_since;
        *held_since = self.next(before, step, sigma);
        Decision {
            action: if held_since.is_some() { self.action() } else { Action::Off },
            reason: self.reason(before, step, sigma),
        }
    }

    fn next(&self, held_since: Option<u64>, step: u64, sigma: f64) -> Option<u64> {
        match held_since {
            _ if !sigma.is_finite() => held_since,
            None => (sigma > self.upper()).then_some(step),
            Some(since) if sigma < self.lower() && self.may_let_go(since, step) => None,
            Some(since) => Some(since),
        }
    }

    fn reason(&self, held_since: Option<u64>, step: u64, sigma: f64) -> String {
        let (size, dwell) = (concise(sigma), self.dwell);
        let (upper, lower) = (self.edge('+', self.upper()), self.edge('−', self.lower()));
        let held_for = step.saturating_sub(held_since.unwrap_or(step));
        match held_since {
            None if !sigma.is_finite() => format!("σ {size} is not finite: still leave"),
            Some(_) if !sigma.is_finite() => format!("σ {size} is not finite: still hold"),
            None if sigma > self.upper() => format!("σ {size} above {upper}: hold"),
            None => format!("σ {size} not above {upper}: leave"),
            Some(_) if sigma >= self.lower() => format!("σ {size} not below {lower}: still hold"),
            Some(since) if !self.may_let_go(since, step) => {
                format!(
                    "σ {size} below {lower}, but held for {held_for} of {dwell} steps: still hold"
                )
            }
            Some(_) => format!("σ {size} below {lower}, held for {held_for} steps: leave"),
        }
    }

    fn action(&self) -> Action {
        Action::Cap { target: self.target, sharpness: self.sharpness }
    }

    fn upper(&self) -> f64 {
        self.target * (1.0 + self.hysteresis)
    }

    fn lower(&self) -> f64 {
        self.target * (1.0 - self.hysteresis)
    }

    fn may_let_go(&self, since: u64, step: u64) -> bool {
        step.saturating_sub(since) >= self.dwell
    }

    fn edge(&self, sign: char, value: f64) -> String {
        let (target, percent) = (concise(self.target), concise(100.0 * self.hysteresis));
        format!("{} = cap {target} {sign} {percent} %", concise(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decides along a trajectory, one step apart, and says at which steps the layer is held.
    fn held(cap: Cap, trajectory: impl IntoIterator<Item = f64>) -> Vec<bool> {
        let mut held_since = None;
        let steps = (0..).zip(trajectory);
        steps
            .map(|(step, sigma)| cap.decide_one(&mut held_since, step, sigma).action != Action::Off)
            .collect()
    }

    fn switches(held: &[bool]) -> usize {
        held.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    #[test]
    fn a_made_up_trajectory_gets_the_known_answers() {
        let cap = Cap { target: 2.0, hysteresis: 0.1, dwell: 3, ..Cap::default() };
        // The band is 1.8 to 2.2: rises through it, falls out of it too early, and again later.
        let sigma = [1.0, 2.1, 2.2, 2.3, 2.0, 1.7, 1.9, 1.7, 2.1, 1.0, 2.21];
        let expected = [false, false, false, true, true, true, true, false, false, false, true];
        assert_eq!(held(cap, sigma), expected);
    }

    #[test]
    fn a_noisy_sigma_inside_the_band_never_switches() {
        // Uniform noise of ±4.9 % around the cap, by a fixed congruential sequence.
        let noise = std::iter::successors(Some(1_u32), |seed| {
            Some(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
        });
        let sigma: Vec<f64> = noise
            .take(10_000)
            .map(|seed| 1.0 + 0.049 * (2.0 * f64::from(seed) / f64::from(u32::MAX) - 1.0))
            .collect();
        assert_eq!(switches(&held(Cap::default(), sigma.clone())), 0);
        let without_hysteresis = Cap { hysteresis: 0.0, dwell: 0, ..Cap::default() };
        assert!(switches(&held(without_hysteresis, sigma)) > 1_000, "the noise would chatter");
    }

    #[test]
    fn noise_wider_than_the_band_switches_at_most_twice_in_a_dwell() {
        let sigma = (0..10_000).map(|step| if step % 2 == 0 { 1.2 } else { 0.8 });
        let cap = Cap { dwell: 100, ..Cap::default() };
        let switches = switches(&held(cap, sigma));
        assert!((150..=200).contains(&switches), "{switches}");
    }

    #[test]
    fn a_layer_is_let_go_at_the_dwell_and_not_a_step_before() {
        let cap = Cap { dwell: 200, ..Cap::default() };
        let held_after = |steps: u64| {
            let mut held_since = Some(50);
            cap.decide_one(&mut held_since, 50 + steps, 0.5).action != Action::Off
        };
        assert_eq!([held_after(199), held_after(200)], [true, false]);
    }

    #[test]
    fn a_broken_sigma_switches_nothing_and_says_so() {
        let cap = Cap { dwell: 0, ..Cap::default() };
        for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(held(cap, [0.5, broken, 0.5]), [false, false, false]);
            assert_eq!(held(cap, [1.5, broken, 1.5]), [true, true, true]);
        }
        assert_eq!(
            cap.decide_one(&mut None, 0, f64::NAN).reason,
            "σ NaN is not finite: still leave"
        );
    }

    #[test]
    fn every_turn_has_its_reason() {
        let cap = Cap::default();
        let reason = |held_since: Option<u64>, step: u64, sigma: f64| {
            cap.decide_one(&mut held_since.clone(), step, sigma).reason
        };
        assert_eq!(reason(None, 0, 1.37), "σ 1.37 above 1.05 = cap 1 + 5 %: hold");
        assert_eq!(reason(None, 0, 1.01), "σ 1.01 not above 1.05 = cap 1 + 5 %: leave");
        assert_eq!(reason(Some(0), 10, 1.01), "σ 1.01 not below 0.95 = cap 1 − 5 %: still hold");
        assert_eq!(
            reason(Some(20), 60, 0.9),
            "σ 0.9 below 0.95 = cap 1 − 5 %, but held for 40 of 200 steps: still hold"
        );
        assert_eq!(
            reason(Some(20), 260, 0.9),
            "σ 0.9 below 0.95 = cap 1 − 5 %, held for 240 steps: leave"
        );
    }

    #[test]
    fn the_action_carries_target_and_sharpness() {
        let cap = Cap { target: 3.0, sharpness: 8.0, ..Cap::default() };
        let decision = cap.decide_one(&mut None, 0, 4.0);
        assert_eq!(decision.action, Action::Cap { target: 3.0, sharpness: 8.0 });
    }
}
