//! The rule `learned`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::is_target;
use crate::decide::control::relative_to_init::is_near_zero;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;
use crate::layer::measurement::Measurement;
use crate::number::concise;

/// Learns for each layer how far it is constrained, from the gradient of a held-out loss.
///
/// Each layer has a gate `g = sigmoid(α)` between unconstrained (0) and normalized to the target `c` (1), with
/// `σ(Ŵ) = c^g·σ^(1−g)`, so `ln s = g·ln(c/σ)`. With `G = ∂L/∂Ŵ` of the held-out loss
///
/// ```text
/// ∂L/∂g = −ln(σ/c)·⟨G, Ŵ⟩        ∂L/∂α = ∂L/∂g·g·(1 − g)        α ← α − η·∂L/∂α
/// ```
///
/// Only [`held_out_sensitivity`](crate::layer::GradientStatistics::held_out_sensitivity) moves a gate. The training
/// loss never does: a network that may choose its own constraint by the loss that the constraint is there to limit
/// removes it. For a discriminator a held-out loss is its loss on real images that it does not train on. Without a
/// held-out loss a layer keeps the target that its gate gives at the first decision at which its σ is at least a
/// quarter of the usual σ of its shape ([`InitialSize`](crate::layer::InitialSize)).
///
/// `α` stays within ±4, so `g` within 0.018 and 0.982: beyond, `g·(1 − g)` is too small for a gate to come back. One
/// decision moves `α` by at most 0.5. Between decisions the layer is normalized to the last target, which removes the
/// whole radial part of the gradient and not only the fraction `g` of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Learned {
    /// The σ `c` of the effective weight at `g = 1`, greater than 0. Default: 1.
    pub target: f64,
    /// `g` of every layer at the start, from 0.02 (nearly unconstrained) to 0.98. Default: 0.5.
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
    /// The effective σ in force; nothing before the first measurement.
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
        "learned", "Learns for each layer how far it is constrained, from a held-out loss.";
        target = "1", "the σ of a weight that is constrained in full";
        start = "0.5", "the gate of every layer at the start, from 0.02 (nearly unconstrained) to 0.98";
        learning_rate = "1", "the learning rate of the gates, in 1/(unit of the held-out loss)";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Learned {
    type Memory = Vec<Gate>;

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        Self::DOC.check_action(Action::Normalize { target: self.target })?;
        let is_gate = (0.02..=0.98).contains(&self.start);
        Self::DOC.require(is_gate, "start", &self.start, "0.02 to 0.98")?;
        Self::DOC.require_positive("learning_rate", self.learning_rate)?;
        Self::DOC.require_count("interval", self.interval)
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
            return format!(
                "σ {} is no size of a weight, still gate {}",
                concise(sigma),
                shown(*gate)
            );
        }
        match held_out {
            Some(held_out) if held_out.is_finite() => self.learn(gate, sigma, held_out),
            _ if gate.target.is_none() && is_near_zero(layer, measured) => {
                format!("σ {} is near 0, no target yet", concise(sigma))
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
        format!("held-out ⟨G, Ŵ⟩ {held_out} at σ {size}, target {target}, gate {from} → {to}")
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
    use crate::decide::decider::tests::{actions, decider, layers};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::GradientStatistics;

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
    fn learned(sigma: f64, best: f64) -> f64 {
        let mut decider = decider("learned", 1);
        decider.decide(0, &[measured(sigma, None)], &Signals::new());
        for step in 1..5000 {
            let held_out = target(&decider).ln() - best.ln();
            decider.decide(10 * step, &[measured(sigma, Some(held_out))], &Signals::new());
        }
        target(&decider)
    }

    #[test]
    fn a_held_out_loss_that_wants_the_constraint_keeps_it_and_one_that_does_not_releases() {
        let (kept, released) = (learned(8.0, 1.0), learned(8.0, 8.0));
        assert!(kept < 1.1 && released > 7.5, "{kept} {released}");
    }

    #[test]
    fn a_held_out_loss_with_its_best_in_between_is_brought_there() {
        for (sigma, best) in [(8.0, 2.0), (8.0, 5.0), (0.4, 0.6)] {
            let found = learned(sigma, best);
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
    fn a_layer_that_starts_near_zero_is_not_constrained_to_what_its_first_steps_made_of_it() {
        let mut decider = decider("learned", 1);
        for (step, sigma) in [(0, 0.0), (10, 0.01), (20, 0.1)] {
            decider.decide(step, &[measured(sigma, None)], &Signals::new());
            assert_eq!(actions(&decider), [Action::Off], "{sigma}");
        }
        decider.decide(30, &[measured(1.21, None)], &Signals::new());
        assert!((target(&decider) - 1.1).abs() < 1e-12, "half-way to 1");
    }

    #[test]
    fn without_a_held_out_signal_the_training_loss_moves_nothing() {
        let mut decider = decider("learned", 1);
        decider.decide(0, &[measured(4.0, None)], &Signals::new());
        assert!((target(&decider) - 2.0).abs() < 1e-12);
        let first = target(&decider);
        for step in 1..1000 {
            decider.decide(10 * step, &[measured(4.0 + step as f64, None)], &Signals::new());
        }
        assert_eq!(target(&decider), first);
    }

    #[test]
    fn a_gate_comes_back_however_long_it_was_pushed() {
        let mut decider = decider("learned", 1);
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
    fn broken_numbers_change_nothing() {
        let mut constrained = decider("learned", 1);
        constrained.decide(0, &[measured(4.0, Some(0.1))], &Signals::new());
        let (action, memory) = (actions(&constrained), constrained.state().rules);
        for (sigma, held_out) in [
            (4.0, f64::NAN),
            (4.0, f64::NEG_INFINITY),
            (f64::NAN, 1.0),
            (f64::INFINITY, 1.0),
            (0.0, 1.0),
        ] {
            constrained.decide(10, &[measured(sigma, Some(held_out))], &Signals::new());
            assert_eq!(
                (actions(&constrained), constrained.state().rules),
                (action.clone(), memory.clone())
            );
        }
        let mut unmeasured = decider("learned", 1);
        unmeasured.decide(0, &[measured(0.0, Some(1.0))], &Signals::new());
        assert_eq!(actions(&unmeasured), [Action::Off]);
    }

    #[test]
    fn a_gate_that_could_not_come_back_is_refused() {
        let refused = Rule::parse("learned:start=1");
        assert!(matches!(refused, Err(RuleError::BadValue { key: "start", .. })));
        for text in ["learned:learning_rate=0", "learned:learning_rate=inf", "learned:target=0"] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
        let text = "learned:target=2,start=0.9,learning_rate=0.5,interval=20";
        assert_eq!(Rule::parse(text).unwrap().label(), text);
    }
}
