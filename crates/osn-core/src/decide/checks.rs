//! Checks of parameters that several rules have.

use crate::act::action::Action;
use crate::decide::doc::RuleDoc;
use crate::decide::error::RuleError;
use crate::decide::text::Parameter;

/// Whether σ is a size that a weight can be held at.
pub(crate) fn is_target(sigma: f64) -> bool {
    Action::Normalize { target: sigma }.validate().is_ok()
}

/// Checks the action that a rule asks for.
pub(crate) fn checked(doc: &RuleDoc, action: Action) -> Result<(), RuleError> {
    action.validate().map_err(|source| RuleError::Action { rule: doc.name, source })
}

/// Checks one parameter, of which something must hold.
pub(crate) fn required(
    doc: &RuleDoc,
    holds: bool,
    key: &'static str,
    value: impl Parameter,
    expected: &str,
) -> Result<(), RuleError> {
    let bad_value = move || RuleError::BadValue {
        rule: doc.name,
        key,
        value: value.word(),
        expected: expected.to_owned(),
    };
    if holds { Ok(()) } else { Err(bad_value()) }
}

/// Checks the number of optimizer steps between two decisions.
pub(crate) fn required_interval(doc: &RuleDoc, interval: u64) -> Result<(), RuleError> {
    required(doc, interval > 0, "interval", interval, "at least 1")
}
