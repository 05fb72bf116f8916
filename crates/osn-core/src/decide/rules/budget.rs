//! The rule `budget`.

use serde::{Deserialize, Serialize};

use crate::act::action::{Action, SIGMA_FLOOR};
use crate::decide::checks::is_target;
use crate::decide::control::relative_to_init::Start;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::evidence::Evidence;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::decide::text::variants_as_parameters;
use crate::layer::facts::Layer;
use crate::layer::measurement::GradientStatistics;
use crate::number::concise;

/// Bounds the product of all σ by a total `Λ`, and takes the excess where it disturbs the loss least.
///
/// With `w_l` the weight of layer `l`, the targets `c_l` minimize `½·Σ w_l·(ln σ_l − ln c_l)²` subject to
/// `Σ ln c_l ≤ ln Λ`, by water-filling:
///
/// ```text
/// ln c_l = ln σ_l − μ/w_l        μ = max(0, Σ ln σ_l − ln Λ) / Σ(1/w_l)
/// ```
///
/// So no layer is constrained while the product is within the total. A layer whose share `μ/w_l` is below
/// `threshold` is left unconstrained, or below half of it if the layer is constrained already. Of several such
/// layers the one furthest below goes first, and `μ` is solved again over the others, until each share is large
/// enough or one layer is left. The others get a hard cap at `c_l`. At each decision the product of the effective
/// σ is exactly `min(Λ, ∏σ_l)`, and no weight is enlarged.
///
/// `w_l` is the exponential mean over the decisions of the sensitivity `|⟨G, Ŵ⟩| = |∂L/∂ ln s|`, divided by the
/// mean over the layers and at least 0.1, so that no layer gives more than ten times the share of an average one:
/// a layer without a gradient would otherwise take the whole excess. A layer whose sensitivity was never measured
/// has weight 1; without gradients all layers have.
///
/// The product is over the layers that the rule decides about. It bounds the Lipschitz constant of a plain chain
/// of them with activations of slope at most 1. Residual branches and parallel paths count as if they were in the
/// chain; then it is no bound. σ is an estimate from below, so the true product can be slightly larger. While a σ
/// is not finite or negative, the previous decisions stand.
///
/// A layer of σ 0 (pruned) counts with its σ at the start. A layer that starts near zero, below a quarter of the
/// usual σ of its shape ([`InitialSize`](crate::layer::InitialSize)), counts with that one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// The total `Λ`, greater than 0, dimensionless. Default: none, then `total_relative_to_init` applies.
    pub total: Option<f64>,
    /// `Λ` as a multiple of the product of the σ at the start, greater than 0. Default: 1.
    pub total_relative_to_init: f64,
    /// How the weight `w_l` follows from the sensitivity. Default: it is the sensitivity.
    pub weights: BudgetWeights,
    /// The fraction of the old mean of the sensitivity in the new one, in `[0, 1)`. Default: 0.9.
    pub smoothing: f64,
    /// The share `μ/w_l`, a change of `ln σ`, below which a layer is left unconstrained, at least 0.
    /// Default: 0.05.
    pub threshold: f64,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            total: None,
            total_relative_to_init: 1.0,
            weights: BudgetWeights::Sensitivity,
            smoothing: 0.9,
            threshold: 0.05,
            interval: 10,
        }
    }
}

/// How the weight of a layer in a [`Budget`] follows from its sensitivity `|⟨G_l, Ŵ_l⟩|`. The larger the weight,
/// the smaller the layer's share of the excess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetWeights {
    /// `w_l ∝ |⟨G_l, Ŵ_l⟩|`: layers on which the loss hardly depends are constrained most.
    Sensitivity,
    /// `w_l ∝ 1/|⟨G_l, Ŵ_l⟩|`: layers on which the loss depends are constrained most.
    InverseSensitivity,
    /// `w_l = 1`: all layers are scaled by the same factor.
    Uniform,
}

impl BudgetWeights {
    /// The weight of a layer of this sensitivity, relative to the average.
    fn weight(self, relative: f64) -> f64 {
        match self {
            Self::Sensitivity => relative,
            Self::InverseSensitivity => 1.0 / relative,
            Self::Uniform => 1.0,
        }
    }
}

variants_as_parameters! {
    BudgetWeights = "one of sensitivity, inverse_sensitivity, uniform";
}

