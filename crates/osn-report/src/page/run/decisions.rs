//! What was decided: the map of layers by steps, and the list of changes.

use std::ops::Range;

use maud::{Markup, html};
use osn_core::act::Action;

use super::evidence;
use super::layers::MAX_UNFOLDED;
use crate::page::names::{colour, elasticity, layer_name, swatch};
use crate::page::table::{numbers, table, words};
use crate::record::modules::{Module, modules};
use crate::record::run::{LayerHistory, RunRecord};
use crate::record::types::LoggedDecision;
use crate::series::timeline::{Column, Segment};
use crate::text::{counted, short};

/// Cells of one layer's row.
const MAX_CELLS: usize = 120;
/// Cells of a run's whole map, so that many layers make no heavy page.
const MAX_CELLS_OF_A_RUN: usize = 4000;
/// Divisions of a run of many layers, finest first.
const FOLDED_CELLS: [usize; 4] = [120, 60, 30, 12];

/// The map of layers by steps: colour is elasticity, lines are changes. Many layers are folded into a row for each
/// module.
pub(super) fn map(run: &RunRecord) -> Markup {
    let layers: Vec<_> = run.layers.iter().filter(|layer| layer.last.is_some()).collect();
    let is_folded = layers.len() > MAX_UNFOLDED;
    let rows = if is_folded {
        within(&FOLDED_CELLS, |n_cells| {
            layers.iter().map(|layer| layer.segments.shown_by_action(n_cells)).collect()
        })
    } else {
        let n_cells = (MAX_CELLS_OF_A_RUN / layers.len().max(1)).clamp(8, MAX_CELLS);
        layers.iter().map(|layer| layer.segments.shown(n_cells)).collect()
    };
    let evidence = evidence::groups(&layers);
    let map = Map { layers, evidence, actions: actions(&rows), rows, last_step: run.last_step };
    html! {
        @if !map.layers.is_empty() {
            section.decisions {
                h2 { "Decision map" }
                (explanation(&map, is_folded))
                (legend(&map.actions, &map.rows))
                p.note { (map.story()) }
                @if is_folded { (map.folded()) } @else { (map.unfolded()) }
                p.readout {
                    "Point at a cell for its reason, or go to the map with Tab and through it with the arrow keys."
                }
            }
        }
    }
}

/// The rows that the finest division gives which stays within the limit, or the coarsest.
fn within<T>(divisions: &[usize], rows: impl Fn(usize) -> Vec<Vec<T>>) -> Vec<Vec<T>> {
    let is_small =
        |rows: &Vec<Vec<T>>| rows.iter().map(Vec::len).sum::<usize>() <= MAX_CELLS_OF_A_RUN;
    let coarsest = divisions.last().copied().unwrap_or(1);
    divisions.iter().map(|n| rows(*n)).find(is_small).unwrap_or_else(|| rows(coarsest))
}

/// The step from which a layer is first held, and why: those of the decision to hold it, which may be in the middle of a
/// segment; where none is logged, those of the segment.
fn first_hold(row: &[Segment]) -> Option<(u64, &str)> {
    let first = row.iter().position(|segment| segment.elasticity > 0.0)?;
    let takes_hold = |it: &&LoggedDecision| {
        Action::leaves_sigma_free(&it.from) && !Action::leaves_sigma_free(&it.to)
    };
    let decision =
        row[..=first].iter().rev().find_map(|segment| segment.change.as_ref().filter(takes_hold));
    Some(decision.map_or((row[first].step, &row[first].reason), |it| (it.step, &it.reason)))
}

/// What is drawn: for each layer its segments.
struct Map<'a> {
    layers: Vec<&'a LayerHistory>,
    /// See [`evidence::groups`].
    evidence: Vec<Option<usize>>,
    rows: Vec<Vec<Segment>>,
    actions: Vec<String>,
    last_step: u64,
}

