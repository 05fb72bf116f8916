//! Failures of runs.

use osn_recipes::run::error::RunError;

use crate::failure::{BAD_INPUT, FAILED, Failure};

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit_code = match error {
            RunError::Workers { exit_code, .. } => exit_code,
            _ if error.is_bad_input() => BAD_INPUT,
            _ => FAILED,
        };
        Self::failed(error).of_all(exit_code)
    }
}

impl Failure {
    /// The failure of a run, with a hint; `is_constrained` is whether its rule constrains weights at every
    /// step.
    pub(crate) fn of_run(error: RunError, is_constrained: bool) -> Self {
        let hint = hint(&error, is_constrained);
        let failure = Self::from(error);
        match hint {
            Some(hint) => failure.and(hint),
            None => failure,
        }
    }
}

/// What may help a run that diverged, beyond what its rule does already.
fn hint(error: &RunError, is_constrained: bool) -> Option<&'static str> {
    match (error, is_constrained) {
        (RunError::NonFinite { .. } | RunError::Score { .. }, true) => {
            Some("lower the learning rate")
        }
        (RunError::NonFinite { .. } | RunError::Score { .. }, false) => {
            Some("lower the learning rate, or constrain the weights with --decide always")
        }
        (RunError::Saturated { .. }, true) => {
            Some("lower the learning rate, or train on with --set saturated_after=null")
        }
        (RunError::Saturated { .. }, false) => Some(
            "lower the learning rate, constrain the weights with --decide always, or train on with \
             --set saturated_after=null",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_run_is_advised_to_do_what_it_does_already() {
        let is_advised = |error, is_constrained| {
            hint(&error, is_constrained).is_some_and(|it| it.contains("--decide always"))
        };
        let saturated = || RunError::Saturated { below: 0.1, since: 1, step: 2 };
        assert_eq!([true, false].map(|it| is_advised(saturated(), it)), [false, true]);
    }
}
