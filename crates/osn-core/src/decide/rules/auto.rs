//! The rule `auto`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::decide::{
    Decision, Needs, RuleError, Static,
    control::adversarial::Race,
    control::generalization::Memorizing,
    decision_rule::{Context, DecisionRule, NamedRule, named},
    rule::{INTERVAL, RuleDoc, parameters, required_interval},
    text::plain_parameters,
};
use crate::{Action, Layer, Position, Select};

/// Decides as fits the kind of task, with nothing that must be set.
///
/// | task | what it does | where that comes from |
/// |---|---|---|
/// | `gan`, `translate` | holds a discriminator by what the race between the two networks shows | the pilot grid; `DESIGN.md` has its results, `translate` was not part of it |
/// | `control` | normalizes the second to last layer of a Q-network to 1 | Gogianu et al. 2021 |
/// | `classify` | caps every layer, the tighter the more is learned by heart | the recipe `classify`; `DESIGN.md` has its results |
///
/// # The race
///
/// With `σ_l(0)` the σ of layer `l` at the start, each layer gets the target `c_l = f·σ_l(0)`; the
/// factor `f` starts at 1.5. With `s` the separation and `g` the slope at generated samples
/// ([`Adversarial`](crate::decide::Adversarial)), both exponential means over the decisions, and `Δ` the
/// optimizer steps since the decision before:
///
/// ```text
/// d = −0.01·clamp(ln(g/2.4), ±1)                        a steep discriminator is held tighter
/// s < 0.35:  d ← max(d, 0.1·(0.35 − s))                 one that tells nothing apart is let go
/// s > 0.95:  d ← min(d, 0)                              one that is certain is not let go,
///            and where g > 0.5, min(d, −0.2·(s − 0.95))  and is held tighter while it is not flat
/// ln f ← clamp(ln f + Δ·d, ln 0.2, ln 8)
/// ```
///
/// In a fully connected discriminator every layer is normalized to its target, up or down. In one
/// with convolutions it is capped there and never scaled up: on images scaling up lost to leaving
/// alone, on points it won (`DESIGN.md` has both). There `f` stays at most the largest growth
/// `σ_l/σ_l(0)`, or 1.5, since a cap above every σ holds nothing. A decision changes when `f` has moved by 2 %.
///
/// A layer that starts near zero, as a last layer often does, has no size of its own: below a quarter of the σ
/// that a layer of its shape starts at ([`InitialSize`](crate::InitialSize)), that one is its `σ_l(0)`, and it is
/// capped and never scaled up.
///
/// A generator ([`Layer::is_of_generator`]) does not follow the race, which says how the discriminator is to be
/// held: each of its layers is capped at 1.5 times its σ at the start, and that stays.
///
/// # What is learned by heart
///
/// A classifier's layers are capped at `c_l = f·σ_l(0)` too, and `f` starts at 1.5 too. With `L` the loss on
/// what the network trains on and `L′` the same loss on what it does not
/// ([`Generalization`](crate::decide::Generalization)), both exponential means over the decisions, in nats where the
/// loss is a cross-entropy:
///
/// ```text
/// g = L′ − L                                            what was learned by heart
/// d = −0.02·clamp((g − 0.4)/0.4, ±1)                    much of it is held tighter, little let go
/// ln f ← clamp(ln f + Δ·d, ln 0.5, ln m)
/// ```
///
/// where `m` is the largest growth `σ_l/σ_l(0)`, from 1.5 to 8. So a network that generalises is as free as
/// one that is left alone, but for the lag of one decision. A loop that tells neither loss gets a cap at 1.5
/// times the start.
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
    /// A discriminator that judges translated images.
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

/// What the rule remembers: what the part of it that fits the task remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoMemory {
    Race(Race),
    Memorizing(Memorizing),
    Fixed,
}

impl NamedRule for Auto {
    parameters! {
        "auto", "Decides as fits the task, with nothing to set: in a GAN by how far the \
                 discriminator is ahead and how steep it is, in a classifier by what is learned by \
                 heart.";
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
            Task::Gan | Task::Translate => Race::NEEDS,
            Task::Classify => Memorizing::NEEDS,
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
            Task::Gan | Task::Translate => AutoMemory::Race(Race::begin(layers)),
            Task::Control => AutoMemory::Fixed,
            Task::Classify => AutoMemory::Memorizing(Memorizing::begin(layers)),
        }
    }

    fn fits(&self, memory: &Self::Memory, n_layers: usize) -> bool {
        match (self.task, memory) {
            (Task::Gan | Task::Translate, AutoMemory::Race(race)) => race.fits(n_layers),
            (Task::Control, AutoMemory::Fixed) => true,
            (Task::Classify, AutoMemory::Memorizing(memorizing)) => memorizing.fits(n_layers),
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
            (Task::Gan | Task::Translate, AutoMemory::Race(race)) => race.decide(context),
            (Task::Control, AutoMemory::Fixed) => penultimate().decide(&mut (), context),
            (Task::Classify, AutoMemory::Memorizing(memorizing)) => memorizing.decide(context),
            // The memory of another task, from a file that was tampered with, begins afresh.
            (_, memory) => {
                *memory = self.begin(context.layers);
                self.decide(memory, context)
            }
        }
    }
}

/// Gogianu et al. 2021: one hidden layer, and never the last.
fn penultimate() -> Static {
    let select = Select { positions: vec![Position::Penultimate], ..Select::default() };
    Static { select, action: Action::Normalize { target: 1.0 } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Measurement;
    use crate::decide::{Decider, Rule, Signals, tests::layers};

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
