//! The rule `never`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::decision_rule::{Decision, DecisionRule};
use crate::decide::doc::RuleDoc;
use crate::decide::error::RuleError;
use crate::decide::named_rule::{NamedRule, named};
use crate::decide::text::{Text, Words};
use crate::layer::facts::Layer;

/// Leaves every layer as it is, and measures it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {}

impl NamedRule for Never {
    const DOC: RuleDoc = RuleDoc {
        name: "never",
        sentence: "Leaves every layer as it is, and measures it.",
        parameters: &[],
    };

    fn read(_: &Text) -> Result<Self, RuleError> {
        Ok(Self {})
    }

    fn write(&self, _: &mut Words) {}
}

impl DecisionRule for Never {
    type Memory = ();

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        Ok(())
    }

    fn interval(&self) -> Option<u64> {
        None
    }

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, _: &Layer) -> Decision {
        Decision { action: Action::Off, reason: "never: measured only".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::tests::layers;

    #[test]
    fn every_layer_is_left_alone_and_says_that_it_is_measured() {
        let decision = Never {}.at_attach(&layers(1)[0]);
        assert_eq!(decision.action, Action::Off);
        assert_eq!(decision.reason, "never: measured only");
    }
}
