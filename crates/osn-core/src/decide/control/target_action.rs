//! How a rule applies its target.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::text::plain_parameters;

/// How a target is applied to a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetAction {
    /// The layer is scaled up or down to the target.
    #[default]
    Normalize,
    /// The layer is scaled down to the target where it is larger, by a hard cap, and never up.
    Cap,
}

/// A word that names no way to apply a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no way to apply a target: expected {}", TargetAction::EXPECTED)]
pub struct UnknownTargetAction {
    /// The word.
    pub name: String,
}

impl TargetAction {
    /// What the parameter `action` means, in the rules that have it.
    pub(crate) const MEANING: &str = "how the target is applied: normalize or cap";

    const EXPECTED: &'static str = "normalize or cap";

    /// The action with a target.
    pub fn with_target(self, target: f64) -> Action {
        match self {
            TargetAction::Normalize => Action::Normalize { target },
            TargetAction::Cap => Action::Cap { target, sharpness: f64::INFINITY },
        }
    }

    /// The action's name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            TargetAction::Normalize => "normalize",
            TargetAction::Cap => "cap",
        }
    }
}

plain_parameters! {
    TargetAction = TargetAction::EXPECTED;
}

impl fmt::Display for TargetAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TargetAction {
    type Err = UnknownTargetAction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "normalize" => Ok(TargetAction::Normalize),
            "cap" => Ok(TargetAction::Cap),
            name => Err(UnknownTargetAction { name: name.to_owned() }),
        }
    }
}
