//! The loop that every recipe runs in: step, record, poll, score.

use osn_runs::metrics::Metrics;

use crate::decide::Decide;
use crate::run::config::Config;
use crate::run::describe::describe;
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::session::Session;
use crate::run::summary::RunSummary;
use crate::run::trained_on::TrainedOn;
use crate::run::training::{Scored, Thoroughness, Training};

/// The prefix in the record of scores that rules follow.
const VALIDATION: &str = "validation_";

/// What a run is, but for what it trains.
#[derive(Debug)]
pub(crate) struct RunSetup<'a, C: Config> {
    /// What was asked for.
    pub(crate) request: &'a TrainRequest,
    /// What the recipe says of itself.
    pub(crate) doc: &'a RecipeDoc,
    /// The rules.
    pub(crate) decide: &'a Decide,
    /// Every hyper-parameter.
    pub(crate) config: &'a C,
    /// What it learns from.
    pub(crate) data: &'a TrainedOn,
}

/// Trains between the observer's first and last call, and completes the run's folder whatever comes of
/// it. A run that is resumed first goes back to its last checkpoint, or to its start where it has none
/// yet.
///
/// # Errors
///
/// [`RunError::Folder`] where the system refuses to write, [`RunError::Checkpoint`] where a run cannot be
/// resumed to the same bits, and what the training failed with.
pub(crate) fn train(
    setup: &RunSetup<impl Config>,
    training: &mut impl Training,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let RunSetup { request, doc, decide, config, data } = *setup;
    let session = if let Some(stopped) = &request.stopped {
        let mut session = Session::reopen(stopped, data, doc, config.pace())?;
        session.restore(training, observer)?;
        session
    } else {
        let description = describe(request, doc, decide, config, data);
        decide.must_act_within(&description.config)?;
        observer.starting();
        let session = Session::create(&request.out, description, doc, config.pace())?;
        session.write_files(training)?;
        session
    };
    session.run(observer, |session, observer| session.train(training, observer))
}

impl Session {
    fn train(
        &mut self,
        training: &mut impl Training,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let done = self.state.totals.steps;
        if done == 0 {
            self.decided(training.changes(), observer)?;
        } else if self.end_step(done, training, observer)? {
            return Ok(());
        }
        for step in done + 1..=self.pace.steps {
            self.advance(step, training, observer)?;
            if self.end_step(step, training, observer)? {
                break;
            }
        }
        Ok(())
    }

    /// One step with its decisions, and its log where one is due.
    fn advance(
        &mut self,
        step: u64,
        training: &mut impl Training,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let outcome = training.step(step).map_err(|error| error.at_step(step))?;
        self.state.totals.steps = step;
        self.decided(training.changes(), observer)?;
        if step.is_multiple_of(self.pace.log_every) {
            let snapshot = training.poll(step, outcome).map_err(|error| error.at_step(step))?;
            self.log(step, snapshot, observer)?;
        }
        Ok(())
    }

    /// Ends a step: its checkpoint and scores where they are due. Returns whether it is the last.
    ///
    /// The checkpoint is written first: a run that is stopped here is scored more thoroughly than one
    /// that trains on, and that must not change a run that is resumed from the checkpoint.
    fn end_step(
        &mut self,
        step: u64,
        training: &mut impl Training,
        observer: &mut dyn Observer,
    ) -> Result<bool, RunError> {
        let is_last = observer.should_stop() || step == self.pace.steps;
        if is_last || self.is_saved_at(step) {
            self.save(step, training)?;
        }
        if is_last || step.is_multiple_of(self.pace.eval_every) {
            let (scored, curve) = scored(training, is_last)?;
            self.scored(step, scored, curve, observer)?;
        }
        if is_last {
            self.spectra(step, training.spectra()?)?;
        }
        Ok(is_last)
    }
}

/// The scores of a step, with those that rules follow, and those at the size of every other scoring of
/// the run: at the last step there is a more thorough one as well.
fn scored(training: &mut impl Training, is_last: bool) -> Result<(Scored, Metrics), RunError> {
    let mut scored = training.score(Thoroughness::Quick)?;
    let mut curve = Metrics::new();
    if is_last {
        let thorough = training.score(Thoroughness::Full)?;
        curve = std::mem::replace(&mut scored, thorough).metrics;
        if curve == scored.metrics {
            curve.clear();
        }
    }
    let validated = training.validate()?.into_iter();
    scored.metrics.extend(validated.map(|(name, value)| (format!("{VALIDATION}{name}"), value)));
    Ok((scored, curve))
}
