//! The calls besides `step` that a rule may need: one that needs a call which there never was is a mistake.

use osn_core::act::{Action, AppliedAction};
use osn_core::decide::{Decider, Rule};

use crate::error::StepError;

/// Which calls there were since the attachment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) observe: bool,
    pub(crate) observe_held_out: bool,
    /// Also where the factors were asked for, to be applied elsewhere.
    pub(crate) optimize: bool,
}

impl Calls {
    /// Refuses a step at which a rule decides on gradients that were never observed.
    ///
    /// A single call is enough, however long ago: a rule says itself what it does without news. [`Rule::Observe`]
    /// asks for everything and makes do with what comes.
    pub(crate) fn check_observed(self, decider: &Decider, step: u64) -> Result<(), StepError> {
        let due = decider.due(step).filter(|(rule, _)| !matches!(rule, Rule::Observe(_)));
        for (rule, needs) in due {
            let missing = [
                (needs.gradients && !self.observe, "observe"),
                (needs.any_held_out() && !self.observe_held_out, "observe_held_out"),
            ];
            if let Some((_, call)) = missing.into_iter().find(|(is_missing, _)| *is_missing) {
                return Err(StepError::NotObserved { rule: rule.label(), call });
            }
        }
        Ok(())
    }

    /// Refuses a step at which an action on the update is in force and nothing ever asked for its factor.
    pub(crate) fn check_optimized<'a>(
        self,
        applied: impl Iterator<Item = (&'a str, AppliedAction)>,
    ) -> Result<(), StepError> {
        let on_update = |action: &Action| {
            matches!(action, Action::ScaleUpdate { .. } | Action::CapUpdate { .. })
        };
        let mut idle =
            applied.filter(|(_, applied)| applied.blend > 0.0 && on_update(&applied.action));
        match idle.next() {
            Some((path, applied)) if !self.optimize => {
                Err(Self::not_optimized(path, applied.action.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The error of a weight whose update is to be scaled, and is not.
    pub(crate) fn not_optimized(path: &str, action: String) -> StepError {
        StepError::NotOptimized { path: path.to_owned(), action }
    }
}
