//! Which runs are not there, and why.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::asked;
use crate::page::names::{arm_name, place_of};
use crate::page::table::{table, words};
use crate::study::record::StudyRecord;
use crate::study::study_run::{Completion, StudyRun};

/// Rows of the table.
const MAX_ROWS: usize = 200;

/// Failed and missing runs, those of one reason in one row.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let rows = rows(record);
    let n_left_out = rows.len().saturating_sub(MAX_ROWS);
    let cells = rows.iter().take(MAX_ROWS).map(|(run, seeds)| {
        html! {
            td { (arm_name(place_of(record, &run.arm), &run.arm)) }
            td { code { (run.regime) } }
            td { (asked::seeds(seeds)) }
            td { (what_is_known(run)) }
        }
    });
    html! {
        @if !rows.is_empty() {
            (table(&words(["Arm", "Regime", "Seeds", "What is known"]), cells))
            @if n_left_out > 0 { p.note { "And " (n_left_out) " more in study.json." } }
        }
    }
}

/// Each first run of its kind with the seeds of all of them, the failed ones first.
fn rows(record: &StudyRecord) -> Vec<(&StudyRun, Vec<u64>)> {
    let mut rows: BTreeMap<_, (&StudyRun, Vec<u64>)> = BTreeMap::new();
    for run in record.study.runs.iter().filter(|run| run.status != Completion::Finished) {
        let key =
            (run.status == Completion::Missing, place_of(record, &run.arm), &run.regime, &run.why);
        rows.entry(key).or_insert((run, Vec::new())).1.push(run.seed);
    }
    rows.into_values().collect()
}

fn what_is_known(run: &StudyRun) -> &str {
    match (run.status, &run.why) {
        (_, Some(why)) => why,
        (Completion::Missing, None) => "not run to an end yet",
        _ => "no reason is known",
    }
}
