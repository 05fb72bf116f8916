//! The rule `budget`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::act::action::{Action, SIGMA_FLOOR};
use crate::decide::checks::{is_target, required, required_interval};
use crate::decide::control::relative_to_init::Start;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::decide::text::plain_parameters;
use crate::layer::facts::Layer;
use crate::layer::measurement::GradientStatistics;
use crate::number::concise;

/// Holds the product of all σ within a total `Λ`, and takes the excess where it disturbs least.
///
/// With `w_l` the weight of layer `l`, the targets `c_l` minimise the disturbance
/// `½·Σ w_l·(ln σ_l − ln c_l)²` under `Σ ln c_l ≤ ln Λ`, which is solved by water-filling:
///
/// ```text
/// ln c_l = ln σ_l − μ/w_l        μ = max(0, Σ ln σ_l − ln Λ) / Σ(1/w_l)
/// ```
///
/// So nothing is held while the product is within the total. A layer whose share `μ/w_l` is below
/// `threshold` has too little to do and is left alone: of those the one that is furthest below goes
/// first, and `μ` is solved anew over the layers that remain, until each has enough to do or only one
/// is left. A layer that is held stays held down to half the threshold. The rest get a hard cap at
/// `c_l`, so at each decision the product of the effective σ is exactly `min(Λ, ∏σ_l)`, and no weight
/// is enlarged.
///
/// The weights come from an exponential mean of the sensitivity `|⟨G, Ŵ⟩| = |∂L/∂ ln s|` over the
/// decisions, relative to the mean over the layers. Relative sensitivities below 0.1 count as 0.1, so
/// no layer gives more than ten times what an average one does: else a layer without a gradient would
/// take all of the excess, as that seems to cost nothing.
/// A layer of which none was ever measured counts as average, so without gradients all layers weigh
/// the same.
///
/// The product is over all the layers that the rule decides about. It bounds the Lipschitz constant
/// of a chain of them, with activations of slope at most 1; residual branches and parallel paths are
/// counted as if they were in the chain, which is not a bound on anything. σ is an estimate from
/// below, so the true product can be slightly larger. While a σ is broken the product is not known, and
/// what was decided before stands.
///
/// A layer of σ 0 counts with the σ that it started at, so that the others are held as before it was pruned. One
/// that starts near zero, below a quarter of the σ that a layer of its shape starts at
/// ([`InitialSize`](crate::layer::InitialSize)), counts with that one in the product at the start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// The total `Λ`, greater than 0, dimensionless. Default: none, which takes `total_relative_to_init`.
    pub total: Option<f64>,
    /// The total as a multiple of the product of σ at the first decision, greater than 0. Default: 1.
    pub total_relative_to_init: f64,
    /// What a layer's weight follows. Default: its sensitivity.
    pub weights: BudgetWeights,
    /// The part of the old mean in the new mean of the sensitivity, in `[0, 1)`. Default: 0.9.
    pub smoothing: f64,
    /// The share, as a change of `ln σ`, below which a layer is left alone, at least 0. Default: 0.05.
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

/// What the weight of a layer in a [`Budget`] follows; a layer of large weight is spared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetWeights {
    /// `w_l ∝ |⟨G_l, Ŵ_l⟩|`: the loss is disturbed least, and layers that it hardly depends on give most.
    Sensitivity,
    /// `w_l ∝ 1/|⟨G_l, Ŵ_l⟩|`: held where it has an effect, and layers that hardly matter are left alone.
    InverseSensitivity,
    /// `w_l = 1`: every layer gives the same factor.
    Uniform,
}

impl BudgetWeights {
    const ALL: [BudgetWeights; 3] = [Self::Sensitivity, Self::InverseSensitivity, Self::Uniform];
    const EXPECTED: &str = "one of sensitivity, inverse_sensitivity, uniform";

    /// The name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sensitivity => "sensitivity",
            Self::InverseSensitivity => "inverse_sensitivity",
            Self::Uniform => "uniform",
        }
    }

    /// The weight of a layer of this sensitivity, relative to the average.
    fn weight(self, relative: f64) -> f64 {
        match self {
            Self::Sensitivity => relative,
            Self::InverseSensitivity => 1.0 / relative,
            Self::Uniform => 1.0,
        }
    }
}

