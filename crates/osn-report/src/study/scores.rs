//! From runs to scores that can be compared, the failed ones included.

use std::collections::BTreeMap;

use serde::Serialize;

use super::statistics::Direction;
use super::study_file::Study;
use super::study_run::{Completion, StudyRun};

/// Which number of a run is its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The score at the last step; the best step is never picked.
    Final,
    /// The area under the curve of the score over its width, by the trapezoidal rule from the first scoring
    /// to the last: the mean over the run. All scorings are of one sample size.
    Area,
}

impl Measure {
    pub(crate) fn of(self, run: &StudyRun, metric: &str) -> Option<f64> {
        let score = match self {
            Self::Final => run.metrics.get(metric).copied().flatten(),
            Self::Area => run.area,
        };
        score.filter(|_| run.status == Completion::Finished)
    }
}

/// The scores of every arm in one regime, over the seeds that every arm has run.
pub(super) struct RegimeScores {
    pub(super) regime: String,
    pub(super) seeds: Vec<u64>,
    /// One list for each arm, one score for each seed.
    pub(super) scores: Vec<Vec<f64>>,
    /// Failed runs of each arm.
    pub(super) n_failed: Vec<usize>,
    /// The worst finished score.
    worst: f64,
    /// How far a failed run is behind the worst finished one, which is as far as that is behind the
    /// best; where all finished ones are the same, as far as that is from 0, or 1.
    gap: f64,
}

/// The scores of a study, regime by regime; regimes without a whole seed are left out.
pub(super) fn by_regime(study: &Study, measure: Measure) -> Vec<RegimeScores> {
    let runs: BTreeMap<_, _> = study.runs.iter().map(|run| (run.key(), run)).collect();
    let regimes = study.asked.regimes.iter().map(|regime| {
        let seeds = whole_seeds(study, &runs, &regime.name);
        let of_arm = |arm: &str| -> Vec<Option<f64>> {
            let run = |seed: &u64| runs.get(&(arm, regime.name.as_str(), *seed));
            let score = |run: &&StudyRun| measure.of(run, &study.asked.metric);
            seeds.iter().map(|seed| run(seed).and_then(score)).collect()
        };
        let raw = study.asked.arms.iter().map(|arm| of_arm(&arm.name)).collect();
        let direction = Direction::of(study.asked.higher_is_better);
        RegimeScores::new(regime.name.clone(), seeds, raw, direction)
    });
    regimes.filter(|regime| !regime.seeds.is_empty()).collect()
}

/// Seeds that every arm has run to an end, so that scores stay paired while runs are missing.
fn whole_seeds(
    study: &Study,
    runs: &BTreeMap<(&str, &str, u64), &StudyRun>,
    regime: &str,
) -> Vec<u64> {
    let has_ended = |arm: &str, seed: u64| {
        runs.get(&(arm, regime, seed)).is_some_and(|run| run.status != Completion::Missing)
    };
    let is_whole = |seed: &u64| study.asked.arms.iter().all(|arm| has_ended(&arm.name, *seed));
    study.asked.seeds.iter().copied().filter(is_whole).collect()
}

impl RegimeScores {
    fn new(
        regime: String,
        seeds: Vec<u64>,
        raw: Vec<Vec<Option<f64>>>,
        direction: Direction,
    ) -> Self {
        let gains: Vec<f64> =
            raw.iter().flatten().flatten().map(|&score| direction.gain(score)).collect();
        let lowest = gains.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let spread = gains.iter().copied().fold(lowest, f64::max) - lowest;
        let alone = if lowest == 0.0 { 1.0 } else { lowest.abs() };
        let gap = if spread > 0.0 { spread } else { alone };
        let failed = direction.gain(lowest - gap);
        let n_failed =
            raw.iter().map(|arm| arm.iter().filter(|score| score.is_none()).count()).collect();
        let filled =
            |arm: Vec<Option<f64>>| arm.into_iter().map(|score| score.unwrap_or(failed)).collect();
        let scores = raw.into_iter().map(filled).collect();
        Self { regime, seeds, scores, n_failed, worst: direction.gain(lowest), gap }
    }

    /// The scores as `(score − worst) / gap` in gains: 1 for the best run of the regime, 0 for the worst
    /// finished one and −1 for a failed one, so that regimes can be put together. More is better.
    pub(super) fn normalised(&self, direction: Direction) -> Vec<Vec<f64>> {
        let normalise =
            |score: &f64| (direction.gain(*score) - direction.gain(self.worst)) / self.gap;
        self.scores.iter().map(|arm| arm.iter().map(normalise).collect()).collect()
    }

    /// Whether an arm has a run that finished.
    pub(super) fn has_finished(&self, arm: usize) -> bool {
        self.n_failed[arm] < self.seeds.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regime(raw: &[&[Option<f64>]], direction: Direction) -> RegimeScores {
        let raw: Vec<Vec<_>> = raw.iter().map(|arm| arm.to_vec()).collect();
        RegimeScores::new("r".into(), (0..raw[0].len() as u64).collect(), raw, direction)
    }

    #[test]
    fn a_failed_run_is_as_far_behind_the_worst_as_that_is_behind_the_best() {
        let raw: [&[_]; 2] = [&[Some(10.0), None], &[Some(4.0), Some(7.0)]];
        let up = regime(&raw, Direction::HigherIsBetter);
        assert_eq!(up.scores, [[10.0, -2.0], [4.0, 7.0]]);
        assert_eq!(up.n_failed, [1, 0]);
        assert_eq!(up.normalised(Direction::HigherIsBetter), [[1.0, -1.0], [0.0, 0.5]]);
        let down = regime(&raw, Direction::LowerIsBetter);
        assert_eq!(down.scores, [[10.0, 16.0], [4.0, 7.0]]);
        assert_eq!(down.normalised(Direction::LowerIsBetter), [[0.0, -1.0], [1.0, 0.5]]);
    }

    #[test]
    fn a_failed_run_is_worse_also_where_nothing_spreads_or_nothing_finished() {
        for (score, failed) in [(Some(8.0), 0.0), (Some(-8.0), -16.0), (Some(0.0), -1.0)] {
            let same = regime(&[&[score], &[None]], Direction::HigherIsBetter);
            assert_eq!(same.scores[1], [failed]);
        }
        let none = regime(&[&[None], &[None]], Direction::LowerIsBetter);
        assert_eq!(none.scores[0], none.scores[1]);
        assert!(!none.has_finished(0));
    }
}
