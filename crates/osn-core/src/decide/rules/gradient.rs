//! The rule `gradient`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decide::{
    Decision, Needs, RuleError, TargetAction,
    control::relative_to_init::is_near_zero,
    control::target_control::{Controlled, Finding, TargetControl},
    decision_rule::{Context, DecisionRule, NamedRule, named},
    rule::{INTERVAL, RuleDoc, parameters, required, required_interval},
};
use crate::{Layer, Measurement, number::concise};

/// Holds the ratio of the first layer's gradient to the last one's near its start, in each network by
/// one target that its layers have in common.
///
/// With `q = ln(‖∇W_first‖/‖∇W_last‖)` of the mean norms since the decision before, `q₀` its mean over
/// the first `calibrate` steps, `b` the band, and `Δ` the optimizer steps since the decision before:
///
/// ```text
/// e    = clamp(q − q₀ ± b, ±1)   outside the band |q − q₀| ≤ b, and 0 inside
/// ln c ← clamp(ln c − gain·Δ·e, ln min, ln max)
/// ```
///
/// Where the gradient of the first layer vanishes, the layers are let go; where it grows beyond that
/// of the last one, they are held tighter.
///
/// A common target moves the ratio only where layers do not scale alike, as with biases, saturating
/// activations, normalized activations or residual branches. In a plain network of linear maps and
/// `ReLU` without biases, every layer's gradient scales by the same factor, the ratio does not follow,
/// and the target drifts to a limit.
///
/// While the first or the last layer is near zero, below a quarter of the σ that a layer of its shape starts at
/// ([`InitialSize`](crate::InitialSize)), and `q₀` is not known yet, nothing is measured: a last layer that starts
/// at zero gives the first one no gradient.
///
/// Without gradients, and where a norm is zero or not finite, the target stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gradient {
    /// How far `q` may be from its start before anything moves (`b`), at least 0. Default: 0.5.
    pub band: f64,
    /// Optimizer steps over which the start `q₀` is measured; at least one decision is. Default: 100.
    pub calibrate: u64,
    /// The target at the start, from `min` to `max`. Default: 1.
    pub start: f64,
    /// The least target, greater than 0. Default: 0.5.
    pub min: f64,
    /// The largest target. Default: 8.
    pub max: f64,
    /// How far `ln c` moves in one optimizer step at an error of 1, at least 0. Default: 0.002.
    pub gain: f64,
    /// How the target is applied. Default: normalize.
    pub action: TargetAction,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Gradient {
    fn default() -> Self {
        Self {
            band: 0.5,
            calibrate: 100,
            start: 1.0,
            min: 0.5,
            max: 8.0,
            gain: 0.002,
            action: TargetAction::Normalize,
            interval: 10,
        }
    }
}

/// What is remembered of one network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    controlled: Controlled,
    /// The mean of `q` over the decisions that have measured the start.
    start: f64,
    /// How many they are.
    count: u64,
    /// The last step at which there was nothing to calibrate on yet.
    waited_until: u64,
}

impl NamedRule for Gradient {
    parameters! {
        "gradient", "Holds the ratio of the first layer's gradient to the last one's near its start, \
                   by moving one target of a network's layers.";
        band = "0.5", "how far ln of the ratio may be from its start before anything moves";
        calibrate = "100", "optimizer steps over which the start is measured";
        start = "1", "the target at the start";
        min = "0.5", "the least target";
        max = "8", "the largest target";
        gain = "0.002", "how far ln target moves in an optimizer step at an error of 1";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Gradient {
    /// By the name of the network.
    type Memory = BTreeMap<String, Remembered>;

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        let is_width = (0.0..f64::INFINITY).contains(&self.band);
        required(&Self::DOC, is_width, "band", self.band, "at least 0, and finite")?;
        self.control().validate(&Self::DOC)?;
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { gradients: true, ..Needs::default() }
    }

    fn begin(&self, layers: &[Layer]) -> Self::Memory {
        layers.iter().map(|layer| (layer.network.clone(), self.begin_network())).collect()
    }

    fn at_attach(&self, _: &Layer) -> Decision {
        self.control().at_attach()
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        let mut decisions = BTreeMap::new();
        for layer in context.layers {
            let network = layer.network.as_str();
            decisions.entry(network).or_insert_with(|| {
                let remembered = memory.entry(network.to_owned());
                let remembered = remembered.or_insert_with(|| self.begin_network());
                self.decide_network(remembered, context, network)
            });
        }
        let layers = context.layers.iter();
        layers.map(|layer| decisions[layer.network.as_str()].clone()).collect()
    }
}

impl Gradient {
    fn control(&self) -> TargetControl {
        let Self { action, start, min, max, gain, .. } = *self;
        TargetControl { action, start, min, max, gain, proportional: 0.0 }
    }

