//! What people read: every sentence that the crate says, in one place.
//!
//! Where a better word is found, `INSTA_UPDATE=always cargo test -p osn-core --test all sentences` takes it over.

use std::fmt::{Display, Write};

use crate::layers::layers;
use osn_core::act::{Action, Rates};
use osn_core::decide::{
    Adversarial, Decider, DeciderState, Generalization, Needs, Rule, Rules, ScopedRule, Signals,
};
use osn_core::layer::{
    Architecture, Fact, Globs, GradientStatistics, Growth, Kind, Layer, Measurement, Position,
    Select, View,
};
use osn_core::measure::convolution::{Convolution, circular_singular_values};
use osn_core::measure::{DenseMap, PowerParams, power_iteration, start_vector};
use serde_json::{Value, json};

/// Compares with `snapshots/`, which holds no code of this file.
macro_rules! assert_said {
    ($lines:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($lines) })
    };
}

/// Each text, and why it cannot be read.
fn refused<T, E: Display>(texts: &[&str], read: impl Fn(&str) -> Result<T, E>) -> String {
    texts.iter().fold(String::new(), |mut all, text| {
        let Err(error) = read(text) else { panic!("`{text}` is no mistake") };
        writeln!(all, "{text}\n    {error}").unwrap();
        all
    })
}

// ---- what cannot be read

#[test]
fn rules_that_cannot_be_read() {
    let texts = "allways patience bandit balance slope gradient cap:taget=1 never:target=1 always:2 \
         always:target=1,target=2 always:target=big always:target=0 always:target=1e-320 \
         cap:sharpness=0 cap:hysteresis=1e300 cap:dwell=-1 cap:interval=0 \
         cap:target=2,relative_to_init=1.5 cap:relative_to_init=-1 static:kind=convolution \
         static:position=middle static:path=a.[b static:sharpness=8 static:target=2,action=off \
         static:action=clip auto:task=chess schedule:until=5000 schedule:duty=0.1 \
         schedule:duty=1,period=9 schedule:end_target=2 schedule:on=5,off=5 random:duty=1.1 \
         random:action=off budget:total=4,total_relative_to_init=2 budget:total=0 \
         budget:weights=even budget:weights=uniform,smoothing=0.5 budget:threshold=-1 \
         learned:start=1 plateau:lower_is_better=yes plateau:start=20 plateau:max=0.1 \
         plateau:every=0 plateau:metric=";
    let texts: Vec<&str> = texts.split(' ').collect();
    assert_said!(refused(&texts, Rule::parse));
}

#[test]
fn files_of_rules_that_cannot_be_read() {
    let cap = "[[rule]]\nrule = \"cap\"\n";
    let parameters = [
        "target = ",
        "taget = 2",
        "target = \"big\"",
        "dwell = 2.5",
        "dwell = 1979-05-27",
        "target = [\n 1, [2]]",
        "select = \"conv\"",
        "select = { kind = \"conv\" }",
        "select = { kinds = [\n\"conv\",\n\"con\"] }",
        "select.positions = [-1]",
        "select.blocks = [-1]",
        "select.paths = [\"a\",\n\"b.[c\"]",
        "select.paths = [[1]]",
    ];
    let parameters = parameters.map(|lines| format!("{cap}{lines}"));
    let others = [
        "",
        "[[rule]\n",
        "\n\nrules = 1",
        "[rule]\nrule = \"cap\"",
        "rule = [1]",
        "rule = []",
        "[[rule]]\ntarget = 2",
        "[[rule]]\nrule = 3",
        "[[rule]]\nrule = \"capp\"",
        "[[rule]]\nrule = \"static\"\nkind = \"conv\"",
    ];
    let texts: Vec<&str> =
        others.into_iter().chain(parameters.iter().map(String::as_str)).collect();
    assert_said!(refused(&texts, Rules::from_toml));
}

#[test]
fn json_that_is_no_rule() {
    let texts = [
        r#"{"rule":"cap","taget":2}"#,
        r#"{"rule":"sometimes"}"#,
        r#"{"rule":"gradient","start":2}"#,
        r#"{"rule":"custom","name":"largest","parameters":""}"#,
        r#"{"rule":"cap","sharpness":"x"}"#,
        r#"{"rule":"static","select":{"paths":["x.[a"]}}"#,
    ];
    assert_said!(refused(&texts, |text| serde_json::from_str::<Rule>(text)));
}

