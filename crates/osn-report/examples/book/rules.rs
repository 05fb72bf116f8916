//! What each rule does to made-up singular values: the picture on its page of the book.
//!
//! The values do not react to the rule, as those of a network would; the decisions and the way in which they come
//! into force are those of the library.

use std::error::Error;

use osn_core::act::{Actuator, Rates};
use osn_core::decide::{Adversarial, Decider, Generalization, Rule, Signals};
use osn_core::layer::{Architecture, GradientStatistics, Growth, Kind, Layer, Measurement};

use super::chart::{Line, Panel, picture};

/// The file's name, the rule, what is drawn beside σ, and a sentence about it.
type Shown = (&'static str, &'static str, Beside, &'static str);

/// The panel beside that of σ.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Scale,
    Updates,
    Separation,
    Losses,
    Score,
    HeldOut,
    Growth,
}

const RULES: [Shown; 15] = [
    (
        "auto-gan",
        "auto",
        Beside::Separation,
        "targets fall while D separates everything and rise while it separates nothing",
    ),
    (
        "auto-classify",
        "auto:task=classify",
        Beside::Losses,
        "targets fall while the generalization gap is above 0.4 nats",
    ),
    ("always", "always", Beside::Scale, "σ of the effective weight is 1 from the first forward on"),
    ("never", "never", Beside::Scale, "the effective weight is the stored one"),
    (
        "static",
        "static:position=penultimate",
        Beside::Scale,
        "one layer is normalized to 1, the others are left alone",
    ),
    (
        "cap",
        "cap:target=2",
        Beside::Scale,
        "constrained above 2.1, released below 1.9 and not before 200 steps",
    ),
    (
        "schedule",
        "schedule:on=100,off=450,target=1,end_target=2,from=200,until=400",
        Beside::Scale,
        "on from step 100 to 450, with a target that moves from 1 to 2",
    ),
    (
        "lr_over_sigma",
        "lr_over_sigma",
        Beside::Updates,
        "the weight is left alone; its updates are multiplied by 1/σ",
    ),
    ("lr_over_max_sigma", "lr_over_max_sigma", Beside::Updates, "the same by 1/max(1, σ)"),
    (
        "random",
        "random:dwell=150",
        Beside::Scale,
        "each layer is on or off at random for 150 steps",
    ),
    (
        "plateau",
        "plateau:metric=score,every=6,patience=8",
        Beside::Score,
        "when the score stalls, another target is tried; here none is better, and it is put back",
    ),
    (
        "budget",
        "budget:total=4,weights=uniform",
        Beside::Scale,
        "the product of all σ is at most 4, and the excess is shared",
    ),
    (
        "learned",
        "learned",
        Beside::HeldOut,
        "gates close where a smaller layer lowers the held-out loss",
    ),
    ("pay", "pay:interval=10", Beside::Growth, "a layer is capped while growth does not pay"),
    (
        "actuator",
        "cap:target=2,hysteresis=0,dwell=1,interval=1",
        Beside::Scale,
        "how a switch comes into force: within a hundred steps, never at once",
    ),
];

const N_STEPS: u64 = 600;

/// The file's name and the text of each picture.
pub(crate) fn pictures() -> Result<Vec<(String, String)>, Box<dyn Error>> {
    RULES.iter().map(|shown| Ok((format!("rule-{}.svg", shown.0), drawn(shown)?))).collect()
}

fn drawn(&(_, rule, beside, sentence): &Shown) -> Result<String, Box<dyn Error>> {
    let trace = trace(rule)?;
    let notes = [
        sentence,
        "Made-up σ of three layers, which does not react to the rule. The decisions, and how they come into force, are the library's.",
    ];
    Ok(picture(rule, notes, &[sigmas(&trace), second(beside, &trace)]))
}

/// One row for each step: σ, the scale and the factor on updates of each layer.
type Trace = Vec<[[f64; 3]; 3]>;

fn trace(rule: &str) -> Result<Trace, Box<dyn Error>> {
    let mut decider = Decider::new(Rule::parse(rule)?, layers())?;
    let mut actuators: Vec<Actuator> = Vec::new();
    let mut trace = Vec::new();
    for step in 0..=N_STEPS {
        let decided = decider.decide(step, &measured(step), &signals(step));
        if step == 0 {
            actuators = decided.iter().map(|decision| Actuator::new(decision.action)).collect();
        }
        let row = |(index, actuator): (usize, &mut Actuator)| {
            let sigma = sigma(step, index);
            let applied = actuator.step(decided[index].action, sigma, &Rates::default());
            [sigma, applied.scale(sigma), applied.update_factor(sigma)]
        };
        let rows: Vec<[f64; 3]> = actuators.iter_mut().enumerate().map(row).collect();
        trace.push([rows[0], rows[1], rows[2]]);
    }
    Ok(trace)
}

fn layers() -> Vec<Layer> {
    let layer = |index: usize| Layer {
        path: format!("layer{}.weight", index + 1),
        network: "discriminator".to_owned(),
        kind: Kind::Linear,
        shape: vec![16, 16],
        index,
        count: 3,
        is_largest: index == 0,
        block: None,
        architecture: Architecture::default(),
    };
    (0..3).map(layer).collect()
}

