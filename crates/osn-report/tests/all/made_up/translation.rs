//! A run of translation that never was: the first half of the heads is held in the middle of it and let go again.

use osn_report::Sample;
use serde_json::{Value, json};

/// How large a run is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Layers of encoder and decoder each.
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) logged: u64,
}

pub(crate) const SMALL: Size = Size { layers: 2, heads: 2, logged: 20 };
/// 345 layers.
pub(crate) const LARGE: Size = Size { layers: 8, heads: 4, logged: 1000 };

const ROLES: [&str; 3] = ["query", "key", "value"];

/// The lines of its record, of a logged step each ten steps.
fn lines(size: Size) -> impl Iterator<Item = Value> {
    (1..=size.logged).flat_map(move |place| {
        let part = place as f64 / size.logged as f64;
        let step = 10 * place;
        let layers =
            attentions(size).into_iter().flat_map(move |path| layers(size, step, part, &path));
        let heads =
            attentions(size).into_iter().flat_map(move |path| heads(size, step, part, &path));
        let whole = whole(size).into_iter().map(move |path| layer(step, &path, None));
        std::iter::once(losses(size, step)).chain(whole).chain(layers).chain(heads)
    })
}

/// The record as text.
pub(crate) fn record(size: Size) -> String {
    lines(size).fold(String::new(), |record, line| record + &line.to_string() + "\n")
}

/// Tables after two steps; of the first one no translation is right.
pub(crate) fn samples(source: &str, reference: &str) -> Vec<Sample> {
    let table = |step, translations: [&str; 2]| {
        let [first, second] = translations;
        let rows = [[source, reference, first], ["rocket", "Rakete", second]];
        let table = json!({"columns": ["source", "reference", "translation"], "rows": rows});
        Sample::table(step, table.to_string().as_bytes()).unwrap()
    };
    vec![table(100, ["wrong", "Rak"]), table(200, [reference, "Rakette"])]
}

fn attentions(size: Size) -> Vec<String> {
    let of = |kind: &'static str| {
        (0..size.layers).map(move |layer| kind.replace('*', &layer.to_string()))
    };
    ["encoder.*.attention", "decoder.*.attention", "decoder.*.cross"]
        .into_iter()
        .flat_map(of)
        .collect()
}

/// Weights that are not cut into heads.
fn whole(size: Size) -> Vec<String> {
    let outputs = attentions(size).into_iter().map(|path| format!("{path}.output.weight"));
    let sides = (0..size.layers)
        .flat_map(|layer| ["encoder", "decoder"].map(|side| format!("{side}.{layer}")));
    let wide = sides
        .flat_map(|path| ["first", "second"].map(|it| format!("{path}.feed_forward.{it}.weight")));
    std::iter::once("embedding.weight".to_owned()).chain(outputs).chain(wide).collect()
}

fn layers(size: Size, step: u64, part: f64, path: &str) -> Vec<Value> {
    let is_held = |head: usize| 2 * head < size.heads && (0.25..0.75).contains(&part);
    let heads = |role: &str| -> Vec<Value> {
        let layer = |head| {
            layer(
                step,
                &format!("{path}.{role}.weight[{head}]"),
                Some(is_held(head) && role != "value"),
            )
        };
        (0..size.heads).map(layer).collect()
    };
    ROLES.iter().flat_map(|role| heads(role)).collect()
}

fn layer(step: u64, path: &str, is_held: Option<bool>) -> Value {
    let is_held = is_held == Some(true);
    json!({
        "event": "layer", "step": step, "network": "transformer", "path": path,
        "sigma": 2.0 + (step as f64).sin() / 3.0, "stable_rank": 5.25, "residual": 1e-5,
        "target": is_held.then_some(1.5), "scale": 1.0, "elasticity": f64::from(is_held),
        "action": if is_held { "cap" } else { "off" }, "reason": format!("σ is what it is at {step}"),
    })
}

/// A head's entropy is its place, and its largest logit ten times the part of the run, at the end not finite.
fn heads(size: Size, step: u64, part: f64, path: &str) -> Vec<Value> {
    let logit = (part < 1.0).then_some(1.0 + 10.0 * part);
    let head = |head| {
        json!({
            "event": "attention", "step": step, "network": "transformer", "path": path, "head": head,
            "entropy": head as f64 + 0.5, "max_logit": logit,
        })
    };
    (0..size.heads).map(head).collect()
}

fn losses(size: Size, step: u64) -> Value {
    let parts = (0..size.layers)
        .flat_map(|layer| ["encoder", "decoder"].map(|it| format!("gradient_norm/{it}.{layer}")));
    let parts = parts.chain(["gradient_norm/embedding".to_owned()]).map(|name| (name, json!(0.25)));
    let signals: serde_json::Map<_, _> = parts.collect();
    json!({"event": "step", "step": step, "losses": {"cross_entropy": 1.5}, "signals": signals})
}
