//! A controller in a file.

use osn_core::act::{Actuator, AppliedAction, Rates, StepSize};
use osn_core::decide::DeciderState;
use osn_core::held::{HeldWeight, Reading, Refreshes};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};

/// What goes on where a training is resumed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) schema: u32,
    pub(crate) held: Vec<HeldWeight>,
    pub(crate) decider: DeciderState,
    pub(crate) actuators: Vec<Actuator>,
    pub(crate) rates: Rates,
    /// Absent in older files.
    #[serde(default)]
    pub(crate) kept: Option<StepSize>,
    pub(crate) reading: Reading,
    pub(crate) refreshes: Refreshes,
    pub(crate) step: u64,
}

impl Saved {
    /// Refuses a state of other weights, views or rates, and one that is damaged.
    pub(crate) fn check(
        &self,
        held: &[HeldWeight],
        rates: Rates,
        kept: Option<&StepSize>,
        n_layers: usize,
    ) -> PyResult<()> {
        if self.held != held {
            let names = |held: &[HeldWeight]| {
                held.iter().map(HeldWeight::path).collect::<Vec<_>>().join(", ")
            };
            return Err(PyValueError::new_err(format!(
                "the saved state holds {}, this model {}: attach to the same layers, in the same views",
                names(&self.held),
                names(held)
            )));
        }
        if self.rates != rates {
            return Err(PyValueError::new_err(
                "the saved state has other rates: attach with the same",
            ));
        }
        if self.kept.as_ref().map(StepSize::steps) != kept.map(StepSize::steps) {
            return Err(PyValueError::new_err(
                "the saved state has another keep_step_size: attach with the same",
            ));
        }
        if !self.is_sound(n_layers) {
            return Err(PyValueError::new_err("the saved state is damaged: attach anew"));
        }
        Ok(())
    }

    fn is_sound(&self, n_layers: usize) -> bool {
        let in_force = |actuator: &Actuator| {
            let AppliedAction { action, blend } = actuator.applied();
            (0.0..=1.0).contains(&blend) && action.validate().is_ok()
        };
        let fits = self.actuators.len() == n_layers && self.actuators.iter().all(in_force);
        let fits = fits && self.kept.as_ref().is_none_or(|kept| kept.fits(n_layers));
        fits && self.reading.fits(n_layers)
            && self.refreshes.fits(&self.held, self.step)
            && self.step < u64::MAX / 2
    }
}