plain_parameters! {
    BudgetWeights = BudgetWeights::EXPECTED;
}

impl fmt::Display for BudgetWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for BudgetWeights {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|weights| weights.name() == text).ok_or(())
    }
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
    /// The cap that stands, or nothing for a layer that is left alone.
    target: Option<f64>,
}

/// What one layer has to give, as a change of `ln σ`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Share {
    /// This much.
    Held(f64),
    /// It would have been this much, which is too little to do.
    TooSmall(f64),
    /// Nothing is asked of any layer.
    Nothing,
}

impl NamedRule for Budget {
    parameters! {
        "budget", "Holds the product of all σ within a total, and takes the excess where the loss is \
                   disturbed least.";
        total = "none", "the largest product of all σ; none takes total_relative_to_init";
        total_relative_to_init = "1", "the same as a multiple of the product at the first decision";
        weights = "sensitivity", "which layers are spared: of large sensitivity, of small \
                          (inverse_sensitivity), or all alike (uniform)";
        smoothing = "0.9", "the part of the old mean of the sensitivity in the new one";
        threshold = "0.05", "the change of ln σ below which a layer is left alone";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Budget {
    type Memory = BudgetMemory;

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        let check =
            |holds, key, value: f64, expected| required(&Self::DOC, holds, key, value, expected);
        let is_size = |value: f64| value > 0.0 && value.is_finite();
        let total = self.total.unwrap_or(1.0);
        check(is_size(total), "total", total, "a positive number")?;
        let factor = self.total_relative_to_init;
        check(is_size(factor), "total_relative_to_init", factor, "a positive number")?;
        let is_used = self.total.is_none() || factor == Self::default().total_relative_to_init;
        check(is_used, "total_relative_to_init", factor, "nothing, as total is given")?;
        let is_part = (0.0..1.0).contains(&self.smoothing);
        check(is_part, "smoothing", self.smoothing, "at least 0 and less than 1")?;
        let is_used = self.looks_at_gradients() || self.smoothing == Self::default().smoothing;
        check(is_used, "smoothing", self.smoothing, "nothing, as all layers weigh the same")?;
        let is_target = self.threshold >= 0.0 && self.threshold.is_finite();
        check(is_target, "threshold", self.threshold, "at least 0")?;
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { gradients: self.looks_at_gradients(), ..Needs::default() }
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
}

/// The σ of each layer that counts in the product: its own, or where it is 0 the one that it started at. Nothing
/// for one that is broken.
fn sizes(memory: &BudgetMemory, context: &Context) -> impl Iterator<Item = Option<f64>> {
    let seen = context.layers.iter().zip(context.measurements);
    memory.layers.iter().zip(seen).map(|(own, (layer, measured))| {
        let start = own.start.or_else(|| Start::of(layer, measured))?;
        let is_zero = (0.0..=SIGMA_FLOOR).contains(&measured.sigma);
        let sigma = if is_zero { start.sigma } else { measured.sigma };
        Some(sigma).filter(|sigma| is_target(*sigma))
    })
}

/// Everything as it was, as the product is not known without the layer at `index`.
fn stand(memory: &BudgetMemory, context: &Context, index: usize) -> Vec<Decision> {
    let (name, sigma) = (context.layers[index].name(), context.measurements[index].sigma);
    let decide = |layer: &LayerMemory| {
        let action = action(layer.target);
        let size = concise(sigma);
        Decision {
            action,
            reason: format!("σ {size} of {name}: product not known, still {action}"),
        }
    };
    memory.layers.iter().map(decide).collect()
}

fn action(target: Option<f64>) -> Action {
    target.map_or(Action::Off, |target| Action::Cap { target, sharpness: f64::INFINITY })
}

impl Budget {
    fn looks_at_gradients(&self) -> bool {
        self.weights != BudgetWeights::Uniform
    }

    /// Takes a new sensitivity into the mean; a missing or broken one leaves the mean as it is, and one
    /// that is out of all proportion raises it no further than it comes back from.
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
        let is_told = memory.layers.iter().any(|layer| layer.sensitivity.is_some());
        let alike = if is_told || !self.looks_at_gradients() { "" } else { ", no gradients told" };
        let (product, total) = (concise(log_product), concise(log_total));
        let state = format!("ln ∏σ {product} against ln Λ {total}{alike}");
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

    /// A layer that is held is let go later than one that is free is caught, so it does not chatter.
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
    let mut shares = vec![Share::Held(0.0); weights.len()];
    let mut held: Vec<usize> = (0..weights.len()).collect();
    loop {
        let level = excess / held.iter().map(|&index| 1.0 / weights[index]).sum::<f64>();
        for &index in &held {
            shares[index] = Share::Held(level / weights[index]);
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
            Share::Held(share) => {
                Some((sigma * (-share).exp()).max(crate::act::action::SIGMA_FLOOR))
            }
            Share::TooSmall(_) | Share::Nothing => None,
        }
    }

    fn in_words(self, weight: f64, least: f64) -> String {
        let weight = concise(weight);
        match self {
            Share::Held(share) => format!(", share {} at weight {weight}", concise(share)),
            Share::TooSmall(share) => {
                let (share, least) = (concise(share), concise(least));
                format!(", share {share} at weight {weight} below {least}")
            }
            Share::Nothing => ", nothing to take".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::layers;
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::Measurement;
    use proptest::prelude::*;

    fn decider(budget: Budget, count: usize) -> Decider {
        Decider::new(Rule::Budget(budget), layers(count)).unwrap()
    }

    fn within(total: f64) -> Budget {
        Budget { total: Some(total), ..Budget::default() }
    }

    fn sensitive(sigma: f64, sensitivity: f64) -> Measurement {
        let gradient = GradientStatistics { sensitivity, ..GradientStatistics::default() };
        Measurement::new(sigma, 0.0).with_gradient(gradient)
    }

    fn plain(sigmas: &[f64]) -> Vec<Measurement> {
        sigmas.iter().map(|&sigma| Measurement::new(sigma, 0.0)).collect()
    }

    /// σ of the effective weights once the decisions are in force.
    fn effective(decider: &mut Decider, measurements: &[Measurement]) -> Vec<f64> {
        let decisions = decider.decide(0, measurements, &Signals::new());
        let pairs = decisions.iter().zip(measurements);
        pairs.map(|(it, measured)| measured.sigma * it.action.scale(1.0, measured.sigma)).collect()
    }

    fn close(actual: &[f64], expected: &[f64]) -> bool {
        actual.len() == expected.len()
            && actual.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-12)
    }

    #[test]
    fn the_excess_is_shared_as_by_hand() {
        // An excess of ln 4, of which weights 1 and 3 take three and one quarters.
        let measured = [sensitive(4.0, 0.2), sensitive(4.0, 0.6)];
        let found = effective(&mut decider(within(4.0), 2), &measured);
        assert!(close(&found, &[2_f64.sqrt(), 8_f64.sqrt()]), "{found:?}");
    }

    #[test]
    fn nothing_is_held_within_the_total() {
        let mut decider = decider(within(6.0), 2);
        let decisions = decider.decide(0, &plain(&[3.0, 2.0]), &Signals::new());
        assert!(decisions.iter().all(|decision| decision.action == Action::Off));
        let reason = "ln ∏σ 1.792 against ln Λ 1.792, no gradients told, nothing to take: off";
        assert_eq!(decisions[0].reason, reason);
    }

    #[test]
    fn without_gradients_all_give_the_same_factor() {
        let found = effective(&mut decider(within(4.0), 2), &plain(&[8.0, 2.0]));
        assert!(close(&found, &[4.0, 1.0]), "{found:?}");
    }

    #[test]
    fn a_layer_with_too_little_to_do_is_left_alone_and_the_rest_pay_for_it() {
        // At sensitivities 1 : 1 : 18 the third would give 1/38 of ln 3, which is below 0.05.
        let measured = [sensitive(3.0, 0.1), sensitive(3.0, 0.1), sensitive(3.0, 1.8)];
        let mut decider = decider(within(9.0), 3);
        let found = effective(&mut decider, &measured);
        assert_eq!(decider.decisions()[2].action, Action::Off);
        assert!(close(&found, &[3_f64.sqrt(), 3_f64.sqrt(), 3.0]), "{found:?}");
        let reason = &decider.decisions()[2].reason;
        assert!(reason.contains("at weight 2.7 below 0.05: off"), "{reason}");
    }

    #[test]
    fn insensitive_layers_are_left_alone_by_the_inverse_weights() {
        let budget = Budget { weights: BudgetWeights::InverseSensitivity, ..within(4.5) };
        let measured = [sensitive(3.0, 1.0), sensitive(3.0, 0.001)];
        let mut decider = decider(budget, 2);
        let found = effective(&mut decider, &measured);
        assert_eq!(decider.decisions()[1].action, Action::Off);
        assert!(close(&found, &[1.5, 3.0]), "{found:?}");
    }

    #[test]
    fn a_layer_without_a_gradient_does_not_take_all() {
        let measured = [sensitive(4.0, 1.0), sensitive(4.0, 1.0), sensitive(4.0, 0.0)];
        let found = effective(&mut decider(within(1.0), 3), &measured);
        // Relative sensitivities 1.5, 1.5 and 0.1, so 1, 1 and 15 parts in 17 of 3·ln 4.
        let [alive, dead] = [14.0 / 17.0, -28.0 / 17.0].map(|power| 4_f64.powf(power));
        assert!(close(&found, &[alive, alive, dead]), "{found:?}");
        let all_dead = [sensitive(3.0, 0.0), sensitive(3.0, 0.0)];
        assert!(close(&effective(&mut decider(within(2.25), 2), &all_dead), &[1.5, 1.5]));
    }

    #[test]
    fn the_total_of_the_start_follows_the_first_product_and_no_later_one() {
        let budget = Budget { total_relative_to_init: 0.5, ..Budget::default() };
        let mut decider = decider(budget, 2);
        assert!(close(&effective(&mut decider, &plain(&[2.0, 2.0])), &[2_f64.sqrt(); 2]));
        assert!(close(&effective(&mut decider, &plain(&[8.0, 8.0])), &[2_f64.sqrt(); 2]));
    }

    #[test]
    fn a_share_that_trembles_about_the_threshold_switches_once() {
        let budget = Budget { threshold: 0.2, ..within(1.0) };
        let mut decider = decider(budget, 2);
        let mut held = |share: f64| {
            let measured = plain(&[share.exp(), share.exp()]);
            decider.decide(0, &measured, &Signals::new())[1].action != Action::Off
        };
        assert!(!held(0.19));
        assert!([0.21, 0.19, 0.21, 0.15, 0.11].map(&mut held).iter().all(|is_held| *is_held));
        assert!(!held(0.09));
    }

    #[test]
    fn the_weights_follow_the_mean_and_not_the_last_gradient() {
        let mut decider = decider(within(4.0), 2);
        for _ in 0..200 {
            effective(&mut decider, &[sensitive(4.0, 0.2), sensitive(4.0, 0.6)]);
        }
        let found = effective(&mut decider, &[sensitive(4.0, 0.6), sensitive(4.0, 0.2)]);
        // Means of 0.24 and 0.56 by now.
        let share = 0.56 / 0.8 * 4_f64.ln();
        assert!((found[0] - 4.0 * (-share).exp()).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn broken_numbers_change_nothing_and_say_so() {
        for broken in [f64::NAN, f64::INFINITY, -1.0] {
            let mut decider = decider(within(4.0), 2);
            let before = decider.decide(0, &plain(&[4.0, 4.0]), &Signals::new()).to_vec();
            let after = decider.decide(10, &plain(&[40.0, broken]), &Signals::new());
            for (before, after) in before.iter().zip(after) {
                assert_eq!(before.action, after.action);
                let said = format!("σ {} of blocks.1.weight: product not known", concise(broken));
                assert!(after.reason.starts_with(&said), "{}", after.reason);
            }
            let start = Budget::default();
            let mut fresh = Decider::new(Rule::Budget(start), layers(2)).unwrap();
            fresh.decide(0, &plain(&[4.0, broken]), &Signals::new());
            effective(&mut fresh, &plain(&[2.0, 2.0]));
            assert!(close(&effective(&mut fresh, &plain(&[4.0, 4.0])), &[2.0, 2.0]));
        }
        let mut decider = decider(within(4.0), 2);
        let known = [sensitive(4.0, 0.2), sensitive(4.0, 0.6)];
        let before = effective(&mut decider, &known);
        let broken = [sensitive(4.0, f64::NAN), sensitive(4.0, f64::INFINITY)];
        assert!(close(&effective(&mut decider, &broken), &before));
    }

    #[test]
    fn a_layer_that_starts_at_zero_counts_with_the_size_of_its_shape() {
        // 8×4×3×3, seen as 8×36 of deviation √(2/(12·9)).
        let usual = (2.0_f64 / 108.0).sqrt() * (8.0_f64.sqrt() + 6.0);
        let mut decider = decider(Budget::default(), 2);
        for (step, sigma) in [(0, 0.0), (10, 0.01), (20, 0.5), (30, usual)] {
            decider.decide(step, &plain(&[2.0, sigma]), &Signals::new());
            let mut actions = decider.decisions().iter().map(|it| it.action);
            assert!(actions.all(|it| it == Action::Off), "{sigma}: within the total");
        }
        let found = effective(&mut decider, &plain(&[2.0, 4.0 * usual]));
        assert!((found[0] * found[1] / (2.0 * usual) - 1.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn a_layer_that_is_pruned_leaves_the_others_held() {
        let mut decider = decider(within(4.0), 2);
        let before = decider.decide(0, &plain(&[4.0, 4.0]), &Signals::new()).to_vec();
        for step in [10, 20, 500] {
            let after = decider.decide(step, &plain(&[4.0, 0.0]), &Signals::new());
            assert_eq!(after[0].action, before[0].action);
        }
        // And the one that is left is still followed.
        let after = decider.decide(510, &plain(&[16.0, 0.0]), &Signals::new());
        assert!(after[0].action.target().is_some_and(|target| target < 16.0 / 2.0));
    }

    #[test]
    fn without_gradients_it_says_so() {
        let mut decider = decider(within(4.0), 2);
        let reason = |decider: &Decider| decider.decisions()[0].reason.clone();
        decider.decide(0, &plain(&[4.0, 4.0]), &Signals::new());
        assert!(reason(&decider).contains("no gradients told"), "{}", reason(&decider));
        decider.decide(10, &[sensitive(4.0, 0.2), sensitive(4.0, 0.6)], &Signals::new());
        assert!(!reason(&decider).contains("no gradients told"));
    }

    #[test]
    fn a_total_is_given_in_one_way() {
        let message = |text: &str| Rule::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("budget:total=4,total_relative_to_init=2"),
            "rule `budget`: total_relative_to_init is `2`, expected nothing, as total is given"
        );
        assert_eq!(
            message("budget:total=0"),
            "rule `budget`: total is `0`, expected a positive number"
        );
        assert!(message("budget:weights=even").ends_with(BudgetWeights::EXPECTED));
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
            weights in prop::sample::select(BudgetWeights::ALL.to_vec()),
        ) {
            let budget = Budget { weights, threshold, ..within(log_total.exp()) };
            let measured: Vec<_> = layer
                .iter()
                .map(|(log_sigma, log_sensitivity)| {
                    sensitive(log_sigma.exp(), log_sensitivity.exp())
                })
                .collect();
            let mut decider = decider(budget, layer.len());
            let found = effective(&mut decider, &measured);
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
                .map(|share| match share { Share::Held(share) => *share, _ => 0.0 })
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
