//! The rule `learned`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::{checked, is_target, required, required_interval};
use crate::decide::control::relative_to_init::is_near_zero;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;
use crate::layer::measurement::Measurement;
use crate::number::concise;

/// Learns for each layer how far it is held, from a loss that the layer is not trained on.
///
/// Each layer has a gate `g = sigmoid(α)` between leaving it as it is (0) and normalizing it to the
/// target `c` (1). In between the effective weight has `σ(Ŵ) = c^g·σ^(1−g)`, so `ln s = g·ln(c/σ)`,
/// and with `G = ∂L/∂Ŵ` of the held-out loss
///
/// ```text
/// ∂L/∂g = −ln(σ/c)·⟨G, Ŵ⟩        ∂L/∂α = ∂L/∂g·g·(1 − g)        α ← α − η·∂L/∂α
/// ```
///
/// Only [`held_out_sensitivity`](crate::layer::GradientStatistics::held_out_sensitivity) moves a gate. The
/// training loss never does: a network that may choose its own constraint by the loss that the
/// constraint is there to hold back removes it. For a discriminator a held-out loss is its loss on
/// real images that it does not train on, or the generator's side. Without one a layer's target stays
/// where it is: at what its first size makes of it, once it is at least a quarter of what a layer of its shape
/// starts at ([`InitialSize`](crate::layer::InitialSize)).
///
/// `α` stays within ±4, so `g` in 0.018 to 0.982: beyond, `g·(1 − g)` is too small for a gate ever to
/// come back. One decision moves `α` by at most 0.5, whatever the scale of the loss. Between decisions
/// the layer is normalized to the target that the last one gave, which takes out the whole of the
/// gradient's radial part and not only the part `g` of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Learned {
    /// The σ `c` of the effective weight behind a closed gate, greater than 0. Default: 1.
    pub target: f64,
    /// Where the gates start, from 0.02 (all but open) to 0.98 (all but closed). Default: 0.5.
    pub start: f64,
    /// The learning rate `η` of `α`, in 1/(unit of the loss), greater than 0. Default: 1.
    pub learning_rate: f64,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Learned {
    fn default() -> Self {
        Self { target: 1.0, start: 0.5, learning_rate: 1.0, interval: 10 }
    }
}

const LARGEST_ALPHA: f64 = 4.0;
const LARGEST_MOVE: f64 = 0.5;

/// One layer's gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    alpha: f64,
    /// The effective σ that stands; nothing before the first measurement.
    target: Option<f64>,
}

impl Gate {
    fn value(self) -> f64 {
        1.0 / (1.0 + (-self.alpha).exp())
    }

    fn action(self) -> Action {
        self.target.map_or(Action::Off, |target| Action::Normalize { target })
    }
}

impl NamedRule for Learned {
    parameters! {
        "learned", "Learns for each layer how far it is held, from a held-out loss.";
        target = "1", "the σ of a weight that is held altogether";
        start = "0.5", "how far every layer is held at the start, from 0.02 to 0.98";
        learning_rate = "1", "how fast the gates learn, by unit of the held-out loss";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Learned {
    type Memory = Vec<Gate>;

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        checked(&Self::DOC, Action::Normalize { target: self.target })?;
        let is_gate = (0.02..=0.98).contains(&self.start);
        required(&Self::DOC, is_gate, "start", self.start, "0.02 to 0.98")?;
        let rate = self.learning_rate;
        let is_rate = rate > 0.0 && rate.is_finite();
        required(&Self::DOC, is_rate, "learning_rate", rate, "a positive number")?;
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { held_out: true, ..Needs::default() }
    }

    fn begin(&self, layers: &[Layer]) -> Self::Memory {
        let alpha = (self.start / (1.0 - self.start)).ln();
        vec![Gate { alpha, target: None }; layers.len()]
    }

    fn fits(&self, memory: &Self::Memory, n_layers: usize) -> bool {
        memory.len() == n_layers
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        let seen = context.layers.iter().zip(context.measurements);
        let gates = memory.iter_mut().zip(seen);
        gates
            .map(|(gate, (layer, measured))| {
                let why = self.update(gate, layer, measured);
                let action = gate.action();
                Decision { action, reason: format!("{why}: {action}") }
            })
            .collect()
    }
}

impl Learned {
    /// Moves one gate as far as the held-out loss says, and returns what was measured and done.
    fn update(&self, gate: &mut Gate, layer: &Layer, measured: &Measurement) -> String {
        let sigma = measured.sigma;
        let held_out = measured.gradient.and_then(|gradient| gradient.held_out_sensitivity);
        if !is_target(sigma) {
            return format!("σ {} cannot be held, still gate {}", concise(sigma), shown(*gate));
        }
        match held_out {
            Some(held_out) if held_out.is_finite() => self.learn(gate, sigma, held_out),
            _ if gate.target.is_none() && is_near_zero(layer, measured) => {
                format!("σ {} is near 0, no size to hold it at yet", concise(sigma))
            }
            missing => {
                let target = gate.target.unwrap_or_else(|| self.effective(*gate, sigma));
                gate.target = Some(target);
                let why = missing.map_or("no held-out signal".to_owned(), |broken| {
                    format!("held-out ⟨G, Ŵ⟩ {} is not finite", concise(broken))
                });
                format!("{why}, still gate {}", shown(*gate))
            }
        }
    }

