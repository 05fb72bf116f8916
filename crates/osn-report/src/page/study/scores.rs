//! The arms' scores with their intervals: over all regimes, and in each.

use maud::{Markup, html};

use super::intervals::{Bar, Scale, axis, cell};
use super::names::{arm_name, regime_title};
use crate::page::colours::N_COLOURS;
use crate::study::analysis::{ArmInRegime, RegimeAnalysis};
use crate::study::record::StudyRecord;
use crate::study::scores::Measure;
use crate::study::statistics::ConfidenceInterval;
use crate::study::study_run::{Completion, StudyRun};
use crate::study::tables::{hundredths, shown};
use crate::text::number::{counted, short};

/// One row of an interval chart: an arm, or nothing that could be drawn of it.
struct Row<'a> {
    arm: &'a str,
    mark: Option<&'static str>,
    failed: String,
    columns: [Column; 2],
}

/// One number of an arm.
struct Column {
    interval: Option<ConfidenceInterval>,
    dots: Vec<(String, f64)>,
    text: String,
}

/// The normalised scores over all regimes; nothing where there is one regime.
pub(super) fn overall(record: &StudyRecord) -> Markup {
    let [last, area] = &record.analysis.measures[..] else { return html! {} };
    if last.regimes.len() < 2 {
        return html! {};
    }
    let arms = last.overall.arms.iter().zip(&area.overall.arms);
    let rows = arms.map(|(last, area)| Row {
        arm: &last.arm,
        mark: None,
        failed: format!("{} of {}", last.n_failed, last.n_runs),
        columns: [last.iqm, area.iqm].map(|interval| Column {
            interval,
            dots: Vec::new(),
            text: shown(interval, last.n_runs, hundredths),
        }),
    });
    html! {
        p.note {
            "The interquartile mean over all regimes and seeds with its 95 % interval, in scores of which 1 is "
            "the best run of its regime, 0 the worst finished one and −1 a failed one."
        }
        (table(&rows.collect::<Vec<_>>()))
    }
}

/// The scores in each regime, in units of the score.
pub(super) fn regimes(record: &StudyRecord) -> Markup {
    let [last, area] = &record.analysis.measures[..] else { return html! {} };
    html! {
        @if !last.regimes.is_empty() {
            p.note {
                "The interquartile mean over seeds with its 95 % interval, in units of the score. A thin dot is "
                "one seed. The best static arm was chosen afterwards."
            }
            @for (last, area) in last.regimes.iter().zip(&area.regimes) {
                div.regime { (regime(record, last, area)) }
            }
        }
    }
}

fn regime(record: &StudyRecord, last: &RegimeAnalysis, area: &RegimeAnalysis) -> Markup {
    let n_seeds = last.seeds.len();
    let column = |measure: Measure, arm: &ArmInRegime| Column {
        interval: arm.iqm,
        dots: dots(record, last, measure, &arm.arm),
        text: shown(arm.iqm, n_seeds, short),
    };
    let rows = last.arms.iter().zip(&area.arms).map(|(at_end, over_run)| Row {
        arm: &at_end.arm,
        mark: (last.best_static.as_ref() == Some(&at_end.arm)).then_some("best static"),
        failed: format!("{} of {n_seeds}", at_end.n_failed),
        columns: [column(Measure::Final, at_end), column(Measure::Area, over_run)],
    });
    html! {
        (regime_title(record, &last.regime))
        (table(&rows.collect::<Vec<_>>()))
        (each_seed(record, last))
    }
}

/// The scores of the seeds that count.
fn dots(
    record: &StudyRecord,
    regime: &RegimeAnalysis,
    measure: Measure,
    arm: &str,
) -> Vec<(String, f64)> {
    let runs = runs(record, regime, arm);
    let dot = |run: &StudyRun| {
        let score = measure.of(run, &record.study.asked.metric)?;
        Some((format!("seed {}", run.seed), score))
    };
    runs.filter_map(dot).collect()
}

fn runs<'a>(
    record: &'a StudyRecord,
    regime: &'a RegimeAnalysis,
    arm: &'a str,
) -> impl Iterator<Item = &'a StudyRun> {
    let runs = record.study.runs.iter();
    runs.filter(move |run| {
        run.regime == regime.regime && run.arm == arm && regime.seeds.contains(&run.seed)
    })
}

fn table(rows: &[Row]) -> Markup {
    let scale = |column: usize| {
        Scale::around(rows.iter().flat_map(|row| {
            let Column { interval, dots, .. } = &row.columns[column];
            let ends = interval.iter().flat_map(|it| [it.lower, it.value, it.upper]);
            ends.chain(dots.iter().map(|dot| dot.1)).collect::<Vec<_>>()
        }))
    };
    let scales = [scale(0), scale(1)];
    html! {
        table.intervals {
            thead { tr {
                th scope="col" { "Arm" }
                th scope="col" { "At the end" }
                th scope="col" { "Over the run" }
                th.n scope="col" { "Failed" }
            } }
            tbody { @for (place, row) in rows.iter().enumerate() { (one_row(place, row, &scales)) } }
            tfoot aria-hidden="true" { tr {
                td {}
                @for scale in &scales { (axis(scale.as_ref())) }
                td {}
            } }
        }
    }
}

fn one_row(place: usize, row: &Row, scales: &[Option<Scale>; 2]) -> Markup {
    let class = format!("c{}", place % N_COLOURS);
    html! {
        tr {
            th scope="row" {
                (arm_name(place, row.arm))
                @if let Some(mark) = row.mark { " " small.mark { (mark) } }
            }
            @for (column, scale) in row.columns.iter().zip(scales) {
                @let Column { interval, dots, text } = column;
                @let bar = Bar { interval: *interval, dots, class: &class, text, level: None };
                (cell(scale.as_ref(), &bar, &html! {}))
            }
            td.n { (row.failed) }
        }
    }
}

/// What the dots say, for who does not see them.
fn each_seed(record: &StudyRecord, regime: &RegimeAnalysis) -> Markup {
    html! {
        details.values {
            summary { (counted(regime.seeds.len(), "seed")) " at the end" span.unseen { " in " (regime.regime) } }
            div.scroll { table {
                thead { tr {
                    th.n scope="col" { "Seed" }
                    @for arm in &regime.arms { th.n scope="col" { code { (arm.arm) } } }
                } }
                tbody { @for seed in &regime.seeds { tr {
                    th.n scope="row" { (seed) }
                    @for arm in &regime.arms { td.n { (score_of(record, regime, &arm.arm, *seed)) } }
                } } }
            } }
        }
    }
}

fn score_of(record: &StudyRecord, regime: &RegimeAnalysis, arm: &str, seed: u64) -> String {
    let run = runs(record, regime, arm).find(|run| run.seed == seed);
    let score = run.and_then(|run| Measure::Final.of(run, &record.study.asked.metric));
    match (score, run.map(|run| run.status)) {
        (Some(score), _) => short(score),
        (None, Some(Completion::Failed)) => "failed".to_owned(),
        (None, _) => "–".to_owned(),
    }
}
