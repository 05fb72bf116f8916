//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use osn_recipes::run::checkpoint::schedule::Checkpoints;

use crate::command_line::values::{self, Seeds};

/// Trains networks with spectral normalization that a rule decides for each layer at each step.
///
/// Without a command it runs `osn train`: the quick preset of the recipe gan.
#[derive(Debug, Parser)]
#[command(name = "osn", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a recipe; the run goes into a folder of its own.
    Train(TrainArgs),
    /// Resume a stopped or killed run; the result is bit for bit that of an uninterrupted one.
    Resume(ResumeArgs),
    /// Train every rule in every regime with every seed, and say which rule is best.
    Compare(CompareArgs),
    /// Show a running run in the browser.
    Watch(WatchArgs),
    /// Write runs and studies as one self-contained HTML page.
    Report(ReportArgs),
    /// Print the largest singular value σ of every weight of a checkpoint, enclosed in an interval.
    Inspect(InspectArgs),
    /// Write a checkpoint whose weights are normalized to a given σ.
    Normalize(NormalizeArgs),
    /// List the rules, check a rules file, or explain the decisions of a run.
    Decide {
        #[command(subcommand)]
        command: Option<DecideCommand>,
    },
    /// List the settings of a recipe, with defaults and meanings.
    Settings(SettingsArgs),
    /// List the data sets, or import one.
    Data {
        #[command(subcommand)]
        command: Option<DataCommand>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DecideCommand {
    /// List the rules, with their parameters and defaults.
    List {
        /// Print one JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// Check a rules file: print its rules, or which line is wrong.
    Check {
        /// The rules file, in TOML.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the decision in force for each layer of a run at a step, and its reason.
    Why {
        /// The run's folder.
        #[arg(value_name = "RUN")]
        run: PathBuf,
        /// The step [default: the last]
        #[arg(value_name = "STEP", allow_negative_numbers = true, value_parser = values::whole("a step", 0, Some(u64::MAX)))]
        step: Option<u64>,
    },
    /// Print the `random` rule that constrains layers for as large a share of the steps as a run did: its
    /// control arm.
    Like {
        /// The run's folder.
        #[arg(value_name = "RUN")]
        run: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// List the data sets.
    List,
    /// Convert published data into a data set of osn.
    Import(ImportArgs),
}

/// Arguments of `osn data import`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    /// The data to import.
    #[arg(value_name = "WHAT")]
    pub(crate) what: Importable,
    /// The unpacked npm package openmoji: the folder that holds black and color.
    #[arg(value_name = "DIR")]
    pub(crate) package: PathBuf,
    /// The folder to write the pairs to.
    #[arg(long, value_name = "OUT", default_value = osn_recipes::data::openmoji::FOLDER)]
    pub(crate) out: PathBuf,
    /// Width and height of the pictures in pixels, 8 to 256.
    #[arg(long, value_name = "N", default_value_t = 32, allow_negative_numbers = true, value_parser = values::whole("a side", 8_u32, Some(256)))]
    pub(crate) size: u32,
}

/// Data that `osn data import` can convert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Importable {
    /// Emoji as line art and in colour.
    Openmoji,
}

/// Arguments of `osn train`. The recipe checks the names.
#[derive(Clone, Debug, Args)]
pub(crate) struct TrainArgs {
    /// The recipe to train.
    #[arg(value_name = "RECIPE", default_value = DEFAULT_RECIPE)]
    pub(crate) recipe: String,
    /// The rule that decides for each layer (see `osn decide list`), for example always:target=2, or
    /// a rules file. @VIEW behind it says as which map weights are measured: always@bidirectional.
    #[arg(long, value_name = "RULE|FILE")]
    pub(crate) decide: Option<String>,
    /// The preset of the settings.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// A data set (see `osn data`) or a folder of images or recordings.
    #[arg(long, value_name = "NAME|DIR")]
    pub(crate) data: Option<String>,
    /// The seed of all random numbers.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED, allow_negative_numbers = true, value_parser = values::whole("a seed", 0, Some(u64::MAX)))]
    pub(crate) seed: u64,
    /// Change a setting, for example steps=500; repeatable. `osn settings RECIPE` lists them.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = values::setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// The folder in which the folder of the run is created.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_OUT)]
    pub(crate) out: PathBuf,
    /// The device to train on.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Show the run in the browser while it trains.
    #[arg(long)]
    pub(crate) open: bool,
    /// Also write an event file for TensorBoard into the run's folder.
    #[arg(long)]
    pub(crate) tensorboard: bool,
    /// Steps between checkpoints [default: one before each scoring, and one a minute]. There is
    /// always one at the end.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::whole("a number of steps", 1, Some(u64::MAX)))]
    pub(crate) checkpoint_every: Option<u64>,
    /// Number of checkpoints to keep, the newest ones; 0 writes none.
    #[arg(long, value_name = "N", default_value_t = Checkpoints::default().keep, allow_negative_numbers = true, value_parser = values::whole("a number of checkpoints", 0_usize, None))]
    pub(crate) keep_checkpoints: usize,
}

/// Arguments of `osn resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Show the run in the browser while it trains.
    #[arg(long)]
    pub(crate) open: bool,
}

/// Arguments of `osn compare`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    /// The recipe to train.
    #[arg(value_name = "RECIPE", default_value = DEFAULT_RECIPE)]
    pub(crate) recipe: String,
    /// The rules or rules files to compare; the first is compared with each other one [default: the
    /// recipe's own rule, always, never]
    #[arg(long, value_name = "A,B,…")]
    pub(crate) decide: Vec<String>,
    /// The seeds that every rule trains with: 1 to N, or A to B.
    #[arg(long, value_name = "N|A-B", default_value = "5", allow_negative_numbers = true, value_parser = values::seeds)]
    pub(crate) seeds: Seeds,
    /// Number of runs at once [default: half the cores]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::whole("a number of runs at once", 1_usize, None))]
    pub(crate) jobs: Option<usize>,
    /// The preset of the settings.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Change a setting of every run, for example steps=500; repeatable. `osn settings RECIPE` lists
    /// them.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = values::setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// A data set (see `osn data`) or a folder of images or recordings.
    #[arg(long, value_name = "NAME|DIR")]
    pub(crate) data: Option<String>,
    /// The device to train on.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// A TOML file of regimes, each a [[regime]] with a name and a table `set` of settings; every rule
    /// trains in every regime.
    #[arg(long, value_name = "FILE")]
    pub(crate) regime: Option<PathBuf>,
    /// The folder of the study; runs that are in it are not run again [default: studies/RECIPE]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Explain the numbers below the tables.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Print the analysis as one JSON object instead.
    #[arg(long, conflicts_with = "explain")]
    pub(crate) json: bool,
}

