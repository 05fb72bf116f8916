//! Gradients as signals: sums that the rules read.

use burn::module::Module;
use burn::tensor::Gradients;
#[cfg(doc)]
use osn_core::decide::Needs;
use osn_core::layer::GradientStatistics;

use crate::error::StepError;
use crate::measure::growth::growth_of;
use crate::measure::observed::Observed;
use crate::measure::to_host::rows_to_host;
use crate::osn::Osn;
use crate::state::walks::{self, WeightGradient};

impl Osn {
    /// Adds the gradients of a training step to the sums that rules read. Call it between the backward and the
    /// optimizer's step where [`needs`](Self::needs)`.gradients` is set; elsewhere it returns at once.
    ///
    /// For each layer it adds `‖∇W‖`, `‖∇W‖²` and `|⟨G, Ŵ⟩|` with `G = ∂L/∂Ŵ` to sums on the layer's device, and the
    /// next [`step`](Self::step) adds `‖ΔW‖`. Where any rule decides, their means go to the rules, and the sums start
    /// at 0; so a rule reads what was observed since any rule last decided. With several calls between two steps,
    /// as for accumulated gradients, each counts.
    ///
    /// It need not be called in every step: without a call since the last decision a rule decides on what it
    /// remembers, and [`StepError::NotObserved`] comes only where there never was one. Until the next `step` the
    /// stored weights are kept a second time.
    ///
    /// # Arguments
    ///
    /// - `model`: the attached model.
    /// - `gradients`: the result of `loss.backward()`.
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
            let found = self.look_up(model, gradients)?;
            self.observed.iter_mut().zip(found).for_each(|(observed, found)| observed.add(found));
            self.calls.observe = true;
        }
        Ok(())
    }

    /// Adds the gradients of a loss on held-out data to the sums that rules read: `⟨G, Ŵ⟩` of each layer, with its
    /// sign, and where [`needs`](Self::needs)`.growth` is set what a larger σ of it does to that loss
    /// ([`Growth`](osn_core::layer::Growth)). Where a rule needs neither ([`Needs::any_held_out`]), it returns at once.
    ///
    /// Call it before or after a step, as often as there is such a loss; a rule reads the mean since any rule last
    /// decided. Do not give these gradients to the optimizer.
    ///
    /// # Arguments
    ///
    /// - `model`: the attached model.
    /// - `gradients`: the result of the held-out loss's `backward()`.
    ///
    /// # Errors
    ///
    /// [`StepError::NotAttached`] for a model that is not the attached one.
    pub fn observe_held_out<M: Module>(
        &mut self,
        model: &M,
        gradients: &Gradients,
    ) -> Result<(), StepError> {
        let needs = self.needs();
        if !needs.any_held_out() {
            return Ok(());
        }
        let found = self.look_up(model, gradients)?;
        if needs.growth {
            self.add_growth(model, &found)?;
        }
        let pairs = self.observed.iter_mut().zip(found);
        pairs.for_each(|(observed, found)| observed.add_held_out(found));
        self.calls.observe_held_out = true;
        Ok(())
    }

    /// Adds what a larger σ of each layer does to the held-out loss, by u, v and the scale in force.
    fn add_growth<M: Module>(
        &mut self,
        model: &M,
        found: &[WeightGradient],
    ) -> Result<(), StepError> {
        let held = self.read(model)?;
        let weights = self.observed.iter_mut().zip(&self.watched).zip(found.iter().zip(held));
        for ((observed, watched), (found, held)) in weights {
            if let Some(slopes) = growth_of(found, held.codes, &watched.form) {
                observed.add_growth(slopes);
            }
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

    /// The statistics of the gradients of each layer since this was last called.
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