    fn begin_network(&self) -> Remembered {
        Remembered { controlled: self.control().begin(), start: 0.0, count: 0, waited_until: 0 }
    }

    fn decide_network(
        &self,
        remembered: &mut Remembered,
        context: &Context,
        network: &str,
    ) -> Decision {
        let pairs = context.layers.iter().zip(context.measurements);
        let members: Vec<_> = pairs.filter(|(layer, _)| layer.network == network).collect();
        let measurements: Vec<_> = members.iter().map(|(_, measured)| **measured).collect();
        let finding = match starting_layer(&members).filter(|_| remembered.count == 0) {
            Some(why) => remembered.wait(context.step, why),
            None => self.find(remembered, context.step, first_and_last(&members)),
        };
        self.control().decide(&mut remembered.controlled, context.step, finding, &measurements)
    }

    fn find(&self, remembered: &mut Remembered, step: u64, norms: Option<(f64, f64)>) -> Finding {
        let Some((first, last)) = norms else {
            return Finding::unknown("no gradients told");
        };
        let log_ratio = (first / last).ln();
        if !log_ratio.is_finite() {
            let (first, last) = (concise(first), concise(last));
            return Finding::unknown(format!("gradients {first} and {last} have no ratio"));
        }
        let until = remembered.waited_until.saturating_add(self.calibrate);
        if step <= until || remembered.count == 0 {
            return remembered.calibrate(log_ratio);
        }
        self.compare(log_ratio, remembered.start)
    }

    fn compare(&self, log_ratio: f64, start: f64) -> Finding {
        let distance = log_ratio - start;
        let outside = (distance.abs() - self.band).clamp(0.0, 1.0);
        let [ratio, low, high] =
            [log_ratio, start - self.band, start + self.band].map(|log| concise(log.exp()));
        Finding::Error {
            error: outside.copysign(distance),
            measured: format!("first/last gradient {ratio}, wanted {low} to {high}"),
        }
    }
}

impl Remembered {
    /// Puts the start off.
    fn wait(&mut self, step: u64, why: String) -> Finding {
        self.waited_until = step;
        Finding::unknown(why)
    }

