//! Chooses layers by where they are and what they are.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::layer::fact::Fact;
use crate::layer::facts::Layer;
use crate::layer::globs::Globs;
use crate::layer::kind::Kind;

/// What the number of a block may be, for messages.
pub(crate) const BLOCK_EXPECTED: &str = "a number from 0";

/// Chooses layers by path, block, kind, network, position and facts; a layer must pass all eight lists.
///
/// An empty list lets everything pass, so the default chooses every layer. Within a list one match is
/// enough.
///
/// ```
/// use osn_core::layer::{Globs, Position, Select};
///
/// let hidden_but_last = Select {
///     paths: Globs::new(["blocks.**.weight"])?,
///     positions: vec![Position::Penultimate],
///     ..Select::default()
/// };
/// assert_eq!(hidden_but_last.to_string(), "path blocks.**.weight and position penultimate");
/// # Ok::<(), osn_core::layer::GlobError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// Globs of which one must match the layer's path.
    pub paths: Globs,
    /// Globs of which none may match the layer's path.
    #[serde(alias = "not")]
    pub exclude: Globs,
    /// Numbers of blocks, from 0, of which the layer must be one: `2` is head 2 of a weight that is seen by
    /// head ([`View::Blocks`](crate::layer::View::Blocks)).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<usize>,
    /// Kinds of which the layer must have one.
    pub kinds: Vec<Kind>,
    /// Names of networks of which the layer must belong to one.
    pub networks: Vec<String>,
    /// Positions of which the layer must have one.
    pub positions: Vec<Position>,
    /// Facts of which one must hold for the layer.
    pub facts: Vec<Fact>,
    /// Facts of which none may hold for the layer.
    pub without: Vec<Fact>,
}

impl Select {
    /// Whether the layer is chosen.
    pub fn matches(&self, layer: &Layer) -> bool {
        self.mismatch(layer).is_none()
    }

    /// The first reason why the layer is not chosen, in words; nothing if it is.
    pub fn mismatch(&self, layer: &Layer) -> Option<String> {
        let Layer { path, kind, network, index, count, block, .. } = layer;
        if !self.paths.is_empty() && self.paths.matching(path).is_none() {
            return Some(format!("path {path} is not {}", self.paths));
        }
        if let Some(glob) = self.exclude.matching(path) {
            return Some(format!("path {path} is excluded by {glob}"));
        }
        if !self.blocks.is_empty() && !block.is_some_and(|block| self.blocks.contains(&block)) {
            return Some(format!("{} is not block {}", layer.name(), any_of(&self.blocks)));
        }
        if !self.kinds.is_empty() && !self.kinds.contains(kind) {
            return Some(format!("kind {kind} is not {}", any_of(&self.kinds)));
        }
        if !self.networks.is_empty() && !self.networks.contains(network) {
            return Some(format!("network {network} is not {}", any_of(&self.networks)));
        }
        if !self.positions.is_empty() && !self.positions.iter().any(|it| it.holds(layer)) {
            let wanted = any_of(&self.positions);
            return Some(format!("position {index} (from 0) of {count} is not {wanted}"));
        }
        if !self.facts.is_empty() && !self.facts.iter().any(|fact| fact.holds(layer)) {
            return Some(format!("{path} is not {}", any_of(&self.facts)));
        }
        if let Some(fact) = self.without.iter().find(|fact| fact.holds(layer)) {
            return Some(format!("{path} is excluded as {fact}"));
        }
        None
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = [
            ("path", any_of(self.paths.patterns())),
            ("not", any_of(self.exclude.patterns())),
            ("block", any_of(&self.blocks)),
            ("kind", any_of(&self.kinds)),
            ("network", any_of(&self.networks)),
            ("position", any_of(&self.positions)),
            ("fact", any_of(&self.facts)),
            ("without", any_of(&self.without)),
        ];
        let limits = conditions.iter().filter(|(_, values)| !values.is_empty());
        let words: Vec<String> = limits.map(|(name, values)| format!("{name} {values}")).collect();
        f.write_str(if words.is_empty() { "everything" } else { "" })?;
        f.write_str(&words.join(" and "))
    }
}

fn any_of<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" or ")
}

/// Where a layer stands among the watched layers of its network, in module order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// The first one.
    First,
    /// The last one.
    Last,
    /// The one before the last.
    Penultimate,
    /// The one with the most elements.
    Largest,
    /// The one at this index, from 0; in text just the number.
    Nth(usize),
}

impl Position {
    /// The words that name a position, for messages.
    pub(crate) const EXPECTED: &str = "first, last, penultimate, largest or an index from 0";

    /// Whether the layer stands there.
    pub fn holds(self, layer: &Layer) -> bool {
        match self {
            Position::First => layer.index == 0,
            Position::Last => layer.index + 1 == layer.count,
            Position::Penultimate => layer.index + 2 == layer.count,
            Position::Largest => layer.is_largest,
            Position::Nth(index) => layer.index == index,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::First => f.write_str("first"),
            Position::Last => f.write_str("last"),
            Position::Penultimate => f.write_str("penultimate"),
            Position::Largest => f.write_str("largest"),
            Position::Nth(index) => write!(f, "{index}"),
        }
    }
}

