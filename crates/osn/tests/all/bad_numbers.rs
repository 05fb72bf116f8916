//! Weights, gradients and signals that no training should have, under every view.

use std::num::NonZeroU64;

use crate::support::{Bare, device, plan, saved, values, with_first};
use burn::tensor::Tensor;
use osn::rules::{Action, Adversarial, Generalization, Rule, Signals};
use osn::views::{Convolution, View};
use osn::{Osn, OsnState, Plan, Selection, StepError};
use serde_json::{Value, json};

/// Steps after which a weight that is not finite has been noticed, whatever the rule.
const SOON: usize = 51;

fn full<const D: usize>(shape: [usize; D], value: f32) -> Bare<D> {
    Bare::of(Tensor::full(shape, value, &device()))
}

/// The sum of squares of the effective weight.
fn loss<const D: usize>(model: &Bare<D>) -> Tensor<1> {
    model.weight.val().square().sum()
}

fn assert_finite<const D: usize>(model: &Bare<D>, what: &str) {
    let effective: Vec<f32> = values(model.weight.val());
    assert!(effective.iter().all(|it| it.is_finite()), "{what}: {effective:?}");
}

/// Every view that takes a kernel `[out, in, 1, 1]` or `[out, in, 3, 3]`.
fn views() -> Vec<View> {
    vec![
        View::Reshaped,
        View::Bidirectional,
        View::Operator(Convolution::new([4, 4]).padding([1, 1])),
        View::Operator(Convolution::new([5, 5]).circular()),
        View::Blocks { axis: 0, count: 1 },
    ]
}

fn step<const D: usize>(model: &mut Bare<D>, osn: &mut Osn) -> Result<(), StepError> {
    call_all(model, osn, 1.0);
    osn.step(model, &Signals::new())?;
    Ok(())
}

/// Makes every call that a rule may need before the step, with gradients that are `factor` times as large.
fn call_all<const D: usize>(model: &Bare<D>, osn: &mut Osn, factor: f32) {
    let gradients = (loss(model) * factor).backward();
    osn.observe(model, &gradients).unwrap();
    osn.observe_held_out(model, &gradients).unwrap();
    let _ = osn.update_factors();
}

/// Every signal there is, each at `value`.
fn signals(value: f64) -> Signals {
    Signals::new()
        .metric("frechet", value)
        .metric("accuracy", value)
        .adversarial(Adversarial { separation: Some(value), input_gradient_norm: Some(value) })
        .generalization(Generalization { train_loss: value, held_out_loss: 2.0 * value })
}

fn view(view: &View) -> Plan {
    Plan::new().select(Selection::paths("weight").view(view.clone()))
}

/// Every rule as it is without parameters.
fn every_rule() -> impl Iterator<Item = &'static str> {
    Rule::catalogue().iter().map(|doc| doc.name)
}

