//! Weights, gradients and signals that no training should have, under every view.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use osn::rules::{Adversarial, Generalization, Rule, Signals};
use osn::views::{Convolution, View};
use osn::{Osn, OsnState, Plan, Selection, StepError};
use serde_json::{Value, json};

/// Steps after which a weight that is not finite has been noticed, whatever the rule.
const SOON: usize = 51;

fn device() -> Device {
    Device::flex().autodiff()
}

/// One weight and nothing else.
#[derive(Module, Debug)]
struct One<const D: usize> {
    weight: Param<Tensor<D>>,
}

impl<const D: usize> One<D> {
    fn of(shape: [usize; D], value: f32) -> Self {
        let weight = Param::from_tensor(Tensor::<D>::full(shape, value, &device()));
        Self { weight }
    }

    /// The sum of squares of the effective weight.
    fn loss(&self) -> Tensor<1> {
        self.weight.val().square().sum()
    }

    fn effective(&self) -> Vec<f32> {
        self.weight.val().into_data().iter().collect()
    }
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

/// Sets one entry, or all.
struct Set {
    value: f32,
    all: bool,
}

impl ModuleMapper for Set {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| {
            let weight = weight.inner();
            let mut values: Vec<f32> = weight.clone().into_data().iter().collect();
            let count = if self.all { values.len() } else { 1 };
            values[..count].fill(self.value);
            let data = burn::tensor::TensorData::new(values, weight.shape());
            Tensor::from_inner(Tensor::from_data(data, &weight.device())).require_grad()
        })
    }
}

fn step<const D: usize>(model: &mut One<D>, osn: &mut Osn) -> Result<(), StepError> {
    told_all(model, osn);
    osn.step(model, &Signals::new())?;
    Ok(())
}

/// Makes every call that a rule may need before the step.
fn told_all<const D: usize>(model: &One<D>, osn: &mut Osn) {
    let gradients = model.loss().backward();
    osn.observe(model, &gradients).unwrap();
    osn.observe_held_out(model, &gradients).unwrap();
    let _ = osn.update_factors();
}

fn plan(view: &View) -> Plan {
    Plan::new().select(Selection::paths("weight").view(view.clone()))
}

#[test]
fn the_smallest_kernels_are_held_under_every_view_at_any_magnitude() {
    for shape in [[1, 1, 1, 1], [1, 5, 1, 1], [5, 1, 1, 1], [1, 1, 3, 3], [2, 1, 3, 3]] {
        for view in views() {
            for value in [0.0, 1e-45, 1e-40, 1e-38, 1e-20, 1.0, -1.0, 1e20, 1e37] {
                let what = format!("{shape:?} of {value:e} as {view}");
                let attached = plan(&view).attach(One::of(shape, value));
                let (mut model, mut osn) =
                    attached.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                for _ in 0..5 {
                    step(&mut model, &mut osn).unwrap_or_else(|error| panic!("{what}: {error}"));
                }
                let effective = model.effective();
                assert!(effective.iter().all(|it| it.is_finite()), "{what}: {effective:?}");
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
            let what = format!("{shape:?} of {value:e}");
            let (mut model, mut osn) =
                Plan::new().select("weight").attach(One::of(shape, value)).unwrap();
            (0..5).for_each(|_| step(&mut model, &mut osn).unwrap());
            let effective = model.effective();
            assert!(effective.iter().all(|it| it.is_finite()), "{what}: {effective:?}");
        }
    }
}

#[test]
fn a_weight_of_no_numbers_is_refused_and_never_a_panic() {
    for shape in [[0, 5], [5, 0], [0, 0]] {
        let error = Plan::new().select("weight").attach(One::of(shape, 1.0)).map(|_| ());
        assert!(!error.unwrap_err().to_string().contains('\n'), "{shape:?}");
    }
    for view in views() {
        let error = plan(&view).attach(One::of([0, 3, 3, 3], 1.0)).map(|_| ());
        assert!(!error.unwrap_err().to_string().contains('\n'), "{view}");
    }
}

#[test]
fn a_single_bad_entry_is_noticed_under_every_view_and_by_every_rule() {
    let rules = Rule::catalogue().iter().map(|doc| Rule::parse(doc.name).unwrap());
    let cases: Vec<(View, Rule)> = views()
        .into_iter()
        .map(|view| (view, Rule::parse("always").unwrap()))
        .chain(rules.map(|rule| (View::Reshaped, rule)))
        .collect();
    for (view, rule) in cases {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let what = format!("{value} as {view} under {}", rule.label());
            let good = One::of([3, 2, 3, 3], 0.1);
            let (mut model, mut osn) = plan(&view).decide(rule.clone()).attach(good).unwrap();
            step(&mut model, &mut osn).unwrap();
            let mut model = model.map(&mut Set { value, all: false });
            let error = (0..SOON).find_map(|_| step(&mut model, &mut osn).err());
            let error = error.unwrap_or_else(|| panic!("{what}: nothing is noticed"));
            assert!(matches!(error, StepError::NotFinite { step: 2, .. }), "{what}: {error}");
            assert!(osn.report(&model).is_err(), "{what}: the report says nothing");
        }
    }
}

