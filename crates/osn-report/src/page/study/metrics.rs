//! Every score at the end: where stability, generalisation and cost are read.

use std::collections::BTreeSet;

use maud::{Markup, html};
use osn_core::number::median;

use crate::page::names::arm_name;
use crate::page::score::Score;
use crate::page::table::{self, numbers, words};
use crate::record::score_names::{ERROR, error_of, rank};
use crate::study::record::StudyRecord;
use crate::study::study_run::{Completion, StudyRun};
use crate::text::{Digits, duration};

/// Scores of single classes that are shown.
const MAX_PARTS: usize = 100;

/// One table for each score, arms by regimes.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let names: BTreeSet<&str> =
        record.study.runs.iter().flat_map(|run| run.metrics.keys()).map(String::as_str).collect();
    let (parts, mut wholes): (Vec<&str>, Vec<&str>) =
        names.iter().copied().partition(|it| it.contains('/'));
    wholes.retain(|name| error_of(name, |score| names.contains(score)).is_none());
    // The score that counts comes first.
    wholes.sort_by_key(|name| (*name != record.study.asked.metric, rank(name)));
    let n_left_out = parts.len().saturating_sub(MAX_PARTS);
    html! {
        @if record.n_runs(Completion::Missing) < record.study.runs.len() {
            p.note {
                "The median over the runs that finished, with the lowest and the highest. The best median of a regime "
                "is bold, where more or less is better without a caveat; that is no statistical test."
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
    let finished = record.study.runs.iter().filter(|run| run.status == Completion::Finished);
    let digits = Digits::of(finished.filter_map(value));
    let table = table(record, &value, less_is_better, &|it| digits.shown(it));
    let caveat = score.caveat.map(str::to_owned).or_else(|| standard_error(record, name));
    titled(&score.label_with_arrow(), &caveat.unwrap_or_default(), &table)
}

/// How sure a run is of its own score, where that is known.
fn standard_error(record: &StudyRecord, name: &str) -> Option<String> {
    let error = format!("{name}{ERROR}");
    let finished = record.study.runs.iter().filter(|run| run.status == Completion::Finished);
    let mut errors: Vec<f64> =
        finished.filter_map(|run| run.metrics.get(&error).copied().flatten()).collect();
    errors.sort_by(f64::total_cmp);
    let (lowest, highest) = (*errors.first()?, *errors.last()?);
    let digits = Digits::of([lowest, highest]);
    Some(format!(
        "The standard error of one run's score is from {} to {}.",
        digits.shown(lowest),
        digits.shown(highest)
    ))
}

fn time(record: &StudyRecord) -> Markup {
    let table = table(record, &|run| run.wall_secs, None, &duration);
    let is_known = record.study.runs.iter().any(|run| run.wall_secs.is_some());
    let caveat = "From start to end, with whatever else ran beside it: a rough measure of cost.";
    html! { @if is_known { (titled("Time of a run", caveat, &table)) } }
}

fn failed(record: &StudyRecord) -> Markup {
    let table = arms_by_regimes(record, |arm, regime| {
        let ended =
            record.study.runs_of(arm, regime).filter(|run| run.status != Completion::Missing);
        let statuses: Vec<_> = ended.map(|run| run.status).collect();
        let n_failed = statuses.iter().filter(|status| **status == Completion::Failed).count();
        html! { td.n.failed[n_failed > 0] { (n_failed) " of " (statuses.len()) } }
    });
    titled("Failed runs ↓", "Of those that have ended.", &table)
}

fn titled(title: &str, caveat: &str, table: &Markup) -> Markup {
    html! {
        div.metric {
            h3 { (title) }
            @if !caveat.is_empty() { p.note { (caveat) } }
            (table)
        }
    }
}

fn table(
    record: &StudyRecord,
    value: &dyn Fn(&StudyRun) -> Option<f64>,
    less_is_better: Option<bool>,
    number: &dyn Fn(f64) -> String,
) -> Markup {
    let cell = |arm: &str, regime: &str| {
        let runs = || record.study.runs_of(arm, regime);
        let finished = || runs().filter(|run| run.status == Completion::Finished);
        let mut values: Vec<f64> = finished().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        Cell { values, n_ended: finished().count() }
    };
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

fn arms_by_regimes(record: &StudyRecord, cell: impl Fn(&str, &str) -> Markup) -> Markup {
    let regimes = &record.study.asked.regimes;
    let head = numbers(regimes.iter().map(|regime| html! { code { (regime.name) } }));
    by_arm(record, &head, |_, arm| {
        html! { @for regime in regimes { (cell(arm, &regime.name)) } }
    })
}

/// A table with a row for each arm: the head and the cells behind its name.
pub(super) fn by_arm(
    record: &StudyRecord,
    head: &Markup,
    cells: impl Fn(usize, &str) -> Markup,
) -> Markup {
    let rows = record.study.asked.arms.iter().enumerate().map(|(place, arm)| {
        html! { th scope="row" { (arm_name(place, &arm.name)) } (cells(place, &arm.name)) }
    });
    table::table(&html! { (words(["Arm"])) (head) }, rows)
}

impl Cell {
    fn median(&self) -> Option<f64> {
        median(&self.values)
    }

    fn shown(&self, is_best: bool, number: &dyn Fn(f64) -> String) -> Markup {
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
