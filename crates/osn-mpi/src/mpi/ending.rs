//! How a worker ends: one line, and the exit code that tells a scheduler what to do.

use std::error::Error;
use std::fmt;

use osn::workers::TeamError;

/// Refused: to start it again the same way ends the same.
pub(crate) const REFUSED: u8 = 2;
/// `EX_TEMPFAIL` of `sysexits.h`: start it again.
pub(crate) const AGAIN: u8 = 75;

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Its exit code.
    pub code: u8,
    /// All workers have come to this, so one speaks for all, and each ends by itself; else this one ends all others.
    pub is_common: bool,
}

impl Ending {
    /// All have done their work.
    pub(crate) const WELL: Self = Self { code: 0, is_common: true };

    /// By the first error of the team's among the causes of this one.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        match causes(error).find_map(|cause| cause.downcast_ref::<TeamError>()) {
            Some(error) => {
                Self { code: error.exit_code(), is_common: !matches!(error, TeamError::Workers(_)) }
            }
            None => Self { code: 1, is_common: false },
        }
    }
}

/// An error and what caused it, one after the other.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// An error with its causes, but for those that its own words end with.
pub(crate) fn words(error: &(dyn Error + 'static)) -> String {
    causes(error).skip(1).fold(error.to_string(), |said, cause| {
        let cause = cause.to_string();
        if said.ends_with(&cause) { said } else { format!("{said}: {cause}") }
    })
}

/// Says one line for a worker.
#[expect(clippy::print_stderr, reason = "nobody else is there to say why the process ends")]
pub(crate) fn say(rank: impl fmt::Display, words: &str) {
    eprintln!("error: worker {rank}: {words}");
}

#[cfg(test)]
mod tests {
    use osn::workers::WorkersError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the training ended")]
    struct Around(#[source] TeamError);

    #[test]
    fn an_error_of_the_team_is_found_below_others() {
        let shards = TeamError::NoShard { workers: 3, shards: 2 };
        assert_eq!(Ending::of(&Around(shards)), Ending { code: REFUSED, is_common: true });
        let gone = TeamError::Workers(WorkersError::Gone { worker: 1 });
        assert_eq!(Ending::of(&Around(gone.clone())), Ending { code: AGAIN, is_common: false });
        assert_eq!(Ending::of(&std::fmt::Error), Ending { code: 1, is_common: false });
        assert!(words(&Around(gone)).starts_with("the training ended: worker 1"));
    }
}
