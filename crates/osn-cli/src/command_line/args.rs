//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::command_line::values;
use crate::commands::parts::{self, Part};
#[cfg(feature = "train")]
use crate::training::args::TrainingCommand;

#[cfg_attr(
    feature = "train",
    doc = "Trains networks with spectral normalization that a rule decides for each layer at each step.\n\n\
           Without a command it runs `osn tour`: a GAN twice, with a rule and without one."
)]
#[cfg_attr(
    not(feature = "train"),
    doc = "Measures and normalizes checkpoints, explains the decisions of runs, and shows runs and studies."
)]
#[derive(Debug, Parser)]
#[command(name = "osn", version)]
pub(crate) struct Cli {
    /// Say nothing but errors and results.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "train")]
    #[command(flatten)]
    Training(TrainingCommand),
    /// Show a running run in the browser.
    Watch(WatchArgs),
    /// Write runs and studies as one self-contained HTML page, and print what studies have found.
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
    /// Print what osn was built with and runs on, and test it for some seconds: for reports of faults.
    #[command(display_order = LAST + 2)]
    Doctor,
    /// Print the completions for a shell.
    #[command(display_order = LAST + 3)]
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Write a man page for each command into a folder.
    #[command(display_order = LAST + 4)]
    Man {
        /// The folder, which is made where there is none.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// Where commands that are about osn itself stand in the list of all commands: below the others.
pub(crate) const LAST: usize = 98;

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
    /// Print a rules file that holds each layer from the first step to the last at the mean target that a run
    /// gave it: the control arm for when it decided what.
    Frozen {
        /// The run's folder.
        #[arg(value_name = "RUN")]
        run: PathBuf,
    },
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
    /// Explain the numbers of studies below their tables.
    #[arg(long)]
    pub(crate) explain: bool,
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
    /// Measure only the K-th of N parts of about as many bytes each, for N processes at once; --merge makes
    /// the whole of what they print.
    #[arg(long, value_name = "K/N", requires = "json", value_parser = parts::part)]
    pub(crate) part: Option<Part>,
    /// Merge what all parts have printed into what --json prints of the whole: FILE is one of these files,
    /// in any order.
    #[arg(long, requires = "json", conflicts_with_all = ["part", "top", "select", "view", "input_size", "output_axis", "tolerance"])]
    pub(crate) merge: bool,
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
}
