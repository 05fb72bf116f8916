//! When a discriminator has won: its loss is so small that hardly a gradient is left.

use serde::{Deserialize, Serialize};

use crate::run::error::RunError;

/// Below this share of the loss of a discriminator with zero logits, one has won.
const WON: f64 = 0.01;

/// How long a discriminator has been winning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saturation {
    /// The first of the logged steps in a row at which it had won.
    since: Option<u64>,
    /// At how many logged steps it had won.
    count: u64,
}

impl Saturation {
    /// At how many logged steps the discriminator had won so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The error that ends the run when the discriminator's loss has been below a hundredth of `blind`,
    /// the loss of one with zero logits, for `longest` steps, where there is such a limit.
    pub(crate) fn see(
        &mut self,
        step: u64,
        loss: f64,
        blind: f64,
        longest: Option<u64>,
    ) -> Option<RunError> {
        let has_won = loss < WON * blind;
        if !has_won {
            self.since = None;
            return None;
        }
        self.count += 1;
        let since = *self.since.get_or_insert(step);
        let is_over = longest.is_some_and(|longest| step - since >= longest);
        is_over.then_some(RunError::Saturated { below: WON * blind, since, step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_row_of_small_losses_ends_a_run() {
        let mut saturation = Saturation::default();
        let mut ends = |step, loss| saturation.see(step, loss, 2.0, Some(20)).is_some();
        assert!(!ends(10, 0.0) && !ends(20, 0.019) && !ends(30, 0.02));
        assert!(!ends(40, 0.0) && !ends(50, 0.01), "the third loss was not small");
        assert!(ends(60, 0.0));
        assert_eq!(saturation.count(), 5, "steps at which it had won");
    }

    #[test]
    fn what_is_not_a_number_is_no_victory() {
        let mut saturation = Saturation::default();
        assert!(saturation.see(1, 0.0, 2.0, None).is_none());
        assert!(saturation.see(20, f64::NAN, 2.0, Some(9)).is_none());
    }
}
