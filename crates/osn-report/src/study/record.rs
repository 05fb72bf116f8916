//! A study as it is shown: with what its numbers say, and with pictures.

use serde_json::json;

use super::analysis::Analysis;
use super::study_file::Study;
use super::study_run::Completion;
use super::verdict::Verdict;
use crate::text::counted;

/// A study with all that its page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyRecord {
    /// What was asked, and what came of it.
    pub study: Study,
    /// What the numbers say.
    pub analysis: Analysis,
    /// Which arm is best, and how sure that is.
    pub verdict: Verdict,
    /// Pictures of samples, each of one run.
    pub grids: Vec<Grid>,
}

/// The last samples of one run, in one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The run's arm.
    pub arm: String,
    /// Its regime.
    pub regime: String,
    /// Its seed.
    pub seed: u64,
    /// The picture, a PNG file.
    pub png: Vec<u8>,
}

impl StudyRecord {
    /// Works out what the numbers of a study say.
    pub fn new(study: Study, grids: Vec<Grid>) -> Self {
        let analysis = Analysis::of(&study);
        let verdict = Verdict::of(&study, &analysis);
        Self { study, analysis, verdict, grids }
    }

    /// What the study is, in a few words.
    pub fn title(&self) -> String {
        let asked = &self.study.asked;
        let parts = [
            counted(asked.arms.len(), "arm"),
            counted(asked.regimes.len(), "regime"),
            counted(asked.seeds.len(), "seed"),
        ];
        format!("{}: {}", asked.recipe, parts.join(", "))
    }

    /// How many runs are that far.
    pub(crate) fn n_runs(&self, status: Completion) -> usize {
        self.study.runs.iter().filter(|run| run.status == status).count()
    }
}

impl Study {
    /// The text of `study.json`, with what the numbers say where that is known.
    pub fn to_json(&self, analysis: Option<&Analysis>) -> String {
        let mut tree = json!(self);
        tree["analysis"] = json!(analysis);
        format!("{tree:#}\n")
    }
}