#[test]
fn the_smallest_kernels_are_held_under_every_view_at_any_magnitude() {
    for shape in [[1, 1, 1, 1], [1, 5, 1, 1], [5, 1, 1, 1], [1, 1, 3, 3], [2, 1, 3, 3]] {
        for seen_as in views() {
            for value in [0.0, 1e-45, 1e-40, 1e-38, 1e-20, 1.0, -1.0, 1e20, 1e37] {
                let what = format!("{shape:?} of {value:e} as {seen_as}");
                let attached = view(&seen_as).attach(full(shape, value));
                let (mut model, mut osn) =
                    attached.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                for _ in 0..5 {
                    step(&mut model, &mut osn).unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                assert_finite(&model, &what);
                let reports = osn.report(&model).unwrap();
                assert!(reports[0].sigma.is_finite(), "{what}: {}", reports[0].sigma);
                let expected = if value == 0.0 { 0.0 } else { 1.0 };
                let found = reports[0].effective_sigma();
                // What is not a normal number has few digits.
                let tolerance = if value.abs() < 1e-30 { 1.0 } else { 1e-3 };
                assert!((found - expected).abs() <= tolerance, "{what}: {found}");
            }
        }
    }
}

#[test]
fn matrices_of_one_row_one_column_or_one_number_are_held() {
    for shape in [[1, 1], [1, 7], [7, 1]] {
        for value in [0.0, 1e-45, 1e-30, -3.0, 1e38] {
            let (mut model, mut osn) = plan("always").attach(full(shape, value)).unwrap();
            (0..5).for_each(|_| step(&mut model, &mut osn).unwrap());
            assert_finite(&model, &format!("{shape:?} of {value:e}"));
        }
    }
}

#[test]
fn a_weight_of_no_numbers_is_refused_and_never_a_panic() {
    for shape in [[0, 5], [5, 0], [0, 0]] {
        let error = plan("always").attach(full(shape, 1.0)).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{shape:?}");
    }
    for seen_as in views() {
        let error = view(&seen_as).attach(full([0, 3, 3, 3], 1.0)).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{seen_as}");
    }
}

#[test]
fn a_single_bad_entry_is_noticed_under_every_view_and_by_every_rule() {
    let under_views = views().into_iter().map(|view| (view, "always"));
    for (seen_as, rule) in under_views.chain(every_rule().map(|rule| (View::Reshaped, rule))) {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let what = format!("{value} as {seen_as} under {rule}");
            let plan = plan(rule).select(Selection::paths("weight").view(seen_as.clone()));
            let (mut model, mut osn) = plan.attach(full([3, 2, 3, 3], 0.1)).unwrap();
            step(&mut model, &mut osn).unwrap();
            let to = osn.wanted()[0].to;
            let is_held = matches!(to, Action::Normalize { .. } | Action::Cap { .. });
            let mut model = with_first(model, value);
            let error = (0..SOON).find_map(|_| step(&mut model, &mut osn).err());
            let error = error.unwrap_or_else(|| panic!("{what}: nothing is noticed"));
            // A weight that is left alone is next looked at when it is read back.
            let seen = if is_held { 2 } else { osn.steps() + 1 };
            let at_seen = matches!(error, StepError::NotFinite { step, .. } if step == seen);
            assert!(at_seen, "{what}: {error}");
            assert!(osn.report(&model).is_err(), "{what}: the report says nothing");
        }
    }
}

#[test]
fn a_bad_gradient_moves_no_rule_to_nonsense() {
    for rule in every_rule() {
        let (mut model, mut osn) = plan(rule).attach(full([4, 3], 0.5)).unwrap();
        for round in 0..200 {
            call_all(&model, &mut osn, if (40..80).contains(&round) { f32::NAN } else { 1.0 });
            osn.step(&mut model, &Signals::new()).unwrap();
            assert_finite(&model, rule);
        }
    }
}

#[test]
fn bad_signals_leave_the_weights_finite_under_every_rule() {
    for rule in every_rule() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308] {
            let (mut model, mut osn) = plan(rule).attach(full([4, 3], 0.5)).unwrap();
            for _ in 0..120 {
                call_all(&model, &mut osn, 1.0);
                osn.step(&mut model, &signals(bad)).unwrap();
                assert_finite(&model, &format!("{rule} {bad}"));
            }
            let back = osn.resume(saved(&osn));
            assert!(back.is_ok(), "{rule} {bad}: what it remembers cannot be read back");
        }
    }
}

// ---- parameters

/// Numbers and texts at the edges of every type; one of them is empty.
const EXTREMES: &str = "0,1,2,-1,NaN,inf,-inf,1e308,1e-308,5e-324,4294967296,9223372036854775807,\
    18446744073709551615,,text";

/// Every rule with one parameter at its worst, as far as rules are made of that.
fn extreme_rules() -> Vec<Rule> {
    let docs = Rule::catalogue().iter();
    let texts = docs.flat_map(|doc| {
        let names = doc.parameters.iter().map(|parameter| parameter.name);
        let pairs = names.flat_map(|name| EXTREMES.split(',').map(move |value| (name, value)));
        pairs.flat_map(|(name, value)| {
            let text = format!("{}:{name}={value}", doc.name);
            [format!("{text},interval=1"), text]
        })
    });
    texts.filter_map(|text| Rule::parse(&text).ok()).collect()
}

#[test]
fn a_rule_with_a_parameter_at_its_worst_is_refused_or_holds_the_weights_finite() {
    let rules = extreme_rules();
    assert!(rules.len() > 200, "{}", rules.len());
    let mut held = 0;
    for rule in rules {
        let plan = Plan::new().select("weight").decide(rule.clone());
        let Ok((mut model, mut osn)) = plan.attach(full([4, 3], 0.5)) else { continue };
        held += 1;
        for round in 0..25_u8 {
            call_all(&model, &mut osn, 1.0);
            osn.step(&mut model, &signals(f64::from(round % 7) / 7.0)).unwrap();
            assert_finite(&model, &rule.label());
        }
    }
    assert!(held > 150, "{held}");
}

