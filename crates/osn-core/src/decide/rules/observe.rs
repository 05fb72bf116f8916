//! The rule `observe`.

use serde::{Deserialize, Serialize};

use crate::decide::decision_rule::{Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;

/// Leaves every layer unconstrained and requests every signal, so that the record has them: the control for every
/// rule that follows a signal.
///
/// Its actions are those of [`Never`](crate::decide::rules::Never), and it changes no bit of the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observe {
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Observe {
    fn default() -> Self {
        Self { interval: 10 }
    }
}

impl NamedRule for Observe {
    parameters! {
        "observe", "Leaves every layer unconstrained and requests every signal, as a control.";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Observe {
    type Memory = ();

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        Self::DOC.require_count("interval", self.interval)
    }

    fn needs(&self) -> Needs {
        Needs::ALL
    }

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, _: &Layer) -> Decision {
        Decision::off("observe: measured only")
    }
}

#[cfg(test)]
mod tests {
    use crate::decide::decider::tests::{actions, decider, measured};
    use crate::decide::signals::Signals;

    #[test]
    fn it_decides_what_never_decides_whatever_it_measures() {
        let (mut observe, never) = (decider("observe", 2), decider("never", 2));
        for sigma in [0.0, 0.5, 1e9, f64::NAN] {
            observe.decide(10, &measured(&[sigma; 2]), &Signals::new());
            assert_eq!(actions(&observe), actions(&never));
        }
    }
}