    /// Takes a ratio into the mean that counts as the start.
    fn calibrate(&mut self, log_ratio: f64) -> Finding {
        self.count = self.count.saturating_add(1);
        self.start += (log_ratio - self.start) / self.count as f64;
        let (ratio, start) = (concise(log_ratio.exp()), concise(self.start.exp()));
        Finding::unknown(format!("first/last gradient {ratio}, start so far {start}"))
    }
}

/// Why the ratio says nothing of the start yet: the first or the last layer is as good as zero, as the last one of
/// a network often is at first, and then the other one has next to no gradient.
fn starting_layer(members: &[(&Layer, &Measurement)]) -> Option<String> {
    let indices = || members.iter().map(|(layer, _)| layer.index);
    let (first, last) = (indices().min()?, indices().max()?);
    let is_end = |layer: &Layer| [first, last].contains(&layer.index);
    let mut ends = members.iter().filter(|(layer, _)| is_end(layer));
    let (layer, measured) = ends.find(|(layer, measured)| is_near_zero(layer, measured))?;
    let sigma = concise(measured.sigma);
    Some(format!("σ {sigma} of {} is near 0, no start yet", layer.name()))
}

/// The mean gradient norms of the first and the last layer of a network, each of all its blocks; or
/// nothing where one of them was not told.
fn first_and_last(members: &[(&Layer, &Measurement)]) -> Option<(f64, f64)> {
    let indices = || members.iter().map(|(layer, _)| layer.index);
    Some((norm_at(members, indices().min()?)?, norm_at(members, indices().max()?)?))
}

fn norm_at(members: &[(&Layer, &Measurement)], index: usize) -> Option<f64> {
    let blocks = members.iter().filter(|(layer, _)| layer.index == index);
    let norms = blocks.map(|(_, measured)| Some(measured.gradient?.mean_norm));
    norms.reduce(|total, norm| Some(total?.hypot(norm?))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        Decider, Rule, Signals,
        tests::{layers, read_back},
    };
    use crate::{Action, GradientStatistics};

    fn norms(norms: &[f64]) -> Vec<Measurement> {
        let measured = |mean_norm: &f64| {
            let gradient = GradientStatistics { mean_norm: *mean_norm, ..Default::default() };
            Measurement::new(1.2, 1e-3).with_gradient(gradient)
        };
        norms.iter().map(measured).collect()
    }

    /// A decider of three layers that has seen the ratio 2 at its start, up to step 100.
    fn calibrated(text: &str) -> Decider {
        let mut decider = Decider::new(Rule::parse(text).unwrap(), layers(3)).unwrap();
        for step in (10..=100).step_by(10) {
            decider.decide(step, &norms(&[4.0, 77.0, 2.0]), &Signals::new());
        }
        decider
    }

    fn decide(decider: &mut Decider, step: u64, measurements: &[Measurement]) -> Decision {
        decider.decide(step, measurements, &Signals::new())[0].clone()
    }

    fn change(first_over_last: f64) -> f64 {
        let mut decider = calibrated("gradient:gain=0.01");
        let decision = decide(&mut decider, 110, &norms(&[first_over_last, 77.0, 1.0]));
        decision.action.target().unwrap().ln()
    }

    #[test]
    fn a_last_layer_that_starts_at_zero_is_no_start_of_the_ratio() {
        let rule = Rule::parse("gradient:calibrate=100").unwrap();
        let mut decider = Decider::new(rule, layers(2)).unwrap();
        let norms = |mean_norm: f64| GradientStatistics { mean_norm, ..Default::default() };
        for step in (10..=400).step_by(10) {
            // The last layer grows from zero, and the gradient of the first one with it.
            let grown = (step as f64 / 200.0).min(1.0);
            let measured = [
                Measurement::new(1.0, 0.0).with_gradient(norms(grown)),
                Measurement::new(1.2 * grown, 0.0).with_gradient(norms(1.0)),
            ];
            decider.decide(step, &measured, &Signals::new());
            let reason = &decider.decisions()[0].reason;
            assert_eq!(reason.contains("no start yet"), grown < 0.251, "{reason}");
        }
        // A ratio of 1 is what there is at the end: near where it was measured, so little has moved.
        let target = decider.decisions()[0].action.target().unwrap();
        assert!((target - 1.0).abs() < 0.25, "{target}");
    }

    #[test]
    fn a_vanishing_first_gradient_lets_go_and_an_exploding_one_tightens() {
        let start = 2.0;
        for (log_distance, expected) in
            [(0.0, 0.0), (0.49, 0.0), (-0.49, 0.0), (-0.7, 0.02), (0.7, -0.02), (-30.0, 0.1)]
        {
            let change = change(start * f64::exp(log_distance));
            assert!((change - expected).abs() < 1e-12, "{log_distance}: {change}");
        }
    }

    #[test]
    fn the_start_is_the_mean_of_the_first_steps_and_moves_nothing() {
        let mut decider = Decider::new(Rule::parse("gradient").unwrap(), layers(2)).unwrap();
        // ln of the ratios averages to ln 2.
        for (step, ratio) in [(10, 1.0), (20, 4.0), (90, 0.5), (100, 8.0)] {
            let decision = decide(&mut decider, step, &norms(&[ratio, 1.0]));
            assert_eq!(decision.action, Action::Normalize { target: 1.0 });
        }
        let reason = decide(&mut decider, 110, &norms(&[8.0, 1.0])).reason;
        assert_eq!(reason, "first/last gradient 8, wanted 1.213 to 3.297: target 1 to 0.9824");
    }

    #[test]
    fn late_gradients_are_a_start_too() {
        let mut decider = Decider::new(Rule::parse("gradient").unwrap(), layers(2)).unwrap();
        let reason = decide(&mut decider, 5_000, &norms(&[3.0, 1.0])).reason;
        assert_eq!(reason, "first/last gradient 3, start so far 3: target stays at 1");
        let reason = decide(&mut decider, 5_010, &norms(&[0.3, 1.0])).reason;
        assert!(reason.ends_with("target 1 to 1.02"), "{reason}");
    }

    #[test]
    fn a_long_time_at_a_limit_is_forgotten_in_one_decision() {
        for (limit, saturating, back) in [(8.0, 1e-9, 1e9), (0.5, 1e9, 1e-9)] {
            let mut decider = calibrated("gradient");
            for step in (110..50_000).step_by(10) {
                decide(&mut decider, step, &norms(&[saturating, 1.0, 1.0]));
            }
            assert_eq!(decider.decisions()[2].action.target(), Some(limit));
            let decision = decide(&mut decider, 50_000, &norms(&[back, 1.0, 1.0]));
            let moved = (decision.action.target().unwrap() / limit).ln();
            assert!((moved.abs() - 0.02).abs() < 1e-12, "{moved}");
        }
    }

    #[test]
    fn each_network_has_its_own_ratio_and_target() {
        let of = |network: &str| {
            let name = |layer| Layer { network: network.to_owned(), ..layer };
            layers(2).into_iter().map(name).collect::<Vec<_>>()
        };
        let both = [of("policy"), of("value")].concat();
        let mut decider = Decider::new(Rule::parse("gradient").unwrap(), both).unwrap();
        let mut decide = |step, measured: [f64; 4]| {
            let decisions = decider.decide(step, &norms(&measured), &Signals::new());
            [0, 1, 2, 3].map(|index| decisions[index].action.target().unwrap())
        };
        decide(10, [1.0, 1.0, 5.0, 1.0]);
        let [first, second, third, fourth] = decide(110, [0.01, 1.0, 5.0, 1.0]);
        assert!(first > 1.0 && first == second);
        assert_eq!([third, fourth], [1.0; 2]);
    }

    #[test]
    fn the_blocks_of_a_weight_count_together() {
        let block = |layer: &Layer, block| Layer { block: Some(block), ..layer.clone() };
        let [first, last] = [&layers(2)[0], &layers(2)[1]].map(Clone::clone);
        let parts = [block(&first, 0), block(&first, 1), last];
        let mut decider = Decider::new(Rule::parse("gradient").unwrap(), parts.into()).unwrap();
        let reason = decide(&mut decider, 10, &norms(&[3.0, 4.0, 1.0])).reason;
        assert!(reason.starts_with("first/last gradient 5,"), "{reason}");
    }

    #[test]
    fn what_is_missing_or_broken_moves_nothing() {
        let mut without_last = norms(&[1.0, 1.0, 1.0]);
        without_last[2].gradient = None;
        for (measurements, why) in [
            (vec![Measurement::new(1.0, 0.0); 3], "no gradients told"),
            (without_last, "no gradients told"),
            (norms(&[f64::NAN, 1.0, 1.0]), "gradients NaN and 1 have no ratio"),
            (norms(&[1.0, 1.0, f64::INFINITY]), "gradients 1 and inf have no ratio"),
            (norms(&[0.0, 1.0, 1.0]), "gradients 0 and 1 have no ratio"),
        ] {
            let decision = decide(&mut calibrated("gradient"), 110, &measurements);
            assert_eq!(decision.action, Action::Normalize { target: 1.0 });
            assert_eq!(decision.reason, format!("{why}: target stays at 1"));
        }
    }

    #[test]
    fn a_broken_start_is_not_taken_into_the_mean() {
        let mut decider = Decider::new(Rule::parse("gradient").unwrap(), layers(2)).unwrap();
        for first in [f64::NAN, 2.0, 0.0] {
            decide(&mut decider, 10, &norms(&[first, 1.0]));
        }
        let reason = decide(&mut decider, 110, &norms(&[2.0, 1.0])).reason;
        assert!(reason.starts_with("first/last gradient 2, wanted 1.213 to 3.297"), "{reason}");
    }

    #[test]
    fn read_back_midway_it_goes_on_identically() {
        let mut original = calibrated("gradient");
        let mut copy = read_back(&original);
        for step in (110..900).step_by(10) {
            let measured = norms(&[2.0 * (step as f64 / 90.0).sin().exp().powi(3), 1.0, 1.0]);
            assert_eq!(decide(&mut copy, step, &measured), decide(&mut original, step, &measured));
        }
        assert_eq!(copy, original);
    }
}
