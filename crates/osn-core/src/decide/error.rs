//! Why a rule cannot be used.

use crate::act::action::ActionError;
use crate::key_values::KeyValueError;
use crate::layer::globs::GlobError;

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// No rule has this name.
    #[error("unknown rule `{name}`: expected one of {valid}")]
    UnknownRule {
        /// The name.
        name: String,
        /// The names there are.
        valid: String,
    },
    /// A rule of this name was there once.
    #[error("`{name}` {instead}")]
    Removed {
        /// The name.
        name: String,
        /// What became of it, and what to use.
        instead: &'static str,
    },
    /// The rule has no such parameter.
    #[error("rule `{rule}` has no parameter `{key}`: expected {valid}")]
    UnknownParameter {
        /// The rule.
        rule: &'static str,
        /// The parameter.
        key: String,
        /// The parameters there are.
        valid: String,
    },
    /// A part of the text is not of the form key=value.
    #[error("rule `{rule}`: expected key=value, found `{text}`")]
    NotAPair {
        /// The rule.
        rule: &'static str,
        /// The part.
        text: String,
    },
    /// A parameter that has one value is given twice.
    #[error("rule `{rule}`: {key} is given twice")]
    Repeated {
        /// The rule.
        rule: &'static str,
        /// The parameter.
        key: &'static str,
    },
    /// The value of a parameter cannot be used.
    #[error("rule `{rule}`: {key} is `{value}`, expected {expected}")]
    BadValue {
        /// The rule.
        rule: &'static str,
        /// The parameter.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would be a good one.
        expected: String,
    },
    /// The action that the rule asks for makes no sense.
    #[error("rule `{rule}`: {source}")]
    Action {
        /// The rule.
        rule: &'static str,
        /// Why not.
        source: ActionError,
    },
    /// A rule of one's own cannot be used.
    #[error("rule `{rule}`: {problem}")]
    Custom {
        /// The rule.
        rule: String,
        /// Why not, and what would be right.
        problem: String,
    },
    /// A path glob cannot be used.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// There is no rule at all.
    #[error("no rule: write at least one")]
    NoRule,
    /// A rule selects a network that there is none of.
    #[error("no network is called {name}: there are {known}")]
    UnknownNetwork {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No rule can decide anything in one of the networks.
    #[error("{rules} decides nothing in the {network}: add a rule for it in a file of rules")]
    NoneForNetwork {
        /// The network.
        network: String,
        /// The rules there are.
        rules: String,
    },
    /// A rule can have no effect in a run of some length.
    #[error("the rule {rule} can have no effect: {why}")]
    OutOfReach {
        /// The rule.
        rule: String,
        /// Why not, with the steps of the run.
        why: String,
    },
    /// One of the rules has no layer to decide about.
    #[error("rule {number}, {rule}, decides no layer: {why}")]
    Idle {
        /// Its place among the rules, from 1.
        number: usize,
        /// The rule.
        rule: String,
        /// Why not, with the layers there are.
        why: String,
    },
}

impl RuleError {
    /// Why the text of a rule's parameters cannot be read.
    pub(crate) fn of_text(rule: &'static str, error: KeyValueError) -> Self {
        match error {
            KeyValueError::NotAPair { text } => Self::NotAPair { rule, text },
            KeyValueError::UnknownKey { key, valid } => Self::UnknownParameter { rule, key, valid },
            KeyValueError::Repeated { key } => Self::Repeated { rule, key },
        }
    }

    /// The parameter that the error is about, where it is about one.
    #[cfg(feature = "rules-file")]
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            RuleError::UnknownParameter { key, .. } => Some(key),
            RuleError::Repeated { key, .. } | RuleError::BadValue { key, .. } => Some(key),
            _ => None,
        }
    }
}
