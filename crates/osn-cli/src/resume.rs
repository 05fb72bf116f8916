//! `osn resume`: a run that was stopped or killed goes on.

use std::process::ExitCode;

use osn_recipes::run::resume::Resumed;

use crate::args::ResumeArgs;
use crate::failure::Failure;
use crate::run_folder;
use crate::stderr::say;
use crate::train::{self, Also};

/// Goes on with a run and says where everything is, or says that it is finished.
pub(crate) fn run(args: &ResumeArgs) -> Result<ExitCode, Failure> {
    run_folder::open(&args.run)?;
    let also = Also { open: args.open, ..Also::default() };
    let (resumed, stop) =
        train::watched(also, |observer| osn_recipes::resume(&args.run, observer))?;
    match resumed {
        Resumed::Trained(summary) => {
            train::conclude(&summary, &stop, || train::report_command(&summary.folder))
        }
        Resumed::AlreadyFinished(summary) => {
            let (folder, steps) = (summary.folder.display(), summary.steps);
            say(format_args!("{folder} is finished: all its {steps} steps are done"));
            Ok(ExitCode::SUCCESS)
        }
    }
}
