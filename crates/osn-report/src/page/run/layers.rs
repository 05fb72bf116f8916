//! Each layer: σ against its target, stable rank, and how it ended.

use maud::{Markup, html};

use crate::page::chart::{Chart, MAX_POINTS};
use crate::page::names::{ELASTICITY, layer_name};
use crate::page::table::{table, words};
use crate::record::run::{LayerHistory, RunRecord};
use crate::record::types::LayerPoint;
use crate::series::min_max::Drawing;
use crate::text::short;

/// Points of all layers' curves together, so that many layers make no heavy page.
const MAX_POINTS_OF_A_RUN: usize = 16_000;
const MIN_POINTS: usize = 100;

/// σ and stable rank of each layer over the steps.
pub(super) fn curves(run: &RunRecord) -> Markup {
    let layers: Vec<_> = run.layers.iter().filter(|layer| !layer.sigmas.is_empty()).collect();
    let n_points = (MAX_POINTS_OF_A_RUN / layers.len().max(1)).clamp(MIN_POINTS, MAX_POINTS);
    html! {
        @if !layers.is_empty() {
            section {
                h2 { "Largest singular value and stable rank of each layer" }
                p.note {
                    "σ is an estimate from below. The effective weight, which the layer computes with, "
                    "is the stored one times the scale. The stable rank ‖W‖²_F / σ² is between 1 and the "
                    "rank, and a scale does not change it."
                }
                @for layer in layers { (charts(layer, n_points, run.last_step)) }
            }
        }
    }
}

fn charts(layer: &LayerHistory, n_points: usize, last_step: u64) -> Markup {
    let chart = |title: &str, drawing: Drawing| {
        let chart = Chart::new(format!("{title} of {}", layer.path), drawing, last_step);
        Chart { dashed: Some("target"), wide: Some("effective weight"), ..chart }.figure()
    };
    let rank = layer.stable_rank.drawing(n_points);
    html! {
        div.layer-charts {
            h3 { (layer_name(layer)) }
            div.grid.wide {
                (chart("σ", with_gaps(layer.sigmas.drawing(n_points))))
                @if !rank.steps.is_empty() { (chart("Stable rank", rank)) }
            }
        }
    }
}

/// Where a layer was left alone there was no target: a gap, and not a line across.
fn with_gaps(mut drawing: Drawing) -> Drawing {
    for value in drawing.lines.iter_mut().flat_map(|line| &mut line.values) {
        value.get_or_insert(f64::NAN);
    }
    drawing
}

/// How each layer ended.
pub(super) fn ends(run: &RunRecord) -> Markup {
    let columns =
        ["σ", "Target", "Scale", "Effective σ", "Elasticity", "Stable rank", "Residual", "Changes"];
    let meaning = |column: &str| (column == "Elasticity").then_some(ELASTICITY);
    let head = html! {
        (words(["Layer", "Action"]))
        @for column in columns { th.n scope="col" title=[meaning(column)] { (column) } }
        (words(["Last reason"]))
    };
    let rows = run.layers.iter().filter_map(|layer| Some(cells(layer, layer.last.as_ref()?)));
    html! {
        @if run.layers.iter().any(|layer| layer.last.is_some()) {
            section { h2 { "Layers at the end" } (table(&head, rows)) }
        }
    }
}

fn cells(layer: &LayerHistory, last: &LayerPoint) -> Markup {
    let target = last.target.unwrap_or(f64::NAN);
    let LayerPoint { sigma, scale, elasticity, stable_rank, residual, .. } = *last;
    let numbers = [sigma, target, scale, sigma * scale, elasticity, stable_rank, residual];
    html! {
        th scope="row" { (layer_name(layer)) }
        td { (last.action) }
        @for number in numbers { td.n { (short(number)) } }
        td.n { (layer.n_decisions) }
        td { (last.reason) }
    }
}
