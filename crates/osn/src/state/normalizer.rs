//! Plain spectral normalization, always on, for who decides nothing.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, Reparameterizer};
use burn::tensor::Tensor;
use osn_core::act::{Action, AppliedAction};
use osn_core::layer::View;

use crate::act::sigma_gradient::SigmaGradient;
use crate::attach::choose::check_backend;
use crate::error::AttachError;
use crate::measure::refresh::refresh_blocks;
use crate::measure::start::{blank_start, cold_start, state_of};
use crate::measure::to_host::to_host;
use crate::state::codes::{Codes, encode};
use crate::state::form::Form;
use crate::state::probe::Probe;
use crate::state::spectral_norm::SpectralNorm;
use crate::state::walks::{self, Held, Walk};

/// A [`Reparameterizer`](burn::module::Reparameterizer) that normalizes every matrix and kernel of a model to one σ,
/// as SN-GAN does (Miyato et al. 2018): `Ŵ = c·W/σ(W)`.
///
/// It is for who decides nothing: no rule, no [`Osn`](crate::Osn), no report. It is attached as Burn's LoRA is, with
/// [`Module::apply_reparameterization`], and [`refresh`](Self::refresh) takes the place of
/// [`Osn::step`](crate::Osn::step). A forward changes nothing, in training as in validation. The state has the form and
/// the names of [`SpectralNorm`](crate::SpectralNorm), so records carry it.
///
/// A weight that holds NaN or infinity is not refused here: it keeps scale 1, or the last one that it had, and shows up
/// in the loss. The weights must not be held by a [`Plan`](crate::Plan) too.
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
    /// Only transposed convolutions (`[in, out, k…]`) need 1: of a matrix σ is the same either way, and all other
    /// kernels have their outputs first. Give them a normalizer of their own by [`params`](Self::params).
    pub fn output_axis(mut self, axis: usize) -> Self {
        self.output_axis = axis;
        self
    }

    /// Sets which parameters it is for. Default: all.
    pub fn params(mut self, params: ParamGroup) -> Self {
        self.params = params;
        self
    }

    /// One power iteration for each weight, and the scale that follows. Call it once after each optimizer step.
    ///
    /// Nothing is copied to the host. Weights that this normalizer did not attach to are left as they are.
    pub fn refresh<M: Module>(&self, model: &mut M) {
        let mut find = Find { walk: Walk::default(), normalizer: self, found: Vec::new() };
        model.visit(&mut find);
        let paths: Vec<_> =
            find.found.iter().map(|(path, form)| (path.clone(), form.cut)).collect();
        let held = walks::read(model, &paths);
        let codes = find.found.into_iter().zip(held).filter_map(|((path, form), held)| {
            let Held { weight, codes } = held?;
            let codes: Codes = refresh_blocks(&weight, codes, &form, &[self.applied()], 1);
            Some((path, codes))
        });
        *model = walks::write(model.clone(), codes.collect());
    }

    /// What is in force on every weight.
    fn applied(&self) -> AppliedAction {
        AppliedAction { action: Action::Normalize { target: self.target }, blend: 1.0 }
    }

    /// How a parameter is held, if it is one that this is for.
    fn form<const D: usize>(
        &self,
        path: &str,
        param: &Param<Tensor<D>>,
    ) -> Option<Result<Form, AttachError>> {
        let shape = param.lazy_shape().to_vec();
        let has_spectrum = D >= 2 && !shape.contains(&0);
        let is_own = has_spectrum && self.params.matches(&param.id, Some(path));
        let (axis, gradient) = (self.output_axis, SigmaGradient::Full);
        is_own.then(|| Form::new(path, &shape, axis, &View::Reshaped, gradient))
    }
}

impl Reparameterizer for SpectralNormalizer {
    type Reparam = SpectralNorm;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<SpectralNorm>) {
        let Some(form) = self.form(path, &param) else { return (param, None) };
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

/// Finds the weights that a normalizer is for.
struct Find<'a> {
    walk: Walk,
    normalizer: &'a SpectralNormalizer,
    found: Vec<(String, Form)>,
}

impl ModuleVisitor for Find<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.walk.path();
        if let Some(Ok(form)) = self.normalizer.form(&path, param) {
            self.found.push((path, form));
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}
