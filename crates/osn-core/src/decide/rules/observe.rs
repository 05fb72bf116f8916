//! The rule `observe`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::required_interval;
use crate::decide::decision_rule::{Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;

/// Leaves every layer as it is and asks for every signal, so that the record has them: the control arm
/// of every rule that uses one.
///
/// Its actions are those of [`Never`](crate::decide::rules::Never), and it changes no bit of the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observe {
    /// Optimizer steps between two readings, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Observe {
    fn default() -> Self {
        Self { interval: 10 }
    }
}

impl NamedRule for Observe {
    parameters! {
        "observe", "Leaves every layer as it is and asks for every signal, as a control arm.";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Observe {
    type Memory = ();

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        Needs::ALL
    }

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, _: &Layer) -> Decision {
        Decision { action: Action::Off, reason: "observe: measured only".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::layers;
    use crate::decide::rule::Rule;
    use crate::decide::rules::never::Never;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::Measurement;

    #[test]
    fn it_decides_what_never_decides_whatever_it_sees() {
        let decider = |rule| Decider::new(rule, layers(2)).unwrap();
        let mut observe = decider(Rule::Observe(Observe::default()));
        let never = decider(Rule::Never(Never {}));
        for sigma in [0.0, 0.5, 1e9, f64::NAN] {
            let measurements = [Measurement::new(sigma, 0.0); 2];
            let decisions = observe.decide(10, &measurements, &Signals::new());
            let actions = decisions.iter().map(|decision| decision.action);
            assert!(actions.eq(never.decisions().iter().map(|decision| decision.action)));
        }
    }
}
