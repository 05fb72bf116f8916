//! The rule `random`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::{checked, required, required_interval};
use crate::decide::control::target_action::TargetAction;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::layer::facts::Layer;
use crate::number::concise;
use crate::split_mix::split_mix;

/// Holds each layer for a while or not, at random: the control arm of every rule that switches.
///
/// Steps are cut into stretches of `dwell`. Layer `l` is held in stretch `k` where
/// `h(seed, l, k) < duty`, with `h` in `[0, 1)` a fixed hash of the seed, of the layer's network, index
/// and block, and of `k`. So every layer is held for about `duty` of the time, each by itself, and the
/// same seed gives the same switches in every run, whatever else the run does.
///
/// With the duty cycle and the dwell of a run that was steered, it shows how much of the effect is due
/// to *when* layers were held and not just to how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Random {
    /// The target while a layer is held, greater than 0. Default: 1.
    pub target: f64,
    /// The probability that a layer is held in a stretch, in `[0, 1]`. Default: 0.5.
    pub duty: f64,
    /// Optimizer steps in a stretch, at least 1. Default: 200.
    pub dwell: u64,
    /// The seed of the lots. Default: 0.
    pub seed: u64,
    /// How the target is applied. Default: normalize.
    pub action: TargetAction,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Random {
    fn default() -> Self {
        Self {
            target: 1.0,
            duty: 0.5,
            dwell: 200,
            seed: 0,
            action: TargetAction::Normalize,
            interval: 10,
        }
    }
}

