//! `osn train`: one run, watched.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use osn_recipes::run::checkpoint::schedule::Checkpoints;
use osn_recipes::run::description::{RunDescription, RunStatus};
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::{DecisionNote, Evaluation, Observer, Progress, RunStart};
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::summary::RunSummary;
use osn_report::{duration, short};

use crate::args::{DEFAULT_OUT, DEFAULT_SEED, TrainArgs};
use crate::display::{self, Display};
use crate::failure::Failure;
use crate::interrupt::{self, StopFlag};
use crate::live::{self, LiveServer};
use crate::stderr::say;
use crate::tensorboard::EventFile;
use crate::{report, stdout};

/// Trains what is asked for and says where everything is.
pub(crate) fn run(args: &TrainArgs) -> Result<ExitCode, Failure> {
    let also = Also { is_new: true, open: args.open, tensorboard: args.tensorboard };
    let train = |observer: &mut dyn Observer| osn_recipes::train(&request(args), observer);
    let (summary, stop) = watched(also, train)?;
    conclude(&summary, &stop, || next_command(args, &program()))
}

/// What is done beside training.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Also {
    /// The run is new: without a step it is not worth keeping.
    pub(crate) is_new: bool,
    /// The run is shown in the browser.
    pub(crate) open: bool,
    /// It gets an event file.
    pub(crate) tensorboard: bool,
}

/// Trains, watched by whoever sits there.
pub(crate) fn watched<T>(
    also: Also,
    train: impl FnOnce(&mut dyn Observer) -> Result<T, RunError>,
) -> Result<(T, StopFlag), Failure> {
    let stop = interrupt::listen()?;
    let mut watch = Watch::new(display::for_stderr(), stop, also);
    let outcome = train(&mut watch);
    watch.display.close();
    watch.catch_up();
    if let Some(live) = watch.live.take() {
        live.close();
    }
    match outcome {
        Ok(outcome) => Ok((outcome, watch.stop)),
        Err(error) => Err(fail(error, &watch)),
    }
}

fn request(args: &TrainArgs) -> TrainRequest {
    TrainRequest {
        recipe: args.recipe.clone(),
        preset: args.preset.clone(),
        decide: args.decide.clone(),
        data: args.data.clone(),
        seed: args.seed,
        settings: args.settings.clone(),
        out: args.out.clone(),
        device: args.device.clone(),
        checkpoints: Checkpoints { every: args.checkpoint_every, keep: args.keep_checkpoints },
        ..TrainRequest::default()
    }
}

/// Passes what happens on to the display, the browser and the event file, and the user's wish to stop
/// on to the recipe.
struct Watch {
    display: Box<dyn Display>,
    stop: StopFlag,
    /// Whether a step is done.
    is_at_work: Cell<bool>,
    also: Also,
    folder: Option<PathBuf>,
    /// Whether weights are held always.
    is_held: bool,
    live: Option<LiveServer>,
    events: Option<EventFile>,
}

/// What cannot be shown or noted is said, and no reason not to train.
impl Watch {
    fn new(display: Box<dyn Display>, stop: StopFlag, also: Also) -> Self {
        Self {
            display,
            stop,
            is_at_work: Cell::new(false),
            also,
            folder: None,
            is_held: false,
            live: None,
            events: None,
        }
    }

    fn open(&mut self, folder: &Path) {
        match live::show(folder) {
            Ok(server) => {
                self.say(&live::where_it_is(&server));
                self.live = Some(server);
            }
            Err(failure) => self.say(&failure.one_line()),
        }
    }

    fn start_events(&mut self, start: &RunStart) {
        let started = if self.also.is_new {
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
            // Readers stop at a record that is cut short: nothing more goes behind it.
            self.events = None;
            self.say(&failure.one_line());
        }
    }

    fn say(&self, words: &str) {
        self.display.speaker().say(words);
    }

    fn at_work(&self) {
        if !self.is_at_work.replace(true) {
            self.stop.at_work(interrupt::STOPPING_RUN, self.display.speaker());
        }
    }
}

