//! What is known about every layer, for people and records.

use std::fmt::{self, Write as _};

use burn::module::Module;
use osn_core::act::AppliedAction;
use osn_core::decide::Evidence;
use osn_core::layer::{GradientStatistics, Layer};
use osn_core::measure::stable_rank;

use crate::error::StepError;
use crate::measure::to_host::states_and_norms;
use crate::osn::Osn;
use crate::state::codes::Codes;

/// The measurements of one layer, and what is in force on it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerReport {
    /// The layer itself.
    pub layer: Layer,
    /// A lower bound of the largest singular value of the stored weight under its view.
    pub sigma: f64,
    /// How many times the σ of the view the σ of the layer's own linear map can be at most: 1 for a matrix and for the
    /// view `Operator`, `√(taps)` for a reshaped kernel at any stride and padding, and `None` where it is not known. At
    /// a stride above 1
    /// [`Geometry::reshaping_factor`](osn_core::measure::convolution::Geometry::reshaping_factor) is smaller. It is an
    /// upper bound of the ratio of the true σ, while `sigma` is a lower bound.
    pub operator_factor: Option<f64>,
    /// The relative residual of the last power iteration, in [0, 1]; 0 where u and v are singular vectors.
    pub residual: f64,
    /// `‖W‖²_F/σ²`, between 1 and the rank; 0 for a zero weight.
    pub stable_rank: f64,
    /// `Δ ln σ` for each optimizer step between the last two read-backs, where there were two.
    pub drift: Option<f64>,
    /// `σ₂/σ₁` at the last read-back, where it was asked for.
    pub sigma_ratio: Option<f64>,
    /// The statistics of the gradients up to the last read-back, where they were asked for.
    pub gradient: Option<GradientStatistics>,
    /// The action in force and its blend.
    pub applied: AppliedAction,
    /// The factor `s` of the effective weight.
    pub scale: f64,
    /// `γ = −d ln s / d ln σ`.
    pub elasticity: f64,
    /// The reason of the standing decision.
    pub reason: String,
    /// The number by which the rule decided last, where it has seen one.
    pub evidence: Option<Evidence>,
}

impl LayerReport {
    /// σ of the effective weight, `s·σ`: a lower bound as `sigma` is.
    pub fn effective_sigma(&self) -> f64 {
        self.scale * self.sigma
    }
}

/// Prints layers as a table, one for each line: name, σ of the stored and of the effective weight, blend, reason.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use osn::{prelude::*, report::Table};
///
/// let (model, osn) = Plan::new().select("weight").attach(LinearConfig::new(8, 4).init(&Device::flex()))?;
/// println!("{}", Table(&osn.report(&model)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Table<'a>(pub &'a [LayerReport]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|report| report.layer.name()).collect();
        let width = names.iter().map(|name| name.chars().count()).fold(5, usize::max);
        write!(f, "{:width$}  σ stored  σ effective  blend  reason", "layer")?;
        for (name, report) in names.iter().zip(self.0) {
            let (sigma, effective) = (report.sigma, report.effective_sigma());
            let (blend, reason) = (report.applied.blend, &report.reason);
            f.write_char('\n')?;
            write!(f, "{name:width$}  {sigma:8.4}  {effective:11.4}  {blend:5.2}  {reason}")?;
        }
        Ok(())
    }
}

impl Osn {
    /// The measurements of every layer as of the last [`step`](Self::step), in one copy from each device.
    ///
    /// σ is brought up to date first where the last refresh was some steps ago, for the report alone: neither the
    /// model nor this is changed, so training does not depend on when somebody looked.
    ///
    /// # Errors
    ///
    /// [`StepError::NotFinite`] for a weight that is not finite, [`StepError::NotAttached`] for a model that is not
    /// the attached one.
    pub fn report<M: Module>(&self, model: &M) -> Result<Vec<LayerReport>, StepError> {
        let held = self.read(model)?;
        let applied = self.applied();
        let codes = self.refresh(&held, &applied, &vec![true; held.len()]);
        let codes: Vec<Codes> = codes.into_iter().flatten().collect();
        let (states, norms) = states_and_norms(&held, &codes, true);
        self.check_finite(&states, &norms)?;
        let decisions = self.decider.decisions().iter().zip(self.decider.evidence());
        let forms = self.watched.iter().flat_map(|it| it.layers.iter().map(|_| it.form));
        let layers = self.layers().zip(forms);
        let rows = layers.zip(applied).zip(decisions).zip(states.iter().zip(norms));
        Ok(rows
            .enumerate()
            .map(|(index, ((((layer, form), applied), (decision, evidence)), (state, norm)))| {
                LayerReport {
                    layer: layer.clone(),
                    sigma: state.sigma,
                    operator_factor: form.operator_factor(layer),
                    residual: state.residual,
                    stable_rank: stable_rank(norm.unwrap_or(f64::NAN), state.sigma),
                    drift: self.reading.drifts[index],
                    sigma_ratio: self.measured.get(index).and_then(|measured| measured.sigma_ratio),
                    gradient: self.measured.get(index).and_then(|measured| measured.gradient),
                    applied,
                    scale: state.scale,
                    elasticity: state.elasticity,
                    reason: decision.reason.clone(),
                    evidence,
                }
            })
            .collect())
    }
}
