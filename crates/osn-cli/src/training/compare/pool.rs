//! Several runs at once, in the order of the plan.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::child::{self, Exit};
use super::ledger::Ledger;
use super::plan::{Cell, Plan};
use super::progress::StudyDisplay;
use crate::failure::Failure;
use crate::terminal::interrupt::StopFlag;

/// How the runs of a study ended.
pub(super) enum Ending<'a> {
    /// Every run has had its turn; these have no result.
    Done { left: Vec<Left<'a>> },
    /// The user stopped them.
    Stopped,
}

/// A run without a result.
pub(super) struct Left<'a> {
    pub(super) cell: &'a Cell,
    /// Another process trains it; else it was interrupted from outside.
    pub(super) is_elsewhere: bool,
}

/// What happens to the run with this index in the plan.
enum Update {
    /// This part of its steps is done.
    Step(usize, f64),
    Ended(usize, Exit),
}

/// Runs what is missing; the study is written after every run.
pub(super) fn run<'a>(
    plan: &'a Plan,
    ledger: &mut Ledger,
    display: &mut StudyDisplay,
    stop: &StopFlag,
) -> Result<Ending<'a>, Failure> {
    let missing: Vec<usize> = (0..plan.cells.len()).filter(|&it| !ledger.has_ended(it)).collect();
    let n_workers = plan.n_jobs.min(missing.len());
    let queue = Mutex::new(missing.into_iter());
    thread::scope(|scope| {
        let (sender, updates) = mpsc::channel();
        for _ in 0..n_workers {
            let (sender, queue) = (sender.clone(), &queue);
            scope.spawn(move || work(plan, queue, &sender, stop));
        }
        // The channel closes with the last worker.
        drop(sender);
        let left = record(plan, ledger, display, &updates);
        // On an error nobody records the other runs.
        if left.is_err() {
            stop.set();
        }
        let left = left?;
        Ok(if stop.is_set() { Ending::Stopped } else { Ending::Done { left } })
    })
}

/// Takes run after run until none is left.
fn work(
    plan: &Plan,
    queue: &Mutex<impl Iterator<Item = usize>>,
    sender: &Sender<Update>,
    stop: &StopFlag,
) {
    // A receiver that is gone has stopped the runs by the flag.
    let send = |update| drop(sender.send(update));
    while let Some(index) = next(queue).filter(|_| !stop.is_set()) {
        send(Update::Step(index, 0.0));
        let on_step = |step, steps| send(Update::Step(index, step as f64 / steps as f64));
        let exit = child::train(&plan.cells[index], plan.n_threads, stop, on_step);
        send(Update::Ended(index, exit));
    }
}

fn next(queue: &Mutex<impl Iterator<Item = usize>>) -> Option<usize> {
    queue.lock().ok()?.next()
}

/// Writes down what happens until the last worker is gone; the runs without a result.
fn record<'a>(
    plan: &'a Plan,
    ledger: &mut Ledger,
    display: &mut StudyDisplay,
    updates: &Receiver<Update>,
) -> Result<Vec<Left<'a>>, Failure> {
    let mut left = Vec::new();
    for update in updates {
        match update {
            Update::Step(index, part) => display.step(&plan.cells[index], index, part),
            Update::Ended(index, exit) => {
                let cell = &plan.cells[index];
                let is_elsewhere = matches!(exit, Exit::Elsewhere(_));
                if !record_exit(cell, index, exit, ledger)? {
                    left.push(Left { cell, is_elsewhere });
                }
                display.ended(cell, index, ledger.run(index));
            }
        }
    }
    Ok(left)
}

/// Writes down the outcome of a run; false where it has none.
fn record_exit(
    cell: &Cell,
    index: usize,
    exit: Exit,
    ledger: &mut Ledger,
) -> Result<bool, Failure> {
    let why = match exit {
        Exit::Stopped => return Ok(true),
        Exit::Refused(line) => {
            return Err(Failure::bad_input(format!("{}: {line}", cell.label())));
        }
        Exit::Elsewhere(who) => format!("{who} trains it"),
        Exit::Ended(why) => why,
    };
    let has_ended = ledger.poll(index, cell)?;
    if !has_ended {
        ledger.interrupted(index, &why);
    }
    ledger.write(None)?;
    Ok(has_ended)
}
