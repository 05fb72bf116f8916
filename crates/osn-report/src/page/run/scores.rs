//! A run's scores: the tables beside the samples, and the curves.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::page::chart::{Chart, MAX_POINTS};
use crate::page::score::{Score, caveat};
use crate::record::run::RunRecord;
use crate::record::types::Series;
use crate::series::min_max::MinMaxSeries;
use crate::text::number::short;

/// The scores that the run is about, with their last values; those of single classes are folded.
pub(super) fn table(run: &RunRecord) -> Markup {
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
                    "The last column is what training images score against the test images: the mark to "
                    "compare with. Distances are taken in the features of this project's own small "
                    "network and do not compare with anyone else's."
                } }
                @if !parts.is_empty() {
                    details.values { summary { "By class" } (rows(run, &parts)) }
                }
            }
        }
    }
}

fn rows(run: &RunRecord, scores: &[&Series]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "Score" }
                th.n scope="col" { "Final" }
                th.n scope="col" { "Mean over the run" }
                @if !run.real_vs_real.is_empty() { th.n scope="col" { "Real against real" } }
            } }
            tbody { @for series in scores { (row(run, series)) } }
        } }
    }
}

fn row(run: &RunRecord, series: &Series) -> Markup {
    html! {
        tr {
            th scope="row" { (Score::of(&series.name).label_with_arrow()) }
            td.n { b { (short(series.last())) } }
            td.n { (short(series.mean_over_steps())) }
            @if !run.real_vs_real.is_empty() {
                td.n { (run.real_vs_real.get(&series.name).map_or("–".into(), |real| short(*real))) }
            }
        }
    }
}

/// The scores over the steps.
pub(super) fn curves(run: &RunRecord) -> Markup {
    let scores = primary_scores(run);
    html! {
        @if has_curve(&scores) {
            section {
                h2 { "Scores over the steps" }
                div.grid {
                    @for series in &scores { (chart(run, series)) }
                    @for (whole, parts) in by_whole(run) { (chart_of_parts(run, whole, &parts)) }
                }
            }
        }
    }
}

/// The measures of generalisation, each with its caveat.
pub(super) fn measures(run: &RunRecord) -> Markup {
    let measures: Vec<_> = run.scores.iter().filter(|series| is_measure(series)).collect();
    html! {
        @if !measures.is_empty() {
            section {
                h2 { "Generalisation" }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Measure" }
                        th.n scope="col" { "Final" }
                        th scope="col" { "What it does not say" }
                    } }
                    tbody { @for series in &measures { (measure_row(series)) } }
                } }
                @if has_curve(&measures) {
                    div.grid { @for series in &measures { (chart(run, series)) } }
                }
            }
        }
    }
}

fn measure_row(series: &Series) -> Markup {
    let score = Score::of(&series.name);
    html! {
        tr {
            th scope="row" { (score.label_with_arrow()) }
            td.n { b { (short(series.last())) } }
            td { (score.caveat.unwrap_or_default()) }
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

fn chart_of_parts(run: &RunRecord, whole: &str, parts: &[(&str, &Series)]) -> Markup {
    let title = format!("{}, by class", Score::of(whole).label);
    let mut rows: BTreeMap<u64, Vec<(&str, f64)>> = BTreeMap::new();
    for (part, series) in parts {
        series
            .points
            .iter()
            .for_each(|(step, value)| rows.entry(*step).or_default().push((part, *value)));
    }
    let mut curves = MinMaxSeries::default();
    for (step, row) in rows {
        curves.push(step, row);
    }
    let drawing = curves.drawing(MAX_POINTS);
    Chart { title, drawing, last_step: run.last_step, ..Chart::default() }.figure()
}

fn chart(run: &RunRecord, series: &Series) -> Markup {
    let title = Score::of(&series.name).label;
    let mut curves = MinMaxSeries::default();
    series.points.iter().for_each(|(step, value)| curves.push(*step, [(&title[..], *value)]));
    let level = run.real_vs_real.get(&series.name).map(|real| ("real against real", *real));
    let drawing = curves.drawing(MAX_POINTS);
    Chart { title, drawing, level, last_step: run.last_step, ..Chart::default() }.figure()
}
