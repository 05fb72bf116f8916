//! A network in training: its weights, its optimizer and the [`Osn`] that constrains it.

use std::error::Error;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Gradients;
use osn::report::{LayerReport, LayerSpectrum, RunningSum, SavedSum};
use osn::rules::{Needs, Signals};
use osn::workers::TeamError;
use osn::{AttachError, Change, Osn, Plan, Selection, StepError};

use crate::crew::{Crew, StepFailure};
use crate::decide::Decide;
use crate::network_parts::{load_network, load_optimizer, save_network, save_optimizer};
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::{NonFinite, RunError};
use crate::run::pending::PendingSignals;

/// Singular values of one layer that a record keeps.
const MAX_SINGULAR_VALUES: usize = 256;

/// A network in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct TrainedNetwork<M> {
    /// The network, constrained by `osn`.
    pub network: M,
    /// What constrains it; absent where it is trained without osn.
    pub osn: Option<Osn>,
    name: &'static str,
    adam: ModuleOptimizer,
    /// What was decided since it was last asked for.
    changes: Vec<Change>,
}

impl<M: Module> TrainedNetwork<M> {
    /// Attaches the rules of `decide` to every weight of a network, which records call `name`; without
    /// them it is trained without osn.
    ///
    /// # Errors
    ///
    /// [`RunError::Rule`] for rules that do not go with the network, [`RunError::Spectral`] for weights that cannot be measured.
    pub(crate) fn new(
        network: M,
        name: &'static str,
        decide: Option<&Decide>,
        adam: ModuleOptimizer,
    ) -> Result<Self, RunError> {
        Self::with_views(network, name, decide, adam, Vec::new())
    }

    /// The same of a network of which some weights are seen as `views` say, unless `decide` says what
    /// every weight is seen as.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub(crate) fn with_views(
        network: M,
        name: &'static str,
        decide: Option<&Decide>,
        adam: ModuleOptimizer,
        views: Vec<Selection>,
    ) -> Result<Self, RunError> {
        let Some(decide) = decide else {
            return Ok(Self { network, osn: None, name, adam, changes: Vec::new() });
        };
        let has_views = !views.is_empty();
        let plan = Plan::new().network(name).decide(decide.rules.clone());
        let weights = Selection::paths("**.weight");
        let plan = match &decide.view {
            Some(view) => plan.select(weights.view(view.clone())),
            None => views.into_iter().fold(plan.select(weights), Plan::select),
        };
        let (network, osn) =
            plan.attach(network).map_err(|error| attach_error(name, decide, error))?;
        if !has_views {
            decide.must_see(osn.layers())?;
        }
        let changes = osn.wanted();
        Ok(Self { network, osn: Some(osn), name, adam, changes })
    }

    /// Puts the network, its optimizer and the state of osn into a checkpoint, under its name.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what cannot be written.
    pub(crate) fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        save_network(parts, self.name, &self.network)?;
        save_optimizer(parts, &self.part("adam"), &self.adam)?;
        parts.put_value(&self.part("osn"), &self.osn.as_ref().map(Osn::state))
    }

    /// Becomes what was saved under its name.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what is missing or of another network.
    pub(crate) fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.network = load_network(parts, self.name, self.network.clone())?;
        let (adam, name) = (self.adam.clone(), self.part("adam"));
        self.adam = load_optimizer(parts, &name, adam, &self.network)?;
        let name = self.part("osn");
        self.changes.clear();
        match (&mut self.osn, parts.value(&name)?) {
            (Some(osn), Some(saved)) => {
                osn.resume(saved).map_err(|error| ContentsError::part(&name, &error))
            }
            (None, None) => Ok(()),
            _ => Err(ContentsError::part(&name, "it is held in one and plain in the other")),
        }
    }

    fn part(&self, what: &str) -> String {
        format!("{}.{what}", self.name)
    }

    /// The network in validation mode, with the weights that it computes with as ordinary ones.
    pub(crate) fn plain(&self) -> M {
        self.network.valid().materialize()
    }

    /// What its rules need besides σ.
    pub(crate) fn needs(&self) -> Needs {
        self.osn.as_ref().map_or(Needs::default(), Osn::needs)
    }

    /// Whether the next update decides, and so needs its signals.
    pub(crate) fn decides_next(&self) -> bool {
        self.osn.as_ref().is_some_and(Osn::decides_next)
    }

    /// Whether the next decision needs gradients on held-out data.
    pub(crate) fn wants_held_out(&self) -> bool {
        self.osn.as_ref().is_some_and(|osn| osn.decides_next() && osn.needs().any_held_out())
    }

    /// One step of the optimizer, then one of osn, where there is one; the gradients are those of the whole batch.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite, [`RunError::Workers`] where another worker has failed.
    pub(crate) fn descend(
        &mut self,
        gradients: Gradients,
        learning_rate: f64,
        signals: &Signals,
        crew: &mut Crew,
    ) -> Result<(), RunError> {
        let name = self.name;
        self.step(gradients, learning_rate, signals, crew).map_err(|failure| match failure {
            StepFailure::Own(error) => step_error(name, error),
            StepFailure::Of(error) => team_error(name, error),
        })
    }

    /// [`descend`](Self::descend), which passes on the pending signals where a rule decides.
    ///
    /// # Errors
    ///
    /// As [`descend`](Self::descend).
    pub(crate) fn learn(
        &mut self,
        gradients: Gradients,
        learning_rate: f64,
        pending: &mut PendingSignals,
        crew: &mut Crew,
    ) -> Result<(), RunError> {
        let signals = if self.decides_next() { pending.signals() } else { Signals::new() };
        self.descend(gradients, learning_rate, &signals, crew)
    }

    fn step(
        &mut self,
        gradients: Gradients,
        learning_rate: f64,
        signals: &Signals,
        crew: &mut Crew,
    ) -> Result<(), StepFailure> {
        let network = self.network.clone();
        let Some(osn) = &mut self.osn else {
            let gradients = GradientsParams::from_grads(gradients, &network);
            self.network = self.adam.step(learning_rate, network, gradients);
            return Ok(());
        };
        osn.observe(&network, &gradients)?;
        let gradients = GradientsParams::from_grads(gradients, &network);
        self.network = osn.optimize(&mut self.adam, learning_rate, network, gradients);
        self.changes.extend(crew.step(osn, &mut self.network, signals)?);
        Ok(())
    }

    /// Passes the gradients of a loss on held-out data on to the rules.
    ///
    /// # Errors
    ///
    /// [`RunError::Spectral`] if the network is no longer the attached one.
    pub(crate) fn add_held_out(&mut self, gradients: &Gradients) -> Result<(), RunError> {
        let Some(osn) = &mut self.osn else { return Ok(()) };
        osn.observe_held_out(&self.network, gradients).map_err(|error| step_error(self.name, error))
    }

    /// The decisions since the last call.
    pub(crate) fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The measurement and the action of each layer.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite.
    pub(crate) fn layers(&self) -> Result<Vec<LayerReport>, RunError> {
        let Some(osn) = &self.osn else { return Ok(Vec::new()) };
        osn.report(&self.network).map_err(|error| step_error(self.name, error))
    }

    /// The largest singular values of each layer.
    ///
    /// # Errors
    ///
    /// [`RunError::Spectral`] for a weight that is not finite.
    pub(crate) fn spectra(&self) -> Result<Vec<LayerSpectrum>, RunError> {
        let Some(osn) = &self.osn else { return Ok(Vec::new()) };
        osn.spectra(&self.network, MAX_SINGULAR_VALUES)
            .map_err(|error| step_error(self.name, error))
    }
}

