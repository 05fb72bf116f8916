//! The rule `auto`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::required_interval;
use crate::decide::control::adversarial::AdversarialControl;
use crate::decide::control::generalization::GeneralizationControl;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::rules::r#static::Static;
use crate::decide::signals::Needs;
use crate::decide::text::plain_parameters;
use crate::layer::facts::Layer;
use crate::layer::select::{Position, Select};

/// Decides as fits the kind of task, with no parameter that has to be set.
///
/// | task | what it does | where that comes from |
/// |---|---|---|
/// | `gan`, `translate` | constrains a discriminator by its separation and its input gradient | the pilot grid; `translate` was not part of it |
/// | `control` | normalizes the penultimate layer of a Q-network to 1 | Gogianu et al. 2021 |
/// | `classify` | caps every layer, the lower the larger the generalization gap | the recipe `classify` |
///
/// Layer `l` has the target `c_l = f·σ_l(0)`, with `σ_l(0)` its σ at initialization and `f` one factor for
/// all layers, 1.5 at the start. `f` follows the signals; all of them are exponential means over the
/// decisions, and `Δ` is the number of optimizer steps since the decision before. The decisions change when
/// `f` has moved by 2 %.
///
/// # Adversarial training
///
/// With `s` the separation and `g` the input-gradient norm
/// ([`Adversarial`](crate::decide::Adversarial)):
///
/// ```text
/// d = −0.01·clamp(ln(g/2.4), ±1)
/// s < 0.35:              d ← max(d, 0.1·(0.35 − s))       a weak discriminator is released
/// s > 0.95 and g ≤ 0.5:  d ← min(d, 0)                    a saturated and flat one is not released
/// s > 0.95 and g > 0.5:  d ← min(d, −0.2·(s − 0.95))      a saturated one is constrained further
/// ln f ← clamp(ln f + Δ·d, ln 0.2, ln 8)
/// ```
///
/// A fully connected discriminator is normalized to its targets. One with convolutions is capped at them
/// and never scaled up, and `f` is at most the largest growth `max_l σ_l/σ_l(0)`, at least 1.5. A layer of a
/// generator ([`Layer::is_of_generator`]) is capped at `1.5·σ_l(0)` throughout.
///
/// # Classification
///
/// With `L` the training loss and `L′` the same loss on held-out data
/// ([`Generalization`](crate::decide::Generalization)):
///
/// ```text
/// d = −0.02·clamp((L′ − L − 0.4)/0.4, ±1)
/// ln f ← clamp(ln f + Δ·d, ln 0.5, ln m)                  m = clamp(max_l σ_l/σ_l(0), 1.5, 8)
/// ```
///
/// Every layer is capped, so a network that generalizes is not constrained, but for the lag of one decision.
/// Without these losses the caps stay at `1.5·σ_l(0)`.
///
/// # Layers that start near zero
///
/// If `σ_l(0)` is below a quarter of the usual σ of the layer's shape
/// ([`InitialSize`](crate::layer::InitialSize)), that one counts in its place, and the layer is capped and never
/// scaled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auto {
    /// The kind of task. Default: gan.
    pub task: Task,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Auto {
    fn default() -> Self {
        Self { task: Task::Gan, interval: 10 }
    }
}

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A discriminator of a generative adversarial network.
    Gan,
    /// A discriminator of an image-to-image translation.
    Translate,
    /// A Q-network.
    Control,
    /// A classifier.
    Classify,
}

impl Task {
    const ALL: [Task; 4] = [Self::Gan, Self::Translate, Self::Control, Self::Classify];
    const EXPECTED: &str = "one of gan, translate, control, classify";

    /// The name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Task::Gan => "gan",
            Task::Translate => "translate",
            Task::Control => "control",
            Task::Classify => "classify",
        }
    }
}

plain_parameters! {
    Task = Task::EXPECTED;
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Task {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|task| task.name() == text).ok_or(())
    }
}

/// The memory of the part of the rule that fits the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoMemory {
    Adversarial(AdversarialControl),
    Generalization(GeneralizationControl),
    Fixed,
}

