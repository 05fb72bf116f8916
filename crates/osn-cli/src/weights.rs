//! What `osn inspect` and `osn normalize` share: which weights are meant, and the progress bar.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use osn_checkpoint::{Checkpoint, MeasureParams, Tensor};
use osn_core::{Globs, IntervalParams, View};

use crate::args::WeightArgs;
use crate::display;
use crate::failure::Failure;
use crate::harmless::harmless;

/// Work on fewer bytes than this is over before a bar could be read.
const BYTES_WORTH_A_BAR: u64 = 64 << 20;
const TICK: Duration = Duration::from_millis(250);
const BAR: &str = "{spinner} {bar:24} {bytes}/{total_bytes}  {eta} left  {wide_msg}";

/// What weights are seen as, from the command line.
pub(crate) fn params(args: &WeightArgs) -> Result<MeasureParams, Failure> {
    Ok(MeasureParams {
        view: view(args)?,
        output_axis: args.output_axis,
        leading: 0,
        interval: IntervalParams { tolerance: args.tolerance, ..IntervalParams::default() },
    })
}

/// The globs of `--select`.
pub(crate) fn select(args: &WeightArgs) -> Result<Globs, Failure> {
    Globs::new(args.select.iter().cloned()).map_err(Failure::bad_input)
}

/// The view, with `--input-size` put into that of the operator.
fn view(args: &WeightArgs) -> Result<View, Failure> {
    let size: Vec<_> = args.input_size.iter().map(usize::to_string).collect();
    let is_operator = args.view == "operator" || args.view.starts_with("operator:");
    let text = match (is_operator, size.is_empty()) {
        (true, false) => {
            let rest = args.view.trim_start_matches("operator").trim_start_matches(':');
            let comma = if rest.is_empty() { "" } else { "," };
            format!("operator:size={}{comma}{rest}", size.join("x"))
        }
        (false, false) => {
            return Err(Failure::bad_input("--input-size goes with --view operator"));
        }
        (true, true) if !args.view.contains("size=") => {
            return Err(Failure::bad_input(
                "--view operator needs --input-size, for example 28,28",
            ));
        }
        (_, true) => args.view.clone(),
    };
    text.parse().map_err(Failure::bad_input)
}

/// Shows how much of some checkpoints is done, on a terminal and where it takes a while.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    before: u64,
}

impl Progress {
    pub(crate) fn over<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        let tensors = checkpoints.into_iter().flat_map(Checkpoint::tensors);
        let total: u64 = tensors.map(bytes).sum();
        let bar = if total < BYTES_WORTH_A_BAR || !display::is_live() {
            ProgressBar::hidden()
        } else {
            let style = ProgressStyle::with_template(BAR);
            let bar = ProgressBar::new(total);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(TICK);
            bar
        };
        Self { bar, before: 0 }
    }

    /// The tensor is next; the one before it is done.
    pub(crate) fn next(&mut self, tensor: &Tensor) {
        self.bar.inc(self.before);
        self.bar.set_message(harmless(tensor.name()));
        self.before = bytes(tensor);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn bytes(tensor: &Tensor) -> u64 {
    tensor.byte_count() as u64
}
