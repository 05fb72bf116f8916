//! The rules `lr_over_sigma` and `lr_over_max_sigma`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::{checked, required_interval};
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::layer::facts::Layer;
use crate::layer::measurement::Measurement;
use crate::number::concise;

/// Multiplies the optimizer's updates of every layer by `c/σ`, and no layer itself.
///
/// The control arm beside normalizing: `W·c/σ` divides both the function and its step by σ, and this divides the
/// step alone, up where σ is below `c` as well as down. What remains between the two is what the smaller
/// function itself does. A layer near zero gets a very large factor. The control of Gogianu et al. 2021, which never speeds a layer up, is [`LrOverMaxSigma`].
///
/// The factor is on the learning rate, so it needs an optimizer that takes it (in `osn`, `Osn::optimize`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrOverSigma {
    /// The σ `c` at which an update is left as it is, greater than 0. Default: 1.
    pub target: f64,
    /// Optimizer steps between two readings of σ, at least 1. Default: 10.
    pub interval: u64,
}

/// Multiplies the optimizer's updates of every layer by `1/max(1, σ/c)`, and no layer itself.
///
/// The control arm beside capping, `W·min(1, c/σ)`. With `c = 1` it is that of Gogianu et al. 2021 ("Spectral
/// Normalisation for Deep Reinforcement Learning: An Optimisation Perspective"), as their published code has it
/// (`div_by_rho` in `training.py`): `lr/max(1, ρ)`, with ρ the spectral norm of the layer. In deep reinforcement
/// learning it recovers much of what spectral normalization gains. [`LrOverSigma`] is the form without the
/// maximum.
///
/// The factor is on the learning rate, so it needs an optimizer that takes it (in `osn`, `Osn::optimize`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrOverMaxSigma {
    /// The σ `c` up to which an update is left as it is, greater than 0. Default: 1.
    pub target: f64,
    /// Optimizer steps between two readings of σ, at least 1. Default: 10.
    pub interval: u64,
}

/// What both rules are but for their names and the action.
macro_rules! update_rule {
    ($rule:ident, $action:ident, $name:literal, $sentence:literal, $target:literal) => {
        impl Default for $rule {
            fn default() -> Self {
                Self { target: 1.0, interval: 10 }
            }
        }

        impl NamedRule for $rule {
            parameters! {
                $name, $sentence;
                target = "1", $target;
                interval = "10", INTERVAL;
            }
        }

        impl DecisionRule for $rule {
            type Memory = ();

            named!();

            fn validate(&self) -> Result<(), RuleError> {
                checked(&Self::DOC, self.action())?;
                required_interval(&Self::DOC, self.interval)
            }

            fn interval(&self) -> Option<u64> {
                Some(self.interval)
            }

            fn begin(&self, _: &[Layer]) {}

            fn at_attach(&self, _: &Layer) -> Decision {
                let reason = format!("not measured yet: {}", self.action());
                Decision { action: self.action(), reason }
            }

            fn decide(&self, (): &mut (), context: &Context) -> Vec<Decision> {
                let measurements = context.measurements.iter();
                measurements.map(|measured| explain(self.action(), measured)).collect()
            }
        }

        impl $rule {
            fn action(self) -> Action {
                Action::$action { target: self.target }
            }
        }
    };
}

update_rule!(
    LrOverSigma,
    ScaleUpdate,
    "lr_over_sigma",
    "Multiplies the updates of every layer by target/σ, up or down, and no layer itself.",
    "the σ at which an update is left as it is"
);
update_rule!(
    LrOverMaxSigma,
    CapUpdate,
    "lr_over_max_sigma",
    "Multiplies the updates of every layer by 1/max(1, σ/target) (Gogianu et al. 2021), and no layer \
     itself.",
    "the σ up to which an update is left as it is"
);

/// The action never changes; the factor that follows from it does.
fn explain(action: Action, measured: &Measurement) -> Decision {
    let (sigma, factor) = (measured.sigma, action.update_factor(1.0, measured.sigma));
    let reason = format!("σ {}: updates times {}", concise(sigma), concise(factor));
    Decision { action, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::layers;
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;

    #[test]
    fn every_layer_keeps_its_weight_and_gets_its_own_factor() {
        let rule = Rule::parse("lr_over_sigma:target=2").unwrap();
        let mut decider = Decider::new(rule, layers(2)).unwrap();
        let measured = [Measurement::new(8.0, 0.0), Measurement::new(0.5, 0.0)];
        let decisions = decider.decide(10, &measured, &Signals::new());
        for (decision, (sigma, factor)) in decisions.iter().zip([(8.0, 0.25), (0.5, 4.0)]) {
            assert_eq!(decision.action.scale(1.0, sigma), 1.0);
            assert_eq!(decision.action.update_factor(1.0, sigma), factor);
            assert_eq!(decision.reason, format!("σ {sigma}: updates times {factor}"));
        }
    }

    #[test]
    fn the_form_with_the_maximum_never_speeds_a_layer_up() {
        // lr/max(1, ρ/c), by hand.
        for (target, sigma, factor) in
            [(1.0, 0.63, 1.0), (1.0, 1.41, 1.0 / 1.41), (2.0, 8.0, 0.25), (2.0, 1.9, 1.0)]
        {
            let rule = Rule::parse(&format!("lr_over_max_sigma:target={target}")).unwrap();
            let mut decider = Decider::new(rule, layers(1)).unwrap();
            let decision =
                decider.decide(10, &[Measurement::new(sigma, 0.0)], &Signals::new())[0].clone();
            assert_eq!(decision.action.scale(1.0, sigma), 1.0);
            assert!((decision.action.update_factor(1.0, sigma) - factor).abs() < 1e-15);
        }
    }

    #[test]
    fn a_weight_without_a_size_is_updated_as_ever() {
        let nothing = Measurement::new(0.0, 0.0);
        for action in [LrOverSigma::default().action(), LrOverMaxSigma::default().action()] {
            assert_eq!(explain(action, &nothing).reason, "σ 0: updates times 1");
        }
    }
}
