//! Plain spectral normalization, always on, without rules.

use burn::module::{Module, Param, ParamGroup, ParamId, Reparameterizer};
use burn::tensor::Tensor;
use osn_core::act::{Action, AppliedAction};
use osn_core::held::{Form, SigmaGradient, blank_start, cold_start, state_of};
use osn_core::layer::View;

use crate::attach::choose::{cannot_be_seen, check_backend};
use crate::attach::discover::{self, Found};
use crate::error::AttachError;
use crate::measure::refresh::{refresh_blocks, refresh_each};
use crate::measure::to_host::to_host;
use crate::state::codes::encode;
use crate::state::probe::Probe;
use crate::state::spectral_norm::SpectralNorm;
use crate::state::walks::{self, Held};

/// A [`Reparameterizer`](burn::module::Reparameterizer) that normalizes every matrix and kernel of a model to one σ,
/// as SN-GAN does (Miyato et al. 2018): `Ŵ = c·W/σ(W)`.
///
/// There are no rules, no [`Osn`](crate::Osn) and no report. Attach it as Burn's LoRA, with
/// [`Module::apply_reparameterization`], and call [`refresh`](Self::refresh) after each optimizer step. A forward
/// changes nothing, in training and in validation. The state is a [`SpectralNorm`](crate::SpectralNorm) in the module
/// tree, so records have it.
///
/// σ is estimated as everywhere in osn: one power iteration for each refresh, a lower bound. A weight that holds NaN or
/// infinity is no error here: it keeps its last scale, at first 1, and the loss shows it. Do not hold the weights by a
/// [`Plan`](crate::Plan) too.
///
/// # Panics
///
/// `apply_reparameterization` panics at a weight on a backend whose feature of osn is off, and at one without the
/// [`output_axis`](Self::output_axis).
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use osn::SpectralNormalizer;
///
/// let normalizer = SpectralNormalizer::new();
/// let model = LinearConfig::new(8, 4).init(&Device::flex().autodiff());
/// let mut model = model.apply_reparameterization(normalizer.clone());
/// // After every optimizer step, once:
/// normalizer.refresh(&mut model);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SpectralNormalizer {
    target: f64,
    output_axis: usize,
    params: ParamGroup,
}

impl Default for SpectralNormalizer {
    fn default() -> Self {
        Self::new()
    }
}

impl SpectralNormalizer {
    /// Normalizes every float parameter of rank 2 and more to σ = 1.
    pub fn new() -> Self {
        Self { target: 1.0, output_axis: 0, params: ParamGroup::all() }
    }

    /// Sets the σ that each weight gets. Default: 1.
    ///
    /// # Panics
    ///
    /// If it is not a positive number.
    pub fn target(mut self, target: f64) -> Self {
        let action = Action::Normalize { target };
        assert!(action.validate().is_ok(), "the target is {target}: expected a positive number");
        self.target = target;
        self
    }

    /// Sets the axis of the weights that indexes outputs. Default: 0.
    ///
    /// Only transposed convolutions (`[in, out, k…]`) need 1, in a normalizer of their own (see
    /// [`params`](Self::params)): the σ of a matrix is that of its transpose, and all other kernels have their outputs
    /// first.
    pub fn output_axis(mut self, axis: usize) -> Self {
        self.output_axis = axis;
        self
    }

    /// Sets the parameters to normalize. Default: all of rank 2 and more.
    pub fn params(mut self, params: ParamGroup) -> Self {
        self.params = params;
        self
    }

    /// Measures each weight by one power iteration and sets its scale. Call it once after each optimizer step.
    ///
    /// Nothing is copied to the host. Weights that this normalizer is not attached to stay as they are.
    pub fn refresh<M: Module>(&self, model: &mut M) {
        let own = discover::parameters(model).into_iter().filter_map(
            |Found { path, id, shape, .. }| {
                let form = self.form(&path, id, &shape)?.ok()?;
                Some((path, form))
            },
        );
        let own: Vec<(String, Form)> = own.collect();
        let paths: Vec<_> = own.iter().map(|(path, form)| (path.clone(), form.cut)).collect();
        let held = walks::read(model, &paths);
        let held: Vec<_> =
            own.iter().zip(&held).filter_map(|(own, held)| Some((own, held.as_ref()?))).collect();
        let weights = held.into_iter().map(|((path, form), Held { weight, codes })| {
            (weight, (path.clone(), form, codes.clone()))
        });
        let codes = refresh_each(weights.collect(), |weight, (path, form, codes)| {
            (path, refresh_blocks(weight, codes, form, &[self.applied()], 1))
        });
        *model = walks::write(model.clone(), codes.into_iter().collect());
    }

    /// What is in force on every weight.
    fn applied(&self) -> AppliedAction {
        AppliedAction { action: Action::Normalize { target: self.target }, blend: 1.0 }
    }

    /// How a parameter is held, if it is one that this is for.
    fn form(&self, path: &str, id: ParamId, shape: &[usize]) -> Option<Result<Form, AttachError>> {
        let has_spectrum = shape.len() >= 2 && !shape.contains(&0);
        let is_own = has_spectrum && self.params.matches(&id, Some(path));
        let (axis, gradient) = (self.output_axis, SigmaGradient::Full);
        is_own.then(|| {
            Form::new(shape, axis, &View::Reshaped, gradient)
                .map_err(|error| cannot_be_seen(path, error))
        })
    }
}

impl Reparameterizer for SpectralNormalizer {
    type Reparam = SpectralNorm;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<SpectralNorm>) {
        let shape = param.lazy_shape().to_vec();
        let Some(form) = self.form(path, param.id, &shape) else { return (param, None) };
        let device = param.lazy_device();
        let form = check_backend(path, &device).and(form);
        let form = form.unwrap_or_else(|error| panic!("{error}"));
        let start = cold_start(&to_host(param.base()), &form);
        let start = start.unwrap_or_else(|_| blank_start(&form));
        let states = start.blocks.iter().map(|measured| state_of(*measured, &self.applied()));
        let codes = encode(&start.u, &start.v, &states.collect::<Vec<_>>(), &device);
        (param, Some(SpectralNorm::new(codes, Probe::none(), form)))
    }
}
