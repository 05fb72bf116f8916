//! The rule `lr_over_sigma`.

use serde::{Deserialize, Serialize};

use super::{
    Decision, RuleError,
    deciding::{Context, Deciding},
    rule::{INTERVAL, RuleDoc, checked, parameters, required_interval},
};
use crate::{Action, Layer, Measurement, number::concise};

/// Scales the optimizer's updates of every layer by `c/σ`, and no layer itself.
///
/// The control arm beside normalizing: in deep reinforcement learning, changing the optimizer's step by
/// σ recovers much of what spectral normalization gains (Gogianu et al. 2021). What remains between the
/// two is what the smaller function itself does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrOverSigma {
    /// The σ `c` at which an update is left as it is, greater than 0. Default: 1.
    pub target: f64,
    /// Optimizer steps between two readings of σ, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for LrOverSigma {
    fn default() -> Self {
        Self { target: 1.0, interval: 10 }
    }
}

impl Deciding for LrOverSigma {
    type Memory = ();

    parameters! {
        "lr_over_sigma", "Scales the updates of every layer by target/σ, and no layer itself.";
        target = "1", "the σ at which an update is left as it is";
        interval = "10", INTERVAL;
    }

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
        context.measurements.iter().map(|measured| self.explain(measured)).collect()
    }
}

impl LrOverSigma {
    fn action(self) -> Action {
        Action::ScaleUpdate { target: self.target }
    }

    /// The action never changes; the factor that follows from it does.
    fn explain(self, measured: &Measurement) -> Decision {
        let action = self.action();
        let (sigma, factor) = (measured.sigma, action.update_factor(1.0, measured.sigma));
        let reason = format!("σ {}: updates times {}", concise(sigma), concise(factor));
        Decision { action, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Decider, Signals, tests::layers},
        *,
    };
    use crate::Rule;

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
    fn a_weight_without_a_size_is_updated_as_ever() {
        let rule = LrOverSigma::default();
        assert_eq!(rule.explain(&Measurement::new(0.0, 0.0)).reason, "σ 0: updates times 1");
    }
}