#[test]
fn a_bad_gradient_moves_no_rule_to_nonsense() {
    for doc in Rule::catalogue() {
        let rule = Rule::parse(doc.name).unwrap();
        let (mut model, mut osn) =
            Plan::new().select("weight").decide(rule).attach(One::of([4, 3], 0.5)).unwrap();
        for round in 0..200 {
            let bad = if (40..80).contains(&round) { f32::NAN } else { 1.0 };
            let gradients = (model.loss() * bad).backward();
            osn.observe(&model, &gradients).unwrap();
            osn.observe_held_out(&model, &gradients).unwrap();
            let _ = osn.update_factors();
            osn.step(&mut model, &Signals::new()).unwrap();
            assert!(model.effective().iter().all(|it| it.is_finite()), "{}", doc.name);
        }
    }
}

#[test]
fn bad_signals_leave_the_weights_finite_under_every_rule() {
    for doc in Rule::catalogue() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308] {
            let rule = Rule::parse(doc.name).unwrap();
            let (mut model, mut osn) =
                Plan::new().select("weight").decide(rule).attach(One::of([4, 3], 0.5)).unwrap();
            let adversarial = Adversarial { separation: Some(bad), input_gradient_norm: Some(bad) };
            let generalization = Generalization { train_loss: bad, held_out_loss: bad };
            let signals = Signals::new()
                .metric("frechet", bad)
                .metric("accuracy", bad)
                .adversarial(adversarial)
                .generalization(generalization);
            for _ in 0..120 {
                told_all(&model, &mut osn);
                osn.step(&mut model, &signals).unwrap();
                let effective = model.effective();
                assert!(effective.iter().all(|it| it.is_finite()), "{} {bad}", doc.name);
            }
            let state = serde_json::from_str(&serde_json::to_string(&osn.state()).unwrap());
            let back = osn.resume(state.unwrap());
            assert!(back.is_ok(), "{} {bad}: what it remembers cannot be read back", doc.name);
        }
    }
}

// ---- parameters

const EXTREMES: [&str; 15] = [
    "0",
    "1",
    "2",
    "-1",
    "NaN",
    "inf",
    "-inf",
    "1e308",
    "1e-308",
    "5e-324",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "",
    "text",
];

/// Every rule with one parameter at its worst, as far as rules are made of that.
fn extreme_rules() -> Vec<Rule> {
    let docs = Rule::catalogue().iter();
    let texts = docs.flat_map(|doc| {
        let names = doc.parameters.iter().map(|parameter| parameter.name);
        let pairs = names.flat_map(|name| EXTREMES.map(|value| (name, value)));
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
        let Ok((mut model, mut osn)) = plan.attach(One::of([4, 3], 0.5)) else { continue };
        held += 1;
        for round in 0..25_u8 {
            let part = f64::from(round % 7) / 7.0;
            let told = Adversarial { separation: Some(part), input_gradient_norm: Some(part) };
            let generalization = Generalization { train_loss: part, held_out_loss: 2.0 * part };
            let signals = Signals::new()
                .adversarial(told)
                .generalization(generalization)
                .metric("frechet", part)
                .metric("accuracy", part);
            told_all(&model, &mut osn);
            osn.step(&mut model, &signals).unwrap();
            let effective = model.effective();
            assert!(effective.iter().all(|it| it.is_finite()), "{}: {effective:?}", rule.label());
        }
    }
    assert!(held > 150, "{held}");
}

#[test]
fn a_view_with_a_parameter_at_its_worst_is_refused_or_holds() {
    let mut texts = Vec::new();
    for value in EXTREMES {
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
        let Ok(view) = text.parse::<View>() else { continue };
        let attached = plan(&view).attach(One::of([3, 2, 3, 3], 0.1));
        let Ok((mut model, mut osn)) = attached else { continue };
        held += 1;
        (0..3).for_each(|_| step(&mut model, &mut osn).unwrap());
        assert!(model.effective().iter().all(|it| it.is_finite()), "{text}");
    }
    assert!(held > 5, "{held}");
}

// ---- saved states

/// Every value that differs from this one in one place.
fn variants(value: &Value) -> Vec<Value> {
    let mut all = vec![
        Value::Null,
        json!(0),
        json!(7),
        json!(u64::MAX),
        json!(-1),
        json!(-0.5),
        json!(1e308),
        json!(true),
        json!("off"),
        json!([]),
        json!({}),
    ];
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
fn goes_on(saved: Value, model: &One<2>, plan: &Plan) -> Result<(), String> {
    let saved: OsnState = serde_json::from_value(saved).map_err(|error| error.to_string())?;
    let (_, mut osn) = plan.clone().attach(One::of([4, 3], 0.5)).unwrap();
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
        "schedule:on=1,interval=1",
        "random:dwell=2,interval=1",
    ];
    for text in texts {
        let plan = Plan::new()
            .select("weight")
            .decide(Rule::parse(text).unwrap())
            .keep_step_size(std::num::NonZeroU64::new(5).unwrap());
        let (mut model, mut osn) = plan.clone().attach(One::of([4, 3], 0.5)).unwrap();
        let told = Adversarial { separation: Some(0.9), input_gradient_norm: Some(3.0) };
        let generalization = Generalization { train_loss: 0.1, held_out_loss: 0.9 };
        let signals = Signals::new().adversarial(told).generalization(generalization);
        for round in 0..4_u8 {
            let signals = signals.clone().metric("frechet", f64::from(round));
            told_all(&model, &mut osn);
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
