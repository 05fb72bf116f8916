//! Several rules, each for some of the layers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Needs, Rule, RuleError, rule::slug};
use crate::{Layer, Select};

/// How it is decided what is done to each layer of a model: rules in order, each with the layers that it
/// is for.
///
/// A layer is decided by the *last* rule whose [`select`](ScopedRule::select) holds it, so a general
/// rule comes first and its exceptions after it. A layer that none selects is left as it is. Each rule
/// sees only the layers that it decides, so the product of a budget is over these; what a layer says of
/// its position is about the whole network all the same.
///
/// One [`Rule`] is turned into rules with `into()`: it is for every layer. A file of them is read by
/// [`from_toml`](Rules::from_toml).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules {
    entries: Vec<ScopedRule>,
}

/// A rule, and which layers it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopedRule {
    /// Which layers.
    pub select: Select,
    /// What decides about them.
    pub rule: Rule,
}

impl Rules {
    /// The rules in their order.
    pub fn entries(&self) -> &[ScopedRule] {
        &self.entries
    }

    /// Checks that there is a rule and that the parameters of each make sense.
    ///
    /// # Errors
    ///
    /// [`RuleError`], naming the rule and the parameter.
    pub fn validate(&self) -> Result<(), RuleError> {
        if self.entries.is_empty() {
            return Err(RuleError::NoRule);
        }
        self.entries.iter().try_for_each(|entry| entry.rule.validate())
    }

    /// What any of the rules looks at besides σ.
    pub fn needs(&self) -> Needs {
        let needs = self.entries.iter().map(|entry| entry.rule.needs());
        needs.fold(Needs::default(), union)
    }

    /// The rules as one line, for people: `cap:target=2 for position last; budget`.
    ///
    /// [`Rule::parse`] reads it back where it is a single rule for every layer.
    pub fn label(&self) -> String {
        self.entries.iter().map(ScopedRule::to_string).collect::<Vec<_>>().join("; ")
    }

    /// The label with nothing in it that a file name should not have.
    pub fn slug(&self) -> String {
        slug(&self.label())
    }

    /// The rule that decides each layer, by its place: the last one that selects it.
    pub(super) fn owners(&self, layers: &[Layer]) -> Vec<Option<usize>> {
        let owner =
            |layer: &Layer| self.entries.iter().rposition(|entry| entry.select.matches(layer));
        layers.iter().map(owner).collect()
    }

    /// Refuses a rule that owns none of the layers: it is a mistake, and nothing else would show it.
    pub(super) fn check_owners(
        &self,
        layers: &[Layer],
        owners: &[Option<usize>],
    ) -> Result<(), RuleError> {
        let is_idle = |place: &usize| !owners.contains(&Some(*place));
        let idle = (0..self.entries.len()).find(is_idle).filter(|_| !layers.is_empty());
        idle.map_or(Ok(()), |place| Err(self.idle(place, layers)))
    }

    fn idle(&self, place: usize, layers: &[Layer]) -> RuleError {
        let entry = &self.entries[place];
        let selected: Vec<_> = layers.iter().filter(|layer| entry.select.matches(layer)).collect();
        let why = if selected.is_empty() {
            let available = names(layers);
            format!("{} holds for none of {available}; change its select", entry.select)
        } else {
            let taken = names(selected);
            format!("later rules decide {taken}; put it behind them, or change their select")
        };
        RuleError::Idle { number: place + 1, rule: entry.rule.label(), why }
    }
}

fn names<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> String {
    layers.into_iter().map(Layer::name).collect::<Vec<_>>().join(", ")
}

/// What either asks for. Every field is named, so that a new one cannot be forgotten.
fn union(one: Needs, other: Needs) -> Needs {
    Needs {
        race: one.race || other.race,
        slope: one.slope || other.slope,
        metric: one.metric || other.metric,
        gradients: one.gradients || other.gradients,
    }
}

impl From<Rule> for Rules {
    fn from(rule: Rule) -> Self {
        Self::from_iter([ScopedRule { select: Select::default(), rule }])
    }
}

impl FromIterator<ScopedRule> for Rules {
    fn from_iter<T: IntoIterator<Item = ScopedRule>>(entries: T) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

impl fmt::Display for ScopedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule.label())?;
        if self.select == Select::default() { Ok(()) } else { write!(f, " for {}", self.select) }
    }
}
