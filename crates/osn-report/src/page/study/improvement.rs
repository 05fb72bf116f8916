//! The first arm against each other one, regime by regime.

use maud::{Markup, html};

use super::intervals::{Bar, Scale, axis, cell};
use super::names::arm_name;
use super::names::place_of;
use super::verdict::{class_of, word};
use crate::study::analysis::{Comparison, MeasureAnalysis};
use crate::study::record::StudyRecord;
use crate::study::tables::{hundredths, p_value, shown};

/// Where neither of two arms is better.
const EVEN: f64 = 0.5;

/// One row of a chart: all regimes, or one.
struct Row<'a> {
    regime: Option<&'a str>,
    n_pairs: usize,
    /// At the end, and over the run.
    comparisons: [&'a Comparison; 2],
}

/// One chart for each other arm.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let [last, area] = &record.analysis.measures[..] else { return html! {} };
    let n_others = if last.regimes.is_empty() { 0 } else { last.overall.comparisons.len() };
    html! {
        @if n_others > 0 {
            p.note {
                "The probability that a run of " (arm_name(0, &record.study.asked.arms[0].name)) " is better than "
                "one of the other arm, with its 95 % interval: right of the line in the middle it is better. Beside "
                "it are the pairs of the same seed that it won and lost, and p of the paired differences after "
                "Holm: of all single regimes as one family and of all regimes together as another."
            }
            @for index in 0..n_others {
                @let against = &last.overall.comparisons[index].against;
                h3 { "Against " (arm_name(place_of(record, against), against)) }
                (table(&rows(index, last, area)))
            }
        }
    }
}

fn rows<'a>(index: usize, last: &'a MeasureAnalysis, area: &'a MeasureAnalysis) -> Vec<Row<'a>> {
    let together = Row {
        regime: None,
        n_pairs: last.overall.arms.first().map_or(0, |arm| arm.n_runs),
        comparisons: [last, area].map(|it| &it.overall.comparisons[index]),
    };
    let regimes = last.regimes.iter().zip(&area.regimes).map(|(last, area)| Row {
        regime: Some(&last.regime),
        n_pairs: last.seeds.len(),
        comparisons: [last, area].map(|it| &it.comparisons[index]),
    });
    let together = (last.regimes.len() > 1).then_some(together);
    together.into_iter().chain(regimes).collect()
}

fn table(rows: &[Row]) -> Markup {
    let scale = Scale::of_probabilities();
    html! {
        table.intervals {
            thead { tr {
                th scope="col" { "Regime" }
                th scope="col" { "At the end" }
                th scope="col" { "Over the run" }
            } }
            tbody { @for row in rows { tr.together[row.regime.is_none()] {
                th scope="row" { @if let Some(name) = row.regime { code { (name) } } @else { b { "All" } } }
                @for comparison in row.comparisons { (side(&scale, comparison, row.n_pairs)) }
            } } }
            tfoot aria-hidden="true" { tr { td {} (axis(Some(&scale))) (axis(Some(&scale))) } }
        }
    }
}

fn side(scale: &Scale, comparison: &Comparison, n_pairs: usize) -> Markup {
    let outcome = comparison.outcome();
    let bar = Bar {
        interval: Some(comparison.probability),
        dots: &[],
        class: class_of(outcome),
        text: &shown(Some(comparison.probability), n_pairs, hundredths),
        level: Some(EVEN),
    };
    let wins = comparison.wins;
    let more = html! {
        small {
            b.(class_of(outcome)) { (word(outcome)) } "; " (wins.wins) " won, "
            @if wins.ties > 0 { (wins.ties) " even, " }
            (wins.losses) " lost; " (p_value(comparison.p_holm))
        }
    };
    cell(Some(scale), &bar, &more)
}
