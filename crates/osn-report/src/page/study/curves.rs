//! The score over the steps: each seed, and the median of each arm.

use std::collections::BTreeSet;

use maud::{Markup, html};
use osn_core::number::median;

use crate::page::chart::{Chart, MAX_POINTS};
use crate::page::score::Score;
use crate::series::min_max::{Drawing, DrawnLine, MinMaxSeries};
use crate::study::record::StudyRecord;
use crate::study::statistics::Direction;
use crate::study::study_file::{Arm, Asked, Study};
use crate::study::study_run::{Completion, StudyRun};

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
                "A wide line is the median over an arm's seeds, and each thin one is a seed. From its end on, a "
                "failed run counts as worse than every other, so the median ends where half of the runs have failed."
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
    let has_ended = |run: &&StudyRun| run.status != Completion::Missing;
    let runs_of = |arm: &Arm| study.runs_of(&arm.name, regime).filter(has_ended).collect();
    let arms: Vec<Vec<&StudyRun>> = study.asked.arms.iter().map(runs_of).collect();
    let steps = steps(&arms);
    let last_step = *steps.last().filter(|_| steps.len() > 1)?;
    let direction = Direction::of(study.asked.higher_is_better);
    let Drawing { steps, lines, n_joined } = curves(&arms, &steps, direction).drawing(n_points);
    let mut lines = lines.into_iter();
    let (mut medians, mut threads) = (Vec::new(), Vec::new());
    for (arm, runs) in study.asked.arms.iter().zip(&arms) {
        let median = lines.by_ref().take(1);
        medians.extend(median.map(|line| DrawnLine {
            name: arm.name.clone(),
            n_not_finite: 0,
            ..line
        }));
        threads.push(lines.by_ref().take(runs.len()).collect());
    }
    Some(Chart {
        threads,
        is_linked: true,
        ..Chart::new(
            format!("{} in {regime}", score(&study.asked)),
            Drawing { steps, lines: medians, n_joined },
            last_step,
        )
    })
}

/// The score with its direction, which a study may turn around.
fn score(asked: &Asked) -> String {
    let of_study = Some(!asked.higher_is_better);
    Score { less_is_better: of_study, ..Score::of(&asked.metric) }.label_with_arrow()
}

fn steps(arms: &[Vec<&StudyRun>]) -> Vec<u64> {
    let points = arms.iter().flatten().flat_map(|run| &run.curve);
    points.map(|point| point.0).collect::<BTreeSet<_>>().into_iter().collect()
}

/// As curves of one record, so that they are thinned alike: of each arm the median, then its runs.
fn curves(arms: &[Vec<&StudyRun>], steps: &[u64], direction: Direction) -> MinMaxSeries {
    let n_lines = arms.iter().map(|runs| 1 + runs.len()).sum();
    let names: Vec<String> = (0..n_lines).map(|place: usize| place.to_string()).collect();
    let mut curves = MinMaxSeries::of(names.clone());
    for &step in steps {
        let values = arms.iter().flat_map(|runs| {
            let gains: Vec<_> =
                runs.iter().filter_map(|run| gain_at(run, step, direction)).collect();
            let median = median(&gains).map(|gain| finite(direction.gain(gain)));
            [median].into_iter().chain(runs.iter().map(move |run| point_at(run, step)))
        });
        let row = names.iter().zip(values).filter_map(|(name, value)| Some((&name[..], value?)));
        curves.push(step, row);
    }
    curves
}

/// The value at a step where one was logged; NaN for one that was not finite.
fn point_at(run: &StudyRun, step: u64) -> Option<f64> {
    let index = run.curve.binary_search_by_key(&step, |point| point.0).ok()?;
    Some(run.curve[index].1.unwrap_or(f64::NAN))
}

/// A run's [gain](Direction::gain) at a step; a failed one from its end on as worse than every other.
fn gain_at(run: &StudyRun, step: u64, direction: Direction) -> Option<f64> {
    let has_ended = run.curve.last().is_none_or(|point| point.0 < step);
    match point_at(run, step) {
        Some(value) if value.is_nan() => Some(f64::NEG_INFINITY),
        Some(value) => Some(direction.gain(value)),
        None => (has_ended && run.status == Completion::Failed).then_some(f64::NEG_INFINITY),
    }
}

/// A number that a curve can show; NaN is a gap.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(status: Completion, curve: &[(u64, Option<f64>)]) -> StudyRun {
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
            .map(|value| run(Completion::Finished, &[(1, Some(value)), (2, Some(-value))]));
        assert_eq!(medians(&runs, Direction::HigherIsBetter), [Some(4.0), Some(-4.0)]);
        assert_eq!(medians(&runs[..2], Direction::LowerIsBetter), [Some(5.0), Some(-5.0)]);
    }

    #[test]
    fn a_failed_run_counts_as_the_worst_once_it_has_ended() {
        let curve = |values: [f64; 2]| [(1, Some(values[0])), (2, Some(values[1]))];
        let runs = [
            run(Completion::Finished, &curve([1.0, 1.0])),
            run(Completion::Finished, &curve([5.0, 5.0])),
            run(Completion::Failed, &[(1, Some(9.0))]),
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
            run(Completion::Finished, &[(1, Some(1.0)), (3, Some(1.0))]),
            run(Completion::Failed, &[(1, Some(5.0)), (2, Some(7.0)), (3, None)]),
        ];
        let medians = medians(&runs, Direction::HigherIsBetter);
        assert_eq!(medians[..2], [Some(3.0), Some(7.0)]);
        assert!(medians[2].unwrap().is_nan());
    }
}
