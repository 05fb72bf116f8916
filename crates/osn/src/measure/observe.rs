//! What gradients tell the rules.

use burn::module::Module;
use burn::tensor::Gradients;
use osn_core::layer::GradientStatistics;

use crate::error::StepError;
use crate::measure::observed::Observed;
use crate::measure::to_host::rows_to_host;
use crate::osn::Osn;
use crate::state::walks::{self, WeightGradient};

impl Osn {
    /// Tells the rules what the gradients of a step say. Call it between the backward and the optimizer's
    /// step where [`needs`](Self::needs)`.gradients` is set; elsewhere it returns at once.
    ///
    /// For each layer it adds `‖∇W‖`, its square and `|⟨G, Ŵ⟩|` to sums on the layer's device, and the
    /// next [`step`](Self::step) adds `‖ΔW‖`. They come to the host when a rule decides, and start
    /// anew. Until the next `step` it holds on to the weights of before.
    ///
    /// # Arguments
    ///
    /// - `model`: the attached model.
    /// - `gradients`: what `loss.backward()` returned.
    ///
    /// # Errors
    ///
    /// [`StepError::NotAttached`] for a model that is not the attached one.
    pub fn observe<M: Module>(
        &mut self,
        model: &M,
        gradients: &Gradients,
    ) -> Result<(), StepError> {
        if self.needs().gradients {
            let told = self.look_up(model, gradients)?;
            self.observed.iter_mut().zip(told).for_each(|(observed, told)| observed.add(told));
            self.calls.observe = true;
        }
        Ok(())
    }

    /// Tells the rules what the gradients of a loss on held-out data say, where
    /// [`needs`](Self::needs)`.held_out` is set: `⟨G, Ŵ⟩`, sign and all.
    ///
    /// Call it before or after a step, as often as there is such a loss; the rule gets the mean. The optimizer
    /// must not see these gradients.
    ///
    /// # Arguments
    ///
    /// - `model`: the attached model.
    /// - `gradients`: what the backward of the held-out loss returned.
    ///
    /// # Errors
    ///
    /// [`StepError::NotAttached`] for a model that is not the attached one.
    pub fn observe_held_out<M: Module>(
        &mut self,
        model: &M,
        gradients: &Gradients,
    ) -> Result<(), StepError> {
        if self.needs().held_out {
            let told = self.look_up(model, gradients)?;
            let pairs = self.observed.iter_mut().zip(told);
            pairs.for_each(|(observed, told)| observed.add_held_out(told));
            self.calls.observe_held_out = true;
        }
        Ok(())
    }

    fn look_up<M: Module>(
        &self,
        model: &M,
        gradients: &Gradients,
    ) -> Result<Vec<WeightGradient>, StepError> {
        self.all_found(walks::gradients(model, &self.paths(), gradients))
    }

    /// What gradients said about each layer since this was last called.
    pub(crate) fn take_statistics(&mut self) -> Vec<Option<GradientStatistics>> {
        let rows = self.observed.iter().flat_map(Observed::rows).collect();
        let mut rows = rows_to_host::<_, f32>(rows).into_iter();
        let observed = self.observed.iter_mut().zip(&self.watched);
        let statistics = observed.flat_map(|(observed, watched)| {
            let statistics = observed.statistics(watched.layers.len(), &mut rows);
            observed.reset();
            statistics
        });
        statistics.collect()
    }
}
