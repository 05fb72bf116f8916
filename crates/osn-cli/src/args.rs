//! The command line.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use osn_recipes::run::checkpoint::schedule::Checkpoints;

use crate::failure::Failure;
use crate::stdout;
use crate::usage;

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
    /// Go on with a stopped or killed run, to the same bits as if it had never stopped.
    Resume(ResumeArgs),
    /// Train every rule in every regime with every seed, and say which is better.
    Compare(CompareArgs),
    /// Show a run in the browser while it goes on.
    Watch(WatchArgs),
    /// Turn runs and studies into one self-contained HTML page.
    Report(ReportArgs),
    /// Measure the spectra of checkpoints.
    Inspect(InspectArgs),
    /// Write a checkpoint with effective weights.
    Normalize(NormalizeArgs),
    /// Explain the rules, or check a file of them.
    Decide {
        #[command(subcommand)]
        command: Option<DecideCommand>,
    },
    /// List what can be set in a recipe, with defaults and meanings.
    Settings(SettingsArgs),
    /// Show what data is there and where it came from.
    Data {
        #[command(subcommand)]
        command: Option<DataCommand>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DecideCommand {
    /// Say what every rule does, with its parameters and their defaults.
    List {
        /// Print one JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// Say how a rules file is understood, or which line is wrong.
    Check {
        /// The rules file, in TOML.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Say what stood for each layer of a run at a step, and why.
    Why {
        /// The run's folder.
        #[arg(value_name = "RUN")]
        run: PathBuf,
        /// The step; the last one where it is left out.
        #[arg(value_name = "STEP", allow_negative_numbers = true, value_parser = whole("a step", 0..=u64::MAX))]
        step: Option<u64>,
    },
    /// Print the rule `random` that holds layers as much as a run did, as its control arm.
    Like {
        /// The run's folder.
        #[arg(value_name = "RUN")]
        run: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// List the data sets that have a name.
    List,
    /// Make data for osn from what others publish.
    Import(ImportArgs),
}

/// What to import, from where, to where.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    /// What is published.
    #[arg(value_name = "WHAT")]
    pub(crate) what: Importable,
    /// The folder of the unpacked npm package, which holds black and color.
    #[arg(value_name = "DIR")]
    pub(crate) package: PathBuf,
    /// The folder to write the pairs to.
    #[arg(long, value_name = "OUT", default_value = osn_recipes::data::openmoji::FOLDER)]
    pub(crate) out: PathBuf,
    /// The width and height of the pictures in pixels, from 8 to 256.
    #[arg(long, value_name = "N", default_value_t = 32, allow_negative_numbers = true, value_parser = side)]
    pub(crate) size: u32,
}

/// What `osn data import` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Importable {
    /// Emoji as line art and in colour.
    Openmoji,
}

/// What to train. Names are checked by the recipe, which knows them.
#[derive(Clone, Debug, Args)]
pub(crate) struct TrainArgs {
    /// What to train.
    #[arg(value_name = "RECIPE", default_value = DEFAULT_RECIPE)]
    pub(crate) recipe: String,
    /// What decides how each layer is held: a rule (see `osn decide list`), for example
    /// always:target=2, or a file of rules; behind it, what weights are seen as: always@bidirectional.
    #[arg(long, value_name = "RULE|FILE")]
    pub(crate) decide: Option<String>,
    /// The size of the run.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// A data set (see `osn data`) or a folder of images.
    #[arg(long, value_name = "NAME|DIR")]
    pub(crate) data: Option<String>,
    /// The seed of everything random.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED, allow_negative_numbers = true, value_parser = whole("a seed", 0..=u64::MAX))]
    pub(crate) seed: u64,
    /// Change one setting, for example steps=500; repeatable. `osn settings RECIPE` lists them all.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// The folder that the run's own folder is created in.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_OUT)]
    pub(crate) out: PathBuf,
    /// The device to train on.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Show the run in the browser while it goes on.
    #[arg(long)]
    pub(crate) open: bool,
    /// Also write an event file for TensorBoard into the run's folder.
    #[arg(long)]
    pub(crate) tensorboard: bool,
    /// Steps between two checkpoints; one before each scoring and one a minute where it is left out.
    /// There is always one at the end.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole("a number of steps", 1..=u64::MAX))]
    pub(crate) checkpoint_every: Option<u64>,
    /// How many of the last checkpoints to keep; 0 writes none.
    #[arg(long, value_name = "N", default_value_t = Checkpoints::default().keep, allow_negative_numbers = true, value_parser = count("a number of checkpoints", 0))]
    pub(crate) keep_checkpoints: usize,
}

/// Which run to go on with.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Show the run in the browser while it goes on.
    #[arg(long)]
    pub(crate) open: bool,
}

/// What to compare.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    /// What to train.
    #[arg(value_name = "RECIPE", default_value = DEFAULT_RECIPE)]
    pub(crate) recipe: String,
    /// The rules, or files of rules, to compare; the first is compared with each of the others. The
    /// recipe's own, always and never where it is left out.
    #[arg(long, value_name = "A,B,…")]
    pub(crate) decide: Vec<String>,
    /// How many seeds, from 1 on; the same for every rule.
    #[arg(long, value_name = "N", default_value_t = 5, allow_negative_numbers = true, value_parser = whole("a number of seeds", 1..=MAX_SEEDS))]
    pub(crate) seeds: u64,
    /// How many runs at once; half the cores where it is left out.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count("a number of runs at once", 1))]
    pub(crate) jobs: Option<usize>,
    /// The size of the runs.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Change one setting of every run, for example steps=500; repeatable. `osn settings RECIPE` lists
    /// them all.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// A data set (see `osn data`) or a folder of images.
    #[arg(long, value_name = "NAME|DIR")]
    pub(crate) data: Option<String>,
    /// The device to train on.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// A TOML file of regimes, each [[regime]] with a name and a set of settings; every rule is run in
    /// each.
    #[arg(long, value_name = "FILE")]
    pub(crate) regime: Option<PathBuf>,
    /// The study's folder; runs that are there already are not run again. studies/RECIPE where it is
    /// left out.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print what the numbers say as one JSON object instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to list the settings of.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// The recipe.
    #[arg(value_name = "RECIPE", default_value = DEFAULT_RECIPE)]
    pub(crate) recipe: String,
    /// Show the defaults of this preset only.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Print one JSON object instead.
    #[arg(long)]
    pub(crate) json: bool,
}

