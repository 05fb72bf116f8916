//! Several runs at once, in the order of the plan.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::child::{self, Exit};
use super::ledger::Ledger;
use super::plan::{Cell, Plan, n_cores};
use super::progress::StudyDisplay;
use crate::failure::Failure;
use crate::terminal::interrupt::StopFlag;

/// How the running of runs came to an end.
pub(super) enum Ending<'a> {
    /// Every run has been run; something outside ended these before they had a result.
    Done { interrupted: Vec<&'a Cell> },
    /// The user asked for the end.
    Stopped,
}

/// What a worker tells of the run with this index in the plan.
enum News {
    Began(usize),
    Step(usize, f64),
    Over(usize, Exit),
}

/// Runs what is missing; the study is written after every run.
pub(super) fn run<'a>(
    plan: &'a Plan,
    ledger: &mut Ledger,
    display: &mut dyn StudyDisplay,
    stop: &StopFlag,
) -> Result<Ending<'a>, Failure> {
    let missing: Vec<usize> = (0..plan.cells.len()).filter(|&it| !ledger.has_ended(it)).collect();
    let n_workers = plan.n_jobs.min(missing.len());
    let queue = Mutex::new(missing.into_iter());
    thread::scope(|scope| {
        let (sender, news) = mpsc::channel();
        for _ in 0..n_workers {
            let (sender, queue) = (sender.clone(), &queue);
            scope.spawn(move || work(plan, queue, &sender, stop));
        }
        // The channel closes with the last worker.
        drop(sender);
        let interrupted = follow(plan, ledger, display, &news);
        // On an error the other runs have no reader.
        if interrupted.is_err() {
            stop.set();
        }
        let interrupted = interrupted?;
        Ok(if stop.is_set() { Ending::Stopped } else { Ending::Done { interrupted } })
    })
}

/// Takes run after run until none is left.
fn work(
    plan: &Plan,
    queue: &Mutex<impl Iterator<Item = usize>>,
    sender: &Sender<News>,
    stop: &StopFlag,
) {
    let n_threads = (n_cores() / plan.n_jobs).max(1);
    // A reader that is gone ends the runs by the flag.
    let tell = |news| drop(sender.send(news));
    while let Some(index) = next(queue).filter(|_| !stop.is_set()) {
        tell(News::Began(index));
        let on_step = |step, steps| tell(News::Step(index, step as f64 / steps as f64));
        let exit = child::train(&plan.cells[index], n_threads, stop, on_step);
        tell(News::Over(index, exit));
    }
}

fn next(queue: &Mutex<impl Iterator<Item = usize>>) -> Option<usize> {
    queue.lock().ok()?.next()
}

/// Keeps the books until the last worker is gone; the cells that were interrupted.
fn follow<'a>(
    plan: &'a Plan,
    ledger: &mut Ledger,
    display: &mut dyn StudyDisplay,
    news: &Receiver<News>,
) -> Result<Vec<&'a Cell>, Failure> {
    let mut interrupted = Vec::new();
    for news in news {
        match news {
            News::Began(index) => display.step(&plan.cells[index], index, 0.0),
            News::Step(index, part) => display.step(&plan.cells[index], index, part),
            News::Over(index, exit) => {
                let cell = &plan.cells[index];
                if !settle(cell, index, exit, ledger)? {
                    interrupted.push(cell);
                }
                display.ended(cell, index, ledger.run(index));
            }
        }
    }
    Ok(interrupted)
}

/// Writes down what came of a run; whether its files tell.
fn settle(cell: &Cell, index: usize, exit: Exit, ledger: &mut Ledger) -> Result<bool, Failure> {
    let why = match exit {
        Exit::Stopped => return Ok(true),
        Exit::Refused(line) => {
            return Err(Failure::bad_input(format!("{}: {line}", cell.label())));
        }
        Exit::Over(why) => why,
    };
    let has_ended = ledger.look(index, cell)?;
    if !has_ended {
        ledger.interrupted(index, &why);
    }
    ledger.write(None)?;
    Ok(has_ended)
}
