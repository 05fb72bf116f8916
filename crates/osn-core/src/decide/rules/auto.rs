//! The rule `auto`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::control::adversarial::AdversarialControl;
use crate::decide::control::generalization::GeneralizationControl;
use crate::decide::control::gradient_flow::GradientFlowControl;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::evidence::Evidence;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::rules::r#static::Static;
use crate::decide::signals::Needs;
use crate::decide::text::variants_as_parameters;
use crate::layer::facts::Layer;
use crate::layer::select::{Position, Select};

/// Decides as fits the kind of task, with no parameter that has to be set.
///
/// | task | what it does | where that comes from |
/// |---|---|---|
/// | `gan`, `translate` | normalizes a discriminator with convolutions to 1; constrains a fully connected one by its separation and its input gradient | the registered study of `gan`; the pilot grid |
/// | `control` | normalizes the penultimate layer of a Q-network to 1 | Gogianu et al. 2021 |
/// | `classify` | caps every layer, the lower the larger the generalization gap | the recipe `classify` |
/// | `sequence` | normalizes the blocks of a stack to 1 until the gradient reaches its first block | the recipe `nmt` |
///
/// # Adversarial training
///
/// With `s` the separation and `g` the input-gradient norm ([`Adversarial`](crate::decide::Adversarial)), both
/// exponential means over the decisions with 0.8 of the old mean in the new one:
///
/// - Every layer of a discriminator with convolutions is normalized to 1 throughout (Miyato et al. 2018, equation 8).
/// - Layer `l` of a fully connected discriminator is normalized to `c_l = f·σ_l(0)`, with `σ_l(0)` its σ at
///   initialization and `f` one factor for all layers, 1.5 at the start. `Δ` is the number of optimizer steps since the
///   decision before, and the decisions change when `f` has moved by 2 %:
///
/// ```text
/// d = −0.01·clamp(ln(g/2.4), ±1)
/// s < 0.35:              d ← max(d, 0.1·(0.35 − s))       a weak discriminator is released
/// s > 0.95 and g ≤ 0.5:  d ← min(d, 0)                    a saturated and flat one is not released
/// s > 0.95 and g > 0.5:  d ← min(d, −0.2·(s − 0.95))      a saturated one is constrained further
/// ln f ← clamp(ln f + Δ·d, ln 0.2, ln 8)
/// ```
///
/// - A layer of a generator ([`Layer::is_of_generator`]) is capped at `1.5·σ_l(0)` throughout.
///
/// # Classification
///
/// Layer `l` is capped at `f·σ_l(0)`, with one factor `f` as above. With `L` the training loss and `L′` the same loss on
/// held-out data ([`Generalization`](crate::decide::Generalization)), both such means:
///
/// ```text
/// d = −0.02·clamp((L′ − L − 0.4)/0.4, ±1)
/// ln f ← clamp(ln f + Δ·d, ln 0.5, ln m)                  m = clamp(max_l σ_l/σ_l(0), 1.5, 8)
/// ```
///
/// Every layer is capped, so a network that generalizes is not constrained, but for the lag of one decision.
/// Without these losses the caps stay at `1.5·σ_l(0)`.
///
/// # Sequences
///
/// A *stack* is two or more numbered blocks below one path: `encoder.0`, `encoder.1`, …. With `W_l` the stored weights of
/// block `b` and `‖∇W_l‖` the mean norm of their gradients since the decision before,
///
/// ```text
/// g_b = √Σ_l (σ_l·‖∇W_l‖)²        r = g_first/g_last
/// ```
///
/// says how much of the gradient reaches the first block; `ln r` is averaged with 0.5 of the old mean. `σ·‖∇W‖` does not
/// depend on the scale of a weight.
///
/// - Every layer of the blocks is normalized to 1 from the start, for at least 100 steps.
/// - Where `r > 0.3` the stack is *let go*: each layer keeps the scale `s = 1/σ_l` that it has then
///   ([`Action::Keep`]), so that no function changes, and its σ is free.
/// - Where `r < 0.03` it is held again, as at the start.
///
/// Each stack follows its own gradient. What is in no stack, and the output of the network, is unconstrained; a loop that reports no
/// gradients leaves every stack held.
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
#[non_exhaustive]
pub enum Task {
    /// A discriminator of a generative adversarial network.
    Gan,
    /// A discriminator of an image-to-image translation.
    Translate,
    /// A Q-network.
    Control,
    /// A classifier.
    Classify,
    /// A network of stacked blocks for sequences, such as a Transformer.
    Sequence,
}

variants_as_parameters! {
    Task = "one of gan, translate, control, classify, sequence";
}

/// The memory of the part of the rule that fits the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoMemory {
    Adversarial(AdversarialControl),
    Generalization(GeneralizationControl),
    GradientFlow(GradientFlowControl),
    Fixed,
}