impl NamedRule for Auto {
    parameters! {
        "auto", "Decides as fits the task, with nothing to set: in a GAN by the separation and the \
                 input gradient of the discriminator, in a classifier by the generalization gap.";
        task = "gan", "what is trained: gan, translate, control or classify";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Auto {
    type Memory = AutoMemory;

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        match self.task {
            Task::Gan | Task::Translate => AdversarialControl::NEEDS,
            Task::Classify => GeneralizationControl::NEEDS,
            Task::Control => Needs::default(),
        }
    }

    fn excludes(&self, layer: &Layer) -> Option<String> {
        match self.task {
            Task::Control => penultimate().excludes(layer),
            _ => None,
        }
    }

    fn begin(&self, layers: &[Layer]) -> AutoMemory {
        match self.task {
            Task::Gan | Task::Translate => {
                AutoMemory::Adversarial(AdversarialControl::begin(layers))
            }
            Task::Control => AutoMemory::Fixed,
            Task::Classify => AutoMemory::Generalization(GeneralizationControl::begin(layers)),
        }
    }

    fn fits(&self, memory: &Self::Memory, n_layers: usize) -> bool {
        match (self.task, memory) {
            (Task::Gan | Task::Translate, AutoMemory::Adversarial(control)) => {
                control.fits(n_layers)
            }
            (Task::Control, AutoMemory::Fixed) => true,
            (Task::Classify, AutoMemory::Generalization(control)) => control.fits(n_layers),
            _ => false,
        }
    }

    fn at_attach(&self, layer: &Layer) -> Decision {
        match self.task {
            Task::Control => penultimate().at_attach(layer),
            _ => Decision { action: Action::Off, reason: "not measured yet: leave".to_owned() },
        }
    }

    fn decide(&self, memory: &mut AutoMemory, context: &Context) -> Vec<Decision> {
        match (self.task, memory) {
            (Task::Gan | Task::Translate, AutoMemory::Adversarial(control)) => {
                control.decide(context)
            }
            (Task::Control, AutoMemory::Fixed) => penultimate().decide(&mut (), context),
            (Task::Classify, AutoMemory::Generalization(control)) => control.decide(context),
            // `fits` refuses the memory of another task; one that comes here all the same begins afresh.
            (_, memory) => {
                *memory = self.begin(context.layers);
                self.decide(memory, context)
            }
        }
    }
}

/// Gogianu et al. 2021: one hidden layer, and not the last.
fn penultimate() -> Static {
    let select = Select { positions: vec![Position::Penultimate], ..Select::default() };
    Static { select, action: Action::Normalize { target: 1.0 } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::layers;
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::Measurement;

    fn decide(text: &str, layers: Vec<Layer>, sigmas: [f64; 3]) -> Vec<Decision> {
        let mut decider = Decider::new(Rule::parse(text).unwrap(), layers).unwrap();
        let start = [1.0; 3].map(|sigma| Measurement::new(sigma, 1e-3));
        decider.decide(0, &start, &Signals::new());
        let measured = sigmas.map(|sigma| Measurement::new(sigma, 1e-3));
        decider.decide(10, &measured, &Signals::new()).to_vec()
    }

    #[test]
    fn control_normalizes_the_penultimate_layer_alone() {
        let decisions = decide("auto:task=control", layers(3), [5.0; 3]);
        let actions: Vec<Action> = decisions.into_iter().map(|it| it.action).collect();
        assert_eq!(actions, [Action::Off, Action::Normalize { target: 1.0 }, Action::Off]);
    }

    #[test]
    fn classify_without_losses_caps_at_one_and_a_half_times_the_start() {
        let decisions = decide("auto:task=classify", layers(3), [1.2, 1.4, 3.0]);
        let scales =
            decisions.iter().zip([1.2, 1.4, 3.0]).map(|(it, sigma)| it.action.scale(1.0, sigma));
        assert_eq!(scales.collect::<Vec<f64>>(), [1.0, 1.0, 0.5]);
    }

    #[test]
    fn a_task_that_finds_no_layer_of_its_kind_is_refused() {
        let rule = Rule::parse("auto:task=control").unwrap();
        let message = Decider::new(rule, layers(1)).unwrap_err().to_string();
        assert!(message.contains("position 0 (from 0) of 1"), "{message}");
    }

    #[test]
    fn a_memory_of_another_task_begins_afresh() {
        let layers = layers(3);
        let mut memory = Auto { task: Task::Control, ..Auto::default() }.begin(&layers);
        let measurements = [Measurement::new(1.0, 0.0); 3];
        let signals = Signals::new();
        let context =
            Context { step: 0, layers: &layers, measurements: &measurements, signals: &signals };
        assert_eq!(Auto::default().decide(&mut memory, &context).len(), 3);
    }

    #[test]
    fn an_unknown_task_lists_the_known_ones() {
        let message = Rule::parse("auto:task=chess").unwrap_err().to_string();
        assert!(message.contains("expected one of gan, translate, control"), "{message}");
    }
}