/// More than anybody waits for, and few enough to count.
const MAX_SEEDS: u64 = 1000;

pub(crate) const DEFAULT_RECIPE: &str = "gan";
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
            open: false,
            tensorboard: false,
            checkpoint_every: None,
            keep_checkpoints: Checkpoints::default().keep,
        }
    }
}

/// Which run to watch.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
}

/// Which runs and studies to show, and where.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folders of runs and of studies.
    #[arg(value_name = "RUN|STUDY", required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// The page to write; for one folder its own report.html is the default.
    #[arg(short, long, value_name = "FILE.html")]
    pub(crate) output: Option<PathBuf>,
}

/// Which weights to measure, and as what.
#[derive(Clone, Debug, Args)]
pub(crate) struct WeightArgs {
    /// Take the tensors whose name this glob matches, for example '**.query.weight'; repeatable. '*'
    /// stops at a full stop, '**' does not.
    #[arg(long, value_name = "GLOB")]
    pub(crate) select: Vec<String>,
    /// What a weight is seen as: matrix, reshaped, bidirectional, operator or
    /// blocks:axis=0,count=3; operator takes stride=2,padding=1,dilation=1,groups=1,
    /// boundary=circular.
    #[arg(long, value_name = "VIEW", default_value = "reshaped")]
    pub(crate) view: String,
    /// The size of the input of the operator view, one number a dimension, for example 28,28.
    #[arg(long, value_name = "H,W", value_delimiter = ',', allow_negative_numbers = true, value_parser = count("a size", 1))]
    pub(crate) input_size: Vec<usize>,
    /// The axis that a weight's outputs run along, 1 for PyTorch's transposed convolutions; where it is
    /// left out, the one that stored u and v are for, or else 0.
    #[arg(long, value_name = "AXIS", allow_negative_numbers = true, value_parser = count("an axis", 0))]
    pub(crate) output_axis: Option<usize>,
    /// The relative width that an interval may have.
    #[arg(long, value_name = "WIDTH", default_value_t = 1e-6, allow_negative_numbers = true, value_parser = tolerance)]
    pub(crate) tolerance: f64,
}

