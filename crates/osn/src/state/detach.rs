//! The way back from a held model to a plain one.

use burn::module::Module;

use crate::error::StepError;
use crate::osn::Osn;
use crate::state::codes::{Codes, device_codes};
use crate::state::walks::Held;
use osn_core::state_code::{STATE_LEN, State};

/// What makes the effective weight the stored one, to the bit.
const OFF: State = State { sigma: 0.0, scale: 1.0, elasticity: 0.0, residual: 0.0, bad_step: 0 };

impl Osn {
    /// Returns the plain model with the stored weights `W`: to train on without osn.
    ///
    /// To deploy what was trained, use [`Module::materialize`], which returns the plain model with the effective
    /// weights `Ŵ = s·W`.
    ///
    /// Any other reparameterization of the model, such as LoRA, is materialized: Burn removes them in no other way.
    ///
    /// # Errors
    ///
    /// [`StepError::NotAttached`] for a model that is not the attached one.
    pub fn detach<M: Module>(self, model: M) -> Result<M, StepError> {
        let held = self.read(&model)?.into_iter();
        let codes = held.map(|Held { codes, .. }| Some(off(codes))).collect();
        let mut model = model;
        self.write(&mut model, codes);
        Ok(model.materialize())
    }
}

/// The same codes, of blocks of which nothing is in force.
fn off((u, v, state): Codes) -> Codes {
    let n_blocks = state.dims()[0] / STATE_LEN;
    let off = device_codes(&OFF.encode().repeat(n_blocks), &state.device());
    (u, v, off)
}
