//! How far each arm is behind the best static one.

use maud::{Markup, html};

use super::metrics::by_arm;
use crate::page::table::numbers;
use crate::study::analysis::MeasureAnalysis;
use crate::study::record::StudyRecord;
use crate::study::scores::Measure;
use crate::study::statistics::ConfidenceInterval;
use crate::study::tables::hundredths;

/// Regrets from which on a cell is darker.
const SHADES: [f64; 4] = [0.05, 0.25, 0.5, 1.0];

/// Arms by regimes, at the end and, folded, over the run.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let has_regret = |it: &&MeasureAnalysis| {
        it.regimes.iter().flat_map(|regime| &regime.arms).any(|arm| arm.regret.is_some())
    };
    let measures: Vec<_> = record.analysis.measures.iter().filter(has_regret).collect();
    html! {
        @if !measures.is_empty() {
            p.note {
                "How far an arm's interquartile mean is behind that of the best static arm of the regime, divided "
                "by the distance from the best static arm to the worst: 0 is as good as the best static arm, 1 as "
                "bad as the worst, below 0 better than all of them. The best static arm is chosen in hindsight: the "
                "worst regret of a static arm is what choosing it beforehand may cost. Below each number is its "
                "95 % interval."
            }
            @for measure in measures { (table(record, measure)) }
        }
    }
}

fn table(record: &StudyRecord, analysis: &MeasureAnalysis) -> Markup {
    let worst = (analysis.regimes.len() > 1).then_some("Worst");
    let regimes = analysis.regimes.iter().map(|regime| html! { code { (regime.regime) } });
    let head = html! { (numbers(worst)) (numbers(regimes)) };
    let table = by_arm(record, &head, |place, _| {
        html! {
            @if worst.is_some() { (cell(analysis.overall.arms[place].worst_regret)) }
            @for regime in &analysis.regimes { (cell(regime.arms[place].regret)) }
        }
    });
    let table = html! { div.shaded { (table) } };
    match analysis.measure {
        Measure::Final => html! { h3 { "At the end" } (table) },
        Measure::Area => html! { details.values { summary { "Regret over the run" } (table) } },
    }
}

fn cell(regret: Option<ConfidenceInterval>) -> Markup {
    let Some(ConfidenceInterval { value, lower, upper }) = regret else {
        return html! { td.n { "–" } };
    };
    html! {
        td.n.(shade(value)) {
            b { (hundredths(value)) }
            small { "[" (hundredths(lower)) ", " (hundredths(upper)) "]" }
        }
    }
}

/// A class of the style: the worse, the darker, and another colour where it is better than all static
/// ones.
fn shade(regret: f64) -> String {
    let level = SHADES.iter().filter(|from| regret >= **from).count();
    if regret <= -SHADES[0] { "ahead".to_owned() } else { format!("r{level}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_regret_is_darker() {
        let shades = [-0.3, -0.01, 0.0, 0.05, 0.3, 0.7, 1.0, 9.0].map(shade);
        assert_eq!(shades, ["ahead", "r0", "r0", "r1", "r2", "r3", "r4", "r4"]);
    }
}
