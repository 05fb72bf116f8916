//! `osn normalize`: a checkpoint with effective weights.

use std::process::ExitCode;

use osn_checkpoint::{Checkpoint, NormalizeError, NormalizeParams, Normalized, normalize};
use osn_core::Action;
use osn_report::short;

use crate::args::{Mode, NormalizeArgs};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::stderr::say;
use crate::weights::{self, Progress};

/// Writes the checkpoint and says what was done.
pub(crate) fn run(args: &NormalizeArgs) -> Result<ExitCode, Failure> {
    let params = NormalizeParams {
        select: weights::select(&args.weights)?,
        measure: weights::params(&args.weights)?,
        action: action(args)?,
    };
    let input = Checkpoint::open(&args.input).map_err(Failure::bad_input)?;
    let mut progress = Progress::over([&input]);
    let done = normalize(&input, &args.output, &params, |tensor| progress.next(tensor));
    drop(progress);
    let done = done.map_err(|error| match error {
        NormalizeError::Write { .. } => Failure::failed(error),
        _ => Failure::bad_input(format!("{}: {error}", args.input.display())),
    })?;
    for weight in &done {
        say(harmless(&line(weight)));
    }
    say(format_args!("wrote {}", args.output.display()));
    Ok(ExitCode::SUCCESS)
}

fn action(args: &NormalizeArgs) -> Result<Action, Failure> {
    let target = args.target;
    let action = match args.mode {
        Mode::Normalize => Action::Normalize { target },
        Mode::Cap => Action::Cap { target, sharpness: f64::INFINITY },
    };
    action.validate().map_err(Failure::bad_input)?;
    Ok(action)
}

fn line(weight: &Normalized) -> String {
    let block = weight.block.map_or(String::new(), |block| format!("[{block}]"));
    let (before, after) = (short(weight.before.value), short(weight.after.value));
    if weight.scale == 1.0 {
        format!("{}{block}: σ {before}, left", weight.name)
    } else {
        format!("{}{block}: σ {before} → {after}", weight.name)
    }
}
