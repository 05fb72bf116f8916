//! `osn compare`: every arm in every regime with every seed, each as a process of its own.

mod arms;
mod child;
mod ledger;
mod plan;
mod pool;
mod progress;
mod regimes;
mod same;

use std::process::ExitCode;

use osn_report::study::{Analysis, verdict};

use self::ledger::Ledger;
use self::plan::{Cell, Plan};
use self::pool::Ending;
use crate::command_line::args::CompareArgs;
use crate::command_line::shell;
use crate::failure::{FAILED, Failure};
use crate::run::page;
use crate::terminal::interrupt::StopFlag;
use crate::terminal::stderr::say;
use crate::terminal::{interrupt, stdout};

/// Runs what is missing of a study and says what came of all of it.
pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let stop = interrupt::listen()?;
    let plan = Plan::of(args)?;
    stop.writing();
    let mut ledger = Ledger::open(&plan)?;
    let mut display = progress::for_stderr(&plan, &ledger);
    stop.at_work(interrupt::STOPPING_STUDY, display.speaker());
    let ending = pool::run(&plan, &mut ledger, display.as_mut(), &stop);
    display.close();
    match ending.inspect_err(|_| ledger.leave_nothing())? {
        Ending::Stopped => Ok(stopped(&ledger, &stop)),
        Ending::Done { interrupted } => conclude(args, &ledger, &interrupted),
    }
}

fn stopped(ledger: &Ledger, stop: &StopFlag) -> ExitCode {
    let (n_ended, n_runs) = (ledger.n_ended(), ledger.n_runs());
    say(format_args!("stopped after {n_ended} of {n_runs} runs; the same command runs the rest"));
    ledger.leave_nothing();
    ExitCode::from(stop.exit_code())
}

/// Data to standard output; where they are, and what to run alone, to standard error.
fn conclude(args: &CompareArgs, ledger: &Ledger, cut: &[&Cell]) -> Result<ExitCode, Failure> {
    let study = ledger.study();
    let analysis = Analysis::of(study);
    ledger.write(Some(&analysis))?;
    if args.json {
        let text = serde_json::to_string_pretty(&analysis).map_err(Failure::failed)?;
        stdout::print(&format!("{text}\n"))?;
    } else {
        stdout::print(&verdict(study, &analysis))?;
    }
    let page = page::write_own(ledger.folder())?;
    say(format_args!("\nstudy  {}\npage   {}", ledger.path().display(), page.display()));
    for cell in cut {
        let command = shell::train_command(&cell.train_args());
        let label = cell.label();
        say(format_args!("{label} was interrupted; run it alone with\n  {command}"));
    }
    Ok(if cut.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
