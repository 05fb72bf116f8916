//! `osn resume`: a stopped or killed run is trained to its end.

use std::process::ExitCode;

use osn_recipes::run::resume::Resumed;

use crate::command_line::args::ResumeArgs;
use crate::failure::Failure;
use crate::run::ending;
use crate::run::folder;
use crate::run::training::{self, TrainOutputs};
use crate::terminal::stderr::say;

/// Resumes a run, unless it has finished.
pub(crate) fn run(args: &ResumeArgs) -> Result<ExitCode, Failure> {
    folder::open(&args.run)?;
    let outputs = TrainOutputs { open: args.open, ..TrainOutputs::default() };
    let (resumed, stop) =
        training::observed(outputs, |observer| osn_recipes::resume(&args.run, observer))?;
    match resumed {
        Resumed::Trained(summary) => {
            ending::conclude(&summary, &stop, || ending::report_command(&summary.folder))
        }
        Resumed::AlreadyFinished(summary) => {
            let (folder, steps) = (summary.folder.display(), summary.steps);
            say(format_args!("nothing to resume: {folder} has finished all of its {steps} steps"));
            Ok(ExitCode::SUCCESS)
        }
    }
}
