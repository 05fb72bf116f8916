//! Many runs side by side: which arm is best, and how sure that is.
//!
//! An *arm* is what is compared: a rule, or a file of rules. A *regime* is a named set of settings. Every
//! arm runs in every regime with the same *seeds*, which are the source of everything random.
//! [`Study`] is what was asked and what came of it, [`Analysis`] what the numbers say, [`Verdict`] which
//! arm is best in one sentence, and [`tables`] all of it for a terminal.

mod analysis;
mod record;
mod scores;
pub mod statistics;
mod study_file;
mod text;
mod verdict;

pub use analysis::{
    Analysis, ArmInRegime, ArmOverall, Comparison, MeasureAnalysis, Outcome, Overall,
    RegimeAnalysis,
};
pub use record::{Grid, StudyRecord};
pub use scores::Measure;
pub use statistics::{Direction, Interval, Wins};
pub use study_file::{
    Arm, Asked, Identity, Regime, RegimeIdentity, RunStatus, SCHEMA, Study, StudyError, StudyRun,
};
pub use text::{Block, EXPLANATION, tables};
pub(crate) use text::{Sentence, hundredths, p_value, shown};
pub(crate) use verdict::Part;
pub use verdict::{Finding, Leader, Verdict};
