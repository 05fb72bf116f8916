//! `osn resume`: a stopped or killed run is trained to its end.

use osn_recipes::run::observer::Observer;
use osn_recipes::run::resume::Resumed;

use crate::failure::{Failure, SUCCESS};
use crate::run::folder;
use crate::terminal::stderr::say;
use crate::training::args::ResumeArgs;
use crate::training::ending;
use crate::training::observed::{TrainOutputs, observed};
use crate::training::workers::Seat;

/// Resumes a run, unless it has finished.
pub(crate) fn run(args: &ResumeArgs) -> Result<u8, Failure> {
    let other = |seat, observer: &mut dyn Observer| {
        osn_recipes::resume_with(seat, &args.run, observer)?;
        Ok(())
    };
    args.workers.unwrap_or_default().run(|seat| first(args, seat), other)
}

fn first(args: &ResumeArgs, seat: Seat) -> Result<u8, Failure> {
    folder::open(&args.run)?;
    let outputs = TrainOutputs { open: args.open, ..TrainOutputs::default() };
    let resume = |observer: &mut dyn Observer| osn_recipes::resume_with(seat, &args.run, observer);
    let (resumed, stop) = observed(outputs, resume)?;
    match resumed {
        Resumed::Trained(summary) => {
            ending::conclude(&summary, &stop, || ending::report_command(&summary.folder))
        }
        Resumed::AlreadyFinished(summary) => {
            let (folder, steps) = (summary.folder.display(), summary.steps);
            say(format_args!("nothing to resume: {folder} has finished all of its {steps} steps"));
            Ok(SUCCESS)
        }
    }
}