#[test]
fn views_that_cannot_be_read() {
    let texts = "conv matrix:axis=1 blocks:axes=1 blocks:axis=1 blocks:axis=1,count=0 \
         blocks:axis=-1,count=2 operator operator:28x28 operator:size=8,size=9 operator:size=8xa \
         operator:size=8x8,stride=1x1x1 operator:size=8,padding=1+ operator:size=8,boundary=wrap";
    let texts: Vec<&str> = texts.split(' ').collect();
    assert_said!(refused(&texts, str::parse::<View>));
}

#[test]
fn words_of_a_selection_that_cannot_be_read() {
    let globs = refused(&["", "a,b", "{a,b", "blocks.[a"], |glob| Globs::new([glob]));
    let kind = refused(&["convolution"], str::parse::<Kind>);
    let position = refused(&["middle"], str::parse::<Position>);
    let fact = refused(&["biased"], str::parse::<Fact>);
    let long = Globs::new(["a".repeat(1_001)]).unwrap_err();
    let deep = Globs::new(["{a".repeat(300) + &"}".repeat(300)]).unwrap_err().to_string();
    let deep = deep.split_once("`: ").unwrap().1;
    assert_said!(format!("{globs}{kind}{position}{fact}{long}\n{deep}\n"));
}

// ---- what does not fit

#[test]
fn rules_that_do_not_fit_their_layers() {
    let rules = [
        vec![("static:path=nothing.*", None)],
        vec![("static:exclude=**", None)],
        vec![("static:kind=linear", None)],
        vec![("static:network=generator", None)],
        vec![("static:position=5", None)],
        vec![("auto:task=control,interval=7", Some(Position::Last))],
        vec![("never", None), ("cap", Some(Position::Nth(7)))],
        vec![("cap:target=2", Some(Position::First)), ("never", None)],
        vec![],
    ];
    let errors = rules.map(|rules| {
        let scoped = rules.into_iter().map(|(text, position)| {
            let select = Select { positions: position.into_iter().collect(), ..Select::default() };
            ScopedRule { select, rule: Rule::parse(text).unwrap() }
        });
        Decider::new(scoped.collect::<Rules>(), layers()).unwrap_err().to_string()
    });
    assert_said!(errors.join("\n"));
}

#[test]
fn rules_that_do_not_fit_their_run() {
    let rules = |text| Rules::from(Rule::parse(text).unwrap());
    let (capital, one) = (rules("static:network=Discriminator"), rules("static:network=generator"));
    let names = ["discriminator", "generator"];
    let mut lines = [&capital, &one]
        .map(|it| it.for_network(names[0], &names).unwrap_err().to_string())
        .to_vec();
    for text in ["schedule:on=100", "schedule:on=5,off=90,period=10", "plateau"] {
        lines.push(rules(text).out_of_reach(100, 95).map_or("in reach".to_owned(), |(_, why)| why));
    }
    for text in ["auto", "auto:task=classify", "plateau", "budget", "learned", "pay"] {
        let rules = rules(text);
        let (rule, signal) = rules.unmet_need(Needs::default()).unwrap();
        lines.push(format!("{rule} needs {signal}"));
    }
    assert_said!(lines.join("\n"));
}

#[test]
fn states_of_another_decider() {
    let mut decider = Decider::new(Rule::parse("cap").unwrap(), layers()).unwrap();
    let file = serde_json::to_value(decider.state()).unwrap();
    let changes = [
        ("/rules/0/memory", json!(1)),
        ("/rules/0/label", json!("cap:target=2")),
        ("/rules", json!([])),
        ("/decisions", json!([])),
        ("/decisions/1/action", json!({"cap": {"target": 0.0}})),
        ("/layers/1/path", json!("head")),
        ("/layers", json!([])),
    ];
    let errors = changes.map(|(place, value)| {
        let mut changed: Value = file.clone();
        *changed.pointer_mut(place).unwrap() = value;
        let state: DeciderState = serde_json::from_value(changed).unwrap();
        decider.resume(state).unwrap_err().to_string()
    });
    assert_said!(errors.join("\n"));
}

