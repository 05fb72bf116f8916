//! Attention by head: which heads were held and when, their largest logits and their entropies.

use std::collections::BTreeMap;

use maud::{Markup, html};
use osn_core::number::median;

use crate::page::heat::{COLUMNS, Panel, Scale, legend};
use crate::page::names::attention_name;
use crate::page::table::{numbers, table, words};
use crate::record::modules::{is_number, kind_of};
use crate::record::run::{ENTROPY, HeadHistory, LayerHistory, MAX_LOGIT, RunRecord};
use crate::series::timeline::Column;
use crate::study::tables::hundredths;
use crate::text::short;

type Values = Vec<Vec<Option<f64>>>;

/// The heads of one kind of attention, such as those of the encoder, layer by layer.
struct Kind<'a> {
    title: String,
    heads: Vec<&'a HeadHistory>,
    roles: Vec<Role<'a>>,
}

/// A weight of every head, such as its query.
struct Role<'a> {
    name: &'a str,
    /// Where in the record its first layer is.
    place: usize,
    layers: Vec<Option<&'a LayerHistory>>,
}

/// A quantity with a panel for each kind of attention.
pub(crate) struct Quantity {
    pub(crate) title: &'static str,
    pub(super) meaning: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// The heat maps, and what they say in numbers; nothing of a run without heads.
pub(super) fn section(run: &RunRecord) -> Markup {
    let kinds = kinds(run);
    html! {
        @if !kinds.is_empty() {
            section.heads {
                h2 { "Attention by head" }
                p.note {
                    "A row for each head, layer by layer from top to bottom; steps from left to right. "
                    "What was logged stands until the next was, and the first from step 0."
                }
                @for quantity in quantities(run, &kinds) {
                    h3 { (quantity.title) }
                    p.note { (quantity.meaning) }
                    @if let Some(panel) = quantity.panels.first() { (legend(panel.scale, panel.unit, panel.colour)) }
                    div.grid { @for panel in &quantity.panels { (panel.figure()) } }
                }
                p.readout {
                    "Point at a cell for its numbers, or go to a map with Tab and through it with the arrow keys."
                }
                (in_numbers(run, &kinds))
            }
        }
    }
}

/// What is drawn of a run's heads, in the order of the page.
pub(crate) fn drawn(run: &RunRecord) -> Vec<Quantity> {
    quantities(run, &kinds(run))
}

fn quantities(run: &RunRecord, kinds: &[Kind]) -> Vec<Quantity> {
    let held = Quantity {
        title: "Held",
        meaning: "The share of the head's weights that are constrained: the mean elasticity γ over its query, key and value.",
        panels: kinds.iter().filter_map(|kind| kind.held(run.last_step)).collect(),
    };
    let logits = Quantity {
        title: "Largest attention logit",
        meaning: "The largest q·k/√d before the softmax, over a fixed held-out batch.",
        panels: panels(run, kinds, MAX_LOGIT, ("logit", "", "c1"), |[_, highest]| highest),
    };
    let entropies = Quantity {
        title: "Attention entropy",
        meaning: "The mean over queries of −Σ p ln p, over the same batch: 0 looks at one place only, and more is \
                  spread over more places.",
        panels: panels(run, kinds, ENTROPY, ("entropy", "nats", "c2"), |[lowest, highest]| {
            f64::midpoint(lowest, highest)
        }),
    };
    [held, logits, entropies].into_iter().filter(|quantity| !quantity.panels.is_empty()).collect()
}

/// What a panel's values are called, their unit and their colour.
type Look = (&'static str, &'static str, &'static str);

fn panels(
    run: &RunRecord,
    kinds: &[Kind],
    name: &str,
    (quantity, unit, colour): Look,
    of: impl Fn([f64; 2]) -> f64,
) -> Vec<Panel> {
    let value = |ends: Option<[f64; 2]>| ends.map(&of);
    let row = |head: &&HeadHistory| -> Vec<_> {
        head.values.columns(name, COLUMNS, run.last_step).into_iter().map(value).collect()
    };
    let all: Vec<Values> = kinds.iter().map(|kind| kind.heads.iter().map(row).collect()).collect();
    let known = all.iter().flatten().flatten().copied().flatten();
    let scale = if name == MAX_LOGIT { Scale::logarithmic(known) } else { Scale::linear(known) };
    let panel = |(kind, values): (&Kind, Values)| Panel {
        title: kind.title.clone(),
        rows: kind.rows(),
        parts: Vec::new(),
        last_step: run.last_step,
        quantity,
        unit,
        colour,
        scale,
        values,
    };
    kinds.iter().zip(all).map(panel).collect()
}

/// The heads by the kind of their attention, with their weights.
fn kinds(run: &RunRecord) -> Vec<Kind<'_>> {
    let layers: Layers = run
        .layers
        .iter()
        .enumerate()
        .map(|(place, layer)| ((&layer.network[..], &layer.path[..]), (place, layer)))
        .collect();
    let mut kinds: Vec<(String, Vec<&HeadHistory>)> = Vec::new();
    for head in &run.heads {
        let of = kind_of(&head.path);
        match kinds.iter_mut().find(|(kind, _)| *kind == of) {
            Some((_, heads)) => heads.push(head),
            None => kinds.push((of, vec![head])),
        }
    }
    let kind = |(kind, heads): (String, Vec<_>)| Kind {
        title: attention_name(&kind),
        roles: roles(&layers, &heads),
        heads,
    };
    kinds.into_iter().map(kind).collect()
}

/// The layers with their places in the record, by network and path.
type Layers<'a> = BTreeMap<(&'a str, &'a str), (usize, &'a LayerHistory)>;

