//! A rule that needs a call besides `step`, and what happens where it never comes.

use std::num::NonZeroU64;

use crate::support::{device, noise, noisy, plan, saved, steps};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Gradients;
use osn::StepError;
use osn::prelude::*;
use osn::rules::Needs;

fn linear() -> Linear {
    noisy(LinearConfig::new(6, 4).init(&device()))
}

fn held(rule: &str) -> (Linear, Osn) {
    plan(rule).attach(linear()).unwrap()
}

fn gradients(model: &Linear) -> Gradients {
    model.forward(noise([8, 6], 1, &device())).square().mean().backward()
}

/// The first error of some steps without any other call, and after how many steps it came.
fn first_error(model: &mut Linear, osn: &mut Osn, steps: u64) -> Option<(u64, StepError)> {
    (1..=steps).find_map(|step| Some((step, osn.step(model, &Signals::new()).err()?)))
}

#[test]
fn a_rule_that_decides_on_gradients_says_that_it_was_given_none() {
    for (rule, expected) in [
        ("budget:interval=5", "observe"),
        ("learned:interval=5", "observe_held_out"),
        ("pay:interval=5", "observe_held_out"),
    ] {
        let (mut model, mut osn) = held(rule);
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

/// A loop may observe seldom, and a held-out loss may come once an epoch: between, a rule makes do with what it knows.
#[test]
fn one_call_is_enough_however_long_ago() {
    for rule in
        ["budget:interval=2,total_relative_to_init=0.5", "learned:interval=2", "pay:interval=2"]
    {
        let (mut model, mut osn) = held(rule);
        osn.observe(&model, &gradients(&model)).unwrap();
        osn.observe_held_out(&model, &gradients(&model)).unwrap();
        steps(&mut osn, &mut model, 2);
        let decided = osn.wanted()[0].to;
        steps(&mut osn, &mut model, 60);
        assert_eq!(osn.report(&model).unwrap()[0].gradient, None, "{rule}: nothing is new");
        assert_eq!(osn.wanted()[0].to, decided, "{rule}: and nothing else is decided");
    }
}

#[test]
fn what_no_rule_needs_may_be_missing() {
    let needs = Needs { gradients: true, held_out: true, ..Needs::default() };
    for rule in ["cap:interval=1", "never", "observe:interval=1"] {
        let (mut model, mut osn) = plan(rule).measure(needs).attach(linear()).unwrap();
        steps(&mut osn, &mut model, 60);
    }
}

#[test]
fn a_state_with_sums_of_gradients_counts_as_observed() {
    let (mut model, mut osn) = held("budget:interval=1");
    osn.observe(&model, &gradients(&model)).unwrap();
    let (_, mut other) = held("budget:interval=1");
    other.resume(saved(&osn)).unwrap();
    assert!(other.step(&mut model, &Signals::new()).is_ok());
}

/// A step size that is kept is a factor on the update too, from the step after the first move of the scale on.
#[test]
fn a_step_size_that_nothing_keeps_is_named_at_the_first_step_that_it_is_for() {
    let keep = NonZeroU64::new(100).unwrap();
    let kept = |rule: &str| plan(rule).keep_step_size(keep).attach(linear()).unwrap();
    let (mut model, mut osn) = kept("always");
    assert!(first_error(&mut model, &mut osn, 60).is_none(), "no scale is moved");
    // Decided after step 5, the scale moves in step 6, and the optimizer's next step is the first to be scaled.
    let (mut model, mut osn) = kept("schedule:off=5,interval=5");
    let (step, error) = first_error(&mut model, &mut osn, 60).unwrap();
    assert_eq!(step, 7, "{error}");
    let StepError::NotOptimized { path, action } = error else { panic!("{error}") };
    assert_eq!([path, action], ["weight", "keep_step_size"]);
    assert_eq!(osn.steps(), 6, "the failed step has not happened");
    let _ = osn.update_factors();
    steps(&mut osn, &mut model, 60);
}

#[test]
fn an_action_on_the_update_that_nothing_applies_is_named() {
    for rule in ["lr_over_sigma:interval=5", "lr_over_max_sigma:interval=5"] {
        let (mut model, mut osn) = held(rule);
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
