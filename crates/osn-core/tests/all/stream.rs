//! What each rule decides on one recorded stream of measurements, in a file that the Python package replays.
//! `OSN_RECORD_DECISIONS=1 cargo test -p osn-core --test all stream` writes the file.

use std::path::PathBuf;
use std::{env, fs};

use osn_core::decide::{Adversarial, Decider, Decision, Generalization, Rule, Signals};
use osn_core::layer::{Architecture, GradientStatistics, Growth, Kind, Layer, Measurement};
use serde::{Deserialize, Serialize};

/// Every rule, some with parameters under which the stream makes them act.
const RULES: [&str; 20] = [
    "auto",
    "auto:task=classify",
    "auto:task=control",
    "auto:task=sequence",
    "never",
    "observe",
    "always:target=2",
    "static:position=first,target=0.5",
    "cap:target=1",
    "cap:target=1,hysteresis=0.1,dwell=30",
    "schedule:on=20,off=120,interval=10",
    "schedule:period=40,interval=10",
    "random:duty=0.4,dwell=20",
    "budget:total=2",
    "plateau:metric=loss,every=1,patience=2,interval=10",
    "learned",
    "learned:interval=20",
    "pay:interval=10",
    "lr_over_sigma",
    "lr_over_max_sigma:target=1.1",
];

/// Inputs and, for each rule, its decisions at each step.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stream {
    layers: Vec<Layer>,
    moments: Vec<Moment>,
    decisions: Vec<(String, Vec<Vec<Decision>>)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Moment {
    step: u64,
    measurements: Vec<Measurement>,
    signals: Signals,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../python/tests/data/decisions.json")
}

fn layers() -> Vec<Layer> {
    let layer = |index| Layer {
        path: format!("blocks.{index}.weight"),
        network: "discriminator".to_owned(),
        kind: [Kind::Embedding, Kind::Linear, Kind::Attention][index],
        shape: vec![8, 4 + index],
        index,
        count: 3,
        is_largest: index == 2,
        block: (index == 2).then_some(1),
        architecture: Architecture::default(),
    };
    (0..3).map(layer).collect()
}

/// Growth that does not pay in the first half and pays in the second; of the last layer nothing can be said.
fn growth(index: u64, layer: usize) -> Growth {
    let noise = (2.3 * index as f64 + layer as f64).sin();
    let mean = if layer == 2 {
        0.1 * noise
    } else if index < 10 {
        noise - 2.0
    } else {
        noise + 4.0
    };
    Growth { looks: 2, mean, mean_square: mean * mean + 0.5 }
}

/// Waves of σ around 1 that grow, gradients that shrink, and losses that come apart.
fn moments() -> Vec<Moment> {
    let moment = |index: u64| {
        let time = index as f64;
        let measured = |layer: usize| {
            let phase = time / 3.0 + layer as f64;
            let gradient = GradientStatistics {
                mean_norm: 0.5 / (1.0 + time),
                norm_variance: 0.01 * (1.0 + phase.sin()),
                mean_update: 0.02,
                sensitivity: 0.3 + 0.1 * phase.cos(),
                held_out_sensitivity: Some(0.2 * (phase * 1.7).sin()),
                growth: Some(growth(index, layer)),
            };
            Measurement::new((1.0 + 0.03 * time) * (1.0 + 0.3 * phase.sin()), 1e-3 * (1.0 + time))
                .with_stable_rank(2.0 + layer as f64)
                .with_drift((index > 0).then_some(0.003))
                .with_sigma_ratio(Some(0.7))
                .with_usual_start(1.9)
                .with_gradient(gradient)
        };
        let signals = Signals::new()
            .metric("loss", 2.0 + (time / 2.0).sin() / (1.0 + time))
            .adversarial(Adversarial {
                separation: Some((0.05 * time).min(0.99)),
                input_gradient_norm: Some(1.0 + 0.2 * time),
            })
            .generalization(Generalization {
                train_loss: 1.0 / (1.0 + 0.2 * time),
                held_out_loss: 1.0 / (1.0 + 0.1 * time),
            });
        Moment { step: 10 * index, measurements: (0..3).map(measured).collect(), signals }
    };
    (0..20).map(moment).collect()
}

/// What each rule decides on the stream.
fn decided(layers: &[Layer], moments: &[Moment]) -> Vec<(String, Vec<Vec<Decision>>)> {
    let by_rule = |text: &&str| {
        let mut decider = Decider::new(Rule::parse(text).unwrap(), layers.to_vec()).unwrap();
        let at = |it: &Moment| decider.decide(it.step, &it.measurements, &it.signals).to_vec();
        ((*text).to_owned(), moments.iter().map(at).collect())
    };
    RULES.iter().map(by_rule).collect()
}

#[test]
fn the_decisions_on_the_recorded_stream_are_those_of_the_file() {
    if env::var_os("OSN_RECORD_DECISIONS").is_some() {
        let (layers, moments) = (layers(), moments());
        let decisions = decided(&layers, &moments);
        let text = serde_json::to_string(&Stream { layers, moments, decisions }).unwrap();
        fs::write(path(), text + "\n").unwrap();
    }
    let stream: Stream = serde_json::from_str(&fs::read_to_string(path()).unwrap()).unwrap();
    let recorded: Vec<_> = stream.decisions.iter().map(|(rule, _)| rule).collect();
    assert_eq!(recorded, RULES, "record again");
    for ((rule, found), (_, expected)) in
        decided(&stream.layers, &stream.moments).iter().zip(&stream.decisions)
    {
        assert_eq!(found, expected, "{rule}");
    }
    for doc in Rule::catalogue() {
        let is_there = |rule: &&str| rule.split(':').next() == Some(doc.name);
        assert!(RULES.iter().any(is_there), "{} is not in the stream", doc.name);
    }
}