/// A head's weights are the blocks of those that its attention holds: `encoder.0.attention.query.weight[2]`.
fn roles<'a>(layers: &Layers<'a>, heads: &[&'a HeadHistory]) -> Vec<Role<'a>> {
    let mut roles: Vec<Role> = Vec::new();
    for (head, (name, place, layer)) in heads
        .iter()
        .enumerate()
        .flat_map(|(index, head)| weights(layers, head).map(move |it| (index, it)))
    {
        let known = roles.iter().position(|role| role.name == name).unwrap_or(roles.len());
        if known == roles.len() {
            roles.push(Role { name, place, layers: vec![None; heads.len()] });
        }
        roles[known].place = roles[known].place.min(place);
        roles[known].layers[head] = Some(layer);
    }
    roles.sort_by_key(|role| role.place);
    roles
}

/// The weights of a head: what each is, where it is in the record, and the layer.
fn weights<'a>(
    layers: &Layers<'a>,
    head: &'a HeadHistory,
) -> impl Iterator<Item = (&'a str, usize, &'a LayerHistory)> {
    let from = (&head.network[..], &head.path[..]);
    let inside = layers.range(from..).take_while(move |((network, path), _)| {
        *network == head.network && path.starts_with(&head.path)
    });
    inside.filter_map(|(&(_, path), &(place, layer))| {
        let name = path[head.path.len()..].strip_prefix('.')?;
        let (name, block) = name.strip_suffix(']')?.split_once('[')?;
        let is_its = block.parse() == Ok(head.head);
        is_its.then_some((name.strip_suffix(".weight").unwrap_or(name), place, layer))
    })
}

impl Kind<'_> {
    fn rows(&self) -> Vec<(String, usize)> {
        self.heads.iter().map(|head| (layer_number(&head.path), head.head)).collect()
    }

    /// How much of each head is held; nothing where no weight of a head is a layer of its own.
    fn held(&self, last_step: u64) -> Option<Panel> {
        let elasticities = |layer: Option<&LayerHistory>| -> Vec<Option<f64>> {
            let columns = layer.map(|layer| layer.segments.columns(COLUMNS, last_step));
            columns.map_or(vec![None; COLUMNS], |columns| {
                columns.iter().map(|column| Some(column.elasticity)).collect()
            })
        };
        let part = |role: &Role| {
            (role.name.to_owned(), role.layers.iter().copied().map(elasticities).collect())
        };
        let parts: Vec<(String, Values)> = self.roles.iter().map(part).collect();
        let (title, rows) = (self.title.clone(), self.rows());
        (!parts.is_empty()).then(|| Panel {
            quantity: "held",
            unit: "(all of a head's weights)",
            colour: "c0",
            scale: Scale::Linear(1.0),
            values: mean_of(&parts, rows.len()),
            title,
            rows,
            parts,
            last_step,
        })
    }
}

