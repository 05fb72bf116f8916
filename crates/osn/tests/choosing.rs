//! What a plan says of every parameter, against what it then holds.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::Device;
use osn::select::Kind;
use osn::{AttachError, Plan, Selection};

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    head: Linear,
}

fn net() -> Net {
    let device = Device::flex();
    Net {
        conv: Conv2dConfig::new([1, 4], [3, 3]).init(&device),
        norm: BatchNormConfig::new(4).init(&device),
        head: LinearConfig::new(4, 2).init(&device),
    }
}

fn but(glob: &str) -> Selection {
    Selection::default().exclude(glob)
}

/// Path and reason of each parameter that is left out.
fn left_out(plan: &Plan) -> Vec<(String, String)> {
    let choices = plan.explain(&net()).unwrap().into_iter();
    choices.filter_map(|choice| Some((choice.path, choice.left_out?))).collect()
}

#[test]
fn what_is_not_left_out_is_what_is_held() {
    let convolutions = Selection::default().kind(Kind::Conv);
    let plans = [
        Plan::new().select("**"),
        Plan::new().select("head.*"),
        Plan::new().select(but("head.*")),
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
fn every_parameter_that_is_left_out_has_its_reason() {
    let reasons = left_out(&Plan::new().select(but("head.*")).select("conv.*"));
    let expected = [
        ("conv.bias", "rank 1 has no spectrum"),
        ("norm.gamma", "rank 1 has no spectrum"),
        ("norm.beta", "rank 1 has no spectrum"),
        ("norm.running_mean", "rank 1 has no spectrum"),
        ("norm.running_var", "rank 1 has no spectrum"),
        ("head.weight", "path head.weight is excluded by head.*; path head.weight is not conv.*"),
        ("head.bias", "rank 1 has no spectrum"),
    ];
    assert_eq!(reasons, expected.map(|(path, why)| (path.to_owned(), why.to_owned())));
}

#[test]
fn a_plan_without_a_selection_says_that_there_is_none() {
    let reasons = left_out(&Plan::new());
    let weights = reasons.iter().filter(|(path, _)| path.ends_with("weight"));
    let whys: Vec<_> = weights.map(|(_, why)| why.as_str()).collect();
    assert_eq!(whys, ["nothing is selected"; 2]);
}

#[test]
fn a_malformed_glob_is_refused_and_not_explained() {
    let error = Plan::new().select("**.weight[").explain(&net()).unwrap_err();
    assert!(matches!(error, AttachError::Glob(_)), "{error}");
}
