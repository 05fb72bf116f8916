//! Rules and their memories without their types, so that a decider can hold any of them.

use std::{any::Any, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser, ser::SerializeStruct};
use serde_json::Value;

use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::evidence::Evidence;
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;

/// A [`DecisionRule`] of any type.
pub(crate) trait AnyRule: Any + Send + Sync {
    fn name(&self) -> &str;
    fn parameters(&self) -> String;
    fn validate(&self) -> Result<(), RuleError>;
    fn interval(&self) -> Option<u64>;
    fn needs(&self) -> Needs;
    fn needs_for(&self, layers: &[Layer]) -> Needs;
    fn metric(&self) -> Option<&str>;
    fn excludes(&self, layer: &Layer) -> Option<String>;
    fn begin(&self, layers: &[Layer]) -> Memory;
    /// A memory that was saved, if it is one of this rule for so many layers.
    fn restore(&self, saved: &Memory, n_layers: usize) -> Option<Memory>;
    fn at_attach(&self, layer: &Layer) -> Decision;
    fn idle_within(&self, steps: u64) -> Option<String>;
    fn decide(&self, memory: &mut Memory, context: &Context) -> Vec<Decision>;
    fn evidence(&self, memory: &Memory, layers: &[Layer]) -> Vec<Option<Evidence>>;
}

impl<R: DecisionRule + Send + Sync + 'static> AnyRule for R {
    fn name(&self) -> &str {
        DecisionRule::name(self)
    }

    fn parameters(&self) -> String {
        DecisionRule::parameters(self)
    }

    fn validate(&self) -> Result<(), RuleError> {
        DecisionRule::validate(self)
    }

    fn interval(&self) -> Option<u64> {
        DecisionRule::interval(self)
    }

    fn needs(&self) -> Needs {
        DecisionRule::needs(self)
    }

    fn needs_for(&self, layers: &[Layer]) -> Needs {
        DecisionRule::needs_for(self, layers)
    }

    fn metric(&self) -> Option<&str> {
        DecisionRule::metric(self)
    }

    fn excludes(&self, layer: &Layer) -> Option<String> {
        DecisionRule::excludes(self, layer)
    }

    fn begin(&self, layers: &[Layer]) -> Memory {
        Memory(Box::new(DecisionRule::begin(self, layers)))
    }

    fn restore(&self, saved: &Memory, n_layers: usize) -> Option<Memory> {
        let memory: R::Memory = serde_json::from_value(saved.0.to_json().ok()?).ok()?;
        self.fits(&memory, n_layers).then(|| Memory(Box::new(memory)))
    }

    fn at_attach(&self, layer: &Layer) -> Decision {
        DecisionRule::at_attach(self, layer)
    }

    fn idle_within(&self, steps: u64) -> Option<String> {
        DecisionRule::idle_within(self, steps)
    }

    fn decide(&self, memory: &mut Memory, context: &Context) -> Vec<Decision> {
        let memory: &mut dyn Any = &mut *memory.0;
        let memory = memory.downcast_mut().expect("the memory is this rule's own");
        DecisionRule::decide(self, memory, context)
    }

    fn evidence(&self, memory: &Memory, layers: &[Layer]) -> Vec<Option<Evidence>> {
        let memory: &dyn Any = &*memory.0;
        let memory = memory.downcast_ref().expect("the memory is this rule's own");
        DecisionRule::evidence(self, memory, layers)
    }
}

/// What a rule remembers, saved as JSON. One that was read from a file stays JSON until [`AnyRule::restore`]
/// makes it the rule's own.
#[derive(Debug)]
pub(crate) struct Memory(Box<dyn AnyMemory>);

/// A [`DecisionRule::Memory`] of any type.
trait AnyMemory: Any + fmt::Debug + Send + Sync {
    fn boxed_clone(&self) -> Box<dyn AnyMemory>;
    fn to_json(&self) -> serde_json::Result<Value>;
}

impl<M: Clone + fmt::Debug + Serialize + Send + Sync + 'static> AnyMemory for M {
    fn boxed_clone(&self) -> Box<dyn AnyMemory> {
        Box::new(self.clone())
    }

    fn to_json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        Self(self.0.boxed_clone())
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.0.to_json(), other.0.to_json()), (Ok(own), Ok(other)) if own == other)
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_json().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Self(Box::new(value)))
    }
}

/// A rule that is not one of this crate, as [`Rule::custom`](crate::decide::Rule::custom) makes it.
///
/// Two are equal if they are of one type and have the same name and parameters. In a file it is an
/// object with both, which names the rule; reading it is an error.
#[derive(Clone)]
pub struct CustomRule(Arc<dyn AnyRule>);

impl CustomRule {
    pub(crate) fn new(rule: impl DecisionRule + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    pub(crate) fn erased(&self) -> &dyn AnyRule {
        &*self.0
    }
}

impl fmt::Debug for CustomRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, parameters) = (self.0.name(), self.0.parameters());
        f.debug_struct("CustomRule").field("name", &name).field("parameters", &parameters).finish()
    }
}

impl PartialEq for CustomRule {
    fn eq(&self, other: &Self) -> bool {
        let (own, other): (&dyn AnyRule, &dyn AnyRule) = (&*self.0, &*other.0);
        own.type_id() == other.type_id()
            && own.name() == other.name()
            && own.parameters() == other.parameters()
    }
}

impl Serialize for CustomRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut named = serializer.serialize_struct("CustomRule", 2)?;
        named.serialize_field("name", self.0.name())?;
        named.serialize_field("parameters", &self.0.parameters())?;
        named.end()
    }
}

impl<'de> Deserialize<'de> for CustomRule {
    /// Always an error: only code has the rule.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let Named { name } = Named::deserialize(deserializer)?;
        Err(de::Error::custom(format!(
            "`{name}` is a custom rule, which cannot be read from data: pass it in code with Rule::custom"
        )))
    }
}