/// A new sensitivity counts as at most so many times the mean.
const MOST_RISE: f64 = 100.0;
/// The smallest sensitivity that counts, relative to the average.
const LEAST_SENSITIVITY: f64 = 0.1;

/// What the rule remembers of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetMemory {
    /// `Σ ln σ` of the starts, as of the first decision at which all of them were known.
    log_start: Option<f64>,
    layers: Vec<LayerMemory>,
}

/// What it remembers of one layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct LayerMemory {
    /// The exponential mean of the sensitivity, if one was ever measured.
    sensitivity: Option<f64>,
    /// The size that it started at, once the product was known.
    start: Option<Start>,
    /// The cap in force; nothing for an unconstrained layer.
    target: Option<f64>,
}

/// The share of one layer in the excess, as a change of `ln σ`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Share {
    /// It is constrained by this much.
    Constrained(f64),
    /// It would be this much, which is below its least share.
    TooSmall(f64),
    /// There is no excess.
    Nothing,
}

impl NamedRule for Budget {
    parameters! {
        "budget", "Bounds the product of all σ by a total, and takes the excess where it disturbs the \
                   loss least.";
        total = "none", "the largest product of all σ; without it total_relative_to_init applies";
        total_relative_to_init = "1", "the largest product as a multiple of the product of the σ at the start";
        weights = "sensitivity", "which layers are spared: of large sensitivity, of small \
                          (inverse_sensitivity), or all alike (uniform)";
        smoothing = "0.9", "the fraction of the old mean of the sensitivity in the new one";
        threshold = "0.05", "the change of ln σ below which a layer is left unconstrained";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Budget {
    type Memory = BudgetMemory;

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        let (doc, factor) = (Self::DOC, self.total_relative_to_init);
        doc.require_positive("total", self.total.unwrap_or(1.0))?;
        doc.require_positive("total_relative_to_init", factor)?;
        let is_used = self.total.is_none() || factor == Self::default().total_relative_to_init;
        let expected = "nothing, as total is given";
        doc.require(is_used, "total_relative_to_init", &factor, expected)?;
        doc.require_part("smoothing", self.smoothing)?;
        let is_used = self.uses_gradients() || self.smoothing == Self::default().smoothing;
        let expected = "nothing, as all layers weigh the same";
        doc.require(is_used, "smoothing", &self.smoothing, expected)?;
        doc.require_size("threshold", self.threshold)?;
        doc.require_count("interval", self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { gradients: self.uses_gradients(), ..Needs::default() }
    }

    fn begin(&self, layers: &[Layer]) -> Self::Memory {
        BudgetMemory { log_start: None, layers: vec![LayerMemory::default(); layers.len()] }
    }

    fn fits(&self, memory: &Self::Memory, n_layers: usize) -> bool {
        memory.layers.len() == n_layers
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        for (layer, measured) in memory.layers.iter_mut().zip(context.measurements) {
            self.learn(layer, measured.gradient);
        }
        let sizes: Vec<Option<f64>> = sizes(memory, context).collect();
        let known: Option<Vec<f64>> = sizes.iter().copied().collect();
        match (known, sizes.iter().position(Option::is_none)) {
            (Some(sizes), _) => self.allocate(memory, context, &sizes),
            (None, broken) => stand(memory, context, broken.unwrap_or_default()),
        }
    }

    fn evidence(&self, memory: &Self::Memory, _layers: &[Layer]) -> Vec<Option<Evidence>> {
        let name = "sensitivity: change of the loss by ln σ";
        let of_layer = |layer: &LayerMemory| Some(Evidence::new(name, layer.sensitivity?, []));
        memory.layers.iter().map(of_layer).collect()
    }
}

/// The σ of each layer in the product: its own, or where that is 0 the one at the start. `None` for one that is
/// not finite or negative.
fn sizes(memory: &BudgetMemory, context: &Context) -> impl Iterator<Item = Option<f64>> {
    let seen = context.layers.iter().zip(context.measurements);
    memory.layers.iter().zip(seen).map(|(own, (layer, measured))| {
        let start = own.start.or_else(|| Start::of(layer, measured))?;
        let is_zero = (0.0..=SIGMA_FLOOR).contains(&measured.sigma);
        let sigma = if is_zero { start.sigma } else { measured.sigma };
        Some(sigma).filter(|sigma| is_target(*sigma))
    })
}

/// The previous decisions, as the product is not known without the layer at `index`.
fn stand(memory: &BudgetMemory, context: &Context, index: usize) -> Vec<Decision> {
    let (name, sigma) = (context.layers[index].name(), context.measurements[index].sigma);
    let decide = |layer: &LayerMemory| {
        let action = action(layer.target);
        let size = concise(sigma);
        Decision {
            action,
            reason: format!("σ {size} of {name}, so the product is not known: still {action}"),
        }
    };
    memory.layers.iter().map(decide).collect()
}

fn action(target: Option<f64>) -> Action {
    target.map_or(Action::Off, |target| Action::Cap { target, sharpness: f64::INFINITY })
}

impl Budget {
    fn uses_gradients(&self) -> bool {
        self.weights != BudgetWeights::Uniform
    }

    /// Takes a new sensitivity into the mean. A missing or non-finite one leaves the mean as it is, and one far
    /// above it counts as [`MOST_RISE`] times the mean, so that the mean comes back.
    fn learn(&self, layer: &mut LayerMemory, gradient: Option<GradientStatistics>) {
        let measured = gradient.map(|gradient| gradient.sensitivity);
        if let Some(new) = measured.filter(|new| new.is_finite()).map(f64::abs) {
            let old = layer.sensitivity.unwrap_or(new);
            let new = if old > 0.0 { new.min(MOST_RISE * old) } else { new };
            layer.sensitivity = Some(self.smoothing * old + (1.0 - self.smoothing) * new);
        }
    }

    /// Shares the excess among the layers, all of whose `sizes` are usable.
    fn allocate(
        &self,
        memory: &mut BudgetMemory,
        context: &Context,
        sizes: &[f64],
    ) -> Vec<Decision> {
        let log_product = log_product(sizes);
        let log_total = self.log_total(memory, context, log_product);
        let weights = self.weights_of(&memory.layers);
        let least: Vec<f64> = memory.layers.iter().map(|layer| self.least_share(layer)).collect();
        let shares = share_out(log_product - log_total, &weights, &least);
        let is_known = memory.layers.iter().any(|layer| layer.sensitivity.is_some());
        let alike = if is_known || !self.uses_gradients() { "" } else { ", no gradients measured" };
        let (product, total) = (concise(log_product), concise(log_total));
        let state = format!("ln ∏σ {product}, ln Λ {total}{alike}");
        let mut decisions = Vec::with_capacity(sizes.len());
        for (index, layer) in memory.layers.iter_mut().enumerate() {
            layer.target = shares[index].target(sizes[index]);
            let why = shares[index].in_words(weights[index], least[index]);
            let action = action(layer.target);
            decisions.push(Decision { action, reason: format!("{state}{why}: {action}") });
        }
        decisions
    }

    fn log_total(&self, memory: &mut BudgetMemory, context: &Context, log_product: f64) -> f64 {
        let log_start = memory.log_start.unwrap_or_else(|| memory.begin(context, log_product));
        match self.total {
            Some(total) => total.ln(),
            None => log_start + self.total_relative_to_init.ln(),
        }
    }

    /// The least share is halved for a constrained layer, so that a share near the threshold does not switch it
    /// at every decision.
    fn least_share(&self, layer: &LayerMemory) -> f64 {
        if layer.target.is_some() { 0.5 * self.threshold } else { self.threshold }
    }

    fn weights_of(&self, layers: &[LayerMemory]) -> Vec<f64> {
        let known: Vec<f64> = layers.iter().filter_map(|layer| layer.sensitivity).collect();
        let average = known.iter().map(|value| value / known.len() as f64).sum::<f64>();
        let relative = |layer: &LayerMemory| match layer.sensitivity {
            Some(value) if average > 0.0 => (value / average).max(LEAST_SENSITIVITY),
            _ => 1.0,
        };
        layers.iter().map(|layer| self.weights.weight(relative(layer))).collect()
    }
}

impl BudgetMemory {
    /// Remembers where each layer starts, and returns the logarithm of the product of that.
    fn begin(&mut self, context: &Context, log_product: f64) -> f64 {
        let seen = context.layers.iter().zip(context.measurements);
        for (own, (layer, measured)) in self.layers.iter_mut().zip(seen) {
            own.start = Start::of(layer, measured);
        }
        let starts = self.layers.iter().map(|own| own.start.map(|start| start.sigma.ln()));
        let log_start = starts.sum::<Option<f64>>().unwrap_or(log_product);
        self.log_start = Some(log_start);
        log_start
    }
}

/// `Σ ln σ`.
fn log_product(sizes: &[f64]) -> f64 {
    sizes.iter().map(|sigma| sigma.ln()).sum()
}

/// Splits `excess` in proportion to `1/w` among the layers that get at least their `least` share.
fn share_out(excess: f64, weights: &[f64], least: &[f64]) -> Vec<Share> {
    if excess <= 0.0 {
        return vec![Share::Nothing; weights.len()];
    }
    let mut shares = vec![Share::Constrained(0.0); weights.len()];
    let mut held: Vec<usize> = (0..weights.len()).collect();
    loop {
        let level = excess / held.iter().map(|&index| 1.0 / weights[index]).sum::<f64>();
        for &index in &held {
            shares[index] = Share::Constrained(level / weights[index]);
        }
        match furthest_below(&held, level, weights, least) {
            Some(place) if held.len() > 1 => {
                let index = held.remove(place);
                shares[index] = Share::TooSmall(level / weights[index]);
            }
            _ => return shares,
        }
    }
}

/// The place in `held` of the layer whose share is the smallest part of its least one, if below it.
///
/// Of equal ones the last: layers near the input stay held.
fn furthest_below(held: &[usize], level: f64, weights: &[f64], least: &[f64]) -> Option<usize> {
    let ratio = |place: usize| level / (weights[held[place]] * least[held[place]]);
    let smallest = (0..held.len()).rev().min_by(|a, b| ratio(*a).total_cmp(&ratio(*b)));
    smallest.filter(|&place| ratio(place) < 1.0)
}

impl Share {
    fn target(self, sigma: f64) -> Option<f64> {
        match self {
            // A total beyond all sense would else ask for a size that no weight can have.
            Share::Constrained(share) => Some((sigma * (-share).exp()).max(SIGMA_FLOOR)),
            Share::TooSmall(_) | Share::Nothing => None,
        }
    }

    fn in_words(self, weight: f64, least: f64) -> String {
        let weight = concise(weight);
        match self {
            Share::Constrained(share) => format!(", share {} at weight {weight}", concise(share)),
            Share::TooSmall(share) => {
                let (share, least) = (concise(share), concise(least));
                format!(", share {share} at weight {weight} below {least}")
            }
            Share::Nothing => ", no excess".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{actions, assert_bad_value, decider, measured};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::Measurement;
    use proptest::prelude::*;

    /// A budget of total 4 for two layers.
    fn of_four() -> Decider {
        decider("budget:total=4", 2)
    }

    /// Measurements of these σ and sensitivities.
    fn sensitive<const N: usize>(pairs: [(f64, f64); N]) -> [Measurement; N] {
        pairs.map(|(sigma, sensitivity)| {
            let gradient = GradientStatistics { sensitivity, ..GradientStatistics::default() };
            Measurement::new(sigma, 0.0).with_gradient(gradient)
        })
    }

    /// σ of the effective weights once the decisions are in force.
    fn effective(decider: &mut Decider, measurements: &[Measurement]) -> Vec<f64> {
        let decisions = decider.decide(0, measurements, &Signals::new());
        let pairs = decisions.iter().zip(measurements);
        pairs.map(|(it, measured)| measured.sigma * it.action.scale(1.0, measured.sigma)).collect()
    }

    #[track_caller]
    fn assert_close(actual: &[f64], expected: &[f64]) {
        let is_close = actual.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-12);
        assert!(actual.len() == expected.len() && is_close, "{actual:?}");
    }

    #[test]
    fn the_excess_is_shared_as_by_hand() {
        // An excess of ln 4, of which weights 1 and 3 take three and one quarters.
        let found = effective(&mut of_four(), &sensitive([(4.0, 0.2), (4.0, 0.6)]));
        assert_close(&found, &[2_f64.sqrt(), 8_f64.sqrt()]);
    }

    #[test]
    fn within_the_total_no_layer_is_constrained() {
        let mut decider = decider("budget:total=6", 2);
        decider.decide(0, &measured(&[3.0, 2.0]), &Signals::new());
        assert_eq!(actions(&decider), [Action::Off; 2]);
    }

    #[test]
    fn without_gradients_all_give_the_same_factor() {
        assert_close(&effective(&mut of_four(), &measured(&[8.0, 2.0])), &[4.0, 1.0]);
    }

    #[test]
    fn a_layer_of_a_small_share_is_left_unconstrained_and_the_others_make_up_for_it() {
        // At sensitivities 1 : 1 : 18 the third would give 1/38 of ln 3, which is below 0.05.
        let mut decider = decider("budget:total=9", 3);
        let found = effective(&mut decider, &sensitive([(3.0, 0.1), (3.0, 0.1), (3.0, 1.8)]));
        assert_eq!(actions(&decider)[2], Action::Off);
        assert_close(&found, &[3_f64.sqrt(), 3_f64.sqrt(), 3.0]);
    }

    #[test]
    fn inverse_weights_leave_insensitive_layers_unconstrained() {
        let mut decider = decider("budget:total=4.5,weights=inverse_sensitivity", 2);
        let found = effective(&mut decider, &sensitive([(3.0, 1.0), (3.0, 0.001)]));
        assert_eq!(actions(&decider)[1], Action::Off);
        assert_close(&found, &[1.5, 3.0]);
    }

    #[test]
    fn a_layer_without_a_gradient_does_not_take_all() {
        let measured = sensitive([(4.0, 1.0), (4.0, 1.0), (4.0, 0.0)]);
        let found = effective(&mut decider("budget:total=1", 3), &measured);
        // Relative sensitivities 1.5, 1.5 and 0.1, so 1, 1 and 15 parts in 17 of 3·ln 4.
        let [alive, dead] = [14.0 / 17.0, -28.0 / 17.0].map(|power| 4_f64.powf(power));
        assert_close(&found, &[alive, alive, dead]);
        let all_dead = sensitive([(3.0, 0.0), (3.0, 0.0)]);
        assert_close(&effective(&mut decider("budget:total=2.25", 2), &all_dead), &[1.5, 1.5]);
    }

    #[test]
    fn the_total_relative_to_init_follows_the_first_product_and_no_later_one() {
        let mut decider = decider("budget:total_relative_to_init=0.5", 2);
        for sigma in [2.0, 8.0] {
            let found = effective(&mut decider, &measured(&[sigma; 2]));
            assert_close(&found, &[2_f64.sqrt(); 2]);
        }
    }

    #[test]
    fn a_share_that_trembles_about_the_threshold_switches_once() {
        let mut decider = decider("budget:total=1,threshold=0.2", 2);
        let mut is_constrained = |share: f64| {
            decider.decide(0, &measured(&[share.exp(); 2]), &Signals::new())[1].action
                != Action::Off
        };
        let found = [0.19, 0.21, 0.19, 0.21, 0.15, 0.11, 0.09].map(&mut is_constrained);
        assert_eq!(found, [false, true, true, true, true, true, false]);
    }

    #[test]
    fn the_weights_follow_the_mean_and_not_the_last_gradient() {
        let mut decider = of_four();
        for _ in 0..200 {
            effective(&mut decider, &sensitive([(4.0, 0.2), (4.0, 0.6)]));
        }
        let found = effective(&mut decider, &sensitive([(4.0, 0.6), (4.0, 0.2)]));
        // Means of 0.24 and 0.56 by now.
        let share = 0.56 / 0.8 * 4_f64.ln();
        assert!((found[0] - 4.0 * (-share).exp()).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn broken_numbers_change_nothing() {
        for broken in [f64::NAN, f64::INFINITY, -1.0] {
            let mut fixed = of_four();
            fixed.decide(0, &measured(&[4.0, 4.0]), &Signals::new());
            let before = actions(&fixed);
            fixed.decide(10, &measured(&[40.0, broken]), &Signals::new());
            assert_eq!(actions(&fixed), before);
            let mut fresh = decider("budget", 2);
            fresh.decide(0, &measured(&[4.0, broken]), &Signals::new());
            effective(&mut fresh, &measured(&[2.0, 2.0]));
            assert_close(&effective(&mut fresh, &measured(&[4.0, 4.0])), &[2.0, 2.0]);
        }
        let mut decider = of_four();
        let before = effective(&mut decider, &sensitive([(4.0, 0.2), (4.0, 0.6)]));
        let broken = sensitive([(4.0, f64::NAN), (4.0, f64::INFINITY)]);
        assert_close(&effective(&mut decider, &broken), &before);
    }

    #[test]
    fn a_layer_that_starts_at_zero_counts_with_the_size_of_its_shape() {
        // 8×4×3×3, seen as 8×36 of deviation √(2/(12·9)).
        let usual = (2.0_f64 / 108.0).sqrt() * (8.0_f64.sqrt() + 6.0);
        let mut decider = decider("budget", 2);
        for (step, sigma) in [(0, 0.0), (10, 0.01), (20, 0.5), (30, usual)] {
            decider.decide(step, &measured(&[2.0, sigma]), &Signals::new());
            assert_eq!(actions(&decider), [Action::Off; 2], "{sigma}: within the total");
        }
        let found = effective(&mut decider, &measured(&[2.0, 4.0 * usual]));
        assert!((found[0] * found[1] / (2.0 * usual) - 1.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_layer_that_is_pruned_leaves_the_others_constrained() {
        let mut decider = of_four();
        let before = decider.decide(0, &measured(&[4.0, 4.0]), &Signals::new())[0].action;
        for step in [10, 20, 500] {
            let after = decider.decide(step, &measured(&[4.0, 0.0]), &Signals::new());
            assert_eq!(after[0].action, before);
        }
        // And the one that is left is still followed.
        let after = decider.decide(510, &measured(&[16.0, 0.0]), &Signals::new());
        assert!(after[0].action.target().is_some_and(|target| target < 16.0 / 2.0));
    }

    #[test]
    fn a_total_is_given_in_one_way() {
        for (text, bad) in [
            ("total=4,total_relative_to_init=2", "total_relative_to_init"),
            ("total=0", "total"),
            ("weights=even", "weights"),
        ] {
            assert_bad_value(&format!("budget:{text}"), bad);
        }
        for text in [
            "budget:total=1",
            "budget:total_relative_to_init=2,weights=uniform",
            "budget:total_relative_to_init=2,weights=inverse_sensitivity,smoothing=0",
        ] {
            assert_eq!(Rule::parse(text).unwrap().label(), text);
        }
        let file = r#"{"rule":"budget","total":4,"weights":"inverse_sensitivity"}"#;
        let rule: Rule = serde_json::from_str(file).unwrap();
        assert_eq!(rule.label(), "budget:total=4,weights=inverse_sensitivity");
    }

    proptest! {
        #[test]
        fn the_total_is_spent_exactly_and_no_weight_is_enlarged(
            layer in prop::collection::vec((-3.0..3.0_f64, -9.0..3.0_f64), 1..12),
            log_total in -12.0..12.0_f64, threshold in 0.0..0.5_f64,
            weights in prop::sample::select(&["sensitivity", "inverse_sensitivity", "uniform"][..]),
        ) {
            let text = format!("budget:total={},threshold={threshold},weights={weights}", log_total.exp());
            let measured = layer.iter().map(|(size, slope)| sensitive([(size.exp(), slope.exp())])[0]);
            let found = effective(&mut decider(&text, layer.len()), &measured.collect::<Vec<_>>());
            let spent: f64 = found.iter().map(|sigma| sigma.ln()).sum();
            let before: f64 = layer.iter().map(|(log_sigma, _)| log_sigma).sum();
            prop_assert!((spent - before.min(log_total)).abs() < 1e-9, "{spent} {log_total}");
            let shares: Vec<f64> =
                layer.iter().zip(&found).map(|(layer, sigma)| layer.0 - sigma.ln()).collect();
            let given: Vec<f64> = shares.iter().copied().filter(|share| *share > 1e-9).collect();
            prop_assert!(shares.iter().all(|share| *share > -1e-9));
            prop_assert!(given.len() <= 1 || given.iter().all(|share| *share > threshold - 1e-9));
        }

        #[test]
        fn no_other_split_disturbs_less(
            weights in prop::collection::vec(0.1..10.0_f64, 2..8),
            excess in 0.1..10.0_f64,
            moves in prop::collection::vec(-0.05..0.05_f64, 8),
        ) {
            let shares: Vec<f64> = share_out(excess, &weights, &vec![0.0; weights.len()])
                .iter()
                .map(|share| match share { Share::Constrained(share) => *share, _ => 0.0 })
                .collect();
            let disturbance = |shares: &[f64]| -> f64 {
                shares.iter().zip(&weights).map(|(share, weight)| weight * share * share).sum()
            };
            // Any other split of the same excess: moves that add up to nothing.
            let mean = moves[..weights.len()].iter().sum::<f64>() / weights.len() as f64;
            let other: Vec<f64> =
                shares.iter().zip(&moves).map(|(share, by)| share + by - mean).collect();
            prop_assert!(disturbance(&other) >= disturbance(&shares) - 1e-9);
        }
    }
}
