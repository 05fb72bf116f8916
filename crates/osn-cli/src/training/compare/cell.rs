//! `osn compare --cell`: one run of a study as the task of a scheduler, which may try it again and again.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use osn_recipes::run::description::RunStatus;
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::Observer;
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::resume::Resumed;
use osn_recipes::run::stopped::StoppedRun;
use osn_recipes::run::summary::RunSummary;
use osn_recipes::run::versions::Machine;
use osn_runs::folder::RunFolder;

use super::cells_file::{CellsFile, PlannedCell};
use super::plan::{self, Cell, Plan, THREADS};
use super::turn::{self, Turn};
use crate::failure::{Failure, SUCCESS, TRY_AGAIN};
use crate::run::page;
use crate::terminal::interrupt::{self, StopFlag};
use crate::terminal::stderr::say;
use crate::training::args::{CompareArgs, TrainArgs};
use crate::training::observed::{TrainOutputs, observed_until};
use crate::training::train::request;

/// Where schedulers say which task of an array this is, and the number of the first task where that cannot be 0.
const TASK_VARIABLES: [(&str, usize); 6] = [
    ("SLURM_ARRAY_TASK_ID", 0),
    ("HQ_TASK_ID", 0),
    ("JOB_COMPLETION_INDEX", 0),
    ("PBS_ARRAY_INDEX", 0),
    ("SGE_TASK_ID", 1),
    ("LSB_JOBINDEX", 1),
];

/// The checkpoints that a run keeps until it has ended.
const KEPT: usize = 1;

/// Trains or resumes the run of a number, unless its files tell the outcome.
pub(super) fn run(args: &CompareArgs, number: Option<usize>) -> Result<u8, Failure> {
    let number = match number {
        Some(number) => number,
        None => number_in(|name| std::env::var(name).ok())?,
    };
    let file = CellsFile::find(&plan::folder(args), args.plan.as_deref())?;
    let planned = file.cell(number)?;
    if let Some(code) = with_threads(file.head.threads)? {
        return Ok(code);
    }
    let stop = interrupt::listen_and_exit_as(Some(TRY_AGAIN))?;
    let plan = Plan::of(args)?;
    let cell = cell_of(&plan, planned, &file)?;
    note_processor(&file);
    settle(cell, &stop)
}

/// The number of the scheduler's task.
fn number_in(variable: impl Fn(&str) -> Option<String>) -> Result<usize, Failure> {
    for (name, first) in TASK_VARIABLES {
        let value = variable(name).and_then(|value| value.parse::<usize>().ok());
        if let Some(number) = value.and_then(|value| value.checked_sub(first)) {
            return Ok(number);
        }
    }
    let names = TASK_VARIABLES.map(|(name, _)| name).join(", ");
    Err(Failure::bad_input(format!("--cell needs a number where no scheduler sets one ({names})")))
}

/// Starts this program anew where it would not compute with the threads of the plan, which are fixed when it starts.
/// Its exit code, where it did not take the place of this one.
fn with_threads(threads: usize) -> Result<Option<u8>, Failure> {
    let threads = OsString::from(threads.to_string());
    if std::env::var_os(THREADS).as_ref() == Some(&threads) {
        return Ok(None);
    }
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env(THREADS, threads);
    in_place(command).map(Some).map_err(|error| {
        Failure::failed(format!("cannot start osn with the threads of the plan: {error}"))
    })
}

/// Keeps the process, so that a scheduler's signals reach it.
#[cfg(unix)]
fn in_place(mut command: Command) -> std::io::Result<u8> {
    use std::os::unix::process::CommandExt;
    Err(command.exec())
}

#[cfg(not(unix))]
fn in_place(mut command: Command) -> std::io::Result<u8> {
    let code = command.status()?.code().unwrap_or_default();
    Ok(u8::try_from(code).unwrap_or(crate::failure::FAILED))
}

/// The run that a number of the plan stands for, if it is still the same.
fn cell_of<'a>(
    plan: &'a Plan,
    planned: &PlannedCell,
    file: &CellsFile,
) -> Result<&'a Cell, Failure> {
    let is_called = |cell: &&Cell| {
        (&cell.arm, &cell.regime, cell.args.seed) == (&planned.arm, &planned.regime, planned.seed)
    };
    let found = plan.cells.iter().find(is_called).filter(|cell| planned.is(cell));
    found.ok_or_else(|| {
        let PlannedCell { cell, arm, seed, .. } = planned;
        Failure::bad_input(format!(
            "cell {cell} of {} is {arm} with seed {seed} of another study or build than this command's; repeat \
             the command that wrote the plan, with the same osn",
            file.path.display()
        ))
    })
}

