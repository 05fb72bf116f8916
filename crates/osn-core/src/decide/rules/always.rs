//! The rule `always`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::decision_rule::{Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{NamedRule, named, parameters};
use crate::layer::facts::Layer;
use crate::number::concise;

/// Normalizes every layer to one σ from the first forward on, as Miyato et al. 2018 do with target 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Always {
    /// The σ of every effective weight, greater than 0. Default: 1.
    pub target: f64,
}

impl Default for Always {
    fn default() -> Self {
        Self { target: 1.0 }
    }
}

impl NamedRule for Always {
    parameters! {
        "always", "Normalizes every layer to one σ.";
        target = "1", "the σ of every effective weight";
    }
}

impl DecisionRule for Always {
    type Memory = ();

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        Self::DOC.check_action(self.action())
    }

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, _: &Layer) -> Decision {
        let reason = format!("always: normalize to {}", concise(self.target));
        Decision { action: self.action(), reason }
    }
}

impl Always {
    fn action(self) -> Action {
        Action::Normalize { target: self.target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::tests::layers;

    #[test]
    fn every_layer_is_normalized_to_the_target() {
        let decision = Always { target: 2.0 }.at_attach(&layers(1)[0]);
        assert_eq!(decision.action, Action::Normalize { target: 2.0 });
    }
}