    /// One step down the gradient of the held-out loss.
    fn learn(&self, gate: &mut Gate, sigma: f64, held_out: f64) -> String {
        let before = *gate;
        let log_ratio = (sigma / self.target).ln();
        let slope = -log_ratio * held_out * before.value() * (1.0 - before.value());
        let by = (-self.learning_rate * slope).clamp(-LARGEST_MOVE, LARGEST_MOVE);
        gate.alpha = (before.alpha + by).clamp(-LARGEST_ALPHA, LARGEST_ALPHA);
        gate.target = Some(self.effective(*gate, sigma));
        let (size, target, held_out) = (concise(sigma), concise(self.target), concise(held_out));
        let (from, to) = (shown(before), shown(*gate));
        format!("held-out ⟨G, Ŵ⟩ {held_out} at σ {size} against {target}, gate {from} → {to}")
    }

    /// `c^g·σ^(1−g)`, the geometric mean of two sizes that a weight can have.
    fn effective(&self, gate: Gate, sigma: f64) -> f64 {
        let g = gate.value();
        (g * self.target.ln() + (1.0 - g) * sigma.ln()).exp()
    }
}

fn shown(gate: Gate) -> String {
    concise(gate.value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::layers;
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::GradientStatistics;

    fn decider(learned: Learned) -> Decider {
        Decider::new(Rule::Learned(learned), layers(1)).unwrap()
    }

    fn measured(sigma: f64, held_out: Option<f64>) -> Measurement {
        // The training loss always wants larger weights: nothing may come of it.
        let gradient = GradientStatistics {
            sensitivity: 50.0,
            mean_norm: 50.0,
            held_out_sensitivity: held_out,
            ..GradientStatistics::default()
        };
        Measurement::new(sigma, 0.0).with_gradient(gradient)
    }

    fn target(decider: &Decider) -> f64 {
        decider.decisions()[0].action.target().unwrap()
    }

    /// The effective σ after training a layer of stored `sigma` whose held-out loss is
    /// `½·(ln σ(Ŵ) − ln best)²`, so that `⟨G, Ŵ⟩ = ln σ(Ŵ) − ln best`.
    fn learned(learned: Learned, sigma: f64, best: f64) -> f64 {
        let mut decider = decider(learned);
        decider.decide(0, &[measured(sigma, None)], &Signals::new());
        for step in 1..5000 {
            let held_out = target(&decider).ln() - best.ln();
            decider.decide(10 * step, &[measured(sigma, Some(held_out))], &Signals::new());
        }
        target(&decider)
    }

    #[test]
    fn a_held_out_loss_that_wants_the_constraint_keeps_it() {
        let found = learned(Learned::default(), 8.0, 1.0);
        assert!(found < 1.1, "{found}");
    }

    #[test]
    fn a_held_out_loss_that_does_not_want_it_lets_go() {
        let found = learned(Learned::default(), 8.0, 8.0);
        assert!(found > 7.5, "{found}");
    }

    #[test]
    fn a_held_out_loss_with_its_best_in_between_is_brought_there() {
        for (sigma, best) in [(8.0, 2.0), (8.0, 5.0), (0.4, 0.6)] {
            let found = learned(Learned::default(), sigma, best);
            assert!((found / best - 1.0).abs() < 1e-3, "{found} {best}");
        }
    }

    #[test]
    fn the_step_is_the_gradient_by_finite_differences() {
        // L = sin(ln σ(Ŵ)) for want of something with a slope everywhere.
        let (rule, sigma) = (Learned { learning_rate: 0.1, ..Learned::default() }, 5.0);
        let loss = |alpha: f64| rule.effective(Gate { alpha, target: None }, sigma).ln().sin();
        let mut gate = Gate { alpha: 0.3, target: None };
        let held_out = rule.effective(gate, sigma).ln().cos();
        rule.update(&mut gate, &layers(1)[0], &measured(sigma, Some(held_out)));
        let slope = (loss(0.3 + 1e-5) - loss(0.3 - 1e-5)) / 2e-5;
        assert!((gate.alpha - (0.3 - 0.1 * slope)).abs() < 1e-9, "{gate:?} {slope}");
    }

    #[test]
    fn a_layer_that_starts_near_zero_is_not_held_at_what_its_first_steps_made_of_it() {
        let mut decider = decider(Learned::default());
        for (step, sigma) in [(0, 0.0), (10, 0.01), (20, 0.1)] {
            decider.decide(step, &[measured(sigma, None)], &Signals::new());
            assert_eq!(decider.decisions()[0].action, Action::Off, "{sigma}");
        }
        decider.decide(30, &[measured(1.21, None)], &Signals::new());
        assert!((target(&decider) - 1.1).abs() < 1e-12, "half-way to 1");
    }

    #[test]
    fn without_a_held_out_signal_the_training_loss_moves_nothing() {
        let mut decider = decider(Learned::default());
        decider.decide(0, &[measured(4.0, None)], &Signals::new());
        assert!((target(&decider) - 2.0).abs() < 1e-12);
        let first = target(&decider);
        for step in 1..1000 {
            decider.decide(10 * step, &[measured(4.0 + step as f64, None)], &Signals::new());
        }
        assert_eq!(target(&decider), first);
        let reason = &decider.decisions()[0].reason;
        assert_eq!(reason, "no held-out signal, still gate 0.5: normalize to 2");
    }

    #[test]
    fn a_gate_comes_back_however_long_it_was_pushed() {
        let mut decider = decider(Learned::default());
        let mut push = |held_out: f64, times: u64| {
            for step in 0..times {
                decider.decide(10 * step, &[measured(4.0, Some(held_out))], &Signals::new());
            }
            target(&decider)
        };
        assert!(push(-1e6, 10_000) > 3.8);
        assert!(push(1.0, 200) < 1.1);
    }

    #[test]
    fn broken_numbers_change_nothing_and_say_so() {
        let mut decider = decider(Learned::default());
        decider.decide(0, &[measured(4.0, Some(0.1))], &Signals::new());
        let before = decider.decisions()[0].action;
        for (sigma, held_out, said) in [
            (4.0, f64::NAN, "held-out ⟨G, Ŵ⟩ NaN is not finite, still gate"),
            (4.0, f64::NEG_INFINITY, "held-out ⟨G, Ŵ⟩ -inf is not finite, still gate"),
            (f64::NAN, 1.0, "σ NaN cannot be held, still gate"),
            (f64::INFINITY, 1.0, "σ inf cannot be held, still gate"),
            (0.0, 1.0, "σ 0 cannot be held, still gate"),
        ] {
            let memory =
                serde_json::to_value(decider.state()).unwrap()["rules"][0]["memory"].clone();
            let decision = &decider.decide(10, &[measured(sigma, Some(held_out))], &Signals::new());
            assert!(decision[0].reason.starts_with(said), "{}", decision[0].reason);
            assert_eq!(decision[0].action, before);
            assert_eq!(
                serde_json::to_value(decider.state()).unwrap()["rules"][0]["memory"],
                memory
            );
        }
        let mut unmeasured = Decider::new(Rule::Learned(Learned::default()), layers(1)).unwrap();
        let decision = &unmeasured.decide(0, &[measured(0.0, Some(1.0))], &Signals::new())[0];
        assert_eq!(decision.action, Action::Off);
    }

    #[test]
    fn a_move_has_its_reason() {
        let mut decider = decider(Learned::default());
        let decision = &decider.decide(0, &[measured(4.0, Some(0.25))], &Signals::new())[0];
        assert_eq!(
            decision.reason,
            "held-out ⟨G, Ŵ⟩ 0.25 at σ 4 against 1, gate 0.5 → 0.5216: normalize to 1.941"
        );
    }

    #[test]
    fn a_gate_that_could_not_come_back_is_refused() {
        assert_eq!(
            Rule::parse("learned:start=1").unwrap_err().to_string(),
            "rule `learned`: start is `1`, expected 0.02 to 0.98"
        );
        for text in ["learned:learning_rate=0", "learned:learning_rate=inf", "learned:target=0"] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
        let text = "learned:target=2,start=0.9,learning_rate=0.5,interval=20";
        assert_eq!(Rule::parse(text).unwrap().label(), text);
    }
}
