//! Scores: what they are called, which way is better, and what they do not say.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::chart::{Chart, MAX_POINTS};
use crate::curves::Curves;
use crate::number::short;
use crate::run::{RunRecord, Series, VALIDATION};

/// What is known of a score.
pub(super) struct Score {
    pub(super) label: String,
    pub(super) less_is_better: Option<bool>,
    /// For a measure of generalisation, what it is and is not.
    pub(super) caveat: Option<&'static str>,
}

impl Score {
    pub(super) fn of(name: &str) -> Self {
        match name.strip_prefix(VALIDATION) {
            None => Self::of_test(name),
            Some("loss") => {
                Self { label: "Validation loss".to_owned(), ..Self::of_test("test_loss") }
            }
            Some(name) => {
                let of_test = Self::of_test(name);
                Self { label: format!("{}, validation", of_test.label), caveat: None, ..of_test }
            }
        }
    }

    fn of_test(name: &str) -> Self {
        let (label, less_is_better) = match name {
            "frechet" => ("Fréchet distance", Some(true)),
            "kid" => ("KID", Some(true)),
            "kid_error" => ("KID, standard error", None),
            "precision" => ("Precision", Some(false)),
            "recall" => ("Recall", Some(false)),
            "density" => ("Density", Some(false)),
            "coverage" => ("Coverage", Some(false)),
            "intra_frechet" => ("Fréchet distance within classes", Some(true)),
            "label_accuracy" => ("Label accuracy", Some(false)),
            "l1" => ("Mean absolute difference", Some(true)),
            "return" => ("Return", Some(false)),
            "recent_return" => ("Return while learning", Some(false)),
            "worst_return" => ("Worst return", Some(false)),
            "area" => ("Area under the returns", Some(false)),
            "accuracy" => ("Test accuracy", Some(false)),
            "test_loss" => ("Test loss", Some(true)),
            "train_accuracy" => ("Training accuracy", None),
            "gap" => ("Generalisation gap", Some(true)),
            "ece" => ("Calibration error", Some(true)),
            "fgsm_accuracy" => ("Accuracy under attack", Some(false)),
            "margin" => ("Median margin", None),
            "ln_lipschitz" => ("ln Lipschitz product", None),
            "ln_complexity" => ("ln spectral complexity", None),
            "ln_margin_bound" => ("ln margin bound", None),
            "ln_pac_bayes" => ("ln PAC-Bayes bound", None),
            other => (other, None),
        };
        Self { label: label.to_owned(), less_is_better, caveat: caveat(name) }
    }

    /// The label with the direction that is better.
    pub(super) fn label_with_arrow(&self) -> String {
        let arrow = self.less_is_better.map_or("", |less| if less { " ↓" } else { " ↑" });
        format!("{}{arrow}", self.label)
    }
}

/// What a measure of generalisation is and is not, in a line.
fn caveat(name: &str) -> Option<&'static str> {
    Some(match name {
        "train_accuracy" => {
            "By the labels that the network was told: with noise in them, 1 means learned by heart."
        }
        "gap" => {
            "Training minus test accuracy. Small is no merit by itself: a network that learned nothing \
             has none, and under label noise it may be negative."
        }
        "ece" => {
            "Expected calibration error in bins of confidence: it depends on the bins and says nothing \
             about accuracy."
        }
        "fgsm_accuracy" => {
            "After one step of one weak attack: it compares runs and promises no robustness."
        }
        "margin" => {
            "The told class's logit minus the largest other one, over training images. It grows with the \
             scale of the weights, so compare it only beside the Lipschitz product."
        }
        "ln_lipschitz" => {
            "An upper bound from the product of the layers' norms, usually far above the network's own \
             Lipschitz constant."
        }
        "ln_complexity" => {
            "It compares networks of one architecture (Bartlett et al. 2017); its size alone means nothing."
        }
        "ln_margin_bound" | "ln_pac_bayes" => {
            "The logarithm of a bound on the error; above 0 it is vacuous. Only how runs compare says something."
        }
        _ => return None,
    })
}

/// The scores that the run is about, with their last values; those of single classes are folded.
pub(super) fn table(run: &RunRecord) -> Markup {
    // A return has no floor, and nothing is drawn that could be compared with real data.
    let has_floor = !run.floor.is_empty();
    let scores = headline_scores(run);
    let parts: Vec<_> = run.scores.iter().filter(|series| is_part(series)).collect();
    html! {
        @if !scores.is_empty() {
            section.scores {
                h2 { "Scores" }
                (rows(run, &scores))
                @if has_floor { p.note {
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
                @if !run.floor.is_empty() { th.n scope="col" { "Real against real" } }
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
            @if !run.floor.is_empty() {
                td.n { (run.floor.get(&series.name).map_or("–".into(), |floor| short(*floor))) }
            }
        }
    }
}

/// The scores over the steps.
pub(super) fn curves(run: &RunRecord) -> Markup {
    let scores = headline_scores(run);
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

fn headline_scores(run: &RunRecord) -> Vec<&Series> {
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
    let mut curves = Curves::default();
    for (step, row) in rows {
        curves.push(step, row);
    }
    let drawing = curves.drawing(MAX_POINTS);
    Chart { title, drawing, last_step: run.last_step, ..Chart::default() }.figure()
}

fn chart(run: &RunRecord, series: &Series) -> Markup {
    let title = Score::of(&series.name).label;
    let mut curves = Curves::default();
    series.points.iter().for_each(|(step, value)| curves.push(*step, [(&title[..], *value)]));
    let level = run.floor.get(&series.name).map(|floor| ("real against real", *floor));
    let drawing = curves.drawing(MAX_POINTS);
    Chart { title, drawing, level, last_step: run.last_step, ..Chart::default() }.figure()
}
