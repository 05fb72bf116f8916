//! Numbers that are none, and matrices that are hardly any, given to every rule and every estimator.

use std::collections::BTreeSet;

use crate::layers::layers;
use osn_core::act::{Action, Actuator, Rates};
use osn_core::decide::{Adversarial, Decider, Generalization, Rule, Signals};
use osn_core::layer::{GradientStatistics, Growth, Measurement};
use osn_core::measure::bounds::{
    Interval, IntervalParams, bidirectional_interval, gram_iteration, sigma_interval,
};
use osn_core::measure::{
    DenseMap, EstimateError, GolubKahanParams, Layout, LinearMap, PowerParams, exact, golub_kahan,
    leading_singular_values, power_iteration, singular_values, start_vector,
};

const BAD: [f64; 8] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e308, -1e308, 5e-324];

// ---- rules

/// Every rule as it is by default, and with parameters by which it follows other numbers.
fn every_rule() -> Vec<Rule> {
    let more = [
        "auto:task=translate",
        "auto:task=classify",
        "auto:task=control",
        "auto:task=sequence",
        "budget:total_relative_to_init=0.5",
        "cap:relative_to_init=1.5,dwell=0",
        "plateau:interval=1,every=1,patience=1",
        "random:dwell=2,interval=1",
    ];
    let names = Rule::catalogue().iter().map(|doc| doc.name);
    names.chain(more).map(|text| Rule::parse(text).unwrap()).collect()
}

/// What a decision looks at.
#[derive(Clone)]
struct Seen {
    measurements: Vec<Measurement>,
    signals: Signals,
}

/// A training that moves everything that any rule looks at.
fn healthy(step: u64) -> Seen {
    let wave = |period: f64| (step as f64 / period).sin();
    let gradient = GradientStatistics {
        mean_norm: 1.0 + 0.5 * wave(70.0),
        norm_variance: 0.2 + 0.1 * wave(40.0),
        mean_update: 1e-3,
        sensitivity: 0.5 + 0.4 * wave(55.0),
        held_out_sensitivity: Some(0.3 * wave(35.0)),
        growth: Some(Growth { looks: 2, mean: 0.3 * wave(400.0), mean_square: 0.1 }),
    };
    let measured = |shift: f64| {
        Measurement::new(1.5 + wave(90.0 + shift), 1e-3)
            .with_stable_rank(3.0 + wave(60.0))
            .with_drift(Some(0.01 * wave(50.0)))
            .with_sigma_ratio(Some(0.6 + 0.3 * wave(80.0)))
            .with_gradient(gradient)
    };
    let adversarial = Adversarial {
        separation: Some(0.6 + 0.35 * wave(100.0)),
        input_gradient_norm: Some(1.0 + 0.9 * wave(130.0)),
    };
    let generalization = Generalization { train_loss: 1.0, held_out_loss: 1.2 + 0.5 * wave(140.0) };
    let signals = Signals::new().adversarial(adversarial).generalization(generalization);
    let metrics = ["frechet", "accuracy", "return", "intra_frechet", "kid"].into_iter();
    let signals = metrics.fold(signals, |all, name| all.metric(name, 5.0 + 3.0 * wave(75.0)));
    Seen { measurements: vec![measured(0.0), measured(7.0)], signals }
}

type Poison = fn(&mut Seen, f64);

/// Every number that a rule may look at, and what replaces it by another.
const POISONS: [(&str, Poison); 12] = [
    ("sigma", |seen, bad| seen.measurements[0].sigma = bad),
    ("residual", |seen, bad| seen.measurements[0].residual = bad),
    ("stable rank", |seen, bad| seen.measurements[0].stable_rank = Some(bad)),
    ("drift", |seen, bad| seen.measurements[0].drift = Some(bad)),
    ("sigma_ratio", |seen, bad| seen.measurements[0].sigma_ratio = Some(bad)),
    ("gradient", |seen, bad| {
        seen.measurements[0].gradient = Some(GradientStatistics {
            mean_norm: bad,
            norm_variance: bad,
            mean_update: bad,
            sensitivity: bad,
            held_out_sensitivity: Some(bad),
            growth: Some(Growth { looks: 1, mean: bad, mean_square: bad }),
        });
    }),
    ("no gradient", |seen, _| seen.measurements[0].gradient = None),
    ("separation", |seen, bad| adversarial(seen).separation = Some(bad)),
    ("input_gradient_norm", |seen, bad| adversarial(seen).input_gradient_norm = Some(bad)),
    ("train loss", |seen, bad| seen.signals.generalization.as_mut().unwrap().train_loss = bad),
    ("held-out loss", |seen, bad| {
        seen.signals.generalization.as_mut().unwrap().held_out_loss = bad;
    }),
    ("metrics", |seen, bad| seen.signals.metrics.values_mut().for_each(|it| *it = bad)),
];

fn adversarial(seen: &mut Seen) -> &mut Adversarial {
    seen.signals.adversarial.as_mut().unwrap()
}

/// The actions that a decider asks for over these steps, as text; each is held against what may be.
fn asked_for(
    decider: &mut Decider,
    actuator: &mut Actuator,
    steps: impl Iterator<Item = u64>,
    change: impl Fn(&mut Seen),
    what: &str,
) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    for step in steps {
        let mut seen = healthy(step);
        change(&mut seen);
        for decision in decider.decide(step, &seen.measurements, &seen.signals) {
            decision.action.validate().unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(decision.action.target().is_none_or(f64::is_finite), "{what}: {decision:?}");
            assert!(!decision.reason.is_empty() && !decision.reason.contains('\n'), "{what}");
        }
        let wanted = decider.decisions()[0].action;
        asked.insert(format!("{wanted:?}"));
        let applied = actuator.step(wanted, seen.measurements[0].sigma, &Rates::default());
        for sigma in [0.0, 1e-30, 1.0, 1e30] {
            let numbers =
                [applied.scale(sigma), applied.elasticity(sigma), applied.update_factor(sigma)];
            assert!(numbers.iter().all(|it| it.is_finite()), "{what}: {applied:?} at {sigma}");
        }
    }
    asked
}

