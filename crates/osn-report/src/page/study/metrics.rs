//! Every score at the end: where stability, generalisation and cost are read.

use std::collections::BTreeSet;

use maud::{Markup, html};
use osn_core::number::median;

use super::arm_name;
use crate::number::{duration, short};
use crate::page::score::Score;
use crate::study::{RunStatus, StudyRecord, StudyRun};

/// Scores of single classes that are shown.
const MAX_PARTS: usize = 100;

/// One table for each score, arms by regimes.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let names: BTreeSet<&str> =
        record.study.runs.iter().flat_map(|run| run.metrics.keys()).map(String::as_str).collect();
    let (parts, mut wholes): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|it| it.contains('/'));
    // The score that counts comes first.
    wholes.sort_by_key(|name| *name != record.study.asked.metric);
    let n_left_out = parts.len().saturating_sub(MAX_PARTS);
    html! {
        @if record.n_runs(RunStatus::Missing) < record.study.runs.len() {
            p.note {
                "The median over the runs that finished, with the lowest and the highest. In bold the best median of a "
                "regime, for scores that are better or worse without a caveat; no test stands behind it."
            }
            (failed(record))
            @for name in &wholes { (metric(record, name)) }
            (time(record))
            @if !parts.is_empty() {
                details {
                    summary { "By class" }
                    @for name in parts.iter().take(MAX_PARTS) { (metric(record, name)) }
                }
                @if n_left_out > 0 { p.note { "And " (n_left_out) " more in study.json." } }
            }
        }
    }
}

/// What a cell is made of: one number for each run that has it.
struct Cell {
    values: Vec<f64>,
    n_ended: usize,
}

fn metric(record: &StudyRecord, name: &str) -> Markup {
    let score = Score::of(name);
    let asked = &record.study.asked;
    let of_score = score.less_is_better.filter(|_| score.caveat.is_none());
    let less_is_better =
        if asked.metric == name { Some(!asked.higher_is_better) } else { of_score };
    let value = |run: &StudyRun| run.metrics.get(name).copied().flatten();
    let table = table(record, &value, less_is_better, short);
    let caveat = score.caveat.unwrap_or_default();
    titled(&score.label_with_arrow(), caveat, &table)
}

fn time(record: &StudyRecord) -> Markup {
    let table = table(record, &|run| run.wall_secs, None, duration);
    let is_known = record.study.runs.iter().any(|run| run.wall_secs.is_some());
    let caveat = "From start to end, with whatever else ran beside it: a rough measure of cost.";
    html! { @if is_known { (titled("Time of a run", caveat, &table)) } }
}

fn failed(record: &StudyRecord) -> Markup {
    let table = arms_by_regimes(record, |arm, regime| {
        let ended = runs(record, arm, regime).filter(|run| run.status != RunStatus::Missing);
        let statuses: Vec<_> = ended.map(|run| run.status).collect();
        let n_failed = statuses.iter().filter(|status| **status == RunStatus::Failed).count();
        html! { td.n.failed[n_failed > 0] { (n_failed) " of " (statuses.len()) } }
    });
    titled("Failed runs ↓", "Of those that have ended.", &table)
}

fn titled(title: &str, caveat: &str, table: &Markup) -> Markup {
    html! {
        div.metric {
            h3 { (title) }
            @if !caveat.is_empty() { p.note { (caveat) } }
            div.scroll { (table) }
        }
    }
}

fn table(
    record: &StudyRecord,
    value: &dyn Fn(&StudyRun) -> Option<f64>,
    less_is_better: Option<bool>,
    number: fn(f64) -> String,
) -> Markup {
    let cell = |arm: &str, regime: &str| Cell::of(runs(record, arm, regime), value);
    let best = |regime: &str| {
        let medians =
            record.study.asked.arms.iter().filter_map(|arm| cell(&arm.name, regime).median());
        medians.reduce(if less_is_better == Some(true) { f64::min } else { f64::max })
    };
    arms_by_regimes(record, |arm, regime| {
        let cell = cell(arm, regime);
        let is_best =
            less_is_better.is_some() && cell.median().is_some() && cell.median() == best(regime);
        cell.shown(is_best, number)
    })
}

fn runs<'a>(
    record: &'a StudyRecord,
    arm: &'a str,
    regime: &'a str,
) -> impl Iterator<Item = &'a StudyRun> {
    record.study.runs.iter().filter(move |run| run.arm == arm && run.regime == regime)
}

fn arms_by_regimes(record: &StudyRecord, cell: impl Fn(&str, &str) -> Markup) -> Markup {
    let asked = &record.study.asked;
    html! {
        table {
            thead { tr {
                th scope="col" { "Arm" }
                @for regime in &asked.regimes { th.n scope="col" { code { (regime.name) } } }
            } }
            tbody { @for (place, arm) in asked.arms.iter().enumerate() { tr {
                th scope="row" { (arm_name(place, &arm.name)) }
                @for regime in &asked.regimes { (cell(&arm.name, &regime.name)) }
            } } }
        }
    }
}

impl Cell {
    fn of<'a>(
        runs: impl Iterator<Item = &'a StudyRun>,
        value: &dyn Fn(&StudyRun) -> Option<f64>,
    ) -> Self {
        let finished: Vec<_> = runs.filter(|run| run.status == RunStatus::Finished).collect();
        let mut values: Vec<f64> = finished.iter().filter_map(|run| value(run)).collect();
        values.sort_by(f64::total_cmp);
        Self { values, n_ended: finished.len() }
    }

    fn median(&self) -> Option<f64> {
        median(&self.values)
    }

    fn shown(&self, is_best: bool, number: fn(f64) -> String) -> Markup {
        let (Some(median), [lowest, .., highest]) = (self.median(), &self.values[..]) else {
            return html! { td.n { (self.values.first().map_or("–".into(), |only| number(*only))) } };
        };
        html! {
            td.n {
                @if is_best { b { (number(median)) } } @else { span { (number(median)) } }
                small { "[" (number(*lowest)) ", " (number(*highest)) "]" }
                @if self.values.len() < self.n_ended { small { (self.values.len()) " runs" } }
            }
        }
    }
}