impl NamedRule for Auto {
    parameters! {
        "auto", "Decides as fits the task, with nothing to set: normalizes the discriminator of a \
                 GAN, caps a classifier by its generalization gap, holds the blocks of a \
                 Transformer until the gradient reaches the first.";
        task = "gan", "what is trained: gan, translate, control, classify or sequence";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Auto {
    type Memory = AutoMemory;

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        Self::DOC.require_count("interval", self.interval)
    }

    fn needs(&self) -> Needs {
        match self.task {
            Task::Gan | Task::Translate => {
                Needs { separation: true, input_gradient_norm: true, ..Needs::default() }
            }
            Task::Classify => Needs { generalization: true, ..Needs::default() },
            Task::Control => Needs::default(),
            Task::Sequence => Needs { gradients: true, ..Needs::default() },
        }
    }

    fn needs_for(&self, layers: &[Layer]) -> Needs {
        let is_adversarial = matches!(self.task, Task::Gan | Task::Translate);
        if is_adversarial && !AdversarialControl::follows_signals(layers) {
            return Needs::default();
        }
        self.needs()
    }

    fn excludes(&self, layer: &Layer) -> Option<String> {
        match self.task {
            Task::Control => penultimate().excludes(layer),
            Task::Sequence => GradientFlowControl::excludes(layer),
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
            Task::Sequence => AutoMemory::GradientFlow(GradientFlowControl::begin(layers)),
        }
    }

    fn fits(&self, memory: &Self::Memory, n_layers: usize) -> bool {
        match (self.task, memory) {
            (Task::Gan | Task::Translate, AutoMemory::Adversarial(control)) => {
                control.fits(n_layers)
            }
            (Task::Control, AutoMemory::Fixed) => true,
            (Task::Classify, AutoMemory::Generalization(control)) => control.fits(n_layers),
            (Task::Sequence, AutoMemory::GradientFlow(control)) => control.fits(n_layers),
            _ => false,
        }
    }

    fn at_attach(&self, layer: &Layer) -> Decision {
        match self.task {
            Task::Control => penultimate().at_attach(layer),
            Task::Sequence => GradientFlowControl::at_attach(),
            _ => Decision::not_measured(),
        }
    }

    fn decide(&self, memory: &mut AutoMemory, context: &Context) -> Vec<Decision> {
        match (self.task, memory) {
            (Task::Gan | Task::Translate, AutoMemory::Adversarial(control)) => {
                control.decide(context)
            }
            (Task::Control, AutoMemory::Fixed) => penultimate().decide(&mut (), context),
            (Task::Classify, AutoMemory::Generalization(control)) => control.decide(context),
            (Task::Sequence, AutoMemory::GradientFlow(control)) => control.decide(context),
            // `fits` refuses the memory of another task; one that comes here all the same begins afresh.
            (_, memory) => {
                *memory = self.begin(context.layers);
                self.decide(memory, context)
            }
        }
    }

    fn evidence(&self, memory: &AutoMemory, layers: &[Layer]) -> Vec<Option<Evidence>> {
        match memory {
            AutoMemory::Adversarial(control) => control.evidence(layers),
            AutoMemory::Generalization(control) => vec![control.evidence(); layers.len()],
            AutoMemory::GradientFlow(control) => control.evidence(layers),
            AutoMemory::Fixed => vec![None; layers.len()],
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
    use crate::decide::decider::tests::{actions, decide, decider, layers, measured};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::kind::Kind;

    /// Actions for three layers of σ 1 at the start and of these σ ten steps later.
    fn decided(text: &str, sigmas: [f64; 3]) -> Vec<Action> {
        let mut decider = decider(text, 3);
        decide(&mut decider, 0, &[1.0; 3], &Signals::new());
        decide(&mut decider, 10, &sigmas, &Signals::new());
        actions(&decider)
    }

    #[test]
    fn control_normalizes_the_penultimate_layer_alone() {
        let actions = decided("auto:task=control", [5.0; 3]);
        assert_eq!(actions, [Action::Off, Action::Normalize { target: 1.0 }, Action::Off]);
    }

    #[test]
    fn signals_are_asked_for_where_they_change_a_decision() {
        let of = |kind| {
            let layers = layers(2).into_iter().map(|layer| Layer { kind, ..layer }).collect();
            Decider::new(Rule::parse("auto").unwrap(), layers).unwrap().needs()
        };
        assert_eq!(of(Kind::Linear), Auto::default().needs());
        assert_eq!(of(Kind::Conv), Needs::default());
    }

    #[test]
    fn classify_without_losses_caps_at_one_and_a_half_times_the_start() {
        let sigmas = [1.2, 1.4, 3.0];
        let actions = decided("auto:task=classify", sigmas);
        let scales = actions.iter().zip(sigmas).map(|(action, sigma)| action.scale(1.0, sigma));
        assert_eq!(scales.collect::<Vec<f64>>(), [1.0, 1.0, 0.5]);
    }

    #[test]
    fn a_task_without_a_layer_of_its_kind_and_an_unknown_task_are_refused() {
        let rule = Rule::parse("auto:task=control").unwrap();
        let refused = Decider::new(rule, layers(1));
        assert!(matches!(refused, Err(RuleError::Idle { number: 1, .. })));
        let refused = Rule::parse("auto:task=chess");
        assert!(matches!(refused, Err(RuleError::BadValue { key: "task", .. })));
    }

    #[test]
    fn a_memory_of_another_task_begins_afresh() {
        let (layers, signals) = (&layers(3), &Signals::new());
        let mut memory = Auto { task: Task::Control, ..Auto::default() }.begin(layers);
        let context = Context { step: 0, layers, measurements: &measured(&[1.0; 3]), signals };
        assert_eq!(Auto::default().decide(&mut memory, &context).len(), 3);
    }
}
