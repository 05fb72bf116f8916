//! `osn train` as it is typed into a shell.

use osn_recipes::run::checkpoint::schedule::Checkpoints;

use crate::command_line::shell::{program, quoted};
use crate::training::args::{CompareArgs, DEFAULT_OUT, DEFAULT_SEED, TrainArgs};

/// The command that trains this.
pub(crate) fn train_command(args: &TrainArgs) -> String {
    format!("{} {}", program(), command_line(args))
}

/// The words behind the program's name that give these arguments.
pub(crate) fn command_line(args: &TrainArgs) -> String {
    let options = options(args).into_iter().map(|(name, value)| match value {
        Some(value) => format!("--{name} {}", quoted(&value)),
        None => format!("--{name}"),
    });
    let words = ["train".to_owned(), quoted(&args.recipe)].into_iter().chain(options);
    words.collect::<Vec<_>>().join(" ")
}

/// The words behind the program's name that ask for the same study, whoever trains it.
pub(crate) fn study_words(args: &CompareArgs) -> Vec<String> {
    let mut words = vec!["compare".to_owned(), args.recipe.clone()];
    let mut option = |name: &str, value: Option<&str>| {
        words.extend(value.map(|value| format!("--{name}={value}")));
    };
    args.decide.iter().for_each(|rules| option("decide", Some(rules)));
    let (first, last) = (args.seeds.start(), args.seeds.end());
    option("seeds", Some(&format!("{first}-{last}")));
    option("preset", args.preset.as_deref());
    for (key, value) in &args.settings {
        option("set", Some(&format!("{key}={value}")));
    }
    option("data", args.data.as_deref());
    option("device", args.device.as_deref());
    option("regime", args.regime.as_ref().map(|it| it.to_string_lossy()).as_deref());
    option("out", args.out.as_ref().map(|it| it.to_string_lossy()).as_deref());
    words
}

/// The options that give these arguments, each with its value, without those at their default.
pub(crate) fn options(args: &TrainArgs) -> Vec<(&'static str, Option<String>)> {
    let mut options = Vec::new();
    let mut option = |name, value: Option<String>| {
        options.extend(value.map(|value| (name, Some(value))));
    };
    option("decide", args.decide.clone());
    option("preset", args.preset.clone());
    option("data", args.data.clone());
    option("device", args.device.clone());
    option("seed", (args.seed != DEFAULT_SEED).then(|| args.seed.to_string()));
    let out = args.out.to_string_lossy();
    option("out", (out != DEFAULT_OUT).then(|| out.into_owned()));
    for (key, value) in &args.settings {
        option("set", Some(format!("{key}={value}")));
    }
    option("checkpoint-every", args.checkpoint_every.map(|steps| steps.to_string()));
    let is_usual = args.keep_checkpoints == Checkpoints::default().keep;
    option("keep-checkpoints", (!is_usual).then(|| args.keep_checkpoints.to_string()));
    options.extend(args.open.then_some(("open", None)));
    options.extend(args.tensorboard.then_some(("tensorboard", None)));
    options
}
