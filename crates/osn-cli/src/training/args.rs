//! The arguments of the commands that train, or are about training.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use osn_recipes::run::checkpoint::schedule::Checkpoints;

use crate::command_line::args::LAST;
use crate::command_line::values::{self, Seeds};
use crate::training::workers::{Crew, crew};

/// The commands that train, or are about training.
#[derive(Debug, Subcommand)]
pub(crate) enum TrainingCommand {
    /// Train a recipe; the run goes into a folder of its own.
    Train(TrainArgs),
    /// Resume a stopped or killed run; the result is bit for bit that of an uninterrupted one.
    Resume(ResumeArgs),
    /// Train every rule in every regime with every seed, and say which rule is best.
    Compare(CompareArgs),
    /// Train a network with a rule and without one, and see what it changes: what osn does without a command.
    Tour(TourArgs),
    /// List the settings of a recipe, with defaults and meanings.
    #[command(display_order = LAST)]
    Settings(SettingsArgs),
    /// List the data sets, or import one.
    #[command(display_order = LAST + 1)]
    Data {
        #[command(subcommand)]
        command: Option<DataCommand>,
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
    /// Who trains: threads=N, N threads of this process, or mpi, the processes that mpirun or srun has started (see
    /// docs/workers.md). Each takes its part of every batch: --set shards=S, with S at least the number of workers.
    /// The result depends on S and not on them.
    #[arg(long, value_name = "mpi|threads=N", value_parser = crew)]
    pub(crate) workers: Option<Crew>,
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
    /// Who trains, as in `osn train`; as many workers as before or others.
    #[arg(long, value_name = "mpi|threads=N", value_parser = crew)]
    pub(crate) workers: Option<Crew>,
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
    /// Number of threads that a run computes with [default: `RAYON_NUM_THREADS`, else the cores over the
    /// number of runs at once]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::whole("a number of threads", 1_usize, None))]
    pub(crate) threads: Option<usize>,
    /// What runs the missing runs: local, this machine; slurm, its array jobs, with options of sbatch
    /// behind a colon (slurm:--partition=cpu,--time=60); print, nothing: the commands for Slurm,
    /// HyperQueue, GNU parallel and Kubernetes are printed.
    #[arg(long, value_name = "NAME", default_value = "local", value_parser = engine)]
    pub(crate) engine: Engine,
    /// Train or resume only the run with this number in the plan that --engine has written; without a
    /// number, that of the scheduler's task. The exit code is 0 once its files tell the outcome, 75 to
    /// try again.
    #[arg(long, value_name = "K", num_args = 0..=1, allow_negative_numbers = true, conflicts_with_all = ["engine", "jobs", "threads", "json", "explain"], value_parser = values::whole("a cell", 0_usize, None))]
    #[allow(clippy::option_option, reason = "without a value it is not the same as absent")]
    pub(crate) cell: Option<Option<usize>>,
    /// The plan of --cell, where there are several.
    #[arg(long, value_name = "ID", requires = "cell")]
    pub(crate) plan: Option<String>,
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

/// Arguments of `osn tour`.
#[derive(Clone, Debug, Args)]
pub(crate) struct TourArgs {
    /// The recipe to train.
    #[arg(value_name = "RECIPE", value_enum, default_value_t)]
    pub(crate) recipe: Toured,
    /// The seed of all random numbers, the same in both runs.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED, allow_negative_numbers = true, value_parser = values::whole("a seed", 0, Some(u64::MAX)))]
    pub(crate) seed: u64,
    /// Change a setting of both runs, for example steps=500; repeatable. `osn settings RECIPE` lists them.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = values::setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// The folder of the comparison; a run that is in it is not run again [default: studies/tour for gan,
    /// studies/tour-nmt for nmt]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

impl Default for TourArgs {
    fn default() -> Self {
        Self { recipe: Toured::default(), seed: DEFAULT_SEED, settings: Vec::new(), out: None }
    }
}

/// The recipes that have a tour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Toured {
    /// A GAN whose discriminator is normalized throughout.
    #[default]
    Gan,
    /// A deep Transformer whose blocks are normalized at first and then let go.
    Nmt,
}

/// What runs the runs of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Processes of this machine.
    Local,
    /// Slurm, with further options of `sbatch`.
    Slurm(Vec<String>),
    /// The user, with the commands that are printed.
    Print,
}

/// Reads an engine: `slurm:--partition=cpu,--nodelist=a,b` has two options.
fn engine(text: &str) -> Result<Engine, String> {
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    match (name, options) {
        ("local", "") => Ok(Engine::Local),
        ("print", "") => Ok(Engine::Print),
        ("slurm", options) => sbatch_options(options).map(Engine::Slurm),
        _ => Err("an engine is local, slurm, slurm:OPTION,… or print".to_owned()),
    }
}

/// Options end at a comma before the next dash: a value may hold commas.
fn sbatch_options(text: &str) -> Result<Vec<String>, String> {
    let mut options: Vec<String> = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        match options.last_mut() {
            _ if part.starts_with('-') => options.push(part.to_owned()),
            Some(option) => option.extend([",", part]),
            None => return Err(format!("an option of sbatch begins with a dash, unlike {part}")),
        }
    }
    Ok(options)
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

impl Default for CompareArgs {
    fn default() -> Self {
        Self {
            recipe: DEFAULT_RECIPE.to_owned(),
            decide: Vec::new(),
            seeds: 1..=5,
            jobs: None,
            threads: None,
            engine: Engine::Local,
            cell: None,
            plan: None,
            preset: None,
            settings: Vec::new(),
            data: None,
            device: None,
            regime: None,
            out: None,
            explain: false,
            json: false,
        }
    }
}

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
            workers: None,
            open: false,
            tensorboard: false,
            checkpoint_every: None,
            keep_checkpoints: Checkpoints::default().keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command_line::args::{Cli, Command};

    #[test]
    fn an_engine_is_a_name_with_options_that_may_hold_commas() {
        assert_eq!(engine("local"), Ok(Engine::Local));
        assert_eq!(engine("slurm"), Ok(Engine::Slurm(Vec::new())));
        let options = ["--partition=cpu", "--nodelist=a,b"].map(str::to_owned).to_vec();
        assert_eq!(engine("slurm:--partition=cpu,--nodelist=a,b"), Ok(Engine::Slurm(options)));
        assert_eq!(engine("slurm:").map(|it| it == Engine::Slurm(Vec::new())), Ok(true));
        for bad in ["", "slurm:partition=cpu", "print:x", "local:--x", "ray"] {
            assert!(engine(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_command_line() {
        let parsed = |words: &[&str]| match Cli::try_parse_from(words).unwrap().command {
            Some(Command::Training(TrainingCommand::Compare(args))) => format!("{args:?}"),
            Some(Command::Training(TrainingCommand::Tour(args))) => format!("{args:?}"),
            _ => panic!("{words:?}"),
        };
        assert_eq!(parsed(&["osn", "compare"]), format!("{:?}", CompareArgs::default()));
        assert_eq!(parsed(&["osn", "tour"]), format!("{:?}", TourArgs::default()));
    }

    #[test]
    fn train_alone_has_the_defaults() {
        let parsed = Cli::try_parse_from(["osn", "train"]).unwrap();
        let Some(Command::Training(TrainingCommand::Train(args))) = parsed.command else {
            panic!("not train")
        };
        assert_eq!(format!("{args:?}"), format!("{:?}", TrainArgs::default()));
        assert!(Cli::try_parse_from(["osn"]).unwrap().command.is_none());
    }
}
