//! `osn normalize`: a checkpoint with effective weights.

use osn_checkpoint::{
    Named, NormalizeError, NormalizeOutcome, NormalizeParams, Normalized, normalize,
};
use osn_core::act::Action;
use osn_files::output::OutputFile;
use osn_report::{escaped, short};

use crate::command_line::args::{Mode, NormalizeArgs};
use crate::failure::{Failure, SUCCESS};
use crate::terminal::stderr::say;
use crate::weights::{self, ReadProgress, by_reason, listed, shown};

/// Endings of files that `torch.load` is given; it does not read safetensors.
const ENDINGS_OF_TORCH: [&str; 5] = ["pt", "pth", "bin", "ckpt", "pkl"];

/// Writes the checkpoint and prints a line for each weight.
pub(crate) fn run(args: &NormalizeArgs) -> Result<u8, Failure> {
    let params = NormalizeParams {
        select: weights::select(&args.weights)?,
        measure: weights::params(&args.weights)?,
        action: action(args)?,
    };
    let path = weights::found(&args.input)?;
    let input = weights::open(&path)?;
    // Before anything is read; an index is an input, too, though no tensor lies in it.
    let output = OutputFile::create(&args.output, &[&path]);
    drop(output.map_err(|error| failure(&error.into(), args))?);
    weights::check_select(&args.weights.select, std::slice::from_ref(&input))?;
    let mut progress = ReadProgress::over([&input]);
    let outcome = normalize(&input, &args.output, &params, |tensor| progress.next(tensor));
    drop(progress);
    let outcome = outcome.map_err(|error| failure(&error, args))?;
    report(&outcome, args);
    Ok(SUCCESS)
}

/// A message about a tensor gets the name of the input; the others have their file already.
fn failure(error: &NormalizeError, args: &NormalizeArgs) -> Failure {
    match error {
        NormalizeError::Output(error) if error.is_bad_path() => Failure::bad_input(error),
        NormalizeError::Output(error) => Failure::failed(error),
        NormalizeError::Read(error) => Failure::bad_input(error),
        _ => {
            // Names of tensors are in it.
            let message = escaped(&error.to_string());
            let file = args.input.display().to_string();
            let has_file = message.contains(&format!("{file}:"));
            let start = if has_file { String::new() } else { format!("{file}: ") };
            Failure::bad_input(format!("{start}{message}"))
        }
    }
}

fn report(outcome: &NormalizeOutcome, args: &NormalizeArgs) {
    for weight in &outcome.done {
        say(line(weight));
    }
    let reasons = |named: &[Named], what: &str| {
        let said = named.iter().map(|it| (it.name.as_str(), it.reason.as_str()));
        for (reason, names) in by_reason(said) {
            say(format_args!("{what} {}: {}", listed(&names), escaped(reason)));
        }
    };
    reasons(&outcome.left, "unchanged:");
    reasons(&outcome.left_out, "not written:");
    let output = escaped(&args.output.to_string_lossy());
    let ending = args.output.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if ENDINGS_OF_TORCH.contains(&&*ending) {
        say(format_args!(
            "wrote {output} as safetensors, which torch.load does not read: use safetensors.torch.load_file"
        ));
    } else {
        say(format_args!("wrote {output}"));
    }
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
    let stored = weight.stored.as_ref().map_or(String::new(), |it| format!(", {}", escaped(it)));
    let name = shown(&weight.name);
    if weight.scale == 1.0 {
        format!("{name}{block}: σ {before}, unchanged{stored}")
    } else {
        format!("{name}{block}: σ {before} → {after}{stored}")
    }
}