#[test]
fn a_view_with_a_parameter_at_its_worst_is_refused_or_holds() {
    let mut texts = Vec::new();
    for value in EXTREMES.split(',') {
        texts.push(format!("blocks:axis={value},count=1"));
        texts.push(format!("blocks:axis=0,count={value}"));
        texts.push(format!("operator:size={value}"));
        texts.push(format!("operator:size={value}x{value}"));
        for key in ["stride", "dilation", "padding", "groups", "boundary", "transposed"] {
            texts.push(format!("operator:size=4x4,{key}={value}"));
            texts.push(format!("operator:size=4x4,{key}={value}x{value}"));
        }
    }
    let mut held = 0;
    for text in texts {
        let Ok(seen_as) = text.parse::<View>() else { continue };
        let attached = view(&seen_as).attach(full([3, 2, 3, 3], 0.1));
        let Ok((mut model, mut osn)) = attached else { continue };
        held += 1;
        (0..3).for_each(|_| step(&mut model, &mut osn).unwrap());
        assert_finite(&model, &text);
    }
    assert!(held > 5, "{held}");
}

// ---- saved states

/// Every value that differs from this one in one place.
fn variants(value: &Value) -> Vec<Value> {
    let others = json!([null, 0, 7, u64::MAX, -1, -0.5, 1e308, true, "off", [], {}]);
    let mut all: Vec<Value> = others.as_array().unwrap().clone();
    let mut change = |inside: &Value, put: &dyn Fn(&mut Value, Value)| {
        all.extend(variants(inside).into_iter().map(|other| {
            let mut changed = value.clone();
            put(&mut changed, other);
            changed
        }));
    };
    match value {
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                change(item, &|changed, other| changed[place] = other);
            }
            if let Some(last) = items.last() {
                all.push(items[1..].into());
                all.push([&items[..], std::slice::from_ref(last)].concat().into());
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                change(field, &|changed, other| changed[name] = other);
            }
        }
        _ => {}
    }
    all
}

/// Goes on from a saved state for three steps, if it is taken.
fn goes_on(saved: Value, model: &Bare<2>, plan: &Plan) -> Result<(), String> {
    let saved: OsnState = serde_json::from_value(saved).map_err(|error| error.to_string())?;
    let (_, mut osn) = plan.clone().attach(full([4, 3], 0.5)).unwrap();
    osn.resume(saved).map_err(|error| error.to_string())?;
    let mut model = model.clone();
    for _ in 0..3 {
        step(&mut model, &mut osn).map_err(|error| error.to_string())?;
        osn.report(&model).map_err(|error| error.to_string())?;
        let _ = (osn.update_factors(), osn.decides_next());
    }
    Ok(())
}

#[test]
fn a_saved_state_that_lies_is_refused_or_goes_on_under_every_rule() {
    let texts = [
        "auto:interval=1",
        "auto:task=classify,interval=1",
        "cap:relative_to_init=0.5,interval=1,dwell=1",
        "budget:interval=1",
        "plateau:interval=1,every=2,patience=1",
        "learned:interval=1",
        "pay:interval=1",
        "schedule:on=1,interval=1",
        "random:dwell=2,interval=1",
    ];
    for text in texts {
        let plan = plan(text).keep_step_size(NonZeroU64::new(5).unwrap());
        let (mut model, mut osn) = plan.clone().attach(full([4, 3], 0.5)).unwrap();
        let adversarial = Adversarial { separation: Some(0.9), input_gradient_norm: Some(3.0) };
        let generalization = Generalization { train_loss: 0.1, held_out_loss: 0.9 };
        let signals = Signals::new().adversarial(adversarial).generalization(generalization);
        for round in 0..4_u8 {
            let signals = signals.clone().metric("frechet", f64::from(round));
            call_all(&model, &mut osn, 1.0);
            osn.step(&mut model, &signals).unwrap();
        }
        let saved = serde_json::to_value(osn.state()).unwrap();
        goes_on(saved.clone(), &model, &plan).unwrap();
        let mut refused = 0;
        let all = variants(&saved);
        for changed in &all {
            let go_on = || goes_on(changed.clone(), &model, &plan);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(go_on));
            assert!(outcome.is_ok(), "{text} panics with {changed}");
            if let Ok(Err(message)) = outcome {
                refused += 1;
                assert!(!message.contains('\n'), "{text}: {message}");
            }
        }
        assert!(refused * 2 > all.len(), "{text}: {refused} of {} refused", all.len());
    }
}
