//! What may be wrong with the command line of a training, and what may have been meant.

use clap::Command as Clap;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use osn_recipes::run::setting_docs::SettingDoc;

use crate::command_line::args::Command;
use crate::training::args::{DEFAULT_RECIPE, TourArgs, TrainArgs, TrainingCommand};

/// The command line with the names of recipes.
pub(crate) fn complete(command: Clap) -> Clap {
    command.mut_subcommand("train", |train| train.after_help(names()))
}

/// The command where none is given.
#[expect(clippy::unnecessary_wraps, reason = "without the feature `train` there is none")]
pub(crate) fn without_command() -> Option<Command> {
    Some(Command::Training(TrainingCommand::Tour(TourArgs::default())))
}

/// The names that `osn train` knows, as the end of its help.
fn names() -> String {
    let recipes = osn_recipes::recipes().into_iter().map(|recipe| {
        let (presets, decides) = (recipe.presets.join(", "), recipe.decides.join(", "));
        format!("  {}: {}\n    presets: {presets}\n    rules: {decides}", recipe.name, recipe.about)
    });
    let recipes: Vec<_> = recipes.collect();
    let devices = osn_recipes::device::DEVICES.join(", ");
    format!(
        "Recipes, each with its default first:\n{}\nDevices: {devices}\n\
         Settings, with defaults and meanings: osn settings RECIPE\n\n\
         While it trains, each layer has a line: σ, the largest singular value of its weight; its target;\n\
         and γ, the elasticity -d ln s / d ln σ of its scale s: 0 is off, 1 is fully normalized.",
        recipes.join("\n")
    )
}

/// What a word that no command takes may stand for: a recipe, or a setting without `--set`.
pub(crate) fn suggestion(error: &clap::Error, path: &[&str], words: &[String]) -> Option<String> {
    let context = |kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.as_str()),
        _ => None,
    };
    match (error.kind(), path) {
        (ErrorKind::InvalidSubcommand, []) => {
            let word = context(ContextKind::InvalidSubcommand)?;
            osn_recipes::recipe(word).ok()?;
            Some(format!("'{word}' is a recipe; train it with: osn train {word}"))
        }
        (ErrorKind::UnknownArgument, ["train" | "compare"]) => {
            as_setting(context(ContextKind::InvalidArg)?, words)
        }
        (ErrorKind::UnknownArgument, ["resume"]) => {
            let word = context(ContextKind::InvalidArg)?;
            let is_of_train = word == "--set" || as_setting(word, words).is_some();
            is_of_train
                .then(|| format!("'{word}' cannot be changed: a resumed run keeps its settings"))
        }
        _ => None,
    }
}

/// `--batch-size 8`, `--batch_size=8` or `batch_size=8` as what is taken: `--set batch_size=8`.
fn as_setting(word: &str, words: &[String]) -> Option<String> {
    let (name, in_word) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, value_of(word, words)),
    };
    let key = name.trim_start_matches('-').replace('-', "_");
    let recipe = recipe_in(words);
    let has_key = |recipe: &str| keys(recipe).contains(&key);
    if has_key(recipe) {
        let value = in_word.unwrap_or("VALUE");
        return Some(format!("'{name}' is a setting: write --set {key}={value}"));
    }
    let names = osn_recipes::recipes().into_iter().map(|recipe| recipe.name);
    let others: Vec<_> = names.filter(|name| has_key(name)).collect();
    let of = others.join(" and ");
    (!others.is_empty()).then(|| format!("'{name}' is a setting of {of}, not of {recipe}"))
}

/// The value of an option: the next word, or what is behind its `=`.
fn value_of<'a>(option: &str, words: &'a [String]) -> Option<&'a str> {
    let place = words.iter().position(|word| {
        word.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })?;
    match words[place].split_once('=') {
        Some((_, value)) => Some(value),
        None => words.get(place + 1).filter(|next| !next.starts_with("--")).map(String::as_str),
    }
}

fn recipe_in(words: &[String]) -> &str {
    let is_recipe = |word: &&String| osn_recipes::recipe(word).is_ok();
    words.iter().find(is_recipe).map_or(DEFAULT_RECIPE, String::as_str)
}

fn keys(recipe: &str) -> Vec<String> {
    let docs: Vec<SettingDoc> = osn_recipes::settings(recipe).unwrap_or_default();
    docs.into_iter().map(|doc| doc.key).collect()
}

/// What is wrong with options of which one has no effect beside another.
pub(crate) fn without_effect(command: &TrainingCommand) -> Option<String> {
    match command {
        TrainingCommand::Train(args) => setting_as_recipe(&args.recipe)
            .or_else(|| idle_checkpoints(args))
            .or_else(|| given_twice(&args.settings)),
        TrainingCommand::Compare(args) => {
            setting_as_recipe(&args.recipe).or_else(|| given_twice(&args.settings))
        }
        _ => None,
    }
}

/// `osn train steps=5`, where the recipe would stand.
fn setting_as_recipe(word: &str) -> Option<String> {
    word.contains('=').then(|| as_setting(word, &[]))?
}

fn idle_checkpoints(args: &TrainArgs) -> Option<String> {
    let is_idle = args.checkpoint_every.is_some() && args.keep_checkpoints == 0;
    is_idle.then(|| {
        "--checkpoint-every has no effect with --keep-checkpoints 0; remove one of them".to_owned()
    })
}

fn given_twice(settings: &[(String, String)]) -> Option<String> {
    let keys: Vec<_> = settings.iter().map(|(key, _)| key).collect();
    let (_, twice) = keys.iter().enumerate().find(|(at, key)| keys[..*at].contains(key))?;
    Some(format!("--set {twice}=… is given twice; remove one of them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_setting_without_set_is_answered_with_how_it_is_written() {
        let suggested = |word: &str, line: &str| as_setting(word, &words(line));
        for (word, line, written) in [
            ("--steps", "train --steps 5", "--set steps=5"),
            ("--steps", "train --steps=5 gan", "--set steps=5"),
            ("--batch-size", "train --batch-size", "--set batch_size=VALUE"),
            ("--ema", "train --ema --open", "--set ema=VALUE"),
            ("steps=5", "train gan steps=5", "--set steps=5"),
            ("--memory", "train control --memory 9", "--set memory=9"),
        ] {
            assert!(suggested(word, line).unwrap().ends_with(written), "{line}");
        }
        assert!(
            suggested("--memory", "train --memory 9").unwrap().ends_with(" of control, not of gan")
        );
        assert_eq!(suggested("--sed", "train --sed 1"), None);
    }

    #[test]
    fn every_setting_of_every_recipe_is_known_without_set() {
        for recipe in osn_recipes::recipes() {
            for key in keys(recipe.name) {
                let option = format!("--{}", key.replace('_', "-"));
                let line = vec![
                    "train".to_owned(),
                    recipe.name.to_owned(),
                    option.clone(),
                    "7".to_owned(),
                ];
                let written = as_setting(&option, &line).unwrap();
                assert!(written.ends_with(&format!("--set {key}=7")), "{written}");
            }
        }
    }
}