impl Map<'_> {
    /// What happened, in a few sentences: which layer was held first and why, and how many are held at the end.
    fn story(&self) -> String {
        let held = |segment: &&Segment| segment.elasticity > 0.0;
        let firsts = self.layers.iter().zip(&self.rows);
        let firsts = firsts.filter_map(|(layer, row)| Some((layer, first_hold(row)?)));
        let firsts: Vec<_> = firsts.collect();
        let n_layers = counted(self.layers.len(), "layer");
        let Some((layer, (since, reason))) = firsts.iter().min_by_key(|(_, (since, _))| since)
        else {
            return format!("What happened: none of {n_layers} was held at any time.");
        };
        // What begins with the last step has no width on the map.
        let is_drawn = |segment: &&Segment| segment.step < self.last_step;
        let ends = self.rows.iter().filter_map(|row| row.iter().rfind(is_drawn).or(row.last()));
        let at_end = ends.filter(held).count();
        format!(
            "What happened: of {n_layers}, {} held at some time and {at_end} at the end. The first was {}, from step {} \
             on: {}.",
            firsts.len(),
            layer.path,
            since,
            reason
        )
    }

    fn unfolded(&self) -> Markup {
        html! {
            div.map role="grid" aria-readonly="true" aria-label="Decision map: a row for each layer, steps from left to right" {
                @for place in 0..self.layers.len() { (self.row(place)) (self.evidence(place)) }
                (self.steps())
            }
        }
    }

    fn steps(&self) -> Markup {
        html! { div.steps aria-hidden="true" { span { "step 0" } span { (self.last_step) } } }
    }

    fn row(&self, place: usize) -> Markup {
        self.named_row(place, &layer_name(self.layers[place]))
    }

    /// The row of a layer below its module's: the names of all of them begin with that of the module.
    fn row_of(&self, module: &Module, place: usize) -> Markup {
        let path = &self.layers[place].path;
        let own = path.strip_prefix(module.path).and_then(|own| own.strip_prefix('.'));
        self.named_row(place, &html! { code { (own.unwrap_or(path)) } })
    }

    /// The strip of evidence under a layer, if it is the last that is decided by the same numbers.
    fn evidence(&self, place: usize) -> Markup {
        let n_layers = self.evidence[place];
        html! { @if let Some(n) = n_layers { (evidence::strip(self.layers[place], n, self.last_step)) } }
    }

    /// The last layer of a module all of whose layers are decided by the same numbers: the strip stands under the module then.
    fn end_of_evidence(&self, module: &Module) -> Option<usize> {
        let last = *module.layers.last()?;
        self.evidence[last].filter(|n_layers| *n_layers >= module.layers.len()).map(|_| last)
    }

    fn named_row(&self, place: usize, name: &Markup) -> Markup {
        let (layer, segments) = (self.layers[place], &self.rows[place]);
        row(layer, name, segments, &self.actions, self.last_step)
    }

    /// A row for each module, which unfolds into its layers.
    fn folded(&self) -> Markup {
        let modules =
            modules(self.layers.iter().map(|layer| (&layer.network[..], &layer.path[..])));
        let parts = within(&FOLDED_CELLS, |n_cells| {
            let parts = |module: &Module| parts(&self.layers, module, n_cells, self.last_step);
            modules.iter().map(parts).collect()
        });
        html! {
            div.map.folded {
                @for (module, parts) in modules.iter().zip(&parts) {
                    @if let [only] = module.layers[..] {
                        div role="grid" aria-readonly="true" aria-label=(module.path) {
                            (self.row(only))
                            (self.evidence(only))
                        }
                    } @else {
                        (self.module(module, parts))
                        @if let Some(last) = self.end_of_evidence(module) {
                            div role="grid" aria-readonly="true" aria-label=(format!("{}: evidence", module.path)) {
                                (self.evidence(last))
                            }
                        }
                    }
                }
                (self.steps())
            }
        }
    }

    fn module(&self, module: &Module, parts: &[Part]) -> Markup {
        let held_by = module.layers.iter().flat_map(|place| &self.rows[*place]);
        let held_by = held_by.filter_map(|segment| segment.held_by.as_ref()).next_back();
        let place = held_by.and_then(|held_by| self.actions.iter().position(|a| a == held_by));
        let colour = colour(place.unwrap_or(0));
        html! {
            details.module {
                summary.layer {
                    span.name { code { (module.path) } " " small { (module.layers.len()) " layers" } }
                    svg role="img" aria-label=(summary(module, parts)) preserveAspectRatio="none"
                        viewBox=(format!("0 0 {} 1", self.last_step.max(1))) {
                        @for part in parts {
                            rect.(colour) role="img" x=(part.steps.start) y="0" height="1"
                                width=(part.steps.end.saturating_sub(part.steps.start))
                                fill-opacity=(format!("{:.2}", part.elasticity)) aria-label=(part.in_words(module)) {}
                        }
                    }
                }
                div role="grid" aria-readonly="true" aria-label=(module.path) {
                    @for place in &module.layers {
                        (self.row_of(module, *place))
                        @if self.end_of_evidence(module).is_none() { (self.evidence(*place)) }
                    }
                }
            }
        }
    }
}

