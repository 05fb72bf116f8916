//! Facts about a layer that hold or do not.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::layer::facts::Layer;
use crate::layer::kind::Kind;

/// A fact about where a layer stands in its network, by which layers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A normalization over the batch or over channels follows directly.
    Normalized,
    /// It lies in the branch of a residual connection.
    Residual,
    /// Its outputs are those of the network.
    Output,
    /// It is a table of vectors.
    Embedding,
}

impl Fact {
    /// The words that name a fact, for messages.
    pub(crate) const EXPECTED: &str = "one of normalized, residual, output, embedding";

    /// Whether it holds for the layer.
    pub fn holds(self, layer: &Layer) -> bool {
        match self {
            Fact::Normalized => layer.architecture.is_normalized,
            Fact::Residual => layer.architecture.is_residual,
            Fact::Output => layer.architecture.is_output,
            Fact::Embedding => layer.kind == Kind::Embedding,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fact::Normalized => "normalized",
            Fact::Residual => "residual",
            Fact::Output => "output",
            Fact::Embedding => "embedding",
        })
    }
}

/// A word that is not the name of a fact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no fact about a layer: expected {}", Fact::EXPECTED)]
pub struct UnknownFact {
    /// The word.
    pub name: String,
}

impl FromStr for Fact {
    type Err = UnknownFact;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let facts = [Fact::Normalized, Fact::Residual, Fact::Output, Fact::Embedding];
        let found = facts.into_iter().find(|fact| fact.to_string() == text);
        found.ok_or_else(|| UnknownFact { name: text.to_owned() })
    }
}
