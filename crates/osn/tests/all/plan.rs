//! A plan is data: what is written comes back, and what it says of a model is what it then does.

use std::num::NonZeroU64;

use crate::support::{device, noisy, plain_device, saved};
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use osn::AttachError;
use osn::prelude::*;
use osn::report::Layer;
use osn::rules::{Action, Context, Decision, DecisionRule, Needs, Rates, Rules, ScopedRule};
use osn::select::{Architecture, Fact, Globs, Kind, Position, Select, Stated};
use osn::views::{Convolution, SigmaGradient, View};

fn linear() -> Linear {
    noisy(LinearConfig::new(6, 4).init(&device()))
}

/// A plan in which nothing is at its default.
fn full() -> Plan {
    let operator = View::Operator(Convolution::new([8, 8]).stride([2, 2]));
    let heads = Select { paths: Globs::new(["head.*"]).unwrap(), ..Select::default() };
    Plan::new()
        .select("**.weight")
        .select(Selection::paths("conv.weight").view(operator).output_axis(1))
        .select(
            Selection::paths("**")
                .exclude("head.*")
                .kind(Kind::Conv)
                .position(Position::Nth(3))
                .view(View::Blocks { axis: 0, count: 2 }),
        )
        .decide(Rules::from_iter([
            ScopedRule { select: Select::default(), rule: Cap::default().into() },
            ScopedRule { select: heads, rule: Always { target: 0.1 + 0.2 }.into() },
        ]))
        .rates(Rates { blend_per_step: 0.3, ..Rates::default() })
        .network("generator")
        .gradient(SigmaGradient::Detached)
        .keep_step_size(NonZeroU64::new(7).unwrap())
        .measure(Needs { sigma_ratio: true, ..Needs::default() })
        .state("head.*", Stated { is_residual: Some(true), ..Stated::default() })
        .move_running_values()
}

#[test]
fn a_plan_comes_back_from_json_as_it_was() {
    for plan in [Plan::new(), full()] {
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(Plan::load_binary(text.as_bytes()).unwrap(), plan, "{text}");
    }
    let every_rule = Rule::catalogue().iter().filter_map(|doc| Rule::parse(doc.name).ok());
    for plan in every_rule.map(|rule| Plan::new().decide(rule)) {
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan, "{text}");
    }
}

#[test]
fn a_plan_that_came_back_does_what_it_did() {
    let plan = Plan::new().select("weight").decide(Always { target: 0.5 });
    let text = serde_json::to_string(&plan).unwrap();
    let back: Plan = serde_json::from_str(&text).unwrap();
    let held = |plan: Plan| plan.attach(linear()).unwrap().0.weight.val().into_data();
    assert_eq!(held(back), held(plan));
}

#[test]
fn a_plan_with_an_unknown_field_is_refused() {
    assert!(serde_json::from_str::<Plan>(r#"{"select": "**"}"#).is_err());
}

struct Halve;

impl DecisionRule for Halve {
    type Memory = ();

    fn name(&self) -> &'static str {
        "halve"
    }

    fn interval(&self) -> Option<u64> {
        Some(1)
    }

    fn begin(&self, _: &[Layer]) {}

    fn decide(&self, (): &mut (), context: &Context) -> Vec<Decision> {
        let halved = |sigma: f64| Decision {
            action: Action::Normalize { target: sigma / 2.0 },
            reason: "half".to_owned(),
        };
        context.measurements.iter().map(|measured| halved(measured.sigma)).collect()
    }
}

#[test]
fn a_custom_rule_is_named_in_the_plan_and_not_read_back() {
    let plan = Plan::new().select("weight").decide(Rule::custom(Halve));
    assert_eq!(plan.rules().label(), "halve");
    let text = serde_json::to_string(&plan).unwrap();
    assert!(text.contains("halve"), "{text}");
    assert!(serde_json::from_str::<Plan>(&text).is_err());
    // A state of it goes on, since only the memory is in the state.
    let (mut model, mut osn) = plan.clone().attach(linear()).unwrap();
    osn.step(&mut model, &Signals::new()).unwrap();
    let (_, mut other) = plan.attach(linear()).unwrap();
    other.resume(saved(&osn)).unwrap();
    assert_eq!(other.state(), osn.state());
    assert_eq!(osn.report(&model).unwrap()[0].reason, "half");
}

#[test]
fn the_later_selection_has_a_weight_with_its_view() {
    let blocks = || Selection::paths("weight").view(View::Blocks { axis: 1, count: 2 });
    let layers = |plan: Plan| plan.attach(linear()).unwrap().1.layers().count();
    assert_eq!(layers(Plan::new().select("**").select(blocks())), 2);
    assert_eq!(layers(Plan::new().select(blocks()).select("**")), 1);
}

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    head: Linear,
}

fn net() -> Net {
    let device = plain_device();
    Net {
        conv: Conv2dConfig::new([1, 4], [3, 3]).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
        head: LinearConfig::new(4, 2).init(&device),
    }
}