/// A module in a part of the run.
struct Part {
    steps: Range<u64>,
    /// The mean over its layers.
    elasticity: f64,
    n_held: usize,
    n_changes: u64,
}

/// A module's parts, of which neighbours that are alike are one.
fn parts(layers: &[&LayerHistory], module: &Module, n_cells: usize, last_step: u64) -> Vec<Part> {
    let columns: Vec<Vec<Column>> = module
        .layers
        .iter()
        .map(|place| layers[*place].segments.columns(n_cells, last_step))
        .collect();
    let start = |column: usize| column as u64 * last_step / n_cells as u64;
    let mut parts: Vec<Part> = Vec::new();
    for column in 0..n_cells {
        let at = || columns.iter().map(|layer| layer[column]);
        let part = Part {
            steps: start(column)..start(column + 1),
            elasticity: at().map(|it| it.elasticity).sum::<f64>() / columns.len() as f64,
            n_held: at().filter(|it| it.is_held()).count(),
            n_changes: at().map(|it| it.n_changes).sum(),
        };
        match parts.last_mut() {
            Some(before) if before.is_like(&part) => before.steps.end = part.steps.end,
            _ => parts.push(part),
        }
    }
    parts
}

impl Part {
    fn is_like(&self, later: &Self) -> bool {
        self.n_held == later.n_held
            && later.n_changes == 0
            && (self.elasticity - later.elasticity).abs() < 0.02
    }

    fn in_words(&self, module: &Module) -> String {
        let Self { steps: Range { start, end }, elasticity, n_held, n_changes } = self;
        let changes = match n_changes {
            0 => String::new(),
            n => format!(" {}.", counted(usize::try_from(*n).unwrap_or(usize::MAX), "change")),
        };
        format!(
            "{}, steps {start} to {end}: {n_held} of {} layers held, mean elasticity {}.{changes}",
            module.path,
            module.layers.len(),
            short(*elasticity)
        )
    }
}

/// A module's row in a sentence.
fn summary(module: &Module, parts: &[Part]) -> String {
    let most = parts.iter().map(|part| part.n_held).max().unwrap_or(0);
    let at_end = parts.last().map_or(0, |part| part.n_held);
    format!(
        "{}: of {} layers at most {most} were held, at the end {at_end}",
        module.path,
        module.layers.len()
    )
}

/// What a row, a place in it and a colour are, for who sees such a map for the first time.
fn explanation(map: &Map, is_folded: bool) -> Markup {
    html! {
        p.note {
            @if is_folded {
                "Each row is a module, a part of the network, and opens into its layers; its colour is their mean. "
            } @else {
                "Each row is a layer. "
            }
            "Time runs from left, step 0, to right, step " (map.last_step) ". Where a row has a colour, the layer is held: a "
            "rule keeps the largest singular value σ of its weight near a target. Where it is grey, the weight "
            "is used as it is: no rule is in force, or one that σ gives no cause to act, such as a cap that it "
            "is below; or it is let go and keeps a constant scale. "
            @if map.evidence.iter().any(Option::is_some) {
                "A line below a row is the number that the rule decides by; the dashed lines are where the decision turns."
            }
        }
    }
}

fn legend(actions: &[String], rows: &[Vec<Segment>]) -> Markup {
    let changes = || rows.iter().flatten().filter_map(|segment| segment.change.as_ref());
    html! {
        ul.legend {
            @for (index, name) in actions.iter().enumerate() { li { (swatch(index)) "held by " (name) } }
            li { i.off {} "not held" }
            @if changes().any(LoggedDecision::is_switch) { li { i.switch {} "the rule took another action" } }
            @if !changes().all(LoggedDecision::is_switch) { li { i.moved {} "the same action with other numbers" } }
            li { "The fuller the colour, the larger the " (elasticity()) "." }
        }
    }
}

fn row(
    layer: &LayerHistory,
    name: &Markup,
    segments: &[Segment],
    actions: &[String],
    last_step: u64,
) -> Markup {
    let width = last_step.max(1);
    let ends = segments.iter().skip(1).map(|segment| segment.step).chain([last_step]);
    html! {
        div.layer role="row" {
            div.name role="rowheader" { (name) }
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
