//! The loop that every recipe runs in: step, record, poll, score.

use std::path::Path;

use osn_runs::metrics::Metrics;

use crate::crew::Crew;
use crate::decide::Decide;
use crate::run::checkpoint::contents::CheckpointContents;
use crate::run::checkpoint::error::CheckpointError;
use crate::run::config::Config;
use crate::run::describe::describe;
use crate::run::description::{RunStatus, RunTotals};
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
    crew: &mut Crew,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let RunSetup { request, doc, decide, config, data } = *setup;
    let description = describe(request, doc, decide, config, data);
    crew.must_train_the_same(&description)?;
    if request.stopped.is_none() {
        decide.must_act_within(&description.config)?;
    }
    if !crew.is_first() {
        return follow(setup, training, crew, observer);
    }
    let session = if let Some(stopped) = &request.stopped {
        let mut session = Session::reopen(stopped, data, doc, config.pace())?;
        session.restore(training, observer)?;
        crew.share(state(training, session.state.totals.steps)?)?;
        session
    } else {
        observer.starting();
        let session = Session::create(&request.out, description, doc, config.pace())?;
        session.write_files(training)?;
        session
    };
    session.run(observer, |session, observer| session.train(training, crew, observer))
}

/// Trains along with worker 0 on another one, and leaves it to that one to look, to score and to write.
fn follow(
    setup: &RunSetup<impl Config>,
    training: &mut impl Training,
    crew: &mut Crew,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    observer.starting();
    let steps = setup.config.pace().steps;
    let resumes = setup.request.stopped.is_some();
    let mut done = if resumes { take_over(training, crew)? } else { 0 };
    let mut status = RunStatus::Finished;
    while done < steps {
        done += 1;
        training.step(done, crew).map_err(|error| error.at_step(done))?;
        training.changes();
        if crew.should_stop(observer.should_stop()) && done < steps {
            status = RunStatus::Stopped;
            break;
        }
    }
    let totals = RunTotals { steps: done, ..RunTotals::default() };
    Ok(RunSummary::new(Path::new(""), status, &totals))
}

/// The part of the shared state that says after which step it is.
const DONE: &str = "done";

/// All that the following steps depend on, as bytes for the other workers.
fn state(training: &impl Training, done: u64) -> Result<Vec<u8>, RunError> {
    let mut parts = CheckpointContents::default();
    let saved = training.save(&mut parts).and_then(|()| parts.put_value(DONE, &done));
    Ok(saved.and_then(|()| parts.to_bytes()).map_err(CheckpointError::Unsaved)?)
}

/// Takes over the state of worker 0; the steps that are done.
fn take_over(training: &mut impl Training, crew: &mut Crew) -> Result<u64, RunError> {
    let bytes = crew.share(Vec::new())?;
    let taken = CheckpointContents::from_bytes(bytes).and_then(|parts| {
        training.load(&parts)?;
        parts.value(DONE)
    });
    Ok(taken.map_err(CheckpointError::Unsaved)?)
}

impl Session {
    fn train(
        &mut self,
        training: &mut impl Training,
        crew: &mut Crew,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let done = self.state.totals.steps;
        if done == 0 {
            self.decided(training.changes(), observer)?;
        } else if self.end_step(done, training, crew, observer)? {
            return Ok(());
        }
        for step in done + 1..=self.pace.steps {
            self.advance(step, training, crew, observer)?;
            if self.end_step(step, training, crew, observer)? {
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
        crew: &mut Crew,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let outcome = training.step(step, crew).map_err(|error| error.at_step(step))?;
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
        crew: &mut Crew,
        observer: &mut dyn Observer,
    ) -> Result<bool, RunError> {
        let is_last = crew.should_stop(observer.should_stop()) || step == self.pace.steps;
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
