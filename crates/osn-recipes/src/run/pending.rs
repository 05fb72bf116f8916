//! Signals collected since the last decision.

use osn::rules::{Generalization, Signals};
use osn_core::decide::{Needs, Rules};
use osn_runs::metrics::Metrics;
use serde::{Deserialize, Serialize};

use crate::decide::Decide;
use crate::run::error::RunError;

/// A rule needs data that there are not.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{rule}` needs {what}, and of fewer than twenty training images none is held out for that; add \
     images or take another rule"
)]
struct NoneHeldOut {
    rule: String,
    what: &'static str,
}

/// Refuses rules that need held-out data, where there is none.
///
/// # Errors
///
/// [`RunError::Data`], with the rule.
pub(crate) fn must_be_held_out(
    data: &str,
    held_out: &[usize],
    decide: &Decide,
) -> Result<(), RunError> {
    let without = Needs {
        metric: false,
        held_out: false,
        growth: false,
        generalization: false,
        ..Needs::ALL
    };
    let unmet = |rules: &Rules| {
        let (rule, what) = rules.unmet_need(without)?;
        Some(NoneHeldOut { rule: rule.label(), what })
    };
    match unmet(&decide.rules).filter(|_| held_out.is_empty()) {
        None => Ok(()),
        Some(none) => Err(RunError::data(data, none)),
    }
}

/// Scores, and training and held-out loss, since a rule last decided.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PendingSignals {
    /// Scores that no rule has seen yet.
    scores: Metrics,
    generalization: Option<Generalization>,
}

impl PendingSignals {
    /// Stores scores until the next decision.
    pub fn scores(&mut self, scores: &Metrics) {
        self.scores.clone_from(scores);
    }

    /// Stores training and held-out loss until the next decision.
    pub fn generalization(&mut self, generalization: Option<Generalization>) {
        self.generalization = generalization;
    }

    /// The signals for a decision; each is given only once.
    pub fn signals(&mut self) -> Signals {
        let signals = match self.generalization.take() {
            None => Signals::new(),
            Some(generalization) => Signals::new().generalization(generalization),
        };
        let scores = std::mem::take(&mut self.scores).into_iter();
        scores.fold(signals, |pending, (name, value)| pending.metric(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_is_given_once() {
        let mut pending = PendingSignals::default();
        pending.scores(&Metrics::from([("accuracy".to_owned(), 0.5)]));
        let generalization = Generalization { train_loss: 1.0, held_out_loss: 1.5 };
        pending.generalization(Some(generalization));
        let all = Signals::new().metric("accuracy", 0.5);
        assert_eq!(pending.signals(), all.generalization(generalization));
        assert_eq!(pending.signals(), Signals::new());
    }
}