#[test]
fn what_is_not_left_out_is_what_is_held() {
    let convolutions = Selection::default().kind(Kind::Conv);
    let plans = [
        Plan::new().select("**"),
        Plan::new().select("head.*"),
        Plan::new().select(Selection::default().exclude("head.*")),
        Plan::new().select(convolutions.clone()),
        Plan::new().select(convolutions).select("head.weight"),
    ];
    for plan in plans {
        let choices = plan.explain(&net()).unwrap().into_iter();
        let said: Vec<_> = choices.filter(|it| it.left_out.is_none()).collect();
        let (_, osn) = plan.attach(net()).unwrap();
        let said: Vec<_> = said.iter().map(|it| (&it.path, it.kind, &it.shape)).collect();
        let held: Vec<_> = osn.layers().map(|it| (&it.path, it.kind, &it.shape)).collect();
        assert_eq!(said, held);
    }
}

#[test]
fn a_malformed_glob_is_refused_and_not_explained() {
    let error = Plan::new().select("**.weight[").explain(&net()).unwrap_err();
    assert!(matches!(error, AttachError::Glob(_)), "{error}");
}

/// A convolution, and batch normalization behind it.
#[derive(Module, Debug)]
struct Normalized {
    conv: Conv2d,
    norm: BatchNorm,
}

#[derive(Module, Debug)]
struct ResidualBlock {
    first: Normalized,
    second: Conv2d,
}

#[derive(Module, Debug)]
struct Network {
    stem: Conv2d,
    block: ResidualBlock,
    norm: BatchNorm,
    hidden: Linear,
    head: Linear,
}

fn network() -> Network {
    let conv = |from, to| Conv2dConfig::new([from, to], [3, 3]).init(&device());
    let norm = || BatchNormConfig::new(8).init(&device());
    Network {
        stem: conv(1, 8),
        block: ResidualBlock {
            first: Normalized { conv: conv(8, 8), norm: norm() },
            second: conv(8, 8),
        },
        norm: norm(),
        hidden: LinearConfig::new(8, 8).init(&device()),
        head: LinearConfig::new(8, 2).init(&device()),
    }
}

/// What is known of each weight, in the order of the module.
fn architectures(plan: Plan) -> Vec<Architecture> {
    let (_, osn) = plan.select("**.weight").attach(noisy(network())).unwrap();
    osn.layers().map(|layer| layer.architecture).collect()
}

#[test]
fn the_module_tree_shows_normalizations_residual_blocks_fans_and_the_output() {
    let seen = architectures(Plan::new());
    let facts = |of: fn(&Architecture) -> bool| seen.iter().map(of).collect::<Vec<_>>();
    // The stem is followed by a block; the block's second convolution ends it, and the next layer is no part of it.
    assert_eq!(facts(|it| it.is_normalized), [false, true, false, false, false]);
    assert_eq!(facts(|it| it.is_residual), [false, true, true, false, false]);
    assert_eq!(facts(|it| it.is_output), [false, false, false, false, true]);
    let fans: Vec<_> = seen.iter().map(|it| (it.fan_in, it.fan_out)).collect();
    assert_eq!(fans, [(9, 72), (72, 72), (72, 72), (8, 8), (8, 2)]);
}

#[test]
fn what_is_stated_of_a_weight_holds_and_the_last_statement_wins() {
    let normalized = |it| Stated { is_normalized: Some(it), ..Stated::default() };
    let seen = architectures(
        Plan::new()
            .state("**", normalized(true))
            .state("block.first.*.weight", normalized(false))
            .state("hidden.weight", Stated { is_output: Some(true), ..Stated::default() }),
    );
    let facts = |of: fn(&Architecture) -> bool| seen.iter().map(of).collect::<Vec<_>>();
    assert_eq!(facts(|it| it.is_normalized), [true, false, true, true, true]);
    assert_eq!(facts(|it| it.is_output), [false, false, false, true, true]);
    for (glob, is_malformed) in [("nothing.*", false), ("a[", true)] {
        let plan = Plan::new().select("**.weight").state(glob, normalized(true));
        let error = plan.attach(network()).unwrap_err();
        assert_eq!(matches!(error, AttachError::Glob(_)), is_malformed, "{error}");
        assert_eq!(matches!(error, AttachError::NothingSelected { .. }), !is_malformed, "{error}");
    }
}

#[test]
fn a_rule_takes_layers_by_what_is_known_of_them() {
    let select = Select { facts: vec![Fact::Normalized], ..Select::default() };
    let rules = Rules::from_iter([
        ScopedRule { select: Select::default(), rule: Always::default().into() },
        ScopedRule { select, rule: Rule::parse("never").unwrap() },
    ]);
    let plan = Plan::new().select("**.weight").decide(rules);
    let (network, osn) = plan.attach(noisy(network())).unwrap();
    let held: Vec<bool> =
        osn.report(&network).unwrap().iter().map(|layer| layer.elasticity == 1.0).collect();
    assert_eq!(held, [true, false, true, true, true]);
}
