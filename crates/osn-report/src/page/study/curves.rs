//! The score over the steps: each seed, and the median of each arm.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use osn_core::number::median;

use crate::curves::{Curves, Drawing, Line};
use crate::page::chart::{Chart, MAX_POINTS};
use crate::page::score::Score;
use crate::study::{Direction, RunStatus, Study, StudyRecord, StudyRun};

/// Points of all curves of a study together, so that many runs make no heavy page.
const MAX_POINTS_OF_A_STUDY: usize = 120_000;
const MIN_POINTS: usize = 20;

/// One chart for each regime.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let study = &record.study;
    let n_points = (MAX_POINTS_OF_A_STUDY / study.runs.len().max(1)).clamp(MIN_POINTS, MAX_POINTS);
    let regimes = study.asked.regimes.iter();
    let charts: Vec<_> =
        regimes.filter_map(|regime| chart(study, &regime.name, n_points)).collect();
    html! {
        @if !charts.is_empty() {
            p.note {
                "A wide line is the median over an arm's seeds and each thin one a seed. A failed run counts as "
                "worse than every other from its end on, so the median has an end where half of the runs have "
                "failed."
            }
            p.note.drawn hidden {
                "A click on an arm's name below a chart hides it in all of them, and one with Ctrl hides all "
                "others; by keyboard, Tab goes to the names, arrow keys along them, and Enter hides. Drag over a "
                "chart to zoom, double-click to see all. In a chart the arrow keys read values, + and − zoom, "
                "0 shows all."
            }
            div.grid.wide { @for chart in &charts { (chart.figure()) } }
        }
    }
}

/// `None` where no run has a curve of more than one point.
fn chart(study: &Study, regime: &str, n_points: usize) -> Option<Chart> {
    let arms: Vec<Vec<&StudyRun>> =
        study.asked.arms.iter().map(|arm| runs(study, &arm.name, regime)).collect();
    let steps = steps(&arms);
    let last_step = *steps.last().filter(|_| steps.len() > 1)?;
    let direction = Direction::of(study.asked.higher_is_better);
    let drawing = curves(&arms, &steps, direction).drawing(n_points);
    let by_name: BTreeMap<&str, &Line> =
        drawing.lines.iter().map(|line| (line.name.as_str(), line)).collect();
    let line = |key: &str, name: &str| {
        let none = || vec![None; drawing.steps.len()];
        let values = by_name.get(key).map_or_else(none, |line| line.values.clone());
        Line { name: name.to_owned(), values, n_not_finite: 0 }
    };
    let names = study.asked.arms.iter().map(|arm| arm.name.as_str()).enumerate();
    let medians = names.map(|(arm, name)| line(&median_key(arm), name)).collect();
    let threads = |(arm, runs): (usize, &Vec<&StudyRun>)| {
        (0..runs.len()).map(|run| line(&run_key(arm, run), "")).collect()
    };
    Some(Chart {
        title: format!("{} in {regime}", Score::of(&study.asked.metric).label),
        threads: arms.iter().enumerate().map(threads).collect(),
        drawing: Drawing { steps: drawing.steps.clone(), lines: medians, ..drawing },
        last_step,
        is_linked: true,
        ..Chart::default()
    })
}

fn runs<'a>(study: &'a Study, arm: &str, regime: &str) -> Vec<&'a StudyRun> {
    let runs = study.runs.iter().filter(|run| run.arm == arm && run.regime == regime);
    runs.filter(|run| run.status != RunStatus::Missing).collect()
}

