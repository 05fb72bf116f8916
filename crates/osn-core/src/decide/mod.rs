//! Decides, for each layer, what should be done to it: a pure function of measurements, signals and
//! the decider's own state.

mod control;
mod decider;
mod decision_rule;
mod erased;
mod file;
mod rule;
mod rules;
mod scoped;
mod signals;
mod state;
mod text;

use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use self::decider::tests;
pub use self::{
    control::target_action::{TargetAction, UnknownTargetAction},
    decider::Decider,
    decision_rule::{Context, DecisionRule},
    erased::CustomRule,
    file::{RulesFileError, RulesFileProblem},
    rule::{ParameterDoc, Rule, RuleDoc, RuleError, slug},
    rules::{
        always::Always,
        auto::{Auto, Task},
        budget::{Budget, BudgetWeights},
        cap::Cap,
        learned::Learned,
        lr_over_sigma::{LrOverMaxSigma, LrOverSigma},
        never::Never,
        observe::Observe,
        plateau::Plateau,
        random::Random,
        schedule::Schedule,
        r#static::Static,
    },
    scoped::{Rules, ScopedRule},
    signals::{Adversarial, Generalization, Needs, Signals},
    state::{DeciderMismatch, DeciderState},
};
use crate::Action;

/// What a layer should come to, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is wanted; an [`Actuator`](crate::Actuator) moves there without a jump.
    pub action: Action,
    /// Why, in words and numbers.
    pub reason: String,
}