#[test]
fn numbers_that_cannot_be_measured_or_used() {
    let map = DenseMap::new(&[1.0; 4], 2, 2).unwrap();
    let params = PowerParams::default();
    let huge = [f64::MAX; 16];
    let huge = DenseMap::new(&huge, 4, 4).unwrap();
    let image = Convolution::new([1 << 15; 2]).circular().geometry(&[1, 1, 3, 3]).unwrap();
    let line = || Convolution::new([5]);
    let of = |layer: Convolution, shape: &[usize]| layer.geometry(shape).unwrap_err().to_string();
    let plain = line().geometry(&[1, 1, 3]).unwrap();
    let blend_per_step = 1.5;
    assert_said!(
        [
            DenseMap::new(&[1.0, f64::NAN], 1, 2).unwrap_err().to_string(),
            DenseMap::<f32>::new(&[], 0, 4).unwrap_err().to_string(),
            power_iteration(&map, &[1.0, f64::NAN], &params).unwrap_err().to_string(),
            power_iteration(&huge, &start_vector(4), &params).unwrap_err().to_string(),
            circular_singular_values(&[1.0; 9], &image).unwrap_err().to_string(),
            circular_singular_values(&[1.0; 3], &plain).unwrap_err().to_string(),
            of(line(), &[2, 2]),
            of(line().stride([0]), &[2, 2, 3]),
            of(line().groups(0), &[4, 2, 3]),
            of(line().groups(3), &[4, 2, 3]),
            of(line().padding([0]), &[4, 2, 6]),
            of(Convolution::new([1 << 29; 3]), &[1; 5]),
            Action::Normalize { target: -1.0 }.validate().unwrap_err().to_string(),
            Action::Cap { target: 1.0, sharpness: 0.0 }.validate().unwrap_err().to_string(),
            Rates { blend_per_step, ..Rates::default() }.validate().unwrap_err().to_string(),
            Rates { log_target_per_step: 0.0, ..Rates::default() }
                .validate()
                .unwrap_err()
                .to_string(),
        ]
        .join("\n")
    );
}

// ---- what is said of what is

#[test]
fn actions_rules_and_selections() {
    let actions = [
        Action::Off,
        Action::Normalize { target: 1.0 },
        Action::Cap { target: 2.0, sharpness: f64::INFINITY },
        Action::Cap { target: 2.0, sharpness: 8.0 },
        Action::Keep { scale: 0.25 },
        Action::ScaleUpdate { target: 1.0 },
        Action::CapUpdate { target: 1.0 },
    ];
    let mut lines: Vec<String> = actions.iter().map(Action::to_string).collect();
    let select = Select {
        paths: Globs::new(["**.weight", "**.kernel"]).unwrap(),
        exclude: Globs::new(["head.**"]).unwrap(),
        blocks: vec![0, 2],
        kinds: vec![Kind::Conv],
        networks: vec!["discriminator".to_owned()],
        positions: vec![Position::First, Position::Last],
        facts: vec![Fact::Residual, Fact::Normalized],
        without: vec![Fact::Output],
    };
    lines.extend([Select::default().to_string(), select.to_string()]);
    let known = Architecture { is_normalized: true, ..Architecture::default() };
    let fitting = Layer { architecture: known, block: Some(2), ..layers()[0].clone() };
    let others = [
        Layer { path: "body.bias".to_owned(), ..fitting.clone() },
        Layer { path: "head.weight".to_owned(), ..fitting.clone() },
        Layer { block: Some(1), ..fitting.clone() },
        Layer { kind: Kind::Linear, ..fitting.clone() },
        Layer { network: "generator".to_owned(), ..fitting.clone() },
        Layer { index: 1, count: 3, ..fitting.clone() },
        Layer { architecture: Architecture::default(), ..fitting.clone() },
        Layer { architecture: Architecture { is_output: true, ..known }, ..fitting },
    ];
    lines.extend(others.iter().map(|layer| select.mismatch(layer).unwrap()));
    for doc in Rule::catalogue() {
        lines.push(format!("{}: {}", doc.name, doc.sentence));
        let parameters = doc.parameters.iter();
        lines.extend(parameters.map(|it| format!("  {}={}: {}", it.name, it.default, it.meaning)));
    }
    assert_said!(lines.join("\n"));
}

/// The reasons for the decisions about both layers, at attach and then at each of these σ.
fn reasons(
    rule: Rule,
    sigmas: &[[f64; 2]],
    seen: impl Fn(usize) -> (Option<GradientStatistics>, Signals),
) -> String {
    reasons_about(layers(), rule, sigmas, seen)
}

/// The same about these two layers.
fn reasons_about(
    layers: Vec<Layer>,
    rule: Rule,
    sigmas: &[[f64; 2]],
    seen: impl Fn(usize) -> (Option<GradientStatistics>, Signals),
) -> String {
    let mut all = format!("{rule}\n");
    let mut decider = Decider::new(rule, layers).unwrap();
    for decision in decider.decisions() {
        writeln!(all, "    at attach: {}", decision.reason).unwrap();
    }
    for (place, sigmas) in sigmas.iter().enumerate() {
        let (gradient, signals) = seen(place);
        let measured = sigmas.map(|sigma| {
            let measured = Measurement::new(sigma, 1e-3);
            gradient.map_or(measured, |gradient| measured.with_gradient(gradient))
        });
        let step = 100 * place as u64;
        for decision in decider.decide(step, &measured, &signals) {
            writeln!(all, "    σ {sigmas:?} at {step}: {}", decision.reason).unwrap();
        }
    }
    all
}