/// A word that is not the name of a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no position: expected {}", Position::EXPECTED)]
pub struct UnknownPosition {
    /// The word.
    pub name: String,
}

impl FromStr for Position {
    type Err = UnknownPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = [Position::First, Position::Last, Position::Penultimate, Position::Largest];
        if let Some(position) = named.into_iter().find(|position| position.to_string() == text) {
            return Ok(position);
        }
        text.parse().map(Position::Nth).map_err(|_| UnknownPosition { name: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::decide::decider::tests::layers;
    use crate::layer::architecture::Architecture;

    #[test]
    fn an_empty_selection_chooses_everything() {
        assert!(layers(7).iter().all(|layer| Select::default().matches(layer)));
    }

    #[test]
    fn every_list_must_pass() {
        let select = Select {
            paths: Globs::new(["**.weight", "**.kernel"]).unwrap(),
            exclude: Globs::new(["head.**"]).unwrap(),
            blocks: vec![0, 2],
            kinds: vec![Kind::Conv],
            networks: vec!["discriminator".to_owned()],
            positions: vec![Position::First, Position::Last],
            facts: vec![Fact::Residual, Fact::Normalized],
            without: vec![Fact::Output],
        };
        let known = Architecture { is_normalized: true, ..Architecture::default() };
        let fitting = Layer { architecture: known, block: Some(2), ..layers(3)[0].clone() };
        assert!(select.matches(&fitting));
        for other in [
            Layer { path: "body.bias".to_owned(), ..fitting.clone() },
            Layer { path: "head.weight".to_owned(), ..fitting.clone() },
            Layer { block: Some(1), ..fitting.clone() },
            Layer { block: None, ..fitting.clone() },
            Layer { kind: Kind::Linear, ..fitting.clone() },
            Layer { network: "generator".to_owned(), ..fitting.clone() },
            Layer { index: 1, ..fitting.clone() },
            Layer { architecture: Architecture::default(), ..fitting.clone() },
            Layer { architecture: Architecture { is_output: true, ..known }, ..fitting },
        ] {
            assert!(!select.matches(&other), "{other:?}");
        }
    }

    #[test]
    fn positions_are_those_of_a_list() {
        for (position, count, expected) in [
            (Position::First, 4, &[0][..]),
            (Position::Last, 4, &[3]),
            (Position::Penultimate, 4, &[2]),
            (Position::Largest, 4, &[1]),
            (Position::Nth(2), 4, &[2]),
            (Position::Penultimate, 1, &[]),
            (Position::Last, 1, &[0]),
        ] {
            // Not the first.
            let layers = layers(count).into_iter();
            let layers: Vec<Layer> =
                layers.map(|layer| Layer { is_largest: layer.index == 1, ..layer }).collect();
            let chosen: Vec<usize> =
                (0..count).filter(|index| position.holds(&layers[*index])).collect();
            assert_eq!(chosen, expected, "{position} of {count}");
        }
    }

    #[test]
    fn a_position_reads_back_from_its_text() {
        for text in ["first", "last", "penultimate", "largest", "3"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        assert!("middle".parse::<Position>().is_err());
    }

    #[test]
    fn a_fact_reads_back_from_its_text_and_holds_where_it_should() {
        let embedding = Layer { kind: Kind::Embedding, ..layers(1)[0].clone() };
        for (text, expected) in
            [("normalized", false), ("residual", false), ("output", false), ("embedding", true)]
        {
            let fact: Fact = text.parse().unwrap();
            assert_eq!((fact.to_string().as_str(), fact.holds(&embedding)), (text, expected));
        }
        assert!("biased".parse::<Fact>().is_err());
    }

    #[test]
    fn fans_are_those_of_xavier() {
        let fans = |shape: &[usize], axis| {
            let Architecture { fan_in, fan_out, .. } =
                Architecture::default().with_fans(shape, axis);
            [fan_in, fan_out]
        };
        assert_eq!(fans(&[64, 3, 4, 4], 0), [48, 1024]);
        assert_eq!(fans(&[3, 64, 4, 4], 1), [48, 1024]);
        assert_eq!([fans(&[784, 10], 1), fans(&[7], 0)], [[784, 10], [1, 7]]);
    }

    #[test]
    fn a_selection_survives_a_file() {
        let select = Select {
            paths: Globs::new(["**.{a,b}"]).unwrap(),
            positions: vec![Position::Nth(2), Position::Penultimate],
            kinds: vec![Kind::ConvTranspose],
            ..Select::default()
        };
        let text = serde_json::to_string(&select).unwrap();
        let back: Select = serde_json::from_str(&text).unwrap();
        assert_eq!(back, select);
        assert!(text.contains(r#""positions":[{"nth":2},"penultimate"]"#), "{text}");
        assert_eq!(back.paths.matching("x.c"), None);
        assert_eq!(back.paths.matching("x.a"), Some("**.{a,b}"));
    }
}
