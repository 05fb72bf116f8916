//! How a rule applies its target.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::text::variants_as_parameters;

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

impl TargetAction {
    /// What the parameter `action` means, in the rules that have it.
    pub(crate) const MEANING: &str = "how the target is applied: normalize or cap";

    /// The action with a target.
    pub fn with_target(self, target: f64) -> Action {
        match self {
            TargetAction::Normalize => Action::Normalize { target },
            TargetAction::Cap => Action::Cap { target, sharpness: f64::INFINITY },
        }
    }
}

variants_as_parameters! {
    TargetAction = "normalize or cap";
}

impl fmt::Display for TargetAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TargetAction::Normalize => "normalize",
            TargetAction::Cap => "cap",
        })
    }
}
