//! `osn train`: one run.

use osn_recipes::run::checkpoint::schedule::Checkpoints;
use osn_recipes::run::observer::Observer;
use osn_recipes::run::request::TrainRequest;

use crate::command_line::shell::program;
use crate::failure::Failure;
use crate::training::args::TrainArgs;
use crate::training::ending;
use crate::training::observed::{TrainOutputs, observed};
use crate::training::shell::command_line;

/// The rule that constrains nothing.
const NEVER: &str = "never";

/// Trains a recipe.
pub(crate) fn run(args: &TrainArgs) -> Result<u8, Failure> {
    let first = |seat| {
        let outputs = TrainOutputs { is_new: true, open: args.open, tensorboard: args.tensorboard };
        let train =
            |observer: &mut dyn Observer| osn_recipes::train_with(seat, &request(args), observer);
        let (summary, stop) = observed(outputs, train)?;
        ending::conclude(&summary, &stop, || next_command(args, &program()))
    };
    let other = |seat, observer: &mut dyn Observer| {
        osn_recipes::train_with(seat, &request(args), observer)?;
        Ok(())
    };
    args.workers.unwrap_or_default().run(first, other)
}

/// The request of these arguments.
pub(crate) fn request(args: &TrainArgs) -> TrainRequest {
    TrainRequest {
        recipe: args.recipe.clone(),
        preset: args.preset.clone(),
        decide: args.decide.clone(),
        data: args.data.clone(),
        seed: args.seed,
        settings: args.settings.clone(),
        out: args.out.clone(),
        device: args.device.clone(),
        checkpoints: Checkpoints { every: args.checkpoint_every, keep: args.keep_checkpoints },
        ..TrainRequest::default()
    }
}

/// The run to compare with this one: the same without constraints, or after that one the same with the
/// recipe's own rule.
fn next_command(args: &TrainArgs, program: &str) -> String {
    let (decide, what) = if args.decide.as_deref() == Some(NEVER) {
        (None, "the same run with the recipe's own rule")
    } else {
        (Some(NEVER), "the same run without constraints")
    };
    let next = TrainArgs { decide: decide.map(str::to_owned), ..args.clone() };
    format!("{what}, to compare\n  {program} {}", command_line(&next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_keeps_what_was_asked_for() {
        let args = TrainArgs {
            decide: Some("always".into()),
            data: Some("my images".into()),
            seed: 7,
            settings: vec![("steps".into(), "10".into())],
            ..TrainArgs::default()
        };
        let next = next_command(&args, "osn");
        let expected = "osn train gan --decide never --data 'my images' --seed 7 --set steps=10";
        assert_eq!(next.lines().last().unwrap().trim(), expected);
    }

    #[test]
    fn after_never_comes_the_default_rule() {
        let args = TrainArgs { decide: Some("never".into()), ..TrainArgs::default() };
        assert!(next_command(&args, "osn").ends_with("\n  osn train gan"));
    }
}
