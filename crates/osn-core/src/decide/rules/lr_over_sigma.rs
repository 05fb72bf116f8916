//! The rules `lr_over_sigma` and `lr_over_max_sigma`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::layer::facts::Layer;
use crate::layer::measurement::Measurement;
use crate::number::concise;

/// Multiplies the optimizer's updates of every layer by `c/σ`, and leaves the weights unconstrained.
///
/// The control beside normalizing: `W·c/σ` divides the function *and* its update by σ, and this divides the update
/// only. What remains between the two is the effect of the smaller function. The updates of a layer below `c` become
/// larger, those of a layer near zero by a very large factor. The control of Gogianu et al. 2021, which never
/// enlarges an update, is [`LrOverMaxSigma`].
///
/// The factor is on the learning rate, so it needs an optimizer that takes it (in `osn`, `Osn::optimize`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrOverSigma {
    /// The σ `c` at which an update is left as it is, greater than 0. Default: 1.
    pub target: f64,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

/// Multiplies the optimizer's updates of every layer by `1/max(1, σ/c)`, and leaves the weights unconstrained.
///
/// The control beside capping, `W·min(1, c/σ)`. With `c = 1` it is that of Gogianu et al. 2021 ("Spectral
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
    /// Optimizer steps between two decisions, at least 1. Default: 10.
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

            named!(interval);

            fn validate(&self) -> Result<(), RuleError> {
                Self::DOC.check_action(self.action())?;
                Self::DOC.require_count("interval", self.interval)
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
    "Multiplies the updates of every layer by target/σ, up or down, and leaves the weights unconstrained.",
    "the σ at which an update is left as it is"
);
update_rule!(
    LrOverMaxSigma,
    CapUpdate,
    "lr_over_max_sigma",
    "Multiplies the updates of every layer by 1/max(1, σ/target) (Gogianu et al. 2021), and leaves the \
     weights unconstrained.",
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
    use crate::decide::decider::tests::{decider, measured};
    use crate::decide::signals::Signals;

    #[test]
    fn every_layer_keeps_its_weight_and_gets_its_own_factor() {
        // c/σ, and 1/max(1, σ/c), by hand; a weight without a size is updated as ever.
        for (text, sigma, factor) in [
            ("lr_over_sigma:target=2", 8.0, 0.25),
            ("lr_over_sigma:target=2", 0.5, 4.0),
            ("lr_over_sigma", 0.0, 1.0),
            ("lr_over_max_sigma", 0.63, 1.0),
            ("lr_over_max_sigma", 1.41, 1.0 / 1.41),
            ("lr_over_max_sigma:target=2", 8.0, 0.25),
            ("lr_over_max_sigma:target=2", 1.9, 1.0),
            ("lr_over_max_sigma", 0.0, 1.0),
        ] {
            let mut decider = decider(text, 1);
            let action = decider.decide(10, &measured(&[sigma]), &Signals::new())[0].action;
            assert_eq!(action.scale(1.0, sigma), 1.0);
            assert!((action.update_factor(1.0, sigma) - factor).abs() < 1e-15, "{text} at {sigma}");
        }
    }
}
