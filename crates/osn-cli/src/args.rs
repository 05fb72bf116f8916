//! The command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::failure::Failure;

/// Trains networks with spectral normalization that is decided for each layer at each step.
///
/// Without a command it runs the quick preset of the first recipe: `osn train`.
#[derive(Debug, Parser)]
#[command(name = "osn", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a recipe and write its run.
    Train(TrainArgs),
    /// Turn runs into one self-contained HTML page.
    Report(ReportArgs),
    /// Show what data is there and where it came from.
    Data {
        #[command(subcommand)]
        command: Option<DataCommand>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// List the data sets that have a name.
    List,
}

/// What to train. Names are checked by the recipe, which knows them.
#[derive(Clone, Debug, Args)]
pub(crate) struct TrainArgs {
    /// What to train.
    #[arg(value_name = "RECIPE", default_value = DEFAULT_RECIPE)]
    pub(crate) recipe: String,
    /// The rule that decides how each layer is held, for example always:target=2.
    #[arg(long, value_name = "RULE")]
    pub(crate) decide: Option<String>,
    /// The size of the run.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// A data set (see `osn data`) or a folder of images.
    #[arg(long, value_name = "NAME|DIR")]
    pub(crate) data: Option<String>,
    /// The seed of everything random.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Change one value of the config, for example steps=500; repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// The folder that the run's own folder is created in.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_OUT)]
    pub(crate) out: PathBuf,
    /// The device to train on.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

const DEFAULT_RECIPE: &str = "gan";
pub(crate) const DEFAULT_SEED: u64 = 1;
pub(crate) const DEFAULT_OUT: &str = "runs";

impl Default for TrainArgs {
    fn default() -> Self {
        Self {
            recipe: DEFAULT_RECIPE.to_owned(),
            decide: None,
            preset: None,
            data: None,
            seed: DEFAULT_SEED,
            settings: Vec::new(),
            out: PathBuf::from(DEFAULT_OUT),
            device: None,
        }
    }
}

/// Which runs to show, and where.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folders of runs.
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The page to write; for one run its own report.html is the default.
    #[arg(short, long, value_name = "FILE.html")]
    pub(crate) output: Option<PathBuf>,
}

/// Reads the command line; prints help and the version where they are asked for.
pub(crate) fn parse() -> Result<Option<Command>, Failure> {
    let command = Cli::command().mut_subcommand("train", |train| train.after_help(names()));
    let parsed = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => Ok(cli.command),
        Err(error) if is_answer(&error) => error.exit(),
        Err(error) => Err(Failure::bad_input(bad_usage(&error))),
    }
}

fn is_answer(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// The names that `osn train` knows, as the end of its help.
fn names() -> String {
    let recipes = osn_recipes::recipes().into_iter().map(|recipe| {
        let (presets, decides) = (recipe.presets.join(", "), recipe.decides.join(", "));
        format!("  {}: {}\n    presets: {presets}\n    rules: {decides}", recipe.name, recipe.about)
    });
    let recipes: Vec<_> = recipes.collect();
    let devices = osn_recipes::DEVICES.join(", ");
    format!("Recipes, the default names first:\n{}\nDevices: {devices}", recipes.join("\n"))
}

/// What clap says in several paragraphs, without the usage that `--help` shows better.
fn bad_usage(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.split("\nUsage:").next().unwrap_or_default();
    let text = text.split("\nFor more information").next().unwrap_or_default();
    let text = text.trim_start_matches("error: ").trim_end();
    let commands = match error.kind() {
        ErrorKind::InvalidSubcommand => format!("\nvalid: {}", commands().join(", ")),
        _ => String::new(),
    };
    format!("{text}{commands}\nsee 'osn --help'")
}

fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a setting is written KEY=VALUE, for example steps=500".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_arguments_are_the_same_as_train_alone() {
        let parsed = Cli::try_parse_from(["osn", "train"]).unwrap();
        let Some(Command::Train(args)) = parsed.command else { panic!("not train") };
        assert_eq!(format!("{args:?}"), format!("{:?}", TrainArgs::default()));
        assert!(Cli::try_parse_from(["osn"]).unwrap().command.is_none());
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_and_be_empty() {
        assert_eq!(setting("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(setting("a="), Ok(("a".into(), String::new())));
        assert!(setting("=1").is_err() && setting("steps").is_err());
    }
}
