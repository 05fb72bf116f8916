//! Decides, for each layer, what should be done to it: a pure function of measurements, signals and
//! the decider's own state.
//!
//! | here | |
//! |---|---|
//! | [`DecisionRule`] | what a rule is: the trait that the rules of this crate and your own implement |
//! | [`Rule`] | one rule: as a value, as text, in files |
//! | [`Rules`] | several rules, each for some of the layers |
//! | [`Decider`] | rules at work on the layers of a model |
//! | [`Evidence`] | the number by which a rule decides about a layer |
//! | [`Signals`], [`Needs`] | what the training loop reports about the model as a whole, and what rules need of it |
//!
//! Of the folders, `rules` has one rule a file, and `control` what several rules share.

mod checks;
mod control;
pub(crate) mod decider;
mod decision_rule;
mod doc;
mod erased;
mod error;
mod evidence;
#[cfg(feature = "rules-file")]
mod file;
mod named_rule;
mod rule;
pub mod rules;
mod scoped_rules;
mod signals;
mod state;
mod text;

pub use self::control::target_action::TargetAction;
pub use self::decider::Decider;
pub use self::decision_rule::{Context, Decision, DecisionRule};
pub use self::doc::{ParameterDoc, RuleDoc};
pub use self::erased::CustomRule;
pub use self::error::RuleError;
pub use self::evidence::Evidence;
#[cfg(feature = "rules-file")]
pub use self::file::{RulesFileError, RulesFileProblem};
pub use self::rule::{Rule, slug};
pub use self::scoped_rules::{Rules, ScopedRule};
pub use self::signals::{Adversarial, Generalization, Needs, Signals};
pub use self::state::{DeciderMismatch, DeciderState};