/// Another processor may round the last bits of sums otherwise.
fn note_processor(file: &CellsFile) {
    let (here, there) = (Machine::here().processor, &file.head.processor);
    if here != *there {
        say(format_args!("this processor is {here}, and the plan was written on {there}"));
    }
}

/// Trains until the files tell the outcome; the exit code says whether they do.
pub(super) fn settle(cell: &Cell, stop: &StopFlag) -> Result<u8, Failure> {
    let turn = turn::take(cell, |unended| match unended {
        Some(run) => resume(cell, run.path(), stop),
        None => train(cell, stop),
    })?;
    match turn {
        Turn::Over(run) => {
            say_ended(cell, &run);
            Ok(SUCCESS)
        }
        Turn::Elsewhere(who) => {
            say(format_args!("{} is being trained by {who}; try again later", cell.label()));
            Ok(TRY_AGAIN)
        }
        Turn::Had(code) => code,
    }
}

fn say_ended(cell: &Cell, run: &RunFolder) {
    say(format_args!("{} has ended: {}", cell.label(), run.path().display()));
}

/// Whether the files tell the outcome.
fn has_outcome(cell: &Cell) -> Result<bool, Failure> {
    let run = turn::outcome(cell)?;
    Ok(run.inspect(|run| say_ended(cell, run)).is_some())
}

fn resume(cell: &Cell, folder: &Path, stop: &StopFlag) -> Result<u8, Failure> {
    // On an unlike machine it would not go on to the same bits.
    let resumable = StoppedRun::open(folder).and_then(TrainRequest::resuming);
    if let Err(error) = resumable {
        return anew(cell, &error.to_string(), stop);
    }
    let mut is_lost = false;
    let outcome = trained(stop, TrainOutputs::default(), |observer| {
        let resumed = osn_recipes::resume(folder, observer);
        is_lost = resumed.as_ref().is_err_and(is_of_checkpoint);
        resumed.map(|resumed| match resumed {
            Resumed::Trained(summary) | Resumed::AlreadyFinished(summary) => summary,
        })
    });
    match outcome {
        Err(failure) if is_lost => anew(cell, &failure.one_line(), stop),
        outcome => conclude(cell, outcome),
    }
}

fn is_of_checkpoint(error: &RunError) -> bool {
    // One that cannot be saved is the fault of the disk.
    matches!(error, RunError::Checkpoint(_)) && error.is_bad_input()
}

fn anew(cell: &Cell, why: &str, stop: &StopFlag) -> Result<u8, Failure> {
    say(format_args!("{} is trained anew: {why}", cell.label()));
    train(cell, stop)
}

fn train(cell: &Cell, stop: &StopFlag) -> Result<u8, Failure> {
    let args = TrainArgs { keep_checkpoints: KEPT, ..cell.args.clone() };
    let outputs = TrainOutputs { is_new: true, ..TrainOutputs::default() };
    let train = |observer: &mut dyn Observer| osn_recipes::train(&request(&args), observer);
    conclude(cell, trained(stop, outputs, train))
}

fn trained(
    stop: &StopFlag,
    outputs: TrainOutputs,
    train: impl FnOnce(&mut dyn Observer) -> Result<RunSummary, RunError>,
) -> Result<RunSummary, Failure> {
    observed_until(stop.clone(), outputs, train).map(|(summary, _)| summary)
}

/// A run that failed as a run has an outcome, too.
fn conclude(cell: &Cell, outcome: Result<RunSummary, Failure>) -> Result<u8, Failure> {
    match outcome {
        Ok(summary) => {
            page::write_run(&summary.folder)?;
            if summary.status == RunStatus::Stopped {
                say(format_args!("{} was stopped; the same command resumes it", cell.label()));
                return Ok(TRY_AGAIN);
            }
            has_outcome(cell)?;
            Ok(SUCCESS)
        }
        Err(failure) if has_outcome(cell)? => {
            failure.show();
            Ok(SUCCESS)
        }
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_that_of_the_first_scheduler_that_sets_one() {
        let number = |set: &[(&str, &str)]| {
            number_in(|name| set.iter().find(|it| it.0 == name).map(|it| it.1.to_owned())).ok()
        };
        for (name, first) in TASK_VARIABLES {
            assert_eq!(number(&[(name, "7")]), Some(7 - first), "{name}");
        }
        let both = [("JOB_COMPLETION_INDEX", "3"), ("SLURM_ARRAY_TASK_ID", "5")];
        assert_eq!(number(&both), Some(5));
        // A job that is no array.
        assert_eq!(number(&[("SGE_TASK_ID", "undefined"), ("LSB_JOBINDEX", "0")]), None);
    }
}
