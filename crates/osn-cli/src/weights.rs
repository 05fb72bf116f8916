//! What `osn inspect` and `osn normalize` share: which weights are meant, and the progress bar.

use osn_checkpoint::{Checkpoint, MeasureParams, Tensor};
use osn_core::{Globs, IntervalParams, View};

use crate::args::WeightArgs;
use crate::display::Work;
use crate::failure::Failure;
use crate::harmless::harmless;

/// Work on fewer bytes than this is over before a bar could be read.
const BYTES_WORTH_A_BAR: u64 = 64 << 20;

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
    work: Work,
    /// Bytes.
    done: u64,
    all: u64,
    /// Those of the tensor that is being read.
    now: u64,
}

impl Progress {
    pub(crate) fn over<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        let tensors = checkpoints.into_iter().flat_map(Checkpoint::tensors);
        let all = tensors.map(bytes).sum();
        Self { work: Work::begin(all >= BYTES_WORTH_A_BAR), done: 0, all, now: 0 }
    }

    /// The tensor is next; the one before it is done.
    pub(crate) fn next(&mut self, tensor: &Tensor) {
        self.done += self.now;
        self.now = bytes(tensor);
        let count = format!("{}/{} MiB", self.done >> 20, self.all >> 20);
        self.work.show((self.done, self.all), count, harmless(tensor.name()));
    }
}

fn bytes(tensor: &Tensor) -> u64 {
    tensor.byte_count() as u64
}
