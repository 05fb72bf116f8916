//! What a recipe's loop remembers to tell its rules.

use osn::Signals;

use super::Metrics;

/// Losses and scores since a rule last decided.
#[derive(Clone, Debug, Default)]
pub struct Told {
    losses: Vec<(&'static str, f64)>,
    /// Scores that no rule has been told of yet.
    scores: Metrics,
}

impl Told {
    /// Remembers the losses of a step, in place of those before.
    pub fn losses(&mut self, losses: &[(&'static str, f64)]) {
        self.losses = losses.to_vec();
    }

    /// Remembers scores until they are told.
    pub fn scores(&mut self, scores: &Metrics) {
        self.scores.clone_from(scores);
    }

    /// The last losses, and each score once: to be called when a rule decides next.
    pub fn signals(&mut self) -> Signals {
        let told = self.losses.iter();
        let signals = told.fold(Signals::new(), |told, (name, value)| told.loss(*name, *value));
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
        let both = Signals::new().loss("loss", 2.0).metric("accuracy", 0.5);
        assert_eq!(told.signals(), both);
        assert_eq!(told.signals(), Signals::new().loss("loss", 2.0));
    }
}
