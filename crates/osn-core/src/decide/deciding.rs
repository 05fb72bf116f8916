//! What every rule is to the [`Decider`](super::Decider).

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Decision, Needs, RuleError, Signals,
    rule::RuleDoc,
    text::{Text, Words},
};
use crate::{Layer, Measurement};

/// What a rule may look at when it decides; layers and measurements are in one order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) step: u64,
    pub(crate) layers: &'a [Layer],
    pub(crate) measurements: &'a [Measurement],
    pub(crate) signals: &'a Signals,
}

/// One rule: its parameters, how they are written, and what it decides.
///
/// A rule is pure. What it remembers is in its memory, which is saved with the run.
pub(crate) trait Deciding: Sized {
    /// What it remembers between decisions.
    type Memory: Clone + PartialEq + fmt::Debug + Serialize + DeserializeOwned;

    /// What it does and can be told.
    const DOC: RuleDoc;

    /// Reads the parameters.
    fn read(text: &Text) -> Result<Self, RuleError>;

    /// Writes the parameters that are not at their default.
    fn write(&self, words: &mut Words);

    /// Checks that the parameters make sense.
    fn validate(&self) -> Result<(), RuleError>;

    /// How many optimizer steps lie between two decisions, or nothing if the first one stands.
    fn interval(&self) -> Option<u64>;

    /// What it looks at besides σ.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// The metric that it follows, by its name, if it follows one.
    fn metric(&self) -> Option<&str> {
        None
    }

    /// Why it leaves a layer as it is whatever comes, in words; nothing for a layer that it decides about. It is
    /// shown only the latter.
    fn leaves(&self, _: &Layer) -> Option<String> {
        None
    }

    /// What it remembers before its first decision.
    fn begin(&self, layers: &[Layer]) -> Self::Memory;

    /// Whether a memory from a file is one of this rule for so many layers.
    fn fits(&self, _: &Self::Memory, _n_layers: usize) -> bool {
        true
    }

    /// The decision about a layer of which nothing is measured yet.
    fn at_attach(&self, layer: &Layer) -> Decision;

    /// Decides about every layer, in their order. Called only where there is an
    /// [`interval`](Self::interval).
    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision>;
}
