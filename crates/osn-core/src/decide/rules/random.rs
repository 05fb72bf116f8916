//! The rule `random`.

use serde::{Deserialize, Serialize};

use crate::decide::control::target_action::TargetAction;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::layer::facts::Layer;
use crate::number::concise;
use crate::split_mix::split_mix;

/// Constrains each layer at random: the control for every rule that switches.
///
/// Steps are cut into periods of `dwell`. Layer `l` is constrained in period `k` where `h(seed, l, k) < duty`, with `h`
/// in `[0, 1)` a fixed hash of the seed, of the layer's network, index and block, and of `k`. So every layer is
/// constrained for about `duty` of the time, independently of the others, and the same seed gives the same switches
/// in every run.
///
/// With the duty cycle and the dwell of an adaptive run it shows how much of the effect is due to *when* layers were
/// constrained, and not only for how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Random {
    /// The target while a layer is constrained, greater than 0. Default: 1.
    pub target: f64,
    /// The probability that a layer is constrained in a period, in `[0, 1]`. Default: 0.5.
    pub duty: f64,
    /// Optimizer steps of a period, at least 1. Default: 200.
    pub dwell: u64,
    /// The seed of the hash. Default: 0.
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
        "random", "Constrains each layer at random, as a control.";
        target = "1", "the target while a layer is constrained";
        duty = "0.5", "the probability that a layer is constrained in a period";
        dwell = "200", "optimizer steps of a period";
        seed = "0", "the seed of the hash";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Random {
    type Memory = ();

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        Self::DOC.check_action(self.action.with_target(self.target))?;
        let is_probability = (0.0..=1.0).contains(&self.duty);
        Self::DOC.require(is_probability, "duty", &self.duty, "from 0 to 1")?;
        Self::DOC.require_count("dwell", self.dwell)?;
        Self::DOC.require_count("interval", self.interval)
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
        let (period, dwell) = (step / self.dwell, self.dwell);
        let draw = draw(self.seed, layer, period);
        let (drawn, duty) = (concise(draw), concise(self.duty));
        let drawn = format!("draw {drawn} of period {period} of {dwell} steps");
        if draw < self.duty {
            let target = concise(self.target);
            let reason = format!("{drawn} below duty {duty}: {} to {target}", self.action);
            return Decision { action: self.action.with_target(self.target), reason };
        }
        Decision::off(format!("{drawn} not below duty {duty}: unconstrained"))
    }
}

/// A number in `[0, 1)`, the same on every machine.
fn draw(seed: u64, layer: &Layer, period: u64) -> f64 {
    let network = layer.network.bytes().map(u64::from);
    let block = layer.block.map_or(0, |block| block as u64 + 1);
    let words = network.chain([layer.index as u64, block, period]);
    let hash = words.fold(split_mix(seed), |hash, word| split_mix(hash ^ word));
    // The 53 upper bits, as many as a double holds.
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::action::Action;
    use crate::decide::decider::tests::layers;
    use crate::decide::rule::Rule;

    fn constrained(rule: &Random, layer: &Layer, steps: impl Iterator<Item = u64>) -> Vec<bool> {
        steps.map(|step| rule.at(step, layer).action != Action::Off).collect()
    }

    fn share(constrained: &[bool]) -> f64 {
        constrained.iter().filter(|constrained| **constrained).count() as f64
            / constrained.len() as f64
    }

    #[test]
    fn a_layer_is_constrained_for_its_duty_of_the_time() {
        for duty in [0.1, 0.5, 0.8] {
            let rule = Random { duty, dwell: 1, ..Random::default() };
            for layer in layers(3) {
                // Five standard deviations of 10,000 fair draws are 2.5 %.
                assert!((share(&constrained(&rule, &layer, 0..10_000)) - duty).abs() < 0.025);
            }
        }
        let [never, always] = [0.0, 1.0].map(|duty| Random { duty, dwell: 1, ..Random::default() });
        assert_eq!(share(&constrained(&never, &layers(1)[0], 0..10_000)), 0.0);
        assert_eq!(share(&constrained(&always, &layers(1)[0], 0..10_000)), 1.0);
    }

    #[test]
    fn nothing_switches_inside_a_period() {
        let constrained = constrained(&Random::default(), &layers(1)[0], 0..20_000);
        assert!(constrained.chunks(200).all(|period| period.iter().all(|it| *it == period[0])));
        let switches = constrained.windows(2).filter(|pair| pair[0] != pair[1]).count();
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
            .map(|layer| constrained(&rule, layer, 0..10_000))
            .into();
        runs.push(constrained(&other_seed, &first, 0..10_000));
        for (index, one) in runs.iter().enumerate() {
            for other in &runs[..index] {
                let agree: Vec<bool> = one.iter().zip(other).map(|(a, b)| a == b).collect();
                assert!((share(&agree) - 0.5).abs() < 0.025, "they are independent");
            }
        }
    }

    #[test]
    fn a_layer_keeps_its_draws_whatever_other_layers_there_are() {
        let alone = Layer { count: 1, ..layers(4)[2].clone() };
        let rule = Random::default();
        assert_eq!(
            constrained(&rule, &alone, (0..9_000).step_by(200)),
            constrained(&rule, &layers(4)[2], (0..9_000).step_by(200))
        );
    }

    #[test]
    fn the_draws_of_a_seed_never_change() {
        // Runs of different versions are compared, so these stay as they are. Computed by a program
        // of its own in another language.
        let constrained = constrained(&Random::default(), &layers(1)[0], (0..2_400).step_by(200));
        let word: String =
            constrained.iter().map(|constrained| if *constrained { '1' } else { '0' }).collect();
        assert_eq!(word, "110111111110");
    }

    #[test]
    fn parameters_without_sense_are_refused() {
        for broken in ["duty=1.1", "duty=nan", "dwell=0", "target=0", "interval=0", "seed=-1"] {
            assert!(Rule::parse(&format!("random:{broken}")).is_err(), "{broken}");
        }
    }
}