impl Observer for Watch {
    fn starting(&mut self) {
        self.stop.writing();
    }

    fn started(&mut self, start: &RunStart) {
        self.folder = Some(start.folder.to_owned());
        self.is_held = holds_always(start.description);
        self.display.started(start);
        if start.done > 0 {
            self.say(&format!("going on after step {}", start.done));
        }
        if self.also.open {
            self.open(start.folder);
        }
        if self.also.tensorboard || EventFile::is_there(start) {
            self.start_events(start);
        }
        if self.also.is_new {
            self.stop.new_run(start.folder, self.display.speaker());
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

/// Whether a rule holds weights at every step.
fn holds_always(description: &RunDescription) -> bool {
    let rules = description.rules.as_array().into_iter().flatten();
    rules.into_iter().any(|entry| entry["rule"]["rule"] == "always")
}

/// Says where everything is and what to type next: after a stopped run how to go on, else `next`.
pub(crate) fn conclude(
    summary: &RunSummary,
    stop: &StopFlag,
    next: impl FnOnce() -> String,
) -> Result<ExitCode, Failure> {
    let page = report::write_own(&summary.folder)?;
    let is_stopped = summary.status == RunStatus::Stopped;
    let next = if is_stopped { resume_command(&summary.folder) } else { next() };
    say(ending(summary, &page, &next));
    // For scripts; a person has just read it.
    if !io::stdout().is_terminal() {
        stdout::print(&format!("{}\n", summary.folder.display()))?;
    }
    Ok(if is_stopped { ExitCode::from(stop.exit_code()) } else { ExitCode::SUCCESS })
}

/// A failed run that got as far as a folder has a record worth looking at, and can go on where only the
/// disk was in its way.
fn fail(error: RunError, watch: &Watch) -> Failure {
    let is_of_the_disk = matches!(error, RunError::Folder(_) | RunError::Record(_));
    let advice = advice(&error, watch.is_held);
    let failure = Failure::from(error);
    let failure = if advice.is_empty() { failure } else { failure.and(advice) };
    let Some(folder) = &watch.folder else { return failure };
    // The failure of the run is the news; a page that cannot be written is not.
    let _ = report::write_own(folder);
    if is_of_the_disk {
        return failure.and(format_args!("or mend that, and go on with {}", resume_line(folder)));
    }
    failure.and(format_args!("the record up to there is in {}", folder.display()))
}

/// What helps a run that diverged, beside what it does already.
fn advice(error: &RunError, is_held: bool) -> &'static str {
    match (error, is_held) {
        (RunError::NonFinite { .. } | RunError::Score { .. }, true) => "lower the learning rate",
        (RunError::NonFinite { .. } | RunError::Score { .. }, false) => {
            "lower the learning rate, or hold the weights with --decide always"
        }
        (RunError::Saturated { .. }, true) => {
            "lower the learning rate, or train on with --set saturated_after=null"
        }
        (RunError::Saturated { .. }, false) => {
            "lower the learning rate, hold the weights with --decide always, or train on with --set \
             saturated_after=null"
        }
        _ => "",
    }
}

/// What can be done with a run that went on to its end.
pub(crate) fn report_command(folder: &Path) -> String {
    let (program, folder) = (program(), quoted(&folder.to_string_lossy()));
    format!("its decisions, and why\n  {program} decide why {folder}")
}

/// How to go on with a stopped run.
fn resume_command(folder: &Path) -> String {
    format!("go on from there, to the same bits\n  {}", resume_line(folder))
}

/// What a person types to go on with a run.
pub(crate) fn resume_line(folder: &Path) -> String {
    format!("{} resume {}", program(), quoted(&folder.to_string_lossy()))
}

fn ending(summary: &RunSummary, page: &Path, next: &str) -> String {
    let word = if summary.status == RunStatus::Stopped { "stopped" } else { "finished" };
    let (steps, time) = (summary.steps, duration(summary.wall_secs));
    let folder = summary.folder.display();
    format!(
        "{word} after {steps} steps in {time}\n\n{}\n  run      {folder}\n  samples  {}\n  report   {}\n\nnext: {}",
        scores(summary),
        summary.folder.join("samples").display(),
        page.display(),
        next,
    )
}

fn scores(summary: &RunSummary) -> String {
    if summary.metrics.is_empty() {
        return String::new();
    }
    let width = 2 + summary.metrics.keys().map(String::len).max().unwrap_or_default();
    // Returns have no real data to be compared with.
    if summary.real_vs_real.is_empty() {
        let row = |(name, value): (&String, &f64)| format!("  {name:width$}{:>9}\n", short(*value));
        return summary.metrics.iter().map(row).collect();
    }
    let row = |(name, value): (&String, &f64)| {
        let floor =
            summary.real_vs_real.get(name).map_or_else(|| "–".to_owned(), |floor| short(*floor));
        format!("  {name:width$}{:>10}  {floor:>18}\n", short(*value))
    };
    let title = format!("  {:width$}{:>10}  {:>18}\n", "", "generated", "real against real");
    summary.metrics.iter().map(row).fold(title, |table, row| table + &row)
}

/// What tells the user most after this run: the same run without osn's hand, or after that one,
/// with the recipe's own rule.
fn next_command(args: &TrainArgs, program: &str) -> String {
    let is_never = args.decide.as_deref() == Some("never");
    let (decide, what) = if is_never {
        (None, "the same run with the recipe's own rule")
    } else {
        (Some("never".to_owned()), "the same run with nothing held")
    };
    let next = TrainArgs { decide, ..args.clone() };
    format!("{what}, to compare with\n  {program} {}", command_line(&next))
}

/// What a person types to train this.
pub(crate) fn command(args: &TrainArgs) -> String {
    format!("{} {}", program(), command_line(args))
}

/// How this program was started, as far as a person would type it again.
fn program() -> String {
    if std::env::var_os("CARGO").is_some() {
        return "cargo run --release --".to_owned();
    }
    std::env::args().next().map_or_else(|| "osn".to_owned(), |name| quoted(&name))
}

/// The words behind the program's name that give these arguments, without what is the default.
fn command_line(args: &TrainArgs) -> String {
    let mut words = vec!["train".to_owned(), quoted(&args.recipe)];
    let mut option = |name: &str, value: Option<&str>| {
        words.extend(value.map(|value| format!("--{name} {}", quoted(value))));
    };
    option("decide", args.decide.as_deref());
    option("preset", args.preset.as_deref());
    option("data", args.data.as_deref());
    option("device", args.device.as_deref());
    let seed = (args.seed != DEFAULT_SEED).then(|| args.seed.to_string());
    option("seed", seed.as_deref());
    let out = args.out.to_string_lossy();
    option("out", (out != DEFAULT_OUT).then_some(&*out));
    for (key, value) in &args.settings {
        option("set", Some(&format!("{key}={value}")));
    }
    words.extend(args.open.then(|| "--open".to_owned()));
    words.extend(args.tensorboard.then(|| "--tensorboard".to_owned()));
    words.extend(args.checkpoint_every.map(|steps| format!("--checkpoint-every {steps}")));
    let is_usual = args.keep_checkpoints == Checkpoints::default().keep;
    words.extend((!is_usual).then(|| format!("--keep-checkpoints {}", args.keep_checkpoints)));
    words.join(" ")
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_keeps_what_was_asked_for() {
        let args = TrainArgs {
            decide: Some("always".into()),
            data: Some("my images".into()),
            seed: 7,
            settings: vec![("steps".into(), "10".into())],
            ..TrainArgs::default()
        };
        let next = next_command(&args, "osn");
        let expected = "osn train gan --decide never --data 'my images' --seed 7 --set steps=10";
        assert_eq!(next.lines().last().unwrap().trim(), expected);
    }

    #[test]
    fn after_never_comes_the_default_rule() {
        let args = TrainArgs { decide: Some("never".into()), ..TrainArgs::default() };
        assert!(next_command(&args, "osn").ends_with("\n  osn train gan"));
    }

    #[test]
    fn odd_words_are_quoted_for_the_shell() {
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
