//! What a rule is: the trait that the rules of this crate and a user's own rules implement.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::act::action::Action;
use crate::decide::error::RuleError;
use crate::decide::evidence::Evidence;
use crate::decide::signals::{Needs, Signals};
use crate::layer::facts::Layer;
use crate::layer::measurement::Measurement;

/// What is wanted for one layer, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The wanted action; an [`Actuator`](crate::act::Actuator) moves the one in force there without a jump.
    pub action: Action,
    /// Why, in words and numbers.
    pub reason: String,
}

impl Decision {
    /// The decision to leave a layer as it is.
    pub(crate) fn off(reason: impl Into<String>) -> Self {
        Self { action: Action::Off, reason: reason.into() }
    }

    /// What a rule that needs measurements decides before there are any.
    pub(crate) fn not_measured() -> Self {
        Self::off("not measured yet: unconstrained")
    }
}

/// What a rule decides from.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Optimizer steps since the rule was attached; 0 is the first decision.
    pub step: u64,
    /// The layers that the rule decides about.
    pub layers: &'a [Layer],
    /// One measurement for each layer, in the same order.
    pub measurements: &'a [Measurement],
    /// What the training loop reported about the model as a whole. Its metrics are the latest values
    /// reported since this rule's last decision.
    pub signals: &'a Signals,
}

/// A rule: its parameters, and what it decides.
///
/// The rules of this crate implement it, and so can your own: [`Rule::custom`](crate::decide::Rule::custom)
/// turns it into a [`Rule`](crate::decide::Rule), which then goes wherever those of this crate go.
///
/// A rule is pure. What it has to remember between decisions is in its [`Memory`](Self::Memory), which
/// is saved with the run; it looks at no clock, draws no random numbers and keeps nothing elsewhere.
/// Then the same run gives the same decisions, and a run that was stopped goes on as if it had not been.
///
/// ```
/// use osn_core::act::Action;
/// use osn_core::decide::{Context, Decider, Decision, DecisionRule, Rule, Signals};
/// use osn_core::layer::{Architecture, Kind, Layer, Measurement};
///
/// /// Caps every layer at `factor` times the smallest σ that it has had so far.
/// struct Ratchet {
///     factor: f64,
/// }
///
/// impl DecisionRule for Ratchet {
///     /// The smallest σ of each layer.
///     type Memory = Vec<Option<f64>>;
///
///     fn name(&self) -> &str {
///         "ratchet"
///     }
///
///     fn parameters(&self) -> String {
///         format!("factor={}", self.factor)
///     }
///
///     fn interval(&self) -> Option<u64> {
///         Some(10)
///     }
///
///     fn begin(&self, layers: &[Layer]) -> Self::Memory {
///         vec![None; layers.len()]
///     }
///
///     fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
///         let measured = memory.iter_mut().zip(context.measurements);
///         measured
///             .map(|(smallest, measured)| {
///                 let least = smallest.map_or(measured.sigma, |least| least.min(measured.sigma));
///                 *smallest = Some(least);
///                 let target = self.factor * least;
///                 let action = Action::Cap { target, sharpness: f64::INFINITY };
///                 Decision { action, reason: format!("smallest σ so far {least}: {action}") }
///             })
///             .collect()
///     }
/// }
///
/// let layer = Layer {
///     path: "conv.weight".to_owned(),
///     network: "discriminator".to_owned(),
///     kind: Kind::Conv,
///     shape: vec![64, 3, 3, 3],
///     index: 0,
///     count: 1,
///     is_largest: true,
///     block: None,
///     architecture: Architecture::default(),
/// };
/// let mut decider = Decider::new(Rule::custom(Ratchet { factor: 2.0 }), vec![layer])?;
/// assert_eq!(decider.rules().label(), "ratchet:factor=2");
/// decider.decide(0, &[Measurement::new(1.5, 1e-4)], &Signals::new());
/// let decisions = decider.decide(10, &[Measurement::new(4.0, 1e-4)], &Signals::new());
/// assert_eq!(decisions[0].reason, "smallest σ so far 1.5: hard cap at 3");
/// # Ok::<(), osn_core::decide::RuleError>(())
/// ```
pub trait DecisionRule {
    /// What the rule remembers between decisions.
    ///
    /// It is saved as JSON, which knows no NaN and no infinity: keep such a number as `None`.
    type Memory: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The name of the rule, for labels and records: `cap`. A rule of your own must not have the name of
    /// one of this crate.
    fn name(&self) -> &str;

    /// The parameters of the rule as text, for labels and records: `target=2,dwell=100`. Two rules of
    /// one name and with the same parameters count as the same rule. Default: none.
    fn parameters(&self) -> String {
        String::new()
    }

    /// Checks that the parameters make sense. Default: they do.
    ///
    /// # Errors
    ///
    /// [`RuleError`]; a rule of your own returns [`RuleError::Custom`].
    fn validate(&self) -> Result<(), RuleError> {
        Ok(())
    }

    /// How many optimizer steps lie between two decisions, at least 1; `None` if the decision
    /// [at attach](Self::at_attach) is final. Default: it is.
    fn interval(&self) -> Option<u64> {
        None
    }

    /// The signals that the rule uses besides σ, so that they are measured. Default: none.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Those of [`needs`](Self::needs) that it uses for these layers, which are all that it decides about. Default: all.
    fn needs_for(&self, _layers: &[Layer]) -> Needs {
        self.needs()
    }

    /// The name of the metric that the rule follows, if it follows one. Default: none.
    fn metric(&self) -> Option<&str> {
        None
    }

    /// Why the rule never acts on this layer, or `None` if it decides about it. The other methods get
    /// only the layers that it decides about. Default: it decides about every layer.
    fn excludes(&self, _layer: &Layer) -> Option<String> {
        None
    }

    /// The memory before the first decision.
    fn begin(&self, layers: &[Layer]) -> Self::Memory;

    /// Whether a memory that was read back fits this rule and so many layers. Default: yes.
    fn fits(&self, _memory: &Self::Memory, _n_layers: usize) -> bool {
        true
    }

    /// The decision about a layer before anything is measured. Default: leave it as it is.
    fn at_attach(&self, _layer: &Layer) -> Decision {
        Decision::not_measured()
    }

    /// Decides about every layer of the context, in the same order: one decision for each. It is called
    /// only where there is an [`interval`](Self::interval). Default: as [at attach](Self::at_attach).
    fn decide(&self, _memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        context.layers.iter().map(|layer| self.at_attach(layer)).collect()
    }

    /// By what number each layer was decided last, in the same order, for records and pages: nothing is decided by it.
    /// Default: none, which is right where σ alone decides.
    fn evidence(&self, _memory: &Self::Memory, layers: &[Layer]) -> Vec<Option<Evidence>> {
        vec![None; layers.len()]
    }

    /// Why the rule can have no effect in a run of so many optimizer steps, or `None` if it can. The
    /// last decision that can have one is before the last step. Default: it can.
    fn idle_within(&self, _steps: u64) -> Option<String> {
        None
    }
}
