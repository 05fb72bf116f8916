//! The rule `never`.

use serde::{Deserialize, Serialize};

use crate::decide::{
    Decision, RuleError,
    decision_rule::{Context, DecisionRule, NamedRule, named},
    rule::RuleDoc,
    text::{Text, Words},
};
use crate::{Action, Layer};

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

    fn decide(&self, (): &mut (), context: &Context) -> Vec<Decision> {
        context.layers.iter().map(|layer| self.at_attach(layer)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::layers;

    #[test]
    fn every_layer_is_left_alone_and_says_that_it_is_measured() {
        let decision = Never {}.at_attach(&layers(1)[0]);
        assert_eq!(decision.action, Action::Off);
        assert_eq!(decision.reason, "never: measured only");
    }
}