/// σ of the first layer grows, that of the second rises and falls, that of the third stays near 1.
fn sigma(step: u64, layer: usize) -> f64 {
    let time = step as f64 / N_STEPS as f64;
    let wave = 0.04 * (step as f64 / 7.0 + layer as f64).sin();
    wave + match layer {
        0 => 1.2 + 2.6 * time,
        1 => 1.0 + 2.2 * (-((time - 0.45) / 0.2).powi(2)).exp(),
        _ => 0.9 + 0.2 * time,
    }
}

fn separation(step: u64) -> f64 {
    0.6 + 0.39 * (step as f64 / 95.0).sin()
}

fn losses(step: u64) -> [f64; 2] {
    let time = step as f64 / N_STEPS as f64;
    [1.8 * (-3.0 * time).exp(), 0.9 * (-4.0 * time).exp() + 0.9 + 0.5 * time]
}

/// A score that stalls after 150 steps.
fn score(step: u64) -> f64 {
    60.0 + 60.0 * (-(step as f64) / 60.0).exp() + 0.2 * (step as f64).sin()
}

fn held_out(step: u64, layer: usize) -> f64 {
    [0.5, -0.5, 0.1][layer] * (1.0 + 0.3 * (step as f64 / 20.0).sin())
}

fn growth(step: u64, layer: usize) -> f64 {
    let noise = 0.6 * (1.3 * step as f64 + layer as f64).sin();
    let late = if step < N_STEPS / 2 { -1.0 } else { 1.0 };
    [late, -late, 0.0][layer] + noise
}

fn signals(step: u64) -> Signals {
    let [train_loss, held_out_loss] = losses(step);
    let signals = Signals::new()
        .adversarial(Adversarial {
            separation: Some(separation(step)),
            input_gradient_norm: Some(2.4),
        })
        .generalization(Generalization { train_loss, held_out_loss });
    if step.is_multiple_of(10) { signals.metric("score", score(step)) } else { signals }
}

fn measured(step: u64) -> Vec<Measurement> {
    let of = |layer: usize| {
        let mean = growth(step, layer);
        let gradient = GradientStatistics {
            mean_norm: 0.5,
            norm_variance: 0.01,
            mean_update: 0.02,
            sensitivity: 0.3,
            held_out_sensitivity: Some(held_out(step, layer)),
            growth: Some(Growth { looks: 1, mean, mean_square: mean * mean }),
        };
        Measurement::new(sigma(step, layer), 1e-4).with_usual_start(1.0).with_gradient(gradient)
    };
    (0..3).map(of).collect()
}

/// σ of the stored weight, dashed, and of the effective one.
fn sigmas(trace: &Trace) -> Panel {
    let pair = |layer: usize| {
        let stored = curve(trace, move |row| row[layer][0]);
        let effective = curve(trace, move |row| row[layer][0] * row[layer][1]);
        [line(layer, ", stored", true, stored), line(layer, "", false, effective)]
    };
    Panel { title: "σ".to_owned(), lines: (0..3).flat_map(pair).collect() }
}

fn line(layer: usize, what: &str, is_dashed: bool, points: Vec<(f64, f64)>) -> Line {
    Line { label: format!("layer {}{what}", layer + 1), colour: layer, is_dashed, points }
}

fn curve(trace: &Trace, of: impl Fn(&[[f64; 3]; 3]) -> f64) -> Vec<(f64, f64)> {
    trace.iter().enumerate().step_by(3).map(|(step, row)| (step as f64, of(row))).collect()
}

fn second(beside: Beside, trace: &Trace) -> Panel {
    let over =
        |of: &dyn Fn(u64) -> f64| (0..=N_STEPS).step_by(5).map(|it| (it as f64, of(it))).collect();
    // The panel's title says what it is.
    let alone = |of: &dyn Fn(u64) -> f64| {
        vec![Line { label: String::new(), colour: 3, is_dashed: false, points: over(of) }]
    };
    let each = |what: &str, of: fn(u64, usize) -> f64| {
        (0..3).map(|layer| line(layer, what, false, over(&|step| of(step, layer)))).collect()
    };
    let factors = |what: &str, place: usize| {
        let of =
            |layer: usize| line(layer, what, false, curve(trace, move |row| row[layer][place]));
        (0..3).map(of).collect()
    };
    let (title, lines) = match beside {
        Beside::Scale => ("scale s", factors("", 1)),
        Beside::Updates => ("factor on the updates", factors("", 2)),
        Beside::Separation => ("made-up separation of D", alone(&separation)),
        Beside::Losses => ("made-up held-out minus training loss, nats", alone(&gap)),
        Beside::Score => ("made-up score, lower is better", alone(&score)),
        Beside::HeldOut => ("made-up ⟨G, Ŵ⟩ on held-out data", each("", held_out)),
        Beside::Growth => ("made-up ∂J/∂σ on held-out data", each("", growth)),
    };
    Panel { title: title.to_owned(), lines }
}

fn gap(step: u64) -> f64 {
    let [train, held_out] = losses(step);
    held_out - train
}
