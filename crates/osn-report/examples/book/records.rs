//! Pictures of recorded runs, from the records in `docs/book/records`.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::chart::{Line, Panel, picture};

/// What is kept of a run's description.
const DESCRIBED: [&str; 9] =
    ["recipe", "preset", "decide", "seed", "data", "config", "versions", "machine", "status"];
/// What is kept of a layer.
const OF_LAYER: [&str; 5] = ["event", "step", "path", "sigma", "scale"];

/// A picture: its file, its title, what its last panel shows, the records, and the layers that are drawn.
struct Figure {
    file: &'static str,
    title: &'static str,
    outcome: Outcome,
    records: &'static [&'static str],
    layers: &'static [&'static str],
}

/// A number of an event, and what the panel is called.
struct Outcome {
    title: &'static str,
    event: &'static str,
    group: &'static str,
    name: &'static str,
}

const FIGURES: [Figure; 4] = [
    Figure {
        file: "sigma-gan.svg",
        title: "σ of a GAN's discriminator while it trains",
        outcome: Outcome {
            title: "Fréchet distance, lower is better",
            event: "eval",
            group: "metrics",
            name: "frechet",
        },
        records: &["gan-never", "gan-always"],
        layers: &["down1.weight", "down2.weight", "keep.weight", "logit.weight"],
    },
    Figure {
        file: "sigma-classifier.svg",
        title: "σ of a classifier that learns from 1,000 images, 40 % of the labels random",
        outcome: Outcome {
            title: "accuracy on the test images",
            event: "eval",
            group: "metrics",
            name: "accuracy",
        },
        records: &["classify-never", "classify-always", "classify-auto"],
        layers: &["layers.0.weight", "layers.1.weight", "layers.2.weight"],
    },
    Figure {
        file: "sigma-q-network.svg",
        title: "σ of a Q-network on CartPole",
        outcome: Outcome {
            title: "return of the greedy policy, higher is better",
            event: "eval",
            group: "metrics",
            name: "return",
        },
        records: &["control-never", "control-always", "control-auto"],
        layers: &["layers.0.weight", "layers.1.weight", "layers.2.weight"],
    },
    Figure {
        file: "sigma-transformer.svg",
        title: "σ of a deep post-norm Transformer without warm-up",
        outcome: Outcome {
            title: "held-out loss, nats a byte",
            event: "step",
            group: "signals",
            name: "held_out_loss",
        },
        records: &["nmt-never", "nmt-attention"],
        layers: &[
            "encoder.0.attention.query.weight[0]",
            "encoder.0.feed_forward.first.weight",
            "decoder.7.cross.query.weight[0]",
            "output.weight",
        ],
    },
];

/// What the pictures need of a run: a line with its description, then its events.
pub(crate) fn taken(folder: &Path) -> Result<String, Box<dyn Error>> {
    let run: Value = serde_json::from_str(&fs::read_to_string(folder.join("run.json"))?)?;
    let mut lines = vec![only(&run, &DESCRIBED)];
    for line in fs::read_to_string(folder.join("record.jsonl"))?.lines() {
        let event: Value = serde_json::from_str(line)?;
        lines.extend(kept(&event));
    }
    Ok(lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n")
}

fn kept(event: &Value) -> Option<Value> {
    match event["event"].as_str()? {
        "layer" if drawn_layers().any(|layer| event["path"] == layer) => {
            Some(only(event, &OF_LAYER))
        }
        kind @ ("step" | "eval") => {
            let outcome = FIGURES.iter().map(|figure| &figure.outcome);
            let mut found = outcome.filter_map(|it| Some((it, event[it.group].get(it.name)?)));
            let (outcome, value) = found.find(|(outcome, _)| outcome.event == kind)?;
            Some(
                json!({"event": kind, "step": event["step"], outcome.group: {outcome.name: value}}),
            )
        }
        _ => None,
    }
}

fn drawn_layers() -> impl Iterator<Item = &'static str> {
    FIGURES.iter().flat_map(|figure| figure.layers.iter().copied())
}

fn only(object: &Value, names: &[&str]) -> Value {
    let pairs =
        names.iter().filter_map(|name| Some(((*name).to_owned(), object.get(*name)?.clone())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// The file's name and the text of each picture.
pub(crate) fn pictures(records: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let drawn = |figure: &Figure| Ok((figure.file.to_owned(), drawn(figure, records)?));
    FIGURES.iter().map(drawn).collect()
}

/// A recorded run.
struct Record {
    rule: String,
    events: Vec<Value>,
}

fn drawn(figure: &Figure, folder: &Path) -> Result<String, Box<dyn Error>> {
    let read = |name: &&str| read(&folder.join(format!("{name}.jsonl")));
    let records: Vec<Record> = figure.records.iter().map(read).collect::<Result<_, _>>()?;
    let mut panels: Vec<Panel> = records.iter().map(|record| sigmas(figure, record)).collect();
    let curve = |(index, record): (usize, &Record)| outcome(figure, record, index);
    let lines = records.iter().enumerate().map(curve).collect();
    panels.push(Panel { title: figure.outcome.title.to_owned(), lines });
    let notes = [
        "One seed.",
        "Dashed: the stored weight. Solid: the effective one, with which the network computes.",
    ];
    Ok(picture(figure.title, notes, &panels))
}

fn read(file: &Path) -> Result<Record, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut lines = text.lines().map(serde_json::from_str::<Value>);
    let run = lines.next().ok_or("an empty record")??;
    let rule = run["decide"].as_str().unwrap_or_default().to_owned();
    Ok(Record { rule, events: lines.collect::<Result<_, _>>()? })
}

fn sigmas(figure: &Figure, record: &Record) -> Panel {
    let pair = |(colour, path): (usize, &&str)| {
        let of =
            |event: &Value| (event["path"] == **path).then(|| event["sigma"].as_f64()).flatten();
        let effective = |event: &Value| Some(of(event)? * event["scale"].as_f64()?);
        let line =
            |is_dashed, points| Line { label: (*path).to_owned(), colour, is_dashed, points };
        [line(true, points(record, of)), line(false, points(record, effective))]
    };
    let mut lines: Vec<Line> = figure.layers.iter().enumerate().flat_map(pair).collect();
    // The legend takes the first of a name.
    lines.sort_by_key(|line| line.is_dashed);
    Panel { title: format!("σ under {}", record.rule), lines }
}

fn outcome(figure: &Figure, record: &Record, colour: usize) -> Line {
    let Outcome { event, group, name, .. } = figure.outcome;
    let of = |it: &Value| (it["event"] == event).then(|| it[group][name].as_f64()).flatten();
    Line { label: record.rule.clone(), colour, is_dashed: false, points: points(record, of) }
}

fn points(record: &Record, of: impl Fn(&Value) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |event: &Value| Some((event["step"].as_f64()?, of(event)?));
    record.events.iter().filter_map(point).collect()
}
