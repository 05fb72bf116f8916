//! `osn tour`: what a rule is for, in one training that is run twice.

use osn_report::study::{Study, StudyRun};

use super::ledger::Ledger;
use super::plan::Plan;
use super::{cell, conclude};
use crate::failure::{Failure, SUCCESS};
use crate::terminal::interrupt;
use crate::terminal::stderr::say;
use crate::training::args::{CompareArgs, TourArgs};

/// The recipe's own rule, and none.
const RULES: [&str; 2] = ["auto", "never"];
/// Seven times the preset's: a discriminator that is left alone becomes steep at it.
const LEARNING_RATE: (&str, &str) = ("learning_rate", "0.002");

/// Trains a GAN with the recipe's rule and without one, all else equal, and shows both.
pub(crate) fn run(args: &TourArgs) -> Result<u8, Failure> {
    let stop = interrupt::listen()?;
    let study = study_of(args);
    let plan = Plan::of(&study)?;
    say(
        "One GAN, trained twice at a high learning rate, all else equal: under `auto`, which normalizes the layers of the",
    );
    say(
        "discriminator where the training calls for it, and under `never`. Ctrl-C stops; the same command goes on.",
    );
    for (place, cell) in plan.cells.iter().enumerate() {
        say(format_args!("\n{} of {}: {}", place + 1, plan.cells.len(), cell.arm));
        let code = cell::settle(cell, &stop)?;
        if code != SUCCESS {
            return Ok(if stop.is_set() { stop.exit_code() } else { code });
        }
    }
    let ledger = Ledger::open(&plan)?;
    let code = conclude(&study, &ledger, &[])?;
    say(format_args!("\n{}", outcome(ledger.study())));
    Ok(code)
}

/// The comparison that the tour is.
fn study_of(args: &TourArgs) -> CompareArgs {
    let mut settings = args.settings.clone();
    if !settings.iter().any(|(key, _)| key == LEARNING_RATE.0) {
        settings.push((LEARNING_RATE.0.to_owned(), LEARNING_RATE.1.to_owned()));
    }
    CompareArgs {
        decide: RULES.map(str::to_owned).to_vec(),
        seeds: args.seed..=args.seed,
        jobs: Some(1),
        settings,
        out: Some(args.out.clone()),
        ..CompareArgs::default()
    }
}

/// Both scores in a sentence.
fn outcome(study: &Study) -> String {
    let metric = &study.asked.metric;
    let better = if study.asked.higher_is_better { "higher" } else { "lower" };
    let score = |run: &StudyRun| run.metrics.get(metric).copied().flatten();
    let scores: Vec<_> = study.runs.iter().map(|run| (run, score(run))).collect();
    match scores[..] {
        [(held, Some(of_held)), (free, Some(of_free))] => format!(
            "{metric} {} with `{}` and {} with `{}`, where {better} is better: same seed, same steps, same settings.\nOne \
             seed is one draw; osn compare trains several.",
            osn_report::short(of_held),
            held.arm,
            osn_report::short(of_free),
            free.arm,
        ),
        _ => "A run has no score: it failed, see above.".to_owned(),
    }
}
