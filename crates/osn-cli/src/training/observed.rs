//! Trains with a display, a live page, an event file, and Ctrl-C.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use osn_recipes::run::description::RunDescription;
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::{DecisionNote, Evaluation, Observer, Progress, RunStart};
use osn_recipes::run::summary::RunSummary;

use crate::command_line::shell;
use crate::failure::Failure;
use crate::run::events::EventFile;
use crate::run::live;
use crate::run::live::server::LiveServer;
use crate::run::page;
use crate::terminal::interrupt::{self, StopFlag};
use crate::training::display;
use crate::training::display::run_display::RunDisplay;

/// What a run has beside its record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TrainOutputs {
    /// The run is new: it is removed where it is stopped before its first step.
    pub(crate) is_new: bool,
    /// The run is shown in the browser.
    pub(crate) open: bool,
    /// The run gets an event file.
    pub(crate) tensorboard: bool,
}

/// Trains with progress display and Ctrl-C handling.
pub(crate) fn observed<T>(
    outputs: TrainOutputs,
    train: impl FnOnce(&mut dyn Observer) -> Result<T, RunError>,
) -> Result<(T, StopFlag), Failure> {
    observed_until(interrupt::listen()?, outputs, train)
}

/// The same of a program that listens for signals already.
pub(crate) fn observed_until<T>(
    stop: StopFlag,
    outputs: TrainOutputs,
    train: impl FnOnce(&mut dyn Observer) -> Result<T, RunError>,
) -> Result<(T, StopFlag), Failure> {
    let mut observer = RunObserver::new(display::for_stderr(), stop, outputs);
    let outcome = train(&mut observer);
    observer.display.close();
    observer.catch_up();
    if let Some(live) = observer.live.take() {
        live.close();
    }
    match outcome {
        Ok(outcome) => Ok((outcome, observer.stop)),
        Err(error) => Err(fail(error, &observer)),
    }
}

/// Passes events on to the display, the browser and the event file, and a signal on to the recipe.
struct RunObserver {
    display: Box<dyn RunDisplay>,
    stop: StopFlag,
    /// Whether a step is done.
    is_at_work: Cell<bool>,
    outputs: TrainOutputs,
    folder: Option<PathBuf>,
    /// Whether a rule constrains weights at every step.
    is_constrained: bool,
    live: Option<LiveServer>,
    events: Option<EventFile>,
}

/// An error of the live page or of the event file is printed, and does not stop the training.
impl RunObserver {
    fn new(display: Box<dyn RunDisplay>, stop: StopFlag, outputs: TrainOutputs) -> Self {
        Self {
            display,
            stop,
            is_at_work: Cell::new(false),
            outputs,
            folder: None,
            is_constrained: false,
            live: None,
            events: None,
        }
    }

    fn open(&mut self, folder: &Path) {
        match live::show(folder) {
            Ok(server) => {
                self.say(&server.announcement());
                self.live = Some(server);
            }
            Err(failure) => self.say(&failure.one_line()),
        }
    }

    fn start_events(&mut self, start: &RunStart) {
        let started = if self.outputs.is_new {
            EventFile::start(start.folder)
        } else {
            EventFile::go_on(start.folder, start.done)
        };
        match started {
            Ok(events) => self.events = Some(events),
            Err(failure) => self.say(&failure.one_line()),
        }
    }

    fn catch_up(&mut self) {
        let Some(events) = &mut self.events else { return };
        if let Err(failure) = events.catch_up() {
            // Readers stop at a record that is cut short: nothing can be appended.
            self.events = None;
            self.say(&failure.one_line());
        }
    }

    fn say(&self, words: &str) {
        self.display.printer().say(words);
    }

    fn at_work(&self) {
        if !self.is_at_work.replace(true) {
            self.stop.at_work(interrupt::STOPPING_RUN, self.display.printer());
        }
    }
}

impl Observer for RunObserver {
    fn starting(&mut self) {
        self.stop.writing();
    }

    fn started(&mut self, start: &RunStart) {
        self.folder = Some(start.folder.to_owned());
        self.is_constrained = always_constrains(start.description);
        self.display.started(start);
        if start.done > 0 {
            self.say(&format!("resuming after step {}", start.done));
        }
        if self.outputs.open {
            self.open(start.folder);
        }
        if self.outputs.tensorboard || EventFile::is_there(start.folder) {
            self.start_events(start);
        }
        if self.outputs.is_new {
            self.stop.new_run(start.folder, self.display.printer());
        } else {
            self.at_work();
        }
    }

    fn progress(&mut self, progress: &Progress) {
        self.display.progress(progress);
        self.catch_up();
    }

    fn evaluated(&mut self, evaluation: &Evaluation) {
        self.display.evaluated(evaluation);
    }

    fn decided(&mut self, decision: &DecisionNote) {
        self.display.decided(decision);
    }

    fn finished(&mut self, _: &RunSummary) {}

    fn noticed(&mut self, words: &str) {
        self.say(words);
    }

    fn should_stop(&self) -> bool {
        // A step is done.
        self.at_work();
        self.stop.is_set()
    }
}

/// Whether a rule constrains weights at every step.
fn always_constrains(description: &RunDescription) -> bool {
    let rules = description.rules.as_array().into_iter().flatten();
    rules.into_iter().any(|entry| entry["rule"]["rule"] == "always")
}

/// The failure of a run, with the folder of its record, or how to resume where the disk was the reason.
fn fail(error: RunError, observer: &RunObserver) -> Failure {
    let is_of_the_disk = matches!(error, RunError::Folder(_) | RunError::Record(_));
    let failure = Failure::of_run(error, observer.is_constrained);
    let Some(folder) = &observer.folder else { return failure };
    // The failure of the run matters more than that of its page.
    let _ = page::write_own(folder);
    if is_of_the_disk {
        return failure
            .and(format_args!("or fix that and resume with {}", shell::resume_line(folder)));
    }
    failure.and(format_args!("the record up to there is in {}", folder.display()))
}
