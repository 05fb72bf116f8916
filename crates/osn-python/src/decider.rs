//! Rules at work, without a model: measurements in, decisions out.

use osn_core::decide::{Decider as CoreDecider, Signals};
use osn_core::layer::{Layer, Measurement};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::de::DeserializeOwned;

use crate::errors::{attach_error, value_error};
use crate::rules::{Entry, Raised, rules};

/// Rules at work on layers. All that goes in and comes out is JSON.
#[pyclass]
pub(crate) struct Decider {
    decider: CoreDecider,
    raised: Raised,
}

#[pymethods]
impl Decider {
    #[new]
    fn new(entries: Vec<Entry<'_>>, layers: &str) -> PyResult<Self> {
        let raised = Raised::default();
        let rules = rules(entries, &raised)?;
        let layers: Vec<Layer> = read("layers", layers)?;
        let decider = CoreDecider::new(rules, layers).map_err(|error| attach_error(&error))?;
        Ok(Self { decider, raised })
    }

    fn is_due(&self, step: u64) -> bool {
        self.decider.is_due(step)
    }

    fn decide(&mut self, step: u64, measurements: &str, signals: &str) -> PyResult<String> {
        let measurements: Vec<Measurement> = read("measurements", measurements)?;
        let signals: Signals = read("signals", signals)?;
        let count = self.decider.layers().len();
        if self.decider.needs_measurements() && measurements.len() != count {
            let message = format!("{} measurements for {count} layers", measurements.len());
            return Err(PyValueError::new_err(message));
        }
        let decisions = serde_json::to_string(self.decider.decide(step, &measurements, &signals));
        self.raised.check()?;
        decisions.map_err(|error| value_error(&error))
    }

    fn state(&self) -> PyResult<String> {
        serde_json::to_string(&self.decider.state()).map_err(|error| value_error(&error))
    }

    fn resume(&mut self, state: &str) -> PyResult<()> {
        self.decider.resume(read("state", state)?).map_err(|error| value_error(&error))
    }
}

/// Reads JSON, and says which argument is not what it should be.
pub(crate) fn read<T: DeserializeOwned>(what: &str, text: &str) -> PyResult<T> {
    serde_json::from_str(text).map_err(|error| PyValueError::new_err(format!("{what}: {error}")))
}
