//! `osn compare`: every arm in every regime with every seed, each as a process of its own.

mod arms;
mod child;
mod ledger;
mod plan;
mod pool;
mod regimes;
mod same;
mod watch;

use std::process::ExitCode;

use osn_report::study::{Analysis, tables};

use self::ledger::Ledger;
use self::plan::{Cell, Plan};
use self::pool::Ending;
use crate::args::CompareArgs;
use crate::failure::{FAILED, Failure};
use crate::interrupt::StopFlag;
use crate::stderr::say;
use crate::{interrupt, report, stdout, train};

/// Runs what is missing of a study and says what came of all of it.
pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let stop = interrupt::listen()?;
    let plan = Plan::of(args)?;
    stop.writing();
    let mut ledger = Ledger::open(&plan)?;
    let mut watch = watch::for_stderr(&plan, &ledger);
    stop.at_work(interrupt::STOPPING_STUDY, watch.speaker());
    let ending = pool::run(&plan, &mut ledger, watch.as_mut(), &stop);
    watch.close();
    match ending.inspect_err(|_| ledger.leave_nothing())? {
        Ending::Stopped => Ok(stopped(&ledger, &stop)),
        Ending::Done { interrupted } => conclude(args, &ledger, &interrupted),
    }
}

fn stopped(ledger: &Ledger, stop: &StopFlag) -> ExitCode {
    let (n_ended, n_runs) = (ledger.n_ended(), ledger.n_runs());
    say(format_args!("stopped with {n_ended} of {n_runs} runs; the same command runs the others"));
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
        stdout::print(&tables(study, &analysis))?;
    }
    let page = report::write_own(ledger.folder())?;
    say(format_args!("\nstudy  {}\npage   {}", ledger.path().display(), page.display()));
    for cell in cut {
        let command = train::command(&cell.train_args());
        let label = cell.label();
        say(format_args!("{label} was interrupted; run it alone with\n  {command}"));
    }
    Ok(if cut.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
