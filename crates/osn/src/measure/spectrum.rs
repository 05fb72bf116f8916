//! The spectra of held weights, for whoever looks at the end of a training.

use burn::module::Module;
use osn_core::held::{Form, block_of};
use osn_core::layer::Layer;
use osn_core::measure::{EstimateError, leading_singular_values};

use crate::error::StepError;
use crate::measure::report::LayerReport;
use crate::measure::to_host::to_host;
use crate::osn::Osn;
use crate::state::watched::cannot_measure;

/// The largest singular values of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpectrum {
    /// The layer itself.
    pub layer: Layer,
    /// The singular values of the stored weight, largest first; times `scale` they are those of the effective
    /// weight. Under the view `Bidirectional` the i-th is the mean over both reshapings. Empty under the view
    /// `Operator`.
    pub singular_values: Vec<f64>,
    /// How many singular values the matrix has, min(rows, cols); 0 under the view `Operator`.
    pub n_values: usize,
    /// The factor `s` of the effective weight.
    pub scale: f64,
}

impl Osn {
    /// The `count` largest singular values of every layer, computed on the host in f64: for the end of a training,
    /// not for its steps.
    ///
    /// # Errors
    ///
    /// [`StepError::NotFinite`] for a weight that is not finite, [`StepError::NotAttached`] for a model that is not
    /// the attached one, [`StepError::Estimate`] where the decomposition fails.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    pub fn spectra<M: Module>(
        &self,
        model: &M,
        count: usize,
    ) -> Result<Vec<LayerSpectrum>, StepError> {
        let mut reports = self.report(model)?.into_iter();
        let mut spectra = Vec::new();
        for (watched, held) in self.watched.iter().zip(self.read(model)?) {
            let weight = to_host(held.weight);
            for (block, report) in reports.by_ref().take(watched.layers.len()).enumerate() {
                let block = block_of(&weight, watched.form.cut, block);
                let (singular_values, n_values) = spectrum(&block, &watched.form, count)
                    .map_err(|source| cannot_measure(watched, source))?;
                let LayerReport { layer, scale, .. } = report;
                spectra.push(LayerSpectrum { layer, singular_values, n_values, scale });
            }
        }
        Ok(spectra)
    }
}

fn spectrum(block: &[f32], form: &Form, count: usize) -> Result<(Vec<f64>, usize), EstimateError> {
    let layouts = form.maps.matrices().unwrap_or_default();
    let n_values = layouts.iter().map(|layout| layout.rows.min(layout.cols())).min();
    let n_values = n_values.unwrap_or_default();
    let mut means = vec![0.0; count.min(n_values)];
    for layout in layouts {
        let values = leading_singular_values(block, *layout, count)?;
        let share = form.maps.share();
        means.iter_mut().zip(values).for_each(|(mean, value)| *mean += share * value);
    }
    Ok((means, n_values))
}
