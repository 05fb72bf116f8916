//! The state of a held weight in the module tree, as Burn's reparameterization.

use std::collections::HashMap;

use burn::module::{Module, Param, ParamId, Reparameterization, Reparameterizer};
use burn::tensor::{Int, Tensor};

use crate::act::ops::effective_weight;
use crate::act::ops::spare::Spare;
use crate::state::codes::{Codes, host_codes};
use crate::state::probe::Probe;
use osn_core::held::Form;
use osn_core::state_code::{STATE_LEN, State, decode_unit};

/// The state of one held weight: `u`, `v`, and σ, scale and elasticity of the last refresh, for each block of the weight.
///
/// It is in the module tree beside the weight, as integers that no optimizer, average or cast changes. A clone has a
/// state of its own, and records have it under `<weight>.spectral_norm.*`. The stored weight `W` is what the optimizer
/// made it ([`Param::base`]); [`Param::val`] is the effective weight `Ŵ = s·W`.
///
/// Each method copies from the device.
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

    /// The estimate of the left singular vector, of length 1, with one number for each row (output) of the map. Where
    /// the view has several maps or blocks, their vectors follow one another.
    pub fn u(&self) -> Vec<f64> {
        unit_vector(self.u.val())
    }

    /// The estimate of the right singular vector, with one number for each column (input), in the order of
    /// [`Self::u`].
    pub fn v(&self) -> Vec<f64> {
        unit_vector(self.v.val())
    }

    /// σ of each block at the last refresh: a lower bound of the largest singular value of the stored weight at that
    /// time.
    pub fn sigma(&self) -> Vec<f64> {
        self.states().iter().map(|state| state.sigma).collect()
    }

    /// The scale `s` of each block, in `Ŵ = s·W`.
    pub fn scale(&self) -> Vec<f64> {
        self.states().iter().map(|state| state.scale).collect()
    }

    /// The elasticity `γ = −d ln s / d ln σ` of each block.
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
