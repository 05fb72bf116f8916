//! A rule that needs a call besides `step`, and what happens where it never comes.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod support;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;
use osn::StepError;
use osn::prelude::*;
use osn::rules::Needs;
use support::{Noise, noise};

fn held(plan: Plan) -> (Linear, Osn) {
    let model = LinearConfig::new(6, 4).init(&Device::flex().autodiff()).map(&mut Noise(0));
    plan.select("weight").attach(model).unwrap()
}

fn gradients(model: &Linear) -> burn::tensor::Gradients {
    model.forward(noise([8, 6], 1, &Device::flex().autodiff())).square().mean().backward()
}

/// The first error of some steps without any other call, and after how many steps it came.
fn first_error(model: &mut Linear, osn: &mut Osn, steps: u64) -> Option<(u64, StepError)> {
    (1..=steps).find_map(|step| Some((step, osn.step(model, &Signals::new()).err()?)))
}

#[test]
fn a_rule_that_decides_on_gradients_says_that_it_was_given_none() {
    for (rule, expected) in
        [("budget:interval=5", "observe"), ("learned:interval=5", "observe_held_out")]
    {
        let (mut model, mut osn) = held(Plan::new().decide(Rule::parse(rule).unwrap()));
        if expected == "observe_held_out" {
            osn.observe(&model, &gradients(&model)).unwrap();
        }
        let before = osn.clone();
        let (step, error) = first_error(&mut model, &mut osn, 50).unwrap();
        assert_eq!(step, 5, "{rule}: when it decides, and not before");
        assert!(
            matches!(&error, StepError::NotObserved { rule: named, call } if named == rule && *call == expected),
            "{rule}: {error}"
        );
        assert_eq!(osn.steps(), before.steps() + 4, "the failed step has not happened");
        // The call mends it.
        osn.observe(&model, &gradients(&model)).unwrap();
        osn.observe_held_out(&model, &gradients(&model)).unwrap();
        osn.step(&mut model, &Signals::new()).unwrap();
    }
}

#[test]
fn one_call_is_enough_however_long_ago() {
    let (mut model, mut osn) = held(Plan::new().decide(Rule::parse("budget:interval=2").unwrap()));
    osn.observe(&model, &gradients(&model)).unwrap();
    assert!(first_error(&mut model, &mut osn, 60).is_none());
}

#[test]
fn what_no_rule_needs_may_be_missing() {
    let needs = Needs { gradients: true, held_out: true, ..Needs::default() };
    for rule in ["cap:interval=1", "never", "observe:interval=1"] {
        let plan = Plan::new().decide(Rule::parse(rule).unwrap()).measure(needs);
        let (mut model, mut osn) = held(plan);
        assert!(first_error(&mut model, &mut osn, 60).is_none(), "{rule}");
    }
}

#[test]
fn a_state_with_sums_of_gradients_counts_as_observed() {
    let plan = || Plan::new().decide(Rule::parse("budget:interval=1").unwrap());
    let (mut model, mut osn) = held(plan());
    osn.observe(&model, &gradients(&model)).unwrap();
    let (_, mut other) = held(plan());
    other.resume(osn.state()).unwrap();
    assert!(other.step(&mut model, &Signals::new()).is_ok());
}

#[test]
fn an_action_on_the_update_that_nothing_applies_is_named() {
    for rule in ["lr_over_sigma:interval=5", "lr_over_max_sigma:interval=5"] {
        let (mut model, mut osn) = held(Plan::new().decide(Rule::parse(rule).unwrap()));
        let (_, error) = first_error(&mut model, &mut osn, 50).unwrap();
        assert!(
            matches!(&error, StepError::NotOptimized { path, .. } if path == "weight"),
            "{rule}: {error}"
        );
        // Either of the two calls mends it.
        let (mut own, mut own_osn) = (model.clone(), osn.clone());
        let _ = own_osn.update_factors();
        assert!(first_error(&mut own, &mut own_osn, 50).is_none());
        let gradients = GradientsParams::from_grads(gradients(&model), &model);
        model = osn.optimize(&mut AdamConfig::new().init(), 0.01, model, gradients);
        assert!(first_error(&mut model, &mut osn, 50).is_none());
    }
}
