//! A run's scores: the tables beside the samples, and the curves.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::page::chart::{Chart, MAX_POINTS};
use crate::page::score::{Score, caveat};
use crate::page::table::{numbers, table, words};
use crate::record::run::RunRecord;
use crate::record::types::Series;
use crate::series::min_max::MinMaxSeries;
use crate::text::short;

/// The scores that the run is about, with their last values; those of single classes are folded.
pub(super) fn last(run: &RunRecord) -> Markup {
    // A return is not compared with real data.
    let has_real = !run.real_vs_real.is_empty();
    let scores = primary_scores(run);
    let parts: Vec<_> = run.scores.iter().filter(|series| is_part(series)).collect();
    html! {
        @if !scores.is_empty() {
            section.scores {
                h2 { "Scores" }
                (rows(run, &scores))
                @if has_real { p.note {
                    "The last column is the score of training images against test images: the value to "
                    "compare with. Distances are between features of this project's own small network "
                    "and cannot be compared with those of other projects."
                } }
                @for (name, signature) in &run.description.signatures {
                    p.note { (Score::of(name).label) ", by sacreBLEU's definition, from 0 to 100: " code { (signature) } }
                }
                @if !parts.is_empty() {
                    details.values { summary { "By class" } (rows(run, &parts)) }
                }
            }
        }
    }
}

fn rows(run: &RunRecord, scores: &[&Series]) -> Markup {
    let real = &run.real_vs_real;
    let against_real = (!real.is_empty()).then_some("Real against real");
    let columns = ["Final", "Mean over the run"].into_iter().chain(against_real);
    let head = html! { (words(["Score"])) (numbers(columns)) };
    let row = |series: &&Series| {
        html! {
            th scope="row" { (Score::of(&series.name).label_with_arrow()) }
            td.n { b { (short(series.last())) } }
            td.n { (short(series.mean_over_steps())) }
            @if !real.is_empty() {
                td.n { (real.get(&series.name).map_or("–".into(), |real| short(*real))) }
            }
        }
    };
    table(&head, scores.iter().map(row))
}

/// The scores over the steps.
pub(super) fn curves(run: &RunRecord) -> Markup {
    let scores = primary_scores(run);
    html! {
        @if has_curve(&scores) {
            section {
                h2 { "Scores over the steps" }
                div.grid {
                    @for series in &scores { (chart_of_one(run, series)) }
                    @for (whole, parts) in by_whole(run) {
                        (chart(run, &format!("{}, by class", Score::of(whole).label), &parts).figure())
                    }
                }
            }
        }
    }
}

/// The measures of generalisation, each with its caveat.
pub(super) fn measures(run: &RunRecord) -> Markup {
    let measures: Vec<_> = run.scores.iter().filter(|series| is_measure(series)).collect();
    let head =
        html! { (words(["Measure"])) (numbers(["Final"])) (words(["What it does not say"])) };
    let row = |series: &&Series| {
        let score = Score::of(&series.name);
        html! {
            th scope="row" { (score.label_with_arrow()) }
            td.n { b { (short(series.last())) } }
            td { (score.caveat.unwrap_or_default()) }
        }
    };
    html! {
        @if !measures.is_empty() {
            section {
                h2 { "Generalisation" }
                (table(&head, measures.iter().map(row)))
                @if has_curve(&measures) {
                    div.grid { @for series in &measures { (chart_of_one(run, series)) } }
                }
            }
        }
    }
}

fn primary_scores(run: &RunRecord) -> Vec<&Series> {
    run.scores.iter().filter(|series| !is_measure(series) && !is_part(series)).collect()
}

/// Whether it is the score of one class: `intra_frechet/3`.
fn is_part(series: &Series) -> bool {
    series.name.contains('/')
}

/// The scores of single classes under the name of what they are parts of.
fn by_whole(run: &RunRecord) -> BTreeMap<&str, Vec<(&str, &Series)>> {
    let mut wholes: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for series in &run.scores {
        if let Some((whole, part)) = series.name.split_once('/') {
            wholes.entry(whole).or_default().push((part, series));
        }
    }
    wholes
}

fn is_measure(series: &Series) -> bool {
    caveat(&series.name).is_some()
}

/// One point is in the table already.
fn has_curve(scores: &[&Series]) -> bool {
    scores.iter().any(|series| series.points.len() > 1)
}

fn chart_of_one(run: &RunRecord, series: &Series) -> Markup {
    let label = Score::of(&series.name).label;
    let level = run.real_vs_real.get(&series.name).map(|real| ("real against real", *real));
    Chart { level, ..chart(run, &label, &[(&label, series)]) }.figure()
}

/// One curve for each of the series, under its name.
fn chart(run: &RunRecord, title: &str, series: &[(&str, &Series)]) -> Chart {
    let mut rows: BTreeMap<u64, Vec<(&str, f64)>> = BTreeMap::new();
    for (name, series) in series {
        for (step, value) in &series.points {
            rows.entry(*step).or_default().push((name, *value));
        }
    }
    let mut curves = MinMaxSeries::default();
    for (step, row) in rows {
        curves.push(step, row);
    }
    Chart::new(title, curves.drawing(MAX_POINTS), run.last_step)
}
