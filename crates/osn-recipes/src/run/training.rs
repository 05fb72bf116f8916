//! The loop that every recipe runs in: step, record, look, score.

use osn::Change;
use osn::report::{LayerReport, LayerSpectrum};

use super::{ImageGrid, Metrics, Observer, Parts, PartsError, RunError, RunSummary, Session};

/// What a recipe trains: the session calls it, step by step.
pub trait Training {
    /// What a step leaves to look at.
    type Outcome;

    /// One step, counted from 1.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite.
    fn step(&mut self, step: u64) -> Result<Self::Outcome, RunError>;

    /// What was decided since this was last asked.
    fn changes(&mut self) -> Vec<Change>;

    /// Reads back the step's losses and signals and how the layers stand.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    fn look(&mut self, step: u64, outcome: Self::Outcome) -> Result<Look, RunError>;

    /// The spectra of the layers, for the end.
    ///
    /// # Errors
    ///
    /// [`RunError::Spectral`] for a weight that is not finite.
    fn spectra(&self) -> Result<Vec<LayerSpectrum>, RunError>;

    /// Scores what was learned. No rule is told of it: these scores are for the record.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if it cannot be scored.
    fn score(&mut self, thoroughness: Thoroughness) -> Result<Scored, RunError>;

    /// Scores what was learned on what only rules see, and tells them; nothing where no rule asks.
    ///
    /// # Errors
    ///
    /// As [`score`](Self::score).
    fn validate(&mut self) -> Result<Metrics, RunError>;

    /// Puts everything that decides its future into a checkpoint; called between two steps.
    ///
    /// # Errors
    ///
    /// [`PartsError`] for what cannot be written.
    fn save(&self, parts: &mut Parts) -> Result<(), PartsError>;

    /// Becomes what was saved; called before the first step.
    ///
    /// # Errors
    ///
    /// [`PartsError`] for what is missing or of another run; what trains is then good for another
    /// `load` and nothing else.
    fn load(&mut self, parts: &Parts) -> Result<(), PartsError>;
}

/// A logged step.
#[derive(Debug)]
pub struct Look {
    /// Each loss by its name; the first bad number ends the run.
    pub losses: Vec<(&'static str, f64)>,
    /// What else is worth a curve.
    pub signals: Metrics,
    /// How each layer stands.
    pub layers: Vec<LayerReport>,
    /// What ends the run although every number is finite.
    pub diverged: Option<RunError>,
}

/// A scored step.
#[derive(Debug)]
pub struct Scored {
    /// Each score by its name.
    pub metrics: Metrics,
    /// The same scores at the size of every other scoring of the run, where these have another one: what
    /// belongs on a curve.
    pub curve: Metrics,
    /// The same scores of real data, where there are.
    pub floor: Metrics,
    /// The score to show first.
    pub headline: &'static str,
    /// What was made, for people.
    pub samples: Option<ImageGrid>,
}

/// What the record has before the name of a score that rules were told of.
const VALIDATION: &str = "validation_";

/// How thoroughly to score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoroughness {
    /// On a part, while training.
    Quick,
    /// On everything, at the end.
    Full,
}

/// How often to look and to score.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Steps between two looks.
    pub log_every: u64,
    /// Steps between two scorings.
    pub eval_every: u64,
}

impl Session {
    /// Trains between the observer's first and last call, and completes the folder whatever comes of
    /// it. A run that goes on first goes back to its last checkpoint, or to its start before there is one.
    ///
    /// # Errors
    ///
    /// What the training failed with, or the system's refusal to write.
    pub fn train(
        mut self,
        training: &mut impl Training,
        pace: Pace,
        observer: &mut dyn Observer,
    ) -> Result<RunSummary, RunError> {
        if self.record.is_none() {
            self.go_back(training, pace, observer)?;
        }
        self.run(observer, |session, observer| session.go(training, pace, observer))
    }

    fn go(
        &mut self,
        training: &mut impl Training,
        pace: Pace,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let done = self.done();
        if done == 0 {
            self.decided(training.changes(), observer)?;
        } else if self.judge(done, training, pace, observer)? {
            return Ok(());
        }
        for step in done + 1..=self.steps() {
            self.advance(step, training, pace, observer)?;
            if self.judge(step, training, pace, observer)? {
                break;
            }
        }
        Ok(())
    }

    /// One step, what was decided in it, and a look at it where one is due.
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
            let look = training.look(step, outcome).map_err(|error| error.at_step(step))?;
            self.log(step, look, observer)?;
        }
        Ok(())
    }

    /// What comes after a step: its scores where they are due, and the end; tells whether it is the end.
    ///
    /// The checkpoint is written before: a run that is stopped here scores more thoroughly than one that
    /// goes on, and nothing of that may reach the one that goes on from the checkpoint.
    fn judge(
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

/// The scores of a step, and those that rules are told. All scorings of a run are of one size; the last
/// has a thorough one beside it.
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
