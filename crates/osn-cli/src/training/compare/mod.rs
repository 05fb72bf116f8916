//! `osn compare`: every arm in every regime with every seed, each as a process of its own, here or wherever a scheduler
//! starts it.

mod arms;
mod cell;
mod cells_file;
mod child;
mod engine;
mod ledger;
mod plan;
mod pool;
mod progress;
mod regimes;
mod same;
pub(crate) mod tour;
mod turn;

use osn_report::study::Analysis;

use self::cells_file::Share;
use self::engine::slurm::Watched;
use self::engine::{print, slurm};
use self::ledger::Ledger;
use self::plan::Plan;
use self::pool::{Ending, Left};
use self::progress::StudyDisplay;
use crate::failure::{FAILED, Failure, SUCCESS};
use crate::run::page;
use crate::run::study_tables::study_tables;
use crate::terminal::interrupt::StopFlag;
use crate::terminal::stderr::say;
use crate::terminal::{interrupt, stdout};
use crate::training::args::{CompareArgs, Engine};
use crate::training::shell;

/// Runs the missing runs of a study, and prints its analysis; or one of them alone.
pub(crate) fn run(args: &CompareArgs) -> Result<u8, Failure> {
    if let Some(number) = args.cell {
        return cell::run(args, number);
    }
    let stop = interrupt::listen()?;
    let plan = Plan::of(args)?;
    stop.writing();
    let ledger = Ledger::open(&plan)?;
    match &args.engine {
        Engine::Local => run_here(args, &plan, ledger, &stop),
        Engine::Print => print_commands(args, &plan, &ledger),
        Engine::Slurm(options) => run_by_slurm(args, options, &plan, ledger, &stop),
    }
}

fn print_commands(args: &CompareArgs, plan: &Plan, ledger: &Ledger) -> Result<u8, Failure> {
    let shares = shares(args, plan, ledger)?;
    if shares.is_empty() {
        return conclude(args, ledger, &[]);
    }
    stdout::print(&print::commands(args, &shares)?)?;
    Ok(SUCCESS)
}

/// What is missing, by the plan that names it. A plan keeps its threads, as its runs are compared with each other.
fn shares(args: &CompareArgs, plan: &Plan, ledger: &Ledger) -> Result<Vec<Share>, Failure> {
    let shares = cells_file::shares(plan, ledger)?;
    let asked = args.threads;
    let other = shares.iter().find(|it| asked.is_some_and(|asked| asked != it.file.head.threads));
    match other {
        None => Ok(shares),
        Some(Share { file, .. }) => Err(Failure::bad_input(format!(
            "the runs of {} have --threads {}; ask for the same, or remove the plan",
            file.path.display(),
            file.head.threads
        ))),
    }
}

fn run_by_slurm(
    args: &CompareArgs,
    options: &[String],
    plan: &Plan,
    mut ledger: Ledger,
    stop: &StopFlag,
) -> Result<u8, Failure> {
    let shares = shares(args, plan, &ledger)?;
    if shares.is_empty() {
        return conclude(args, &ledger, &[]);
    }
    let mut display = StudyDisplay::for_stderr(plan, &ledger);
    stop.at_work(interrupt::DETACHING, display.printer());
    let parts = (plan, &shares[..]);
    let watched = slurm::run(args, options, parts, (&mut ledger, &mut display), stop);
    display.close();
    let watched = watched?;
    slurm::say_rest(&watched, plan);
    match watched {
        Watched::Done => conclude(args, &ledger, &[]),
        Watched::Lost(_) => Ok(FAILED),
        Watched::Detached(_) => Ok(stop.exit_code()),
    }
}

fn run_here(
    args: &CompareArgs,
    plan: &Plan,
    mut ledger: Ledger,
    stop: &StopFlag,
) -> Result<u8, Failure> {
    let mut display = StudyDisplay::for_stderr(plan, &ledger);
    stop.at_work(interrupt::STOPPING_STUDY, display.printer());
    let ending = pool::run(plan, &mut ledger, &mut display, stop);
    display.close();
    match ending.inspect_err(|_| ledger.remove_if_empty())? {
        Ending::Stopped => Ok(stopped(&ledger, stop)),
        Ending::Done { left } => conclude(args, &ledger, &left),
    }
}

fn stopped(ledger: &Ledger, stop: &StopFlag) -> u8 {
    let (n_ended, n_runs) = (ledger.n_ended(), ledger.n_runs());
    say(format_args!("stopped after {n_ended} of {n_runs} runs; the same command runs the rest"));
    ledger.remove_if_empty();
    stop.exit_code()
}

/// Prints the analysis to standard output, and the files and the runs without a result to standard error.
fn conclude(args: &CompareArgs, ledger: &Ledger, left: &[Left<'_>]) -> Result<u8, Failure> {
    let study = ledger.study();
    let analysis = Analysis::of(study);
    ledger.write(Some(&analysis))?;
    if args.json {
        let text = serde_json::to_string_pretty(&analysis).map_err(Failure::failed)?;
        stdout::print(&format!("{text}\n"))?;
    } else {
        stdout::print(&study_tables(study, &analysis, args.explain))?;
    }
    let page = page::write_own(ledger.folder())?;
    let hint = if args.explain || args.json { "" } else { "\n\nwhat the numbers mean: --explain" };
    say(format_args!("\n  study  {}\n  page   {}{hint}", ledger.path().display(), page.display()));
    for Left { cell, is_elsewhere } in left {
        let label = cell.label();
        if *is_elsewhere {
            say(format_args!("{label} is being trained by another process; try again later"));
        } else {
            let command = shell::train_command(&cell.args);
            say(format_args!("{label} was interrupted; run it alone with\n  {command}"));
        }
    }
    Ok(if left.is_empty() { SUCCESS } else { FAILED })
}
