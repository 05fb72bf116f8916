//! What a weight does in its network.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a weight does in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A fully connected layer.
    Linear,
    /// A convolution of any dimension.
    Conv,
    /// A transposed convolution of any dimension.
    ConvTranspose,
    /// A table of vectors.
    Embedding,
    /// A projection inside attention.
    Attention,
    /// A gate of a recurrent layer.
    Recurrent,
    /// Any other parameter.
    Other,
}

impl Kind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Kind; 7] = [
        Kind::Linear,
        Kind::Conv,
        Kind::ConvTranspose,
        Kind::Embedding,
        Kind::Attention,
        Kind::Recurrent,
        Kind::Other,
    ];

    /// The kind's name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Linear => "linear",
            Kind::Conv => "conv",
            Kind::ConvTranspose => "conv_transpose",
            Kind::Embedding => "embedding",
            Kind::Attention => "attention",
            Kind::Recurrent => "recurrent",
            Kind::Other => "other",
        }
    }

    /// The words that name a kind, for messages.
    pub(crate) fn expected() -> String {
        format!("one of {}", Kind::ALL.map(Kind::name).join(", "))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is not the name of a kind of layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no kind of layer: expected {}", Kind::expected())]
pub struct UnknownKind {
    /// The word.
    pub name: String,
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownKind { name: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_in_text_and_in_files() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert!("convolution".parse::<Kind>().is_err());
    }
}
