//! Performance profiles: the share of an arm's runs that reach each score.

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::page::chart::{self, TABLE_ROWS, rounded, spread};
use crate::page::table;
use crate::study::analysis::{ArmOverall, MeasureAnalysis};
use crate::study::record::StudyRecord;
use crate::study::scores::Measure;
use crate::study::tables::hundredths;
use crate::text::short;

/// One chart for each way to score a run.
pub(super) fn section(record: &StudyRecord) -> Markup {
    html! {
        @if record.analysis.measures.iter().any(|it| !it.regimes.is_empty()) {
            p.note {
                "The share of an arm's runs that score at or above what is on the lower edge, over all regimes: "
                "1 is the best run of its regime, 0 the worst finished one and −1 a failed one. A line that is "
                "above another one everywhere is better in every part of its runs, and where lines cross, "
                "neither is."
            }
            div.grid.wide { @for measure in &record.analysis.measures { (figure(measure)) } }
        }
    }
}

fn figure(analysis: &MeasureAnalysis) -> Markup {
    let title = match analysis.measure {
        Measure::Final => "Share of runs at or above a score, at the end",
        Measure::Area => "Share of runs at or above a score, over the run",
    };
    let arms = &analysis.overall.arms;
    chart::figure(title, Some(&data(title, arms)), &in_numbers(title, arms))
}

/// The share is constant up to each threshold, so the steps go to the left.
fn data(title: &str, arms: &[ArmOverall]) -> Value {
    let lines = arms.iter().map(|arm| {
        let shares = arm.profile.iter().map(|point| rounded(point.1));
        json!({"label": arm.arm, "stepped": true, "values": shares.collect::<Vec<_>>()})
    });
    let has_failed = arms.iter().any(|arm| arm.n_failed > 0);
    json!({
        "title": title,
        "summary": arms.iter().map(in_words).collect::<Vec<_>>().join(" "),
        "linked": true,
        // Without a failed run nothing happens below the worst finished one.
        "x": {"label": "score", "min": if has_failed { -1 } else { 0 }, "max": 1},
        "steps": thresholds(arms).into_iter().map(rounded).collect::<Vec<_>>(),
        "lines": lines.collect::<Vec<_>>(),
    })
}

fn thresholds(arms: &[ArmOverall]) -> Vec<f64> {
    arms.first().map(|arm| arm.profile.iter().map(|point| point.0).collect()).unwrap_or_default()
}

fn in_words(arm: &ArmOverall) -> String {
    let at = |score: f64| {
        let point = arm.profile.iter().find(|point| point.0 >= score);
        point.map_or("–".to_owned(), |point| hundredths(point.1))
    };
    format!("{}: {} at 0, {} at 0.5, {} at 1.", arm.arm, at(0.0), at(0.5), at(1.0))
}

fn in_numbers(title: &str, arms: &[ArmOverall]) -> Markup {
    let thresholds = thresholds(arms);
    let names: Vec<_> = arms.iter().map(|arm| arm.arm.as_str()).collect();
    let rows = spread(thresholds.len(), TABLE_ROWS).into_iter().map(|index| {
        let shares = arms.iter().map(|arm| hundredths(arm.profile[index].1));
        (short(thresholds[index]), shares.collect())
    });
    table::values(title, "Score", &names, rows)
}
