//! What a decider remembers, apart from the decider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decide::decision_rule::Decision;
use crate::decide::erased::Memory;
use crate::layer::facts::Layer;

/// What a [`Decider`](crate::decide::Decider) remembers at some step: made by
/// [`Decider::state`](crate::decide::Decider::state), and taken over by [`Decider::resume`](crate::decide::Decider::resume).
///
/// It has no rules, so it cannot contradict those of the decider that takes it over; it has their labels
/// and the layers, to say what differs. It is saved in any self-describing format, such as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeciderState {
    pub(super) layers: Vec<Layer>,
    /// One for each rule.
    pub(super) rules: Vec<RuleState>,
    pub(super) decisions: Vec<Decision>,
}

/// What one rule remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleState {
    /// The rule, and the layers that it is for.
    pub(super) label: String,
    pub(super) memory: Memory,
    pub(super) pending_metrics: BTreeMap<String, f64>,
}

/// Why a [`DeciderState`] is not one of a decider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeciderMismatch {
    /// The layers differ; this is the first that does.
    #[error("layer {number} was {saved} in the saved state and is {expected}")]
    Layers {
        /// Its place among the layers, from 1.
        number: usize,
        /// The layer in the saved state.
        saved: String,
        /// The layer of the decider.
        expected: String,
    },
    /// The rules differ.
    #[error("the saved state is of the rules {saved}, not of {expected}")]
    Rules {
        /// The rules of the saved state.
        saved: String,
        /// The rules of the decider.
        expected: String,
    },
    /// What one of the rules remembers is not of this rule and its layers.
    #[error("the saved memory of rule {number}, {rule}, does not fit the rule and its layers")]
    Memory {
        /// Its place among the rules, from 1.
        number: usize,
        /// The rule.
        rule: String,
    },
    /// A decision that cannot be one, or not one for each layer.
    #[error("the saved decisions do not fit the layers: {problem}")]
    Decisions {
        /// What is wrong.
        problem: String,
    },
}