impl NamedRule for Random {
    parameters! {
        "random", "Holds each layer for a while or not at random, as a control arm.";
        target = "1", "the target while a layer is held";
        duty = "0.5", "the probability that a layer is held in a stretch";
        dwell = "200", "optimizer steps in a stretch";
        seed = "0", "the seed of the lots";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Random {
    type Memory = ();

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        checked(&Self::DOC, self.action.with_target(self.target))?;
        let is_probability = (0.0..=1.0).contains(&self.duty);
        required(&Self::DOC, is_probability, "duty", self.duty, "from 0 to 1")?;
        required(&Self::DOC, self.dwell > 0, "dwell", self.dwell, "at least 1")?;
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, layer: &Layer) -> Decision {
        self.at(0, layer)
    }

    fn decide(&self, (): &mut (), context: &Context) -> Vec<Decision> {
        context.layers.iter().map(|layer| self.at(context.step, layer)).collect()
    }
}

impl Random {
    fn at(&self, step: u64, layer: &Layer) -> Decision {
        let stretch = step / self.dwell;
        let lot = lot(self.seed, layer, stretch);
        let (drawn, duty, dwell) = (concise(lot), concise(self.duty), self.dwell);
        let stretch = format!("lot {drawn} of stretch {stretch} of {dwell} steps");
        if lot < self.duty {
            let target = concise(self.target);
            let reason = format!("{stretch} below duty {duty}: {} to {target}", self.action);
            return Decision { action: self.action.with_target(self.target), reason };
        }
        Decision { action: Action::Off, reason: format!("{stretch} not below duty {duty}: leave") }
    }
}

/// A number in `[0, 1)`, the same on every machine.
fn lot(seed: u64, layer: &Layer, stretch: u64) -> f64 {
    let network = layer.network.bytes().map(u64::from);
    let block = layer.block.map_or(0, |block| block as u64 + 1);
    let words = network.chain([layer.index as u64, block, stretch]);
    let hash = words.fold(split_mix(seed), |hash, word| split_mix(hash ^ word));
    // The 53 upper bits, as many as a double holds.
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::tests::layers;

    fn held(rule: &Random, layer: &Layer, steps: impl Iterator<Item = u64>) -> Vec<bool> {
        steps.map(|step| rule.at(step, layer).action != Action::Off).collect()
    }

    fn share(held: &[bool]) -> f64 {
        held.iter().filter(|held| **held).count() as f64 / held.len() as f64
    }

    #[test]
    fn a_layer_is_held_for_its_duty_of_the_time() {
        for duty in [0.1, 0.5, 0.8] {
            let rule = Random { duty, dwell: 1, ..Random::default() };
            for layer in layers(3) {
                // Five standard deviations of 10,000 fair draws are 2.5 %.
                assert!((share(&held(&rule, &layer, 0..10_000)) - duty).abs() < 0.025);
            }
        }
        let [never, always] = [0.0, 1.0].map(|duty| Random { duty, dwell: 1, ..Random::default() });
        assert_eq!(share(&held(&never, &layers(1)[0], 0..10_000)), 0.0);
        assert_eq!(share(&held(&always, &layers(1)[0], 0..10_000)), 1.0);
    }

    #[test]
    fn nothing_switches_inside_a_stretch() {
        let held = held(&Random::default(), &layers(1)[0], 0..20_000);
        assert!(held.chunks(200).all(|stretch| stretch.iter().all(|it| *it == stretch[0])));
        let switches = held.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((30..=70).contains(&switches), "{switches} of 99 are not about half");
    }

    #[test]
    fn layers_networks_blocks_and_seeds_switch_each_by_itself() {
        let rule = Random { dwell: 1, ..Random::default() };
        let other_seed = Random { seed: 1, ..rule };
        let [first, second] = [&layers(2)[0], &layers(2)[1]].map(Clone::clone);
        let generator = Layer { network: "generator".to_owned(), ..first.clone() };
        let [zeroth, next] = [0, 1].map(|block| Layer { block: Some(block), ..first.clone() });
        let mut runs: Vec<_> = [&first, &second, &generator, &zeroth, &next]
            .map(|layer| held(&rule, layer, 0..10_000))
            .into();
        runs.push(held(&other_seed, &first, 0..10_000));
        for (index, one) in runs.iter().enumerate() {
            for other in &runs[..index] {
                let agree: Vec<bool> = one.iter().zip(other).map(|(a, b)| a == b).collect();
                assert!((share(&agree) - 0.5).abs() < 0.025, "they are independent");
            }
        }
    }

    #[test]
    fn a_layer_keeps_its_lots_whatever_else_is_watched() {
        let alone = Layer { count: 1, ..layers(4)[2].clone() };
        let rule = Random::default();
        assert_eq!(
            held(&rule, &alone, (0..9_000).step_by(200)),
            held(&rule, &layers(4)[2], (0..9_000).step_by(200))
        );
    }

    #[test]
    fn the_lots_of_a_seed_never_change() {
        // Runs of different versions are compared, so these stay as they are. Computed by a program
        // of its own in another language.
        let held = held(&Random::default(), &layers(1)[0], (0..2_400).step_by(200));
        let word: String = held.iter().map(|held| if *held { '1' } else { '0' }).collect();
        assert_eq!(word, "110111111110");
    }

    #[test]
    fn the_reason_has_the_lot() {
        let rule = Random { target: 2.0, action: TargetAction::Cap, ..Random::default() };
        let decisions: Vec<_> =
            (0..2_000).step_by(200).map(|step| rule.at(step, &layers(1)[0])).collect();
        for decision in decisions {
            let (lot, ending) = decision.reason.split_once(" of stretch ").unwrap();
            let lot: f64 = lot.strip_prefix("lot ").unwrap().parse().unwrap();
            if lot < 0.5 {
                assert_eq!(decision.action.target(), Some(2.0));
                assert!(ending.ends_with("of 200 steps below duty 0.5: cap to 2"), "{ending}");
            } else {
                assert_eq!(decision.action, Action::Off);
                assert!(ending.ends_with("of 200 steps not below duty 0.5: leave"), "{ending}");
            }
        }
    }

    #[test]
    fn parameters_without_sense_are_refused() {
        for broken in ["duty=1.1", "duty=nan", "dwell=0", "target=0", "interval=0", "seed=-1"] {
            assert!(
                crate::decide::rule::Rule::parse(&format!("random:{broken}")).is_err(),
                "{broken}"
            );
        }
    }
}
