//! Many runs side by side: which arm is best, and how sure that is.
//!
//! An *arm* is what is compared: a rule, or a file of rules. A *regime* is a named set of settings. Every
//! arm runs in every regime with the same *seeds*, which are the source of everything random.
//! [`Study`] is what was asked and what came of it, [`Analysis`] what the numbers say, [`Verdict`] which
//! arm is best in one sentence, and [`tables`] all of it for a terminal.

pub(crate) mod analysis;
pub(crate) mod record;
pub(crate) mod scores;
pub mod statistics;
pub(crate) mod study_file;
pub(crate) mod study_run;
pub(crate) mod tables;
pub(crate) mod verdict;

pub use analysis::{
    Analysis, ArmInRegime, ArmOverall, Comparison, MeasureAnalysis, Outcome, Overall,
    RegimeAnalysis,
};
pub use record::{Grid, StudyRecord};
pub use scores::Measure;
pub use statistics::{ConfidenceInterval, Direction, Wins};
pub use study_file::{Arm, Asked, Identity, Regime, RegimeIdentity, SCHEMA, Study, StudyError};
pub use study_run::{Completion, StudyRun};
pub use tables::{Block, EXPLANATION, tables};
pub use verdict::{Finding, Leader, Verdict};
