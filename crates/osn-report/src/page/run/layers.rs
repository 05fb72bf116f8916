//! Each layer: σ against its target, stable rank, and how it ended.

use maud::{Markup, html};

use crate::page::chart::{Chart, MAX_POINTS};
use crate::page::names::{ELASTICITY, layer_name};
use crate::page::table::{table, words};
use crate::record::modules::{Module, modules};
use crate::record::run::{LayerHistory, RunRecord};
use crate::record::types::LayerPoint;
use crate::series::min_max::{Drawing, DrawnLine};
use crate::text::{Digits, counted};

/// Points of all layers' curves together, so that many layers make no heavy page.
const MAX_POINTS_OF_A_RUN: usize = 16_000;
const MIN_POINTS: usize = 100;
/// The same where layers share a chart.
const MIN_POINTS_OF_MANY: usize = 60;
/// Layers that are shown one by one; more are folded by module.
pub(super) const MAX_UNFOLDED: usize = 64;

/// σ and stable rank of each layer over the steps.
pub(super) fn curves(run: &RunRecord) -> Markup {
    let layers: Vec<_> = run.layers.iter().filter(|layer| !layer.sigmas.is_empty()).collect();
    if layers.len() > MAX_UNFOLDED {
        return curves_by_module(&layers, run.last_step);
    }
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

/// The same of many layers: blocks of one weight share a chart, and the charts of a module are folded.
fn curves_by_module(layers: &[&LayerHistory], last_step: u64) -> Markup {
    let n_points = (MAX_POINTS_OF_A_RUN / layers.len()).clamp(MIN_POINTS_OF_MANY, MAX_POINTS);
    let modules = modules(layers.iter().map(|layer| (&layer.network[..], &layer.path[..])));
    html! {
        section.by-module {
            h2 { "Largest singular value of each layer" }
            p.note {
                "σ is an estimate from below. A thick line is that of the effective weight, which the layer computes "
                "with; a thin one of its colour is that of the stored weight."
            }
            @for module in &modules {
                details {
                    summary { code { (module.path) } " " small { (counted(module.layers.len(), "layer")) } }
                    div.grid {
                        @for (weight, blocks) in by_weight(layers, module) {
                            (of_blocks(weight, &blocks, n_points, last_step).figure())
                        }
                    }
                }
            }
        }
    }
}

/// The layers of a module by the weight that they are blocks of.
fn by_weight<'a>(
    layers: &[&'a LayerHistory],
    module: &Module,
) -> Vec<(&'a str, Vec<&'a LayerHistory>)> {
    let mut weights: Vec<(&str, Vec<&LayerHistory>)> = Vec::new();
    for layer in module.layers.iter().map(|place| layers[*place]) {
        let weight = layer.path.split('[').next().unwrap_or_default();
        match weights.last_mut() {
            Some((last, blocks)) if *last == weight => blocks.push(layer),
            _ => weights.push((weight, vec![layer])),
        }
    }
    weights
}

/// σ of each block of a weight: the effective one as a line, the stored one as a thread behind it.
fn of_blocks(weight: &str, blocks: &[&LayerHistory], n_points: usize, last_step: u64) -> Chart {
    let drawings: Vec<_> = blocks.iter().map(|layer| layer.sigmas.drawing(n_points)).collect();
    let named = |drawing: &Drawing, name: &str| {
        drawing.lines.iter().find(|line| line.name == name).cloned().unwrap_or_default()
    };
    let line = |(layer, drawing): (&&LayerHistory, &Drawing)| DrawnLine {
        name: layer.path.get(weight.len()..).filter(|it| !it.is_empty()).unwrap_or("σ").to_owned(),
        ..named(drawing, "effective weight")
    };
    let Some(first) = drawings.first() else { return Chart::default() };
    // Blocks of one weight are logged at the same steps.
    let together = || blocks.iter().zip(&drawings).filter(|(_, it)| it.steps == first.steps);
    let drawing = Drawing {
        steps: first.steps.clone(),
        lines: together().map(line).collect(),
        n_joined: first.n_joined,
    };
    let threads = together().map(|(_, it)| vec![named(it, "stored weight")]).collect();
    Chart { threads, ..Chart::new(format!("σ of {weight}"), drawing, last_step) }
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
    let ends = || run.layers.iter().filter_map(|layer| Some((layer, layer.last.as_ref()?)));
    let column = |place: usize| Digits::of(ends().map(move |(_, last)| numbers_of(last)[place]));
    let digits: [Digits; N_NUMBERS] = std::array::from_fn(column);
    let rows = ends().map(|(layer, last)| cells(layer, last, &digits));
    html! {
        @if run.layers.iter().any(|layer| layer.last.is_some()) {
            @if run.layers.len() > MAX_UNFOLDED {
                details { summary { "Layers at the end" } (table(&head, rows)) }
            } @else {
                section { h2 { "Layers at the end" } (table(&head, rows)) }
            }
        }
    }
}

const N_NUMBERS: usize = 7;

fn numbers_of(last: &LayerPoint) -> [f64; N_NUMBERS] {
    let target = last.target.unwrap_or(f64::NAN);
    let LayerPoint { sigma, scale, elasticity, stable_rank, residual, .. } = *last;
    [sigma, target, scale, sigma * scale, elasticity, stable_rank, residual]
}

fn cells(layer: &LayerHistory, last: &LayerPoint, digits: &[Digits; N_NUMBERS]) -> Markup {
    html! {
        th scope="row" { (layer_name(layer)) }
        td { (last.action) }
        @for (number, digits) in numbers_of(last).into_iter().zip(digits) { td.n { (digits.shown(number)) } }
        td.n { (layer.n_decisions) }
        td { (last.reason) }
    }
}
