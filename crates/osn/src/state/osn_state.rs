//! What is saved of an [`Osn`], and taken over from a file.

use osn_core::act::{Actuator, AppliedAction, Rates, StepSize};
use osn_core::decide::DeciderState;
use osn_core::held::{HeldWeight, Reading, Refreshes};
use osn_core::layer::Layer;
use serde::{Deserialize, Serialize};

use crate::error::ResumeError;
use crate::measure::observed::{Observed, SavedObserved};
use crate::osn::Osn;

/// The state of an [`Osn`] between two steps, as plain data: what its rules remember, the actions in force, and the
/// sums of gradients so far.
///
/// Save it beside the model's record, which has u, v and σ. A run that resumes from both has the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OsnState {
    watched: Vec<HeldWeight>,
    decider: DeciderState,
    actuators: Vec<Actuator>,
    rates: Rates,
    reading: Reading,
    refreshes: Refreshes,
    observed: Vec<SavedObserved>,
    step_size: Option<StepSize>,
    step: u64,
}

impl OsnState {
    /// The number of optimizer steps when it was saved.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The names of its layers.
    fn layers(&self) -> Vec<Layer> {
        self.watched.iter().flat_map(|watched| watched.layers.clone()).collect()
    }

    /// What a plan sets besides layers, views and rules, in words.
    fn settings(&self) -> [(&'static str, String); 2] {
        let Rates { blend_per_step, log_target_per_step } = self.rates;
        let kept = self.step_size.as_ref().map_or("none".to_owned(), |it| it.steps().to_string());
        [
            ("the rates", format!("{blend_per_step} and {log_target_per_step} a step")),
            ("keep_step_size", kept),
        ]
    }

    /// What is of another plan than `own`.
    fn check_plan(&self, own: &Self) -> Result<(), ResumeError> {
        let layers = [self.layers(), own.layers()];
        if layers[0] != layers[1] {
            let [saved, expected] =
                layers.map(|layers| layers.iter().map(Layer::name).collect::<Vec<_>>().join(", "));
            return Err(ResumeError::OtherLayers { saved, expected });
        }
        let mut pairs = self.watched.iter().zip(&own.watched);
        if let Some((_, own)) = pairs.find(|(saved, own)| saved != own) {
            return Err(ResumeError::OtherView { path: own.path().to_owned() });
        }
        let pairs = self.settings().into_iter().zip(own.settings());
        match pairs.into_iter().find(|(saved, own)| saved != own) {
            Some(((setting, saved), (_, expected))) => {
                Err(ResumeError::OtherSetting { setting, saved, expected })
            }
            None => Ok(()),
        }
    }

    /// The part that does not go with the layers.
    fn misfit(&self) -> Option<&'static str> {
        let count = self.layers().len();
        let in_force = |actuator: &Actuator| {
            let AppliedAction { action, blend } = actuator.applied();
            (0.0..=1.0).contains(&blend) && action.validate().is_ok()
        };
        let parts = [
            ("watched", self.watched.iter().all(HeldWeight::fits)),
            ("actuators", self.actuators.len() == count && self.actuators.iter().all(in_force)),
            ("rates", self.rates.validate().is_ok()),
            ("reading", self.reading.fits(count)),
            ("step_size", self.step_size.as_ref().is_none_or(|it| it.fits(count))),
            ("refreshes", self.refreshes.fits(&self.watched, self.step)),
            ("step", self.step < u64::MAX / 2),
        ];
        parts.into_iter().find(|(_, fits)| !fits).map(|(part, _)| part)
    }

    /// The sums of gradients, if there is one for each weight.
    fn restored_sums(&self) -> Option<Vec<Observed>> {
        let pairs = self.observed.iter().zip(&self.watched);
        let sums = pairs.map(|(saved, it)| Observed::restore(saved.clone(), it.layers.len()));
        (self.observed.len() == self.watched.len()).then(|| sums.collect()).flatten()
    }
}

impl Osn {
    /// The state that [`resume`](Self::resume) needs, beside the model's record. Copies the sums of gradients from the
    /// device.
    pub fn state(&self) -> OsnState {
        OsnState {
            watched: self.watched.clone(),
            decider: self.decider.state(),
            actuators: self.actuators.clone(),
            rates: self.rates,
            reading: self.reading.clone(),
            refreshes: self.refreshes.clone(),
            observed: self.observed.iter().map(Observed::saved).collect(),
            step_size: self.step_size.clone(),
            step: self.step,
        }
    }

    /// Continues from a saved state. First attach the same plan, and load the model's record, which has u, v and σ.
    ///
    /// Only what [`Plan::measure`](crate::Plan::measure) adds may differ; that of this plan applies. The state does
    /// not say which calls there were: [`optimize`](Self::optimize) counts from here on, and
    /// [`observe`](Self::observe) also where its sums are in the state.
    ///
    /// # Errors
    ///
    /// [`ResumeError`] where the layers, views, rules, rates or [`keep_step_size`](crate::Plan::keep_step_size) of the
    /// state are others, with the difference, and where the state is damaged. This is then as it was before.
    pub fn resume(&mut self, state: OsnState) -> Result<(), ResumeError> {
        state.check_plan(&self.state())?;
        if let Some(part) = state.misfit() {
            return Err(ResumeError::Damaged { part });
        }
        let Some(observed) = state.restored_sums() else {
            return Err(ResumeError::Damaged { part: "observed" });
        };
        self.decider.resume(state.decider)?;
        self.calls.observe |= observed.iter().any(Observed::was_observed);
        self.calls.observe_held_out |= observed.iter().any(Observed::was_held_out);
        self.observed = observed;
        self.actuators = state.actuators;
        self.reading = state.reading;
        self.refreshes = state.refreshes;
        self.step_size = state.step_size;
        self.step = state.step;
        self.measured.clear();
        Ok(())
    }
}
