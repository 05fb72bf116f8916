//! The arms' scores with their intervals: over all regimes, and in each.

use maud::{Markup, html};

use super::intervals::{self, Bar, Row, Scale};
use crate::page::names::{arm_name, colour, regime_title};
use crate::page::table::{numbers, table};
use crate::study::analysis::{ArmInRegime, RegimeAnalysis};
use crate::study::record::StudyRecord;
use crate::study::scores::Measure;
use crate::study::statistics::ConfidenceInterval;
use crate::study::study_run::{Completion, StudyRun};
use crate::study::tables::{digits, hundredths, shown};
use crate::text::{Digits, counted};

/// The normalised scores over all regimes; nothing where there is one regime.
pub(super) fn overall(record: &StudyRecord) -> Markup {
    let [last, area] = &record.analysis.measures;
    if last.regimes.len() < 2 {
        return html! {};
    }
    let arms = last.overall.arms.iter().zip(&area.overall.arms).enumerate();
    let rows = arms.map(|(place, (last, area))| {
        let bar = |iqm| bar(place, iqm, Vec::new(), shown(iqm, last.n_runs, hundredths));
        row(place, &last.arm, [bar(last.iqm), bar(area.iqm)], last.n_failed, last.n_runs)
    });
    html! {
        p.note {
            "The interquartile mean over all regimes and seeds with its 95 % interval, in scores of which 1 is "
            "the best run of its regime, 0 the worst finished one and −1 a failed one."
        }
        (interval_table(&rows.collect::<Vec<_>>()))
    }
}

/// The scores in each regime, in units of the score.
pub(super) fn regimes(record: &StudyRecord) -> Markup {
    let [last, area] = &record.analysis.measures;
    html! {
        @if !last.regimes.is_empty() {
            p.note {
                "The interquartile mean over seeds with its 95 % interval, in units of the score. A thin dot is "
                "one seed. The best static arm was chosen in hindsight."
            }
            @for (last, area) in last.regimes.iter().zip(&area.regimes) {
                div.regime { (regime(record, last, area)) }
            }
        }
    }
}

fn regime(record: &StudyRecord, last: &RegimeAnalysis, area: &RegimeAnalysis) -> Markup {
    let n_seeds = last.seeds.len();
    let arms = last.arms.iter().zip(&area.arms).enumerate();
    let of_end = digits(last, n_seeds);
    let of_run = digits(area, n_seeds);
    let rows = arms.map(|(place, (at_end, over_run))| {
        let bar = |measure, arm: &ArmInRegime| {
            let dots = dots(record, last, measure, &arm.arm);
            let digits = if measure == Measure::Final { of_end } else { of_run };
            bar(place, arm.iqm, dots, shown(arm.iqm, n_seeds, |it| digits.shown(it)))
        };
        let bars = [bar(Measure::Final, at_end), bar(Measure::Area, over_run)];
        let mut row = row(place, &at_end.arm, bars, at_end.n_failed, n_seeds);
        if last.best_static.as_ref() == Some(&at_end.arm) {
            row.title = html! { (row.title) " " small.mark { "best static" } };
        }
        row
    });
    html! {
        (regime_title(record, &last.regime))
        (interval_table(&rows.collect::<Vec<_>>()))
        (each_seed(record, last))
    }
}

fn row(place: usize, arm: &str, bars: [Bar; 2], n_failed: usize, n_runs: usize) -> Row {
    let failed = Some(format!("{n_failed} of {n_runs}"));
    Row { title: arm_name(place, arm), bars, failed, is_together: false }
}

fn bar(
    place: usize,
    interval: Option<ConfidenceInterval>,
    dots: Vec<(String, f64)>,
    text: String,
) -> Bar {
    Bar { interval, dots, class: colour(place), text, more: html! {}, level: None }
}

/// The scores of the seeds that count.
fn dots(
    record: &StudyRecord,
    regime: &RegimeAnalysis,
    measure: Measure,
    arm: &str,
) -> Vec<(String, f64)> {
    let runs = record.study.runs_of(arm, &regime.regime);
    let dot = |run: &StudyRun| {
        let score = measure.of(run, &record.study.asked.metric)?;
        Some((format!("seed {}", run.seed), score))
    };
    runs.filter(|run| regime.seeds.contains(&run.seed)).filter_map(dot).collect()
}

/// Each column has the scale of what it shows.
fn interval_table(rows: &[Row]) -> Markup {
    let scales = [0, 1].map(|column: usize| {
        Scale::around(rows.iter().flat_map(|row| {
            let Bar { interval, dots, .. } = &row.bars[column];
            let ends = interval.iter().flat_map(|it| [it.lower, it.value, it.upper]);
            ends.chain(dots.iter().map(|dot| dot.1)).collect::<Vec<_>>()
        }))
    });
    intervals::table("Arm", rows, &scales)
}

/// What the dots say, for who does not see them.
fn each_seed(record: &StudyRecord, regime: &RegimeAnalysis) -> Markup {
    let arms = regime.arms.iter().map(|arm| html! { code { (arm.arm) } });
    let head = html! { (numbers(["Seed"])) (numbers(arms)) };
    let scores = |arm: &str| dots(record, regime, Measure::Final, arm);
    let digits =
        Digits::of(regime.arms.iter().flat_map(|arm| scores(&arm.arm)).map(|(_, score)| score));
    let rows = regime.seeds.iter().map(|seed| {
        html! {
            th.n scope="row" { (seed) }
            @for arm in &regime.arms { td.n { (score_of(record, regime, &arm.arm, *seed, digits)) } }
        }
    });
    html! {
        details.values {
            summary { (counted(regime.seeds.len(), "seed")) " at the end" span.unseen { " in " (regime.regime) } }
            (table(&head, rows))
        }
    }
}

fn score_of(
    record: &StudyRecord,
    regime: &RegimeAnalysis,
    arm: &str,
    seed: u64,
    digits: Digits,
) -> String {
    let run = record.study.runs_of(arm, &regime.regime).find(|run| run.seed == seed);
    let score = run.and_then(|run| Measure::Final.of(run, &record.study.asked.metric));
    match (score, run.map(|run| run.status)) {
        (Some(score), _) => digits.shown(score),
        (None, Some(Completion::Failed)) => "failed".to_owned(),
        (None, _) => "–".to_owned(),
    }
}
