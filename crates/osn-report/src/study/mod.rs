//! Many runs side by side: which arm does best, and how sure that is.
//!
//! An *arm* is a rule that decides, a *regime* a named set of settings. Every arm runs in every
//! regime with the same seeds. [`Study`] is what was asked and what came of it, [`Analysis`] what the
//! numbers say, [`verdict`] the same for a person.

mod analysis;
mod record;
mod scores;
pub mod statistics;
mod study_file;
mod verdict;

pub use analysis::{
    Analysis, ArmInRegime, ArmOverall, Comparison, MeasureAnalysis, Outcome, Overall,
    RegimeAnalysis,
};
pub use record::{Grid, StudyRecord};
pub use scores::Measure;
pub use statistics::{Direction, Interval};
pub use study_file::{
    Arm, Asked, Identity, Regime, RegimeIdentity, RunStatus, SCHEMA, Study, StudyError, StudyRun,
};
pub use verdict::verdict;
pub(crate) use verdict::{Sentence, hundredths, p_value, shown};
