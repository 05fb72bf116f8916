//! What was decided: the map of layers by steps, and the list of changes.

use std::ops::Range;

use maud::{Markup, html};

use crate::page::names::{colour, elasticity, layer_name, swatch};
use crate::page::table::{numbers, table, words};
use crate::record::run::{LayerHistory, RunRecord};
use crate::record::types::LoggedDecision;
use crate::series::timeline::Segment;
use crate::text::short;

/// Cells of one layer's row.
const MAX_CELLS: usize = 120;
/// Cells of a run's whole map, so that many layers make no heavy page.
const MAX_CELLS_OF_A_RUN: usize = 4000;

/// The map of layers by steps: colour is elasticity, lines are changes.
pub(super) fn map(run: &RunRecord) -> Markup {
    let layers: Vec<_> = run.layers.iter().filter(|layer| layer.last.is_some()).collect();
    let n_cells = (MAX_CELLS_OF_A_RUN / layers.len().max(1)).clamp(8, MAX_CELLS);
    let rows: Vec<Vec<Segment>> =
        layers.iter().map(|layer| layer.segments.shown(n_cells)).collect();
    let actions = actions(&rows);
    html! {
        @if !layers.is_empty() {
            section.decisions {
                h2 { "Decision map" }
                (legend(&actions, &rows))
                div.map role="grid" aria-readonly="true" aria-label="Decision map: a row for each layer, steps from left to right" {
                    @for (layer, segments) in layers.iter().zip(&rows) {
                        (row(layer, segments, &actions, run.last_step))
                    }
                    div.steps aria-hidden="true" { span { "step 0" } span { (run.last_step) } }
                }
                p.readout {
                    "Point at a cell for its reason, or go to the map with Tab and through it with the arrow keys."
                }
            }
        }
    }
}

fn legend(actions: &[String], rows: &[Vec<Segment>]) -> Markup {
    let changes = || rows.iter().flatten().filter_map(|segment| segment.change.as_ref());
    html! {
        ul.legend {
            @for (index, name) in actions.iter().enumerate() { li { (swatch(index)) (name) } }
            li { i.off {} "off" }
            @if changes().any(LoggedDecision::is_switch) { li { i.switch {} "another action" } }
            @if !changes().all(LoggedDecision::is_switch) { li { i.moved {} "the same with other numbers" } }
            li { "The fuller the colour, the larger the " (elasticity()) "." }
        }
    }
}

fn row(layer: &LayerHistory, segments: &[Segment], actions: &[String], last_step: u64) -> Markup {
    let width = last_step.max(1);
    let ends = segments.iter().skip(1).map(|segment| segment.step).chain([last_step]);
    html! {
        div.layer role="row" {
            div.name role="rowheader" { (layer_name(layer)) }
            svg role="presentation" viewBox=(format!("0 0 {width} 1")) preserveAspectRatio="none" {
                @for (index, (segment, end)) in segments.iter().zip(ends).enumerate() {
                    @let start = if index == 0 { 0 } else { segment.step };
                    (cell(layer, segment, &(start..end), actions))
                }
                @for change in segments.iter().filter_map(|segment| segment.change.as_ref()) {
                    @let class = if change.is_switch() { "switch" } else { "moved" };
                    @let top = if change.is_switch() { "0" } else { "0.75" };
                    line.(class) x1=(change.step) x2=(change.step) y1=(top) y2="1" {}
                }
            }
        }
    }
}

fn cell(layer: &LayerHistory, segment: &Segment, steps: &Range<u64>, actions: &[String]) -> Markup {
    let place =
        segment.held_by.as_ref().and_then(|held_by| actions.iter().position(|a| a == held_by));
    let elasticity =
        if segment.elasticity.is_finite() { segment.elasticity.clamp(0.0, 1.0) } else { 0.0 };
    html! {
        rect.(colour(place.unwrap_or(0))) role="gridcell" tabindex="-1" x=(steps.start) y="0" height="1" width=(steps.end.saturating_sub(steps.start))
            fill-opacity=(format!("{elasticity:.2}")) aria-label=(in_words(layer, segment, steps)) {}
    }
}

/// A cell as a sentence, which is also what the page shows of it.
fn in_words(layer: &LayerHistory, segment: &Segment, steps: &Range<u64>) -> String {
    let Range { start, end } = steps;
    let elasticity = short(segment.elasticity);
    let change = segment.change.as_ref().map_or(String::new(), |change| {
        let more = match segment.n_changes {
            1 => String::new(),
            n => format!(" (one of {n} changes)"),
        };
        format!(
            " At step {} from {} to {}{more}: {}.",
            change.step, change.from, change.to, change.reason
        )
    });
    format!(
        "{}, steps {start} to {end}: {}, elasticity {elasticity}. {}.{change}",
        layer.path, segment.action, segment.reason
    )
}

/// The actions' names in the order in which they first appear, which is that of their colours.
fn actions(rows: &[Vec<Segment>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in rows.iter().flatten().filter_map(|segment| segment.held_by.as_ref()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The changes as a list.
pub(super) fn list(run: &RunRecord) -> Markup {
    let n_left_out = run.n_decisions - run.decisions.len() as u64;
    let head = html! { (numbers(["Step"])) (words(["Layer", "From", "To", "Reason"])) };
    let rows = run.decisions.iter().map(|decision| {
        let LoggedDecision { step, path, from, to, reason, .. } = decision;
        html! { td.n { (step) } td { code { (path) } } @for text in [from, to, reason] { td { (text) } } }
    });
    html! {
        @if !run.decisions.is_empty() {
            section {
                h2 { "Decisions that changed something" }
                (table(&head, rows))
                @if n_left_out > 0 { p.note { "And " (n_left_out) " more in record.jsonl." } }
            }
        }
    }
}