fn steps(arms: &[Vec<&StudyRun>]) -> Vec<u64> {
    let points = arms.iter().flatten().flat_map(|run| &run.curve);
    points.map(|point| point.0).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The medians and the runs as curves of one record, so that they are thinned alike.
fn curves(arms: &[Vec<&StudyRun>], steps: &[u64], direction: Direction) -> Curves {
    let mut curves = Curves::default();
    for &step in steps {
        let mut row = Vec::new();
        for (arm, runs) in arms.iter().enumerate() {
            let gains: Vec<_> =
                runs.iter().filter_map(|run| gain_at(run, step, direction)).collect();
            let median =
                median(&gains).map(|gain| (median_key(arm), direction.score(finite(gain))));
            let points = runs
                .iter()
                .enumerate()
                .filter_map(|(run, it)| Some((run_key(arm, run), point_at(it, step)?)));
            row.extend(median.into_iter().chain(points));
        }
        curves.push(step, row.iter().map(|(name, value)| (name.as_str(), *value)));
    }
    curves
}

fn median_key(arm: usize) -> String {
    arm.to_string()
}

fn run_key(arm: usize, run: usize) -> String {
    format!("{arm}/{run}")
}

/// The value at a step where one was logged; NaN for one that was not finite.
fn point_at(run: &StudyRun, step: u64) -> Option<f64> {
    let index = run.curve.binary_search_by_key(&step, |point| point.0).ok()?;
    Some(run.curve[index].1.unwrap_or(f64::NAN))
}

/// What a run counts as at a step; a failed one from its end on as worse than every other.
fn gain_at(run: &StudyRun, step: u64, direction: Direction) -> Option<f64> {
    let has_ended = run.curve.last().is_none_or(|point| point.0 < step);
    match point_at(run, step) {
        Some(value) if value.is_nan() => Some(f64::NEG_INFINITY),
        Some(value) => Some(direction.gain(value)),
        None => (has_ended && run.status == RunStatus::Failed).then_some(f64::NEG_INFINITY),
    }
}

/// A number that a curve can show; NaN is a gap.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(status: RunStatus, curve: &[(u64, Option<f64>)]) -> StudyRun {
        StudyRun { status, curve: curve.to_vec(), ..StudyRun::missing("a", "r", 1) }
    }

    fn medians(runs: &[StudyRun], direction: Direction) -> Vec<Option<f64>> {
        let arms = [runs.iter().collect()];
        let steps = steps(&arms);
        let drawing = curves(&arms, &steps, direction).drawing(MAX_POINTS);
        drawing.lines.into_iter().find(|line| line.name == "0").unwrap().values
    }

    #[test]
    fn the_median_is_the_middle_of_the_seeds() {
        let runs = [1.0, 9.0, 4.0]
            .map(|value| run(RunStatus::Finished, &[(1, Some(value)), (2, Some(-value))]));
        assert_eq!(medians(&runs, Direction::HigherIsBetter), [Some(4.0), Some(-4.0)]);
        assert_eq!(medians(&runs[..2], Direction::LowerIsBetter), [Some(5.0), Some(-5.0)]);
    }

    #[test]
    fn a_failed_run_counts_as_the_worst_once_it_has_ended() {
        let curve = |values: [f64; 2]| [(1, Some(values[0])), (2, Some(values[1]))];
        let runs = [
            run(RunStatus::Finished, &curve([1.0, 1.0])),
            run(RunStatus::Finished, &curve([5.0, 5.0])),
            run(RunStatus::Failed, &[(1, Some(9.0))]),
        ];
        assert_eq!(medians(&runs, Direction::HigherIsBetter), [Some(5.0), Some(1.0)]);
        assert_eq!(medians(&runs, Direction::LowerIsBetter), [Some(5.0), Some(5.0)]);
        // Of two runs one has failed: there is no middle.
        let both = medians(&runs[1..], Direction::HigherIsBetter);
        assert!(both[0] == Some(7.0) && both[1].unwrap().is_nan(), "{both:?}");
    }

    #[test]
    fn a_step_that_a_run_did_not_log_is_not_counted() {
        let runs = [
            run(RunStatus::Finished, &[(1, Some(1.0)), (3, Some(1.0))]),
            run(RunStatus::Failed, &[(1, Some(5.0)), (2, Some(7.0)), (3, None)]),
        ];
        let medians = medians(&runs, Direction::HigherIsBetter);
        assert_eq!(medians[..2], [Some(3.0), Some(7.0)]);
        assert!(medians[2].unwrap().is_nan());
    }
}