fn mean_of(parts: &[(String, Values)], n_rows: usize) -> Values {
    let cell = |row: usize, column: usize| {
        let known: Vec<f64> = parts.iter().filter_map(|(_, values)| values[row][column]).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    (0..n_rows).map(|row| (0..COLUMNS).map(|column| cell(row, column)).collect()).collect()
}

/// The number in a path: which layer of the network the attention is in.
fn layer_number(path: &str) -> String {
    path.split('.').find(|part| is_number(part)).unwrap_or_default().to_owned()
}

/// When the weights of the heads of a kind were held.
struct Times {
    n: usize,
    /// The first step of each that was ever held.
    first: Vec<f64>,
    n_let_go: usize,
    n_at_end: usize,
    share: f64,
}

impl Times {
    fn of<'a>(layers: impl Iterator<Item = &'a LayerHistory>, last_step: u64) -> Self {
        let mut times = Self { n: 0, first: Vec::new(), n_let_go: 0, n_at_end: 0, share: 0.0 };
        for layer in layers {
            let columns = layer.segments.columns(COLUMNS, last_step);
            let is_held = |column: &Column| column.is_held();
            let at_end = columns.last().is_some_and(|last| last.is_held());
            times.n += 1;
            times.share += columns.iter().filter(|column| column.is_held()).count() as f64;
            times.n_at_end += usize::from(at_end);
            if let Some(first) = columns.iter().position(is_held) {
                times.first.push(first as f64 * last_step as f64 / COLUMNS as f64);
                times.n_let_go += usize::from(!at_end);
            }
        }
        times.share /= (times.n.max(1) * COLUMNS) as f64;
        times
    }

    fn cells(mut self) -> Markup {
        self.first.sort_by(f64::total_cmp);
        let first = median(&self.first).map_or("–".to_owned(), |step| format!("{step:.0}"));
        html! {
            td.n { (self.n) }
            td.n { (self.first.len()) }
            td.n { (first) }
            td.n { (self.n_let_go) }
            td.n { (self.n_at_end) }
            td.n { (hundredths(self.share)) }
        }
    }
}

/// Which weights of heads were held, and whether they were let go again; and the heads at the end.
fn in_numbers(run: &RunRecord, kinds: &[Kind]) -> Markup {
    let columns = [
        "Heads",
        "Held at some time",
        "First held at step (median)",
        "Let go again",
        "Held at the end",
        "Share of the time held",
    ];
    let head = html! { (words(["Attention", "Weight"])) (numbers(columns)) };
    let rows = kinds.iter().flat_map(|kind| kind.roles.iter().map(move |role| (kind, role)));
    let rows: Vec<_> = rows
        .map(|(kind, role)| {
            html! {
                th scope="row" { (kind.title) }
                td { code { (role.name) } }
                (Times::of(role.layers.iter().copied().flatten(), run.last_step).cells())
            }
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            h3 { "When heads were held" }
            p.note { "Here a weight counts as held where its elasticity is at least one half." }
            (table(&head, rows))
        }
        (at_the_end(run, kinds))
    }
}

fn at_the_end(run: &RunRecord, kinds: &[Kind]) -> Markup {
    let head = html! {
        (words(["Attention"]))
        (numbers(["Layer", "Head", "Entropy", "Lowest", "Largest logit", "Highest"]))
    };
    let rows = kinds.iter().flat_map(|kind| kind.heads.iter().map(move |head| (kind, head)));
    let rows = rows.map(|(kind, head)| {
        let end = head.last.as_ref();
        let end = end.map_or([f64::NAN; 2], |last| [last.entropy, last.max_logit]);
        let all = |name| head.values.columns(name, COLUMNS, run.last_step).into_iter().flatten();
        let lowest = all(ENTROPY).map(|ends| ends[0]).fold(f64::NAN, f64::min);
        let highest = all(MAX_LOGIT).map(|ends| ends[1]).fold(f64::NAN, f64::max);
        html! {
            th scope="row" { (kind.title) }
            td.n { (layer_number(&head.path)) }
            td.n { (head.head) }
            @for value in [end[0], lowest, end[1], highest] { td.n { (short(value)) } }
        }
    });
    html! { details.values { summary { "Each head at the end" } (table(&head, rows)) } }
}
