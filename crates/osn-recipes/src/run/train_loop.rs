//! The loop that every recipe runs in: step, record, poll, score.

use serde::Serialize;

use crate::decide::Decide;
use crate::run::describe::describe;
use crate::run::error::RunError;
use crate::run::metrics::Metrics;
use crate::run::observer::Observer;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::session::Session;
use crate::run::summary::RunSummary;
use crate::run::trained_on::TrainedOn;
use crate::run::training::{Pace, Scored, Thoroughness, Training};

/// The prefix in the record of scores that rules follow.
const VALIDATION: &str = "validation_";

/// What a run is, but for what it trains.
#[derive(Debug)]
pub(crate) struct RunSetup<'a, C> {
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
    /// How many steps there are, and how often it logs and scores.
    pub(crate) pace: Pace,
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
    setup: &RunSetup<impl Serialize>,
    training: &mut impl Training,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let RunSetup { request, doc, decide, config, data, pace } = *setup;
    let session = if let Some(stopped) = &request.stopped {
        let mut session = Session::reopen(stopped, pace.steps, data)?;
        session.restore(training, pace, observer)?;
        session
    } else {
        let description = describe(request, doc, decide, config, data);
        decide.must_act_within(&description.config)?;
        observer.starting();
        Session::create(&request.out, description, pace.steps)?
    };
    session.run(observer, |session, observer| session.train(training, pace, observer))
}

impl Session {
    fn train(
        &mut self,
        training: &mut impl Training,
        pace: Pace,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let done = self.done();
        if done == 0 {
            self.decided(training.changes(), observer)?;
        } else if self.end_step(done, training, pace, observer)? {
            return Ok(());
        }
        for step in done + 1..=self.steps() {
            self.advance(step, training, pace, observer)?;
            if self.end_step(step, training, pace, observer)? {
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
        pace: Pace,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let outcome = training.step(step).map_err(|error| error.at_step(step))?;
        self.step_done(step);
        self.decided(training.changes(), observer)?;
        if step.is_multiple_of(pace.log_every) {
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
        pace: Pace,
        observer: &mut dyn Observer,
    ) -> Result<bool, RunError> {
        let is_last = observer.should_stop() || step == self.steps();
        if is_last || self.is_saved_at(step, pace.eval_every) {
            self.save(step, training)?;
        }
        if is_last || step.is_multiple_of(pace.eval_every) {
            self.scored(step, scored(training, is_last)?, observer)?;
        }
        if is_last {
            self.spectra(step, training.spectra()?)?;
        }
        Ok(is_last)
    }
}

/// The scores of a step, and those that rules follow. All scorings of a run are of one size; at the
/// last step there is a thorough one as well.
fn scored(training: &mut impl Training, is_last: bool) -> Result<Scored, RunError> {
    let mut scored = training.score(Thoroughness::Quick)?;
    if is_last {
        let quick = scored.metrics;
        scored = training.score(Thoroughness::Full)?;
        scored.curve = if quick == scored.metrics { Metrics::new() } else { quick };
    }
    let told = training.validate()?.into_iter();
    scored.metrics.extend(told.map(|(name, value)| (format!("{VALIDATION}{name}"), value)));
    Ok(scored)
}
