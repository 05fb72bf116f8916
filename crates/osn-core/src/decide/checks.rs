//! Checks of parameters that several rules have.

use crate::act::action::Action;
use crate::decide::doc::RuleDoc;
use crate::decide::error::RuleError;
use crate::decide::text::Parameter;

/// Whether σ is a size that a weight can be constrained to.
pub(crate) fn is_target(sigma: f64) -> bool {
    Action::Normalize { target: sigma }.validate().is_ok()
}

type Checked = Result<(), RuleError>;

/// What must hold of the parameters of the rule; each error names the rule and the parameter.
impl RuleDoc {
    pub(crate) fn check_action(&self, action: Action) -> Checked {
        action.validate().map_err(|source| RuleError::Action { rule: self.name, source })
    }

    pub(crate) fn require(
        &self,
        holds: bool,
        key: &'static str,
        value: &impl Parameter,
        expected: &str,
    ) -> Checked {
        if holds {
            return Ok(());
        }
        let (rule, value, expected) = (self.name, value.word(), expected.to_owned());
        Err(RuleError::BadValue { rule, key, value, expected })
    }

    /// A finite number above 0.
    pub(crate) fn require_positive(&self, key: &'static str, value: f64) -> Checked {
        self.require(value > 0.0 && value.is_finite(), key, &value, "a positive number")
    }

    /// A finite number that is not below 0.
    pub(crate) fn require_size(&self, key: &'static str, value: f64) -> Checked {
        self.require(value >= 0.0 && value.is_finite(), key, &value, "at least 0")
    }

    /// A number in `[0, 1)`.
    pub(crate) fn require_part(&self, key: &'static str, value: f64) -> Checked {
        self.require((0.0..1.0).contains(&value), key, &value, "at least 0 and less than 1")
    }

    /// A number of optimizer steps or reports that is not 0.
    pub(crate) fn require_count(&self, key: &'static str, value: u64) -> Checked {
        self.require(value > 0, key, &value, "at least 1")
    }
}
