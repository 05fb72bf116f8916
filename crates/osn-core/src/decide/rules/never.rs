//! The rule `never`.

use serde::{Deserialize, Serialize};

use crate::decide::decision_rule::{Decision, DecisionRule};
use crate::decide::doc::RuleDoc;
use crate::decide::error::RuleError;
use crate::decide::named_rule::{NamedRule, named};
use crate::decide::text::{Text, Words};
use crate::layer::facts::Layer;

/// Leaves every layer unconstrained and measures it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {}

impl NamedRule for Never {
    const DOC: RuleDoc = RuleDoc {
        name: "never",
        sentence: "Leaves every layer unconstrained and measures it.",
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

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, _: &Layer) -> Decision {
        Decision::off("never: measured only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::action::Action;
    use crate::decide::decider::tests::layers;

    #[test]
    fn every_layer_is_left_as_it_is() {
        assert_eq!(Never {}.at_attach(&layers(1)[0]).action, Action::Off);
    }
}
