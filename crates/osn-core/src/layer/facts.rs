//! What a rule knows of a layer that does not change while it trains.

use serde::{Deserialize, Serialize};

use crate::layer::architecture::Architecture;
use crate::layer::kind::Kind;

/// The facts about one watched weight that do not change while it trains. A weight that is cut into
/// blocks is one layer for each block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Where the weight is in its module, dot-separated, such as `blocks.0.conv.weight`.
    pub path: String,
    /// The network that it belongs to, such as `discriminator`.
    pub network: String,
    /// What it does there.
    pub kind: Kind,
    /// The shape of the weight, or of the block.
    pub shape: Vec<usize>,
    /// Its position among the watched weights of its network, in module order, from 0.
    pub index: usize,
    /// How many watched weights its network has.
    pub count: usize,
    /// Whether it has the most elements of them.
    pub is_largest: bool,
    /// Which block of the weight this is, from 0, where the view cuts it into blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
    /// Where it stands in its network's architecture.
    #[serde(default, skip_serializing_if = "Architecture::is_unknown")]
    pub architecture: Architecture,
}

/// The name of the network whose outputs a discriminator judges.
const GENERATOR: &str = "generator";

impl Layer {
    /// Whether it belongs to the network named `generator`. Adversarial signals are about the *discriminator*, so
    /// rules that follow them do not apply them to the generator.
    pub fn is_of_generator(&self) -> bool {
        Self::is_generator(&self.network)
    }

    /// Whether a network of this name is a generator.
    pub(crate) fn is_generator(network: &str) -> bool {
        network == GENERATOR
    }

    /// The path, with the block behind it where there are several: `attention.query.weight[3]`.
    pub fn name(&self) -> String {
        match self.block {
            Some(block) => format!("{}[{block}]", self.path),
            None => self.path.clone(),
        }
    }
}
