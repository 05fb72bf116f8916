//! What a rule decides by, as a number.

use serde::{Deserialize, Serialize};

/// The number by which a rule decides about a layer, as of its last decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is, with its unit where it has one: `held-out gain of a larger σ, in standard errors`.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// The values at which the rule decides otherwise, if there are such.
    pub thresholds: Vec<f64>,
}

impl Evidence {
    pub(crate) fn new(name: &str, value: f64, thresholds: impl Into<Vec<f64>>) -> Self {
        Self { name: name.to_owned(), value, thresholds: thresholds.into() }
    }

    /// Whether all of its numbers are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.thresholds.iter().chain([&self.value]).all(|it| it.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::layers;
    use crate::decide::rule::Rule;
    use crate::decide::signals::{Adversarial, Generalization, Signals};
    use crate::layer::facts::Layer;
    use crate::layer::kind::Kind;
    use crate::layer::measurement::{GradientStatistics, Growth, Measurement};

    /// By what a rule decides two layers, blocks of one stack, after these many decisions of the same numbers.
    fn evidence(rule: &str, n_decisions: u64) -> Vec<Option<Evidence>> {
        let linear = |layer| Layer { kind: Kind::Linear, ..layer };
        let layers = layers(2).into_iter().map(linear).collect();
        let mut decider = Decider::new(Rule::parse(rule).unwrap(), layers).unwrap();
        let adversarial = Adversarial { separation: Some(0.6), input_gradient_norm: Some(3.0) };
        let generalization = Generalization { train_loss: 0.25, held_out_loss: 1.0 };
        let signals = Signals::new()
            .metric("frechet", 12.0)
            .adversarial(adversarial)
            .generalization(generalization);
        let measured = |mean_norm, mean, mean_square| {
            let growth = Some(Growth { looks: 2, mean, mean_square });
            let sensitivity = 4.0 * mean_norm;
            let gradient = GradientStatistics {
                mean_norm,
                sensitivity,
                growth,
                ..GradientStatistics::default()
            };
            Measurement::new(2.0, 1e-3).with_gradient(gradient)
        };
        let measurements = [measured(0.5, -1.0, 1.5), measured(1.0, 1.0, 1.5)];
        for step in 1..=n_decisions {
            decider.decide(step * 1_000, &measurements, &signals);
        }
        decider.evidence()
    }

    fn numbers(evidence: &[Option<Evidence>]) -> Vec<(f64, Vec<f64>)> {
        evidence.iter().flatten().map(|it| (it.value, it.thresholds.clone())).collect()
    }

    #[test]
    fn evidence_is_the_number_that_the_rule_decides_by() {
        for (rule, expected) in [
            ("auto", 3.0),
            ("auto:task=classify", 0.75),
            ("auto:task=sequence", 0.5),
            ("plateau", 12.0),
        ] {
            let seen = evidence(rule, 3);
            assert_eq!(seen.len(), 2);
            for (value, _) in numbers(&seen) {
                assert!((value - expected).abs() < 1e-12, "{rule}: {value}");
            }
            assert_eq!(numbers(&seen).len(), 2, "{rule}");
        }
        let seen = numbers(&evidence("budget", 3));
        assert_eq!(seen.iter().map(|it| it.0).collect::<Vec<_>>(), [2.0, 4.0]);
    }

    #[test]
    fn growth_that_pays_is_above_its_threshold_and_growth_that_costs_below() {
        let seen = numbers(&evidence("pay", 20));
        let [(costs, thresholds), (pays, _)] = &seen[..] else { panic!("{seen:?}") };
        assert!(*costs < thresholds[0] && *pays > thresholds[1], "{seen:?}");
        assert_eq!(evidence("pay", 1), [None, None], "too few looks");
    }

    #[test]
    fn there_is_none_before_anything_is_seen_and_of_rules_that_follow_no_number() {
        for rule in ["auto", "auto:task=classify", "auto:task=sequence", "pay", "budget"] {
            assert_eq!(evidence(rule, 0), [None, None], "{rule}");
        }
        for rule in ["never", "always", "cap", "random", "static", "lr_over_sigma"] {
            assert_eq!(evidence(rule, 3), [None, None], "{rule}");
        }
    }

    #[test]
    fn a_generator_is_not_decided_by_the_slope_of_its_discriminator() {
        let mut layers = layers(2);
        layers[1].network = "generator".to_owned();
        layers[0].kind = Kind::Linear;
        let mut decider = Decider::new(Rule::parse("auto").unwrap(), layers).unwrap();
        let adversarial = Adversarial { separation: Some(0.9), input_gradient_norm: Some(1.0) };
        let signals = Signals::new().adversarial(adversarial);
        decider.decide(0, &[Measurement::new(1.0, 0.0); 2], &signals);
        let name = "norm of D's input gradient".to_owned();
        let expected = Evidence { name, value: 1.0, thresholds: vec![2.4] };
        assert_eq!(decider.evidence(), [Some(expected), None]);
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        assert!(!Evidence::new("a", f64::NAN, []).is_finite());
        assert!(!Evidence::new("a", 1.0, [f64::INFINITY]).is_finite());
    }
}
