//! One process at a time trains a run of a study, whether a pool or a scheduler started it.

use std::fs;
use std::path::PathBuf;

use osn_recipes::run::description::RunDescription;
use osn_recipes::run::error::RunError;
use osn_runs::folder::RunFolder;
use osn_runs::folder_error::FolderError;
use osn_runs::lock::FolderLock;

use super::ledger::{entries, has_ended};
use super::plan::Cell;
use crate::failure::Failure;

/// What came of the wish to train a run.
pub(super) enum Turn<T> {
    /// Its files tell the outcome.
    Over(RunFolder),
    /// This process trains it.
    Elsewhere(String),
    /// It was this process's turn.
    Had(T),
}

/// Trains the run of a cell by `train`, which is given the last run of it that has not come to its end, unless the outcome is
/// there or another process trains it.
pub(super) fn take<T>(
    cell: &Cell,
    train: impl FnOnce(Option<RunFolder>) -> T,
) -> Result<Turn<T>, Failure> {
    if let Some(run) = outcome(cell)? {
        return Ok(Turn::Over(run));
    }
    fs::create_dir_all(&cell.args.out).map_err(|error| {
        Failure::failed(format!("cannot create {}: {error}", cell.args.out.display()))
    })?;
    let name = format!("{}.lock", cell.expected.folder_name());
    let lock = match FolderLock::take(&cell.args.out, &name) {
        Ok(lock) => lock,
        Err(FolderError::InUse { pid, .. }) => {
            return Ok(Turn::Elsewhere(format!("process {pid}")));
        }
        Err(error) => return Err(RunError::from(error).into()),
    };
    let turn = locked(cell, train);
    lock.remove();
    turn
}

fn locked<T>(cell: &Cell, train: impl FnOnce(Option<RunFolder>) -> T) -> Result<Turn<T>, Failure> {
    // Whoever had the lock before may have brought it to its end.
    if let Some(run) = outcome(cell)? {
        return Ok(Turn::Over(run));
    }
    Ok(match unended(cell)? {
        // Whoever started it is gone.
        Some(run) if run.is_being_written() => Turn::Elsewhere("another process".to_owned()),
        run => Turn::Had(train(run)),
    })
}

/// The run of a cell that has come to its end, well or not. Its checkpoints are of no use then.
pub(super) fn outcome(cell: &Cell) -> Result<Option<RunFolder>, Failure> {
    let ended: Vec<_> = runs(cell)?.into_iter().filter(|(_, it)| has_ended(it)).collect();
    for (run, _) in ended.iter().filter(|(run, _)| !run.is_being_written()) {
        // What cannot be removed takes space, and nothing else.
        let _ = fs::remove_dir_all(run.checkpoints_path());
    }
    Ok(ended.into_iter().next().map(|(run, _)| run))
}

/// The last run of the cell that has not come to its end.
fn unended(cell: &Cell) -> Result<Option<RunFolder>, Failure> {
    let runs = runs(cell)?.into_iter().filter(|(_, it)| !has_ended(it));
    let last = runs.max_by_key(|(run, it)| (it.started_unix_secs, run.path().to_owned()));
    Ok(last.map(|(run, _)| run))
}

/// The runs of the cell, by the names that they get when they begin: a folder of thousands is not read.
fn runs(cell: &Cell) -> Result<Vec<(RunFolder, RunDescription)>, Failure> {
    let name = cell.expected.folder_name();
    let is_named = |path: &PathBuf| {
        let found = path.file_name().and_then(|found| found.to_str()).unwrap_or_default();
        let number = found.strip_prefix(&name).map(|rest| rest.strip_prefix('-').unwrap_or(rest));
        number.is_some_and(|number| number.is_empty() || number.parse::<u32>().is_ok())
    };
    let read = |path: PathBuf| {
        let run = RunFolder::open(&path).ok()?;
        let description = run.description::<RunDescription>().ok()?;
        cell.is(&description).then_some((run, description))
    };
    Ok(entries(&cell.args.out)?.into_iter().filter(is_named).filter_map(read).collect())
}
