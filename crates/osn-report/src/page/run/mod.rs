//! A run: how it ended, its scores, its training, its layers and what was decided.

mod decisions;
pub(super) mod heads;
mod layers;
mod samples;
mod scores;
mod spectra;

use maud::{Markup, html};

use super::chart::{Chart, MAX_POINTS};
use super::facts::{data, list, plain};
use super::names::N_COLOURS;
use crate::record::run::RunRecord;
use crate::record::types::{Description, RunState};
use crate::series::min_max::{Drawing, DrawnLine};
use crate::text::duration;

/// One run.
pub(super) fn article(run: &RunRecord) -> Markup {
    html! {
        article aria-label=(run.title()) {
            (heading(run))
            div.top {
                (samples::pictures(run))
                (scores::last(run))
            }
            (samples::tables(run))
            p.note.drawn hidden {
                "Drag over a chart to zoom all charts; double-click shows all steps again. In a chart the "
                "arrow keys read values, + and − zoom, 0 shows all."
            }
            (scores::curves(run))
            (training(run))
            (heads::section(run))
            (decisions::map(run))
            (scores::measures(run))
            (spectra::section(run))
            (layers::curves(run))
            (layers::ends(run))
            (decisions::list(run))
            (config(run))
        }
    }
}

fn heading(run: &RunRecord) -> Markup {
    let d = &run.description;
    let totals = d.totals.clone().unwrap_or_default();
    let facts = [
        ("Steps", steps(run)),
        ("Time", totals.wall_secs.map_or("–".into(), duration)),
        ("Preset", d.preset.clone()),
        ("Rule", d.decide.clone()),
        ("Seed", d.seed.to_string()),
        ("Data", data(&d.data, d.data_sha256.as_deref())),
        ("Device", d.device.clone()),
        ("Machine", plain(&d.machine)),
        ("Versions", plain(&d.versions)),
    ];
    html! {
        header {
            h1 { (run.title()) " " span.status.(status_class(d.status)) { (d.status) } }
            @if let Some(error) = &d.error { p.error role="note" { (error) } }
            @for warning in run.warnings() { p.error role="note" { (warning) } }
            @if run.is_cut { p.error { "The last line of the record was cut short and is left out." } }
            (list(&facts))
        }
    }
}

/// The steps done; of a run that goes on also how many there will be, where its config says.
fn steps(run: &RunRecord) -> String {
    let Description { status, config, totals, .. } = &run.description;
    let done = totals.as_ref().map_or(0, |totals| totals.steps).max(run.last_step);
    match config["steps"].as_u64().filter(|_| *status == RunState::Running) {
        Some(all) => format!("{done} of {all}"),
        None => done.to_string(),
    }
}

/// The class that gives a status its colour.
fn status_class(status: RunState) -> &'static str {
    match status {
        RunState::Finished => "good",
        RunState::Failed => "bad",
        _ => "open",
    }
}

/// The losses in one chart, each signal in one of its own, as they have no unit in common, and those of parts of a
/// network together.
fn training(run: &RunRecord) -> Markup {
    let drawing = run.signals.drawing(MAX_POINTS);
    let losses =
        (!run.losses.is_empty()).then(|| ("Losses".to_owned(), run.losses.drawing(MAX_POINTS)));
    let names = run.signals.names().iter().enumerate();
    let wholes = names.filter(|(_, name)| part_of(name).is_none());
    let wholes = wholes.map(|(index, name)| (name.clone(), drawing.only(index)));
    let charts: Vec<_> = losses.into_iter().chain(wholes).chain(parts(&drawing)).collect();
    html! {
        @if !charts.is_empty() {
            section {
                h2 { "Training" }
                div.grid { @for (title, drawing) in charts { (Chart::new(title, drawing, run.last_step).figure()) } }
            }
        }
    }
}

/// Signals of parts, `gradient_norm/encoder.0`, by what they begin with: as many lines as can be told apart.
fn parts(drawing: &Drawing) -> Vec<(String, Drawing)> {
    let mut charts: Vec<(String, Vec<DrawnLine>)> = Vec::new();
    for line in &drawing.lines {
        let Some((whole, part)) = part_of(&line.name) else { continue };
        let title = match part.split_once('.') {
            Some((start, _)) => format!("{whole} of {start}"),
            None => format!("{whole} of other parts"),
        };
        let line = DrawnLine { name: part.to_owned(), ..line.clone() };
        match charts.iter_mut().find(|chart| chart.0 == title && chart.1.len() < N_COLOURS) {
            Some((_, lines)) => lines.push(line),
            None => charts.push((title, vec![line])),
        }
    }
    let chart = |(title, lines)| (title, Drawing { lines, ..drawing.clone() });
    charts.into_iter().map(chart).collect()
}

/// What a name is of, and which part of it: `gradient_norm` and `encoder.0`.
fn part_of(name: &str) -> Option<(&str, &str)> {
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
    };
    name.split_once('/').filter(|(whole, _)| is_word(whole))
}

/// The rules and the config as the run's files have them.
fn config(run: &RunRecord) -> Markup {
    let Description { rules, config, .. } = &run.description;
    let parts = [("The rules", rules), ("The whole config", config)];
    html! {
        @for (title, value) in parts.into_iter().filter(|(_, value)| !value.is_null()) {
            details {
                summary { (title) }
                pre { (format!("{value:#}")) }
            }
        }
    }
}
