//! A learning rate that changes once within a run.

/// The settings `change_at` and `change_factor`: from which step on the learning rate is multiplied, and by what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateChange {
    pub(crate) at: Option<u64>,
    pub(crate) factor: f64,
}

impl RateChange {
    /// The factor on the learning rate of a step, counted from 1.
    pub(crate) fn factor_at(self, step: u64) -> f64 {
        if self.at.is_some_and(|at| step >= at) { self.factor } else { 1.0 }
    }

    /// Which of the two settings changes nothing beside the other, as
    /// [`Config::idle`](crate::run::config::Config::idle) has it.
    pub(crate) fn idle(self) -> Option<(&'static str, String)> {
        match self.at {
            None => Some(("change_factor", "change_at is null".to_owned())),
            Some(_) if self.factor == 1.0 => {
                Some(("change_at", "with change_factor=1 the rate goes on".to_owned()))
            }
            Some(_) => None,
        }
    }
}