#[test]
fn no_rule_panics_asks_for_nonsense_or_stays_stuck_after_a_number_that_is_none() {
    let mut stuck = Vec::new();
    for rule in every_rule() {
        let mut fresh = Decider::new(rule.clone(), layers()).unwrap();
        let mut actuator = Actuator::new(Action::Off);
        let mut go =
            |from, to| asked_for(&mut fresh, &mut actuator, (from..to).step_by(10), |_| (), "");
        go(0, 500);
        let moves = go(500, 6_500).len() > 1;
        for (name, poison) in POISONS {
            for bad in BAD {
                let what = format!("{} with {name} {bad:e}", rule.label());
                let mut decider = Decider::new(rule.clone(), layers()).unwrap();
                let mut actuator = Actuator::new(Action::Off);
                let mut go = |from, to, bad: Option<f64>| {
                    let change = |seen: &mut Seen| bad.into_iter().for_each(|it| poison(seen, it));
                    let steps = (from..to).step_by(10);
                    asked_for(&mut decider, &mut actuator, steps, change, &what)
                };
                go(0, 300, None);
                go(300, 500, Some(bad));
                let after = go(500, 6_500, None);
                if moves && after.len() <= 1 {
                    stuck.push(format!("{what}: it asks for {after:?} ever after"));
                }
            }
        }
    }
    assert!(stuck.is_empty(), "{stuck:#?}");
}

#[test]
fn no_rule_panics_when_its_first_numbers_are_none() {
    for rule in every_rule() {
        for (name, poison) in POISONS {
            for bad in BAD {
                let what = format!("{} with {name} {bad:e} first", rule.label());
                let mut decider = Decider::new(rule.clone(), layers()).unwrap();
                let change = |seen: &mut Seen| poison(seen, bad);
                let mut actuator = Actuator::new(Action::Off);
                asked_for(&mut decider, &mut actuator, (0..300).step_by(10), change, &what);
            }
        }
    }
}

// ---- estimators

const SHAPES: [(usize, usize); 9] =
    [(1, 1), (1, 2), (2, 1), (1, 33), (33, 1), (2, 2), (0, 3), (3, 0), (0, 0)];

/// σ by every estimator of plain matrices, by name.
fn sigmas(
    entries: &[f64],
    rows: usize,
    cols: usize,
) -> Vec<(&'static str, Result<Interval, EstimateError>)> {
    let map = DenseMap::new(entries, rows, cols);
    let layout = Layout { outer: 1, rows, inner: cols };
    let params = IntervalParams::default();
    let point = |sigma: f64| Interval::exactly(sigma);
    let of_map = |estimate: &dyn Fn(&DenseMap<'_, f64>) -> Result<f64, EstimateError>| {
        map.and_then(|map| estimate(&map)).map(point)
    };
    let power = |map: &DenseMap<'_, f64>| {
        power_iteration(map, &start_vector(map.cols()), &PowerParams::default())
    };
    let cold = |map: &DenseMap<'_, f64>| {
        golub_kahan(map, &start_vector(map.cols()), &GolubKahanParams::default())
    };
    vec![
        ("power", of_map(&|map| Ok(power(map)?.sigma))),
        ("golub-kahan", of_map(&|map| Ok(cold(map)?.sigma))),
        ("exact", of_map(&|map| Ok(exact(map)?.sigma))),
        ("all", of_map(&|map| Ok(singular_values(map)?.first().copied().unwrap_or(f64::NAN)))),
        ("gram", gram_iteration(entries, layout, 6).map(point)),
        ("interval", sigma_interval(entries, layout, &params).map(|it| it.sigma)),
        ("bidirectional", bidirectional_interval(entries, &[rows, cols], 0, &params)),
        ("leading", leading_singular_values(entries, layout, 3).map(|it| point(it[0]))),
    ]
}

#[test]
fn every_estimator_measures_or_refuses_the_smallest_matrices_at_any_magnitude() {
    for (rows, cols) in SHAPES {
        for size in [0.0, 5e-324, 1e-320, 1e-308, 1e-45, 1e-38, 1.0, 1e38, 1e300] {
            let entries = vec![size; rows * cols];
            let expected = size * ((rows * cols) as f64).sqrt();
            for (name, sigma) in sigmas(&entries, rows, cols) {
                let what = format!("{name} of {rows}x{cols} {size:e}");
                let Ok(sigma) = sigma else {
                    assert!(rows * cols == 0, "{what}: {}", sigma.unwrap_err());
                    continue;
                };
                assert!(rows * cols > 0, "{what} is {sigma:?}");
                // Near the smallest numbers one unit of the last place is all there is.
                let slack = 1e-6 * expected + 1e-322;
                assert!(sigma.lower <= expected + slack, "{what}: {sigma:?} of {expected:e}");
                assert!(sigma.upper >= expected - slack, "{what}: {sigma:?} of {expected:e}");
            }
        }
    }
}

#[test]
fn every_estimator_refuses_what_is_no_number() {
    for (rows, cols) in SHAPES.into_iter().filter(|(rows, cols)| rows * cols > 0) {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in [0, rows * cols - 1] {
                let mut entries = vec![1.0; rows * cols];
                entries[place] = bad;
                for (name, sigma) in sigmas(&entries, rows, cols) {
                    assert!(sigma.is_err(), "{name} of {rows}x{cols} with {bad}: {sigma:?}");
                }
            }
        }
    }
}
