//! Rules from Python: as text, as data, as a file, and as objects with a method that decides.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use osn_core::decide::{Context, Decision, DecisionRule, Needs, Rule, Rules, ScopedRule};
use osn_core::layer::{Layer, Select};
use osn_runs::rules_file::read_rules;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::choose::Selection;
use crate::errors::{AttachError, attach_error};

/// One rule, and which layers it is for.
#[derive(FromPyObject)]
pub(crate) struct Entry<'py> {
    #[pyo3(item)]
    select: Option<Selection>,
    #[pyo3(item)]
    rule: Spec<'py>,
}

/// A rule: its text, or an object of the class `osn.Rule`.
#[derive(FromPyObject)]
enum Spec<'py> {
    Text(String),
    Object(Bound<'py, PyAny>),
}

/// What a rule of Python raised, until somebody asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    fn put(&self, error: PyErr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Fails with the error that a rule raised since this was last called.
    pub(crate) fn check(&self) -> PyResult<()> {
        let raised = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        raised.map_or(Ok(()), Err)
    }
}

/// The rules that Python names, in their order. A single text may also name a file.
pub(crate) fn rules(entries: Vec<Entry<'_>>, raised: &Raised) -> PyResult<Rules> {
    if let [Entry { select: None, rule: Spec::Text(text) }] = &entries[..]
        && text.to_lowercase().ends_with(".toml")
    {
        return read_rules(text.as_ref()).map_err(|error| attach_error(&error));
    }
    let scoped = entries.into_iter().map(|entry| {
        let select = entry.select.as_ref().map_or(Ok(Select::default()), Selection::select)?;
        let rule = match entry.rule {
            Spec::Text(text) => Rule::parse(&text).map_err(|error| attach_error(&error))?,
            Spec::Object(object) => Rule::custom(OwnRule::new(&object, raised.clone())?),
        };
        Ok(ScopedRule { select, rule })
    });
    scoped.collect()
}

/// A rule that is an object of Python: its method decides, what it remembers is JSON.
struct OwnRule {
    object: Py<PyAny>,
    name: String,
    parameters: String,
    interval: u64,
    needs: Needs,
    metric: Option<String>,
    raised: Raised,
}

impl fmt::Debug for OwnRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnRule").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OwnRule {
    fn new(object: &Bound<'_, PyAny>, raised: Raised) -> PyResult<Self> {
        let needs: Vec<String> = object.getattr("needs")?.extract()?;
        let needs: Value = needs.into_iter().map(|need| (need, Value::Bool(true))).collect();
        Ok(Self {
            object: object.clone().unbind(),
            name: object.getattr("name")?.extract()?,
            parameters: object.getattr("parameters")?.extract()?,
            interval: object.getattr("interval")?.extract()?,
            needs: serde_json::from_value(needs).map_err(|error| attach_error(&error))?,
            metric: object.getattr("metric")?.extract()?,
            raised,
        })
    }

    /// Calls the method of the object, which takes and gives JSON.
    fn call(&self, memory: &mut Value, context: &Context) -> PyResult<Vec<Decision>> {
        let signals = context.signals;
        let context = json!({
            "step": context.step,
            "layers": context.layers,
            "measurements": context.measurements,
            "signals": signals,
        });
        Python::attach(|py| {
            let (context, before) = (context.to_string(), memory.to_string());
            let answer = self.object.bind(py).call_method1("_decide", (context, before))?;
            let (decisions, after): (String, String) = answer.extract()?;
            *memory = serde_json::from_str(&after).map_err(|error| attach_error(&error))?;
            serde_json::from_str(&decisions).map_err(|error| attach_error(&error))
        })
    }
}

impl DecisionRule for OwnRule {
    type Memory = Value;

    fn name(&self) -> &str {
        &self.name
    }

    fn parameters(&self) -> String {
        self.parameters.clone()
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        self.needs
    }

    fn metric(&self) -> Option<&str> {
        self.metric.as_deref()
    }

    fn begin(&self, _layers: &[Layer]) -> Value {
        json!({})
    }

    fn decide(&self, memory: &mut Value, context: &Context) -> Vec<Decision> {
        match self.call(memory, context) {
            Ok(decisions) if decisions.len() == context.layers.len() => return decisions,
            Ok(decisions) => self.raised.put(AttachError::new_err(format!(
                "rule {}: {} decisions for {} layers",
                self.name,
                decisions.len(),
                context.layers.len()
            ))),
            Err(error) => self.raised.put(error),
        }
        // Nobody sees these: whoever asked looks at what was raised.
        context.layers.iter().map(|layer| self.at_attach(layer)).collect()
    }
}