/// Arguments of `osn settings`.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// The recipe.
    #[arg(value_name = "RECIPE", default_value = DEFAULT_RECIPE)]
    pub(crate) recipe: String,
    /// Print the defaults of this preset only.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Print one JSON object instead.
    #[arg(long)]
    pub(crate) json: bool,
}

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

/// Arguments of `osn watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
}

/// Arguments of `osn report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folders of runs and of studies.
    #[arg(value_name = "RUN|STUDY", required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// The page to write [default for one folder: report.html in it]
    #[arg(short, long, value_name = "FILE.html")]
    pub(crate) output: Option<PathBuf>,
}

/// Which weights to measure, and as which map.
#[derive(Clone, Debug, Args)]
pub(crate) struct WeightArgs {
    /// Measure only the tensors whose name this glob matches, for example '**.query.weight';
    /// repeatable. '*' does not match a full stop, '**' does.
    #[arg(long, value_name = "GLOB")]
    pub(crate) select: Vec<String>,
    /// The map that a weight is measured as: matrix, reshaped, bidirectional, operator or
    /// blocks:axis=0,count=3. operator is the convolution itself, and takes
    /// stride=2,padding=1,dilation=1,groups=1,boundary=circular.
    #[arg(long, value_name = "VIEW", default_value = "reshaped")]
    pub(crate) view: String,
    /// The input size of --view operator, for example 28,28.
    #[arg(long, value_name = "H,W", value_delimiter = ',', allow_negative_numbers = true, value_parser = values::whole("a size", 1_usize, None))]
    pub(crate) input_size: Vec<usize>,
    /// The axis of the outputs in a weight; 1 for PyTorch's transposed convolutions [default: that of
    /// the stored u and v, else 0]
    #[arg(long, value_name = "AXIS", allow_negative_numbers = true, value_parser = values::whole("an axis", 0_usize, None))]
    pub(crate) output_axis: Option<usize>,
    /// The largest relative width of an interval [default: 1e-6]
    #[arg(long, value_name = "WIDTH", allow_negative_numbers = true, value_parser = values::tolerance)]
    pub(crate) tolerance: Option<f64>,
}

/// Arguments of `osn inspect`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InspectArgs {
    /// A checkpoint: safetensors, *.safetensors.index.json with its shards, a file that PyTorch saved,
    /// or a folder that holds one of these.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Print one JSON object instead.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also print the K largest singular values of each weight.
    #[arg(long, value_name = "K", default_value_t = 0, allow_negative_numbers = true, value_parser = values::whole("a number of singular values", 0_usize, None))]
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

/// Arguments of `osn normalize`.
#[derive(Clone, Debug, Args)]
pub(crate) struct NormalizeArgs {
    /// The checkpoint to read.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The safetensors file to write.
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// The σ that weights get.
    #[arg(long, value_name = "C", allow_negative_numbers = true, value_parser = values::target)]
    pub(crate) target: f64,
    /// Normalize every weight, or only those whose σ is above the target.
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
    /// σ becomes the target where it is larger.
    Cap,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
}
