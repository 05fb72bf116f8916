//! A run: how it ended, its scores, its training, its layers and what was decided.

mod decisions;
mod evidence;
pub(super) mod heads;
mod layers;
mod samples;
mod scores;
mod spectra;
mod training;

use maud::{Markup, html};

use super::facts::{data, list, plain};
use crate::record::run::RunRecord;
use crate::record::types::{Description, RunState};
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
            (training::section(run))
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