/// Which checkpoints to measure, and how to show it.
#[derive(Clone, Debug, Args)]
pub(crate) struct InspectArgs {
    /// safetensors, a *.safetensors.index.json with its shards, what PyTorch saved, or a folder with one
    /// of these.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also find the K largest singular values of each weight.
    #[arg(long, value_name = "K", default_value_t = 0, allow_negative_numbers = true, value_parser = count("a number of singular values", 0))]
    pub(crate) top: usize,
    /// The order of the table.
    #[arg(long, value_name = "COLUMN", default_value = "sigma", conflicts_with = "json")]
    pub(crate) sort: Column,
    #[command(flatten)]
    pub(crate) weights: WeightArgs,
}

/// A column that the table of `osn inspect` can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// The largest first.
    Sigma,
    /// The lowest first.
    StableRank,
    /// The largest first.
    Frobenius,
    /// As in the file.
    File,
}

/// What to write where.
#[derive(Clone, Debug, Args)]
pub(crate) struct NormalizeArgs {
    /// The checkpoint to read.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The safetensors file to write.
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// The σ to bring weights to.
    #[arg(long, value_name = "C", allow_negative_numbers = true, value_parser = target)]
    pub(crate) target: f64,
    /// Bring every weight to the target, or only those above it.
    #[arg(long, value_name = "MODE", default_value = "normalize")]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) weights: WeightArgs,
}

/// What `osn normalize` does to a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// σ becomes the target.
    Normalize,
    /// σ becomes the target where it is above it.
    Cap,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(width) if width > 0.0 && width < 1.0 => Ok(width),
        _ => Err("a width is a number between 0 and 1, for example 1e-6".to_owned()),
    }
}

fn target(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "a target is a positive number, for example 1".to_owned())
}

fn side(text: &str) -> Result<u32, String> {
    let side = whole("a side", 8..=256)(text)?;
    u32::try_from(side).map_err(|error| error.to_string())
}

/// Reads whole numbers of a range; what they are is said where they are none.
fn whole(
    what: &'static str,
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("{what} is a whole number from {} to {}", range.start(), range.end())),
    }
}

/// The same of counts and places, which have no end.
fn count(
    what: &'static str,
    least: usize,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(count) if count >= least => Ok(count),
        _ => Err(format!("{what} is a whole number from {least} up")),
    }
}

/// Reads the command line; prints help and the version where they are asked for.
pub(crate) fn parse() -> Result<Option<Command>, Failure> {
    let command = Cli::command().mut_subcommand("train", |train| train.after_help(names()));
    let parsed = command.try_get_matches().and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli.command, matches))
    });
    match parsed {
        Ok((command, matches)) => {
            usage::refuse_idle(command.as_ref(), &matches)?;
            Ok(command)
        }
        Err(error) if is_answer(&error) => {
            stdout::delivered(error.print())?;
            process::exit(0)
        }
        Err(error) => Err(Failure::bad_input(usage::refusal(&error, &Cli::command()))),
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
    let devices = osn_recipes::device::DEVICES.join(", ");
    format!(
        "Recipes, the default names first:\n{}\nDevices: {devices}\n\
         Settings, with defaults and meanings: osn settings RECIPE",
        recipes.join("\n")
    )
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
    fn a_number_out_of_its_range_is_told_the_range() {
        let seeds = whole("a number of seeds", 1..=9);
        assert_eq!(seeds("9"), Ok(9));
        for bad in ["0", "10", "-1", "abc", "1.5", "", "99999999999999999999999"] {
            assert_eq!(seeds(bad).unwrap_err(), "a number of seeds is a whole number from 1 to 9");
        }
        assert_eq!(count("an axis", 0)("3"), Ok(3));
        assert!(
            count("an axis", 0)("-1")
                .unwrap_err()
                .starts_with("an axis is a whole number from 0 up")
        );
        assert!(target("x").is_err() && target("-1").is_ok_and(|it| it == -1.0));
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_and_be_empty() {
        assert_eq!(setting("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(setting("a="), Ok(("a".into(), String::new())));
        assert!(setting("=1").is_err() && setting("steps").is_err());
    }
}
