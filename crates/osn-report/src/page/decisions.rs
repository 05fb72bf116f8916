//! What was decided: the map of layers by steps, and the list of changes.

use maud::{Markup, html};

use super::{N_COLOURS, swatch};
use crate::moments::Moment;
use crate::number::short;
use crate::run::{Decision, LayerHistory, RunRecord};

/// Cells of one layer's row.
const MAX_CELLS: usize = 120;
/// Cells of a run's whole map, so that many layers make no heavy page.
const MAX_CELLS_OF_A_RUN: usize = 4000;

/// The map of layers by steps: colour is elasticity, lines are changes.
pub(super) fn map(run: &RunRecord) -> Markup {
    let layers: Vec<_> = run.layers.iter().filter(|layer| layer.last.is_some()).collect();
    let n_cells = (MAX_CELLS_OF_A_RUN / layers.len().max(1)).clamp(8, MAX_CELLS);
    let rows: Vec<Vec<Moment>> = layers.iter().map(|layer| layer.moments.shown(n_cells)).collect();
    let actions = actions(&rows);
    html! {
        @if !layers.is_empty() {
            section.decisions {
                h2 { "Decision map" }
                (legend(&actions, &rows))
                div.map role="grid" aria-readonly="true" aria-label="Decision map: a row for each layer, steps from left to right" {
                    @for (layer, moments) in layers.iter().zip(&rows) {
                        (row(layer, moments, &actions, run.last_step))
                    }
                    div.steps aria-hidden="true" { span { "step 0" } span { (run.last_step) } }
                }
                p.readout {
                    "Point at a cell, or go to the map with Tab and through it with the arrow keys, for its reason."
                }
            }
        }
    }
}

fn legend(actions: &[String], rows: &[Vec<Moment>]) -> Markup {
    let changes = || rows.iter().flatten().filter_map(|moment| moment.change.as_ref());
    html! {
        ul.legend {
            @for (index, name) in actions.iter().enumerate() { li { (swatch(index)) (name) } }
            li { i.off {} "off" }
            @if changes().any(Decision::is_switch) { li { i.switch {} "another action" } }
            @if !changes().all(Decision::is_switch) { li { i.moved {} "the same with other numbers" } }
            li { "The fuller the colour, the more strongly the layer is held." }
        }
    }
}

fn row(layer: &LayerHistory, moments: &[Moment], actions: &[String], last_step: u64) -> Markup {
    let width = last_step.max(1);
    let ends = moments.iter().skip(1).map(|moment| moment.step).chain([last_step]);
    html! {
        div.layer role="row" {
            div.name role="rowheader" { (layer_name(layer)) }
            svg role="presentation" viewBox=(format!("0 0 {width} 1")) preserveAspectRatio="none" {
                @for (index, (moment, end)) in moments.iter().zip(ends).enumerate() {
                    @let start = if index == 0 { 0 } else { moment.step };
                    (cell(layer, moment, start, end, actions))
                }
                @for change in moments.iter().filter_map(|moment| moment.change.as_ref()) {
                    @let class = if change.is_switch() { "switch" } else { "moved" };
                    @let top = if change.is_switch() { "0" } else { "0.75" };
                    line.(class) x1=(change.step) x2=(change.step) y1=(top) y2="1" {}
                }
            }
        }
    }
}

fn cell(layer: &LayerHistory, moment: &Moment, start: u64, end: u64, actions: &[String]) -> Markup {
    let colour =
        moment.held_by.as_ref().and_then(|held_by| actions.iter().position(|a| a == held_by));
    let class = format!("c{}", colour.unwrap_or(0) % N_COLOURS);
    let elasticity =
        if moment.elasticity.is_finite() { moment.elasticity.clamp(0.0, 1.0) } else { 0.0 };
    html! {
        rect.(class) role="gridcell" tabindex="-1" x=(start) y="0" height="1" width=(end.saturating_sub(start))
            fill-opacity=(format!("{elasticity:.2}")) aria-label=(in_words(layer, moment, start, end)) {}
    }
}

/// A cell as a sentence, which is also what the page shows of it.
fn in_words(layer: &LayerHistory, moment: &Moment, start: u64, end: u64) -> String {
    let elasticity = short(moment.elasticity);
    let change = moment.change.as_ref().map_or(String::new(), |change| {
        let more = match moment.n_changes {
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
        layer.path, moment.action, moment.reason
    )
}

/// The actions' names in the order in which they first appear, which is that of their colours.
fn actions(rows: &[Vec<Moment>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in rows.iter().flatten().filter_map(|moment| moment.held_by.as_ref()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// A layer's path and network.
pub(super) fn layer_name(layer: &LayerHistory) -> Markup {
    html! { code { (layer.path) } " " small { (layer.network) } }
}

/// The changes as a list.
pub(super) fn table(run: &RunRecord) -> Markup {
    let n_left_out = run.n_decisions - run.decisions.len() as u64;
    html! {
        @if !run.decisions.is_empty() {
            section {
                h2 { "Decisions that changed something" }
                div.scroll { table {
                    thead { tr {
                        th.n scope="col" { "Step" }
                        @for name in ["Layer", "From", "To", "Reason"] { th scope="col" { (name) } }
                    } }
                    tbody { @for decision in &run.decisions { tr {
                        td.n { (decision.step) }
                        td { code { (decision.path) } }
                        td { (decision.from) }
                        td { (decision.to) }
                        td { (decision.reason) }
                    } } }
                } }
                @if n_left_out > 0 { p.note { "And " (n_left_out) " more in record.jsonl." } }
            }
        }
    }
}