/// Two running sums of one number each, as they were saved in the part `name`.
///
/// # Errors
///
/// [`ContentsError`] for sums of another length.
pub(crate) fn restored(saved: [SavedSum; 2], name: &str) -> Result<[RunningSum; 2], ContentsError> {
    let [first, second] = saved.map(|saved| RunningSum::restore(saved, 1));
    let damaged = || ContentsError::part(name, "it is no sum of one number");
    Ok([first.ok_or_else(damaged)?, second.ok_or_else(damaged)?])
}

/// Rules that do not go with a network are a mistake in what was asked for.
fn attach_error(network: &str, decide: &Decide, error: AttachError) -> RunError {
    match error {
        AttachError::Rule(source) => RunError::Rule { text: decide.name.clone(), source },
        // New weights are good ones, so it is the view that does not go with them.
        error if decide.view.is_some() => {
            RunError::ViewMisfit { text: decide.name.clone(), problem: with_sources(&error) }
        }
        error => spectral(network, error),
    }
}

/// What an error says, and what those say that it comes from.
fn with_sources(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", with_sources(source)),
        None => error.to_string(),
    }
}

fn step_error(network: &str, error: StepError) -> RunError {
    match error {
        StepError::NotFinite { path, step } => {
            RunError::NonFinite { what: NonFinite::Layer(path), value: f64::NAN, step }
        }
        error => spectral(network, error),
    }
}

/// What fails in a step of osn on several workers is a weight; no worker meets anything else on its own there.
fn team_error(network: &str, error: TeamError) -> RunError {
    match error {
        TeamError::Failed { .. } => spectral(network, error),
        error => error.into(),
    }
}

fn spectral(network: &str, source: impl std::error::Error + Send + Sync + 'static) -> RunError {
    RunError::Spectral { network: network.to_owned(), source: Box::new(source) }
}
