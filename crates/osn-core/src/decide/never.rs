//! The rule `never`.

use serde::{Deserialize, Serialize};

use super::{Decision, rule::RuleDoc};
use crate::Action;

/// Leaves every layer as it is, and measures it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {}

impl Never {
    pub(super) const DOC: RuleDoc = RuleDoc {
        name: "never",
        sentence: "Leaves every layer as it is, and measures it.",
        parameters: &[],
    };

    pub(super) fn at_attach() -> Decision {
        Decision { action: Action::Off, reason: "never: measured only".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_is_left_alone_and_says_that_it_is_measured() {
        let decision = Never::at_attach();
        assert_eq!(decision.action, Action::Off);
        assert_eq!(decision.reason, "never: measured only");
    }
}
