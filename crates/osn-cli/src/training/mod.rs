//! The commands that train, or are about training: all that needs the recipes, and with them Burn.

pub(crate) mod args;
mod compare;
mod data;
mod display;
pub(crate) mod doctor;
mod ending;
mod failure;
mod observed;
mod resume;
mod settings;
mod shell;
mod train;
pub(crate) mod usage;
pub(crate) mod workers;

use self::args::{DataCommand, TrainingCommand};
use crate::failure::Failure;

/// Does what is asked for.
pub(crate) fn execute(command: TrainingCommand) -> Result<u8, Failure> {
    match command {
        TrainingCommand::Train(args) => train::run(&args),
        TrainingCommand::Resume(args) => resume::run(&args),
        TrainingCommand::Compare(args) => compare::run(&args),
        TrainingCommand::Tour(args) => compare::tour::run(&args),
        TrainingCommand::Settings(args) => settings::run(&args),
        TrainingCommand::Data { command: None | Some(DataCommand::List) } => data::list(),
        TrainingCommand::Data { command: Some(DataCommand::Import(args)) } => data::import(&args),
    }
}
