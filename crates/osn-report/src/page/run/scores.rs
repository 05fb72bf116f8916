//! A run's scores: the tables beside the samples, and the curves.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::page::chart::{Chart, MAX_POINTS};
use crate::page::score::{Score, caveat};
use crate::page::table::{numbers, table, words};
use crate::record::run::RunRecord;
use crate::record::score_names::{ERROR, error_of};
use crate::record::types::Series;
use crate::series::min_max::MinMaxSeries;
use crate::text::{Digits, short};

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
                @if scores.iter().any(|series| error_series(run, series).is_some()) {
                    p.note { "Behind ± is a standard error: that of one estimate, not the spread between runs." }
                }
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
        let error = format!("{}{ERROR}", series.name);
        let of_real = |name: &str| real.get(name).copied();
        let numbers = [Some(series.last()), Some(series.mean_over_steps()), of_real(&series.name)];
        // What a row compares has as many decimals.
        let digits = Digits::of(numbers.into_iter().flatten());
        let error_at_end = error_series(run, series).map(Series::last);
        html! {
            th scope="row" { (Score::of(&series.name).label_with_arrow()) }
            td.n { b { (digits.shown(series.last())) } (uncertainty(digits, error_at_end)) }
            td.n { (digits.shown(series.mean_over_steps())) }
            @if !real.is_empty() {
                td.n {
                    (of_real(&series.name).map_or("–".into(), |real| digits.shown(real)))
                    (uncertainty(digits, of_real(&error)))
                }
            }
        }
    };
    table(&head, scores.iter().map(row))
}

/// `± 4.20`, the standard error of a score.
fn uncertainty(digits: Digits, error: Option<f64>) -> Markup {
    html! { @if let Some(error) = error { small { "± " (digits.shown(error)) } } }
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
    let is_error = |series: &&Series| {
        error_of(&series.name, |name| run.scores.iter().any(|it| it.name == name)).is_some()
    };
    let is_primary = |series: &&Series| !is_measure(series) && !is_part(series);
    run.scores.iter().filter(is_primary).filter(|series| !is_error(series)).collect()
}

/// The standard errors of a score.
fn error_series<'a>(run: &'a RunRecord, series: &Series) -> Option<&'a Series> {
    run.scores.iter().find(|it| it.name.strip_suffix(ERROR) == Some(&series.name))
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
    let Score { label, .. } = Score::of(&series.name);
    let title = Score::of(&series.name).label_with_arrow();
    let level = run.real_vs_real.get(&series.name).map(|real| ("real against real", *real));
    let ends =
        error_series(run, series).map(|errors| [-1.0, 1.0].map(|by| shifted(series, errors, by)));
    let Some([low, high]) = ends else {
        return Chart { level, ..chart(run, &title, &[(&label, series)]) }.figure();
    };
    let all = [(&label[..], series), ("− standard error", &low), ("+ standard error", &high)];
    let mut chart = Chart { level, ..chart(run, &title, &all) };
    let threads = chart.drawing.lines.split_off(1);
    Chart { threads: vec![threads], ..chart }.figure()
}

/// The score so many of its standard errors away.
fn shifted(series: &Series, errors: &Series, by: f64) -> Series {
    let pairs =
        series.points.iter().zip(&errors.points).filter(|(point, error)| point.0 == error.0);
    let points = pairs.map(|(point, error)| (point.0, point.1 + by * error.1)).collect();
    Series { name: series.name.clone(), points, end: None }
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
