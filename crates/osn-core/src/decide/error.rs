//! Why a rule cannot be used.

use crate::act::action::ActionError;
use crate::key_values::KeyValueError;
use crate::layer::globs::GlobError;
use crate::names::hint;

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// No rule has this name.
    #[error("unknown rule `{name}`{}: expected one of {valid}", hint(name, valid.split(", ")))]
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
    /// The text of the parameters is not one of the rule's parameters and their values.
    #[error("rule `{rule}` has {source}")]
    Parameters {
        /// The rule.
        rule: &'static str,
        /// What is wrong with it.
        source: KeyValueError,
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
    /// The parameter whose value the error is about, where it is about one.
    #[cfg(feature = "rules-file")]
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            RuleError::BadValue { key, .. } => Some(key),
            _ => None,
        }
    }
}