#[test]
fn reasons_of_rules_without_signals() {
    let rising = [[0.0, 1.0], [2.0, 1.0], [1.0, 1.02], [0.9, 0.9], [0.9, f64::NAN], [0.9, 0.9]];
    let texts = "always:target=2 never observe static \
         static:position=last,action=cap,target=2,sharpness=8 cap cap:relative_to_init=1.5,dwell=0 \
         schedule:on=100,off=500,period=200,target=2,end_target=8,from=200,until=600 \
         random:dwell=100,action=cap,target=2 lr_over_sigma:target=2 lr_over_max_sigma auto \
         auto:task=classify";
    let of_text =
        |text: &str| reasons(Rule::parse(text).unwrap(), &rising, |_| (None, Signals::new()));
    let said: String = texts.split(' ').map(of_text).collect();
    assert_said!(said);
}

#[test]
fn reasons_of_pay() {
    // A look before each decision, five at once before the third.
    let looks = [
        None,
        Some((1, 1.0)),
        Some((5, -0.42)),
        Some((5, -0.5)),
        Some((9, 0.1)),
        Some((50, 0.4)),
        None,
        Some((1, f64::NAN)),
        Some((30, 0.2)),
    ];
    let sigmas = [[2.0, 0.0]; 9];
    let said = reasons(Rule::parse("pay").unwrap(), &sigmas, |place| {
        let growth = looks[place].map(|(looks, mean): (u64, f64)| Growth {
            looks,
            mean,
            mean_square: mean * mean + 0.05,
        });
        (Some(GradientStatistics { growth, ..GradientStatistics::default() }), Signals::new())
    });
    assert_said!(said);
}

#[test]
fn reasons_of_rules_that_follow_signals() {
    let rule = |text| Rule::parse(text).unwrap();
    let gradient = |sensitivity, held_out| GradientStatistics {
        sensitivity,
        held_out_sensitivity: Some(held_out),
        ..GradientStatistics::default()
    };
    let flat = [[4.0, 4.0]; 6];
    let held_out = [None, Some(0.25), Some(f64::NAN), None];
    let learned =
        reasons(rule("learned"), &[[0.0, 4.0], [4.0, 4.0], [4.0, 0.5], [f64::NAN, 4.0]], |place| {
            (held_out[place].map(|it| gradient(1.0, it)), Signals::new())
        });
    let budget = reasons(
        rule("budget:total=15"),
        &[[4.0, 3.75], [4.0, 4.0], [4.0, 4.0], [9.0, 4.0], [4.0, f64::NAN]],
        |place| ((place > 1).then(|| gradient(0.5, 0.0)), Signals::new()),
    );
    let uniform = reasons(rule("budget:weights=uniform"), &flat[..2], |_| (None, Signals::new()));
    let metrics = [20.0, 20.0, 16.0, 12.0, 12.0, 12.0, 15.0, f64::NAN];
    let plateau = reasons(rule("plateau:every=1,patience=2,step=0.5"), &[[4.0; 2]; 8], |place| {
        (None, Signals::new().metric("frechet", metrics[place]))
    });
    let waiting = reasons(rule("plateau:metric=loss"), &flat[..2], |place| {
        let signals = Signals::new();
        (None, if place > 0 { signals.metric("loss", 3.0) } else { signals })
    });
    let linear = || layers().into_iter().map(|layer| Layer { kind: Kind::Linear, ..layer });
    let auto = [(0.05, 2.4), (1.0, 24.0), (0.6, 2.6)].map(|(separation, slope)| {
        let (separation, input_gradient_norm) = (Some(separation), Some(slope));
        let signals = Signals::new().adversarial(Adversarial { separation, input_gradient_norm });
        reasons_about(linear().collect(), rule("auto"), &flat[..2], |_| (None, signals.clone()))
    });
    let classify = reasons(rule("auto:task=classify"), &[[4.0, 0.0]; 3], |place| {
        let held_out_loss = [2.0, 2.0, 0.25][place];
        (None, Signals::new().generalization(Generalization { train_loss: 0.25, held_out_loss }))
    });
    assert_said!([learned, budget, uniform, plateau, waiting, auto.concat(), classify].concat());
}
