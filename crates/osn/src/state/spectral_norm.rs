//! The state of a held weight in the module tree, as Burn's reparameterization.

use std::collections::HashMap;

use burn::module::{Module, Param, ParamId, Reparameterization, Reparameterizer};
use burn::tensor::{Int, Tensor};

use crate::act::ops::effective_weight;
use crate::act::ops::spare::Spare;
use crate::state::codes::{Codes, host_codes};
use crate::state::form::Form;
use crate::state::probe::Probe;
use osn_core::state_code::{STATE_LEN, State, decode_unit};

/// The state of one held weight: `u`, `v` and what the last refresh measured, for each block of it
/// one behind the other.
///
/// It lives beside the weight in the module tree, as integers that no optimizer, average or cast
/// touches, so clones own theirs and records carry it under `<weight>.spectral_norm.*`. The stored
/// weight stays what the optimizer made it; [`Param::val`] gives `Ŵ = s·W`.
#[derive(Module, Debug)]
pub struct SpectralNorm {
    u: Param<Tensor<1, Int>>,
    v: Param<Tensor<1, Int>>,
    state: Param<Tensor<1, Int>>,
    probe: Probe,
    #[module(skip)]
    form: Form,
    #[module(skip)]
    spare: Spare,
}

impl Reparameterization for SpectralNorm {
    const NAME: &'static str = "spectral_norm";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let probe = self.probe.leaf_for(&base);
        let (u, v, state) = (self.u.val(), self.v.val(), self.state.val());
        effective_weight(base, u, v, state, probe, self.spare.clone(), self.form)
    }
}

impl SpectralNorm {
    pub(crate) fn new(codes: Codes, probe: Probe, form: Form) -> Self {
        let (u, v, state) = codes;
        Self {
            u: Param::initialized(ParamId::new(), u),
            v: Param::initialized(ParamId::new(), v),
            state: Param::initialized(ParamId::new(), state),
            probe,
            form,
            spare: Spare::new(),
        }
    }

    /// The left singular vector's estimate, one number a row of the map; one unit vector behind the
    /// other where a view has several maps or blocks. Copies from the device.
    pub fn u(&self) -> Vec<f64> {
        unit_vector(self.u.val())
    }

    /// The right singular vector's estimate, one number a column, in the order of [`Self::u`].
    /// Copies from the device.
    pub fn v(&self) -> Vec<f64> {
        unit_vector(self.v.val())
    }

    /// σ of each block as of the last refresh: a lower bound of the largest singular value of the
    /// stored weight at that time. Copies from the device.
    pub fn sigma(&self) -> Vec<f64> {
        self.states().iter().map(|state| state.sigma).collect()
    }

    /// The factor `s` between the stored and the effective weight, for each block. Copies from the
    /// device.
    pub fn scale(&self) -> Vec<f64> {
        self.states().iter().map(|state| state.scale).collect()
    }

    /// `γ = −d ln s / d ln σ` of each block. Copies from the device.
    pub fn elasticity(&self) -> Vec<f64> {
        self.states().iter().map(|state| state.elasticity).collect()
    }

    fn states(&self) -> Vec<State> {
        host_codes(self.state.val()).chunks_exact(STATE_LEN).map(State::decode).collect()
    }
}

fn unit_vector(codes: Tensor<1, Int>) -> Vec<f64> {
    host_codes(codes).into_iter().map(decode_unit).collect()
}

/// Attaches prepared state to the weights of the given paths.
pub(crate) fn attach<M: Module>(model: M, prepared: HashMap<String, SpectralNorm>) -> M {
    model.apply_reparameterization(Attach(prepared))
}

struct Attach(HashMap<String, SpectralNorm>);

impl Reparameterizer for Attach {
    type Reparam = SpectralNorm;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<SpectralNorm>) {
        let state = self.0.remove(path);
        (param, state)
    }
}
