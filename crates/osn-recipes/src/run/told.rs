//! What a recipe's loop remembers to tell its rules.

use osn::rules::{Generalization, Signals};
use osn_core::{Needs, Rules};
use serde::{Deserialize, Serialize};

use super::{Metrics, RunError};
use crate::decide::Decide;

/// A rule looks at what is not there.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{rule}` looks at {what}, and of fewer than twenty training images none is held out for that; add \
     images or take another rule"
)]
struct NoneHeldOut {
    rule: String,
    what: &'static str,
}

/// Refuses rules that look at data which only they see, where there is none.
///
/// # Errors
///
/// [`RunError::Data`], with the rule.
pub fn must_be_held_out(data: &str, held_out: &[usize], decide: &Decide) -> Result<(), RunError> {
    let without = Needs { metric: false, held_out: false, generalization: false, ..Needs::ALL };
    let unmet = |rules: &Rules| {
        let (rule, what) = rules.unmet_need(without)?;
        Some(NoneHeldOut { rule: rule.label(), what })
    };
    match unmet(&decide.rules).filter(|_| held_out.is_empty()) {
        None => Ok(()),
        Some(none) => Err(RunError::Data { name: data.to_owned(), source: Box::new(none) }),
    }
}

/// Losses and scores since a rule last decided.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Told {
    losses: Vec<(String, f64)>,
    /// Scores that no rule has been told of yet.
    scores: Metrics,
    generalization: Option<Generalization>,
}

impl Told {
    /// Remembers the losses of a step, in place of those before.
    pub fn losses(&mut self, losses: &[(&'static str, f64)]) {
        self.losses = losses.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    }

    /// Remembers scores until they are told.
    pub fn scores(&mut self, scores: &Metrics) {
        self.scores.clone_from(scores);
    }

    /// Remembers losses on two kinds of data until they are told.
    pub fn generalization(&mut self, generalization: Option<Generalization>) {
        self.generalization = generalization;
    }

    /// The last losses, and everything else once: to be called when a rule decides next.
    pub fn signals(&mut self) -> Signals {
        let told = self.losses.iter();
        let signals =
            told.fold(Signals::new(), |told, (name, value)| told.loss(name.as_str(), *value));
        let signals = match self.generalization.take() {
            None => signals,
            Some(generalization) => signals.generalization(generalization),
        };
        let scores = std::mem::take(&mut self.scores).into_iter();
        scores.fold(signals, |told, (name, value)| told.metric(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_told_once_and_a_loss_until_the_next() {
        let mut told = Told::default();
        told.losses(&[("loss", 2.0)]);
        told.scores(&Metrics::from([("accuracy".to_owned(), 0.5)]));
        let generalization = Generalization { train_loss: 1.0, held_out_loss: 1.5 };
        told.generalization(Some(generalization));
        let all = Signals::new().loss("loss", 2.0).metric("accuracy", 0.5);
        assert_eq!(told.signals(), all.generalization(generalization));
        assert_eq!(told.signals(), Signals::new().loss("loss", 2.0));
    }
}
