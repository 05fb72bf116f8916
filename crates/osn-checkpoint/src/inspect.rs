//! What is known of every tensor of some checkpoints, as one object.

use osn_core::{Globs, Interval, View, ln_lipschitz_product};
use rayon::prelude::*;
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::held::{Held, TripletError, Writer, held};
use crate::measure::{MeasureParams, Measurement, measure};
use crate::tensor::Tensor;

/// What `osn inspect --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The version of the fields' meaning.
    pub schema: u32,
    /// The tensors that were measured, each block of one by itself.
    pub tensors: Vec<Measured>,
    /// The others, and why.
    pub skipped: Vec<Skipped>,
}

/// One measured tensor, or one block of it.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The file that the elements are in.
    pub file: String,
    /// The tensor's name.
    pub name: String,
    /// Which block of it this is, from 0, where it was cut into several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
    /// The shape of the tensor, or of the block.
    pub shape: Vec<usize>,
    /// The type of its elements, as safetensors names it.
    pub dtype: &'static str,
    /// What it was seen as.
    pub view: String,
    /// The axis that its outputs run along.
    pub output_axis: usize,
    /// The largest singular value, in an interval that holds the true one.
    pub sigma: Interval,
    /// The Frobenius norm of the entries.
    pub frobenius: f64,
    /// `‖W‖²_F/σ²`; none for a convolution as an operator, whose map has more entries.
    pub stable_rank: Option<f64>,
    /// The largest singular values, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leading: Vec<f64>,
    /// What the checkpoint itself holds of this weight's spectral normalization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// The singular vectors that a checkpoint holds of a weight, judged by the weight.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// Who wrote them.
    pub writer: &'static str,
    /// uᵀ W v, by which the weight is divided where it is used; none where it cannot be had.
    pub sigma: Option<f64>,
    /// How far that lies below σ, as a part of σ.
    pub shortfall: Option<f64>,
    /// Whether the vectors are the leading ones, to the accuracy that training needs.
    pub is_good: bool,
    /// The same in words.
    pub verdict: String,
}

/// A tensor that was not measured.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    /// The file that it is in.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Whether the file is at fault: an entry is not finite, or cannot be read.
    #[serde(skip)]
    pub is_bad: bool,
}

/// What all measured tensors come to together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Totals {
    /// How many were measured.
    pub count: usize,
    /// Their elements.
    pub parameters: usize,
    /// log₁₀ of the product of the upper ends of all σ.
    pub log10_lipschitz_product: f64,
    /// The median of the stable ranks.
    pub median_stable_rank: Option<f64>,
}

/// The axis that stored vectors are for and uᵀ W v, or why there is none.
type Place = Result<(usize, f64), TripletError>;

/// Elements of tensors that are measured side by side, in bytes of f32.
const BATCH_BYTES: usize = 32 << 20;

/// Stored vectors are good where what they see of σ is this close to it.
const GOOD_SHORTFALL: f64 = 0.01;

impl Default for Inspection {
    fn default() -> Self {
        Self { schema: 1, tensors: Vec::new(), skipped: Vec::new() }
    }
}

impl Inspection {
    /// Measures every tensor of `checkpoint` that `select` matches; an empty `select` matches all but
    /// the state of an optimizer. Large tensors are measured one after the other, each by all cores,
    /// and small ones some at a time. `before` is called before each.
    ///
    /// Nothing is dropped: a tensor that is not measured is listed with the reason. A weight whose
    /// singular vectors the checkpoint holds is seen along the axis that they are for.
    pub fn add(
        &mut self,
        checkpoint: &Checkpoint,
        select: &Globs,
        params: &MeasureParams,
        mut before: impl FnMut(&Tensor),
    ) {
        let held = held(checkpoint);
        for batch in batches(checkpoint.tensors()) {
            batch.iter().for_each(&mut before);
            let found: Vec<_> =
                batch.par_iter().map(|tensor| examine(tensor, &held, select, params)).collect();
            for (tensor, found) in batch.iter().zip(found) {
                match found {
                    Examined::Measured { found, place, output_axis } => {
                        let params = MeasureParams { output_axis, ..params.clone() };
                        self.list(tensor, found, place.as_ref(), &params);
                    }
                    Examined::Skipped { reason, is_bad } => self.skip(tensor, reason, is_bad),
                }
            }
        }
    }

    /// The first tensor at which the file is at fault.
    pub fn first_bad(&self) -> Option<&Skipped> {
        self.skipped.iter().find(|skipped| skipped.is_bad)
    }

    /// What the measured tensors come to together.
    pub fn totals(&self) -> Totals {
        let uppers: Vec<f64> = self.tensors.iter().map(|tensor| tensor.sigma.upper).collect();
        let mut ranks: Vec<f64> = self.tensors.iter().filter_map(|it| it.stable_rank).collect();
        ranks.sort_by(f64::total_cmp);
        let elements = |tensor: &Measured| tensor.shape.iter().product::<usize>();
        Totals {
            count: self.tensors.len(),
            parameters: self.tensors.iter().map(elements).sum(),
            log10_lipschitz_product: ln_lipschitz_product(&uppers) / std::f64::consts::LN_10,
            median_stable_rank: ranks.get(ranks.len() / 2).copied(),
        }
    }

    fn list(
        &mut self,
        tensor: &Tensor,
        found: Vec<Measurement>,
        place: Option<&(&Held, Place)>,
        params: &MeasureParams,
    ) {
        let is_cut = matches!(params.view, View::Blocks { .. });
        let is_matrix = matches!(params.view, View::Matrix | View::Reshaped);
        for (block, found) in found.into_iter().enumerate() {
            let judged = place.filter(|_| is_matrix);
            let stored = judged.map(|(held, place)| judge(held, place, found.sigma));
            self.tensors.push(Measured {
                file: tensor.file().to_owned(),
                name: tensor.name().to_owned(),
                block: is_cut.then_some(block),
                shape: found.shape,
                dtype: tensor.dtype().name(),
                view: params.view.to_string(),
                output_axis: params.output_axis,
                sigma: found.sigma,
                frobenius: found.frobenius,
                stable_rank: found.stable_rank,
                leading: found.leading,
                stored,
            });
        }
    }

    fn skip(&mut self, tensor: &Tensor, reason: String, is_bad: bool) {
        let (file, name) = (tensor.file().to_owned(), tensor.name().to_owned());
        self.skipped.push(Skipped { file, name, reason, is_bad });
    }
}

/// What came of one tensor.
enum Examined<'a> {
    Measured { found: Vec<Measurement>, place: Option<(&'a Held, Place)>, output_axis: usize },
    Skipped { reason: String, is_bad: bool },
}

fn examine<'a>(
    tensor: &Tensor,
    held: &'a [Held],
    select: &Globs,
    params: &MeasureParams,
) -> Examined<'a> {
    if let Some(reason) = unwanted(tensor.name(), select) {
        return Examined::Skipped { reason: reason.to_owned(), is_bad: false };
    }
    let held = held.iter().find(|held| held.weight.name() == tensor.name());
    let place = held.map(|held| (held, held.place()));
    let params = at_home(params, place.as_ref().and_then(|(_, place)| place.as_ref().ok()));
    match measure(tensor, &params) {
        Ok(found) => Examined::Measured { found, place, output_axis: params.output_axis },
        Err(error) => Examined::Skipped { reason: error.to_string(), is_bad: error.is_bad_file() },
    }
}

/// Neighbours that are measured side by side: small ones keep several cores busy only together.
///
/// Together they are read into no more memory than a single tensor may be.
fn batches(tensors: &[Tensor]) -> Vec<&[Tensor]> {
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, tensor) in tensors.iter().enumerate() {
        let more = tensor.element_count().saturating_mul(size_of::<f32>());
        if index > start && more.saturating_add(bytes) > BATCH_BYTES {
            batches.push(&tensors[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes = more.saturating_add(bytes);
    }
    if start < tensors.len() {
        batches.push(&tensors[start..]);
    }
    batches
}

/// Why a tensor of this name is not to be measured; `None` where it is.
pub(crate) fn unwanted(name: &str, select: &Globs) -> Option<&'static str> {
    if !select.is_empty() {
        return select.matching(name).is_none().then_some("not selected");
    }
    let mut segments = name.split('.');
    segments.any(is_optimizer_state).then_some("state of an optimizer; --select takes it")
}

/// Training checkpoints keep what Adam and SGD remember of each weight, in its shape, beside it.
fn is_optimizer_state(segment: &str) -> bool {
    const BUFFERS: [&str; 4] = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"];
    segment.starts_with("optimizer") || BUFFERS.contains(&segment)
}

/// The same, along the axis that stored vectors are for, where there are any.
pub(crate) fn at_home(params: &MeasureParams, place: Option<&(usize, f64)>) -> MeasureParams {
    let output_axis = place.map_or(params.output_axis, |&(axis, _)| axis);
    MeasureParams { output_axis, ..params.clone() }
}

/// Holds stored vectors against the weight that they belong to, whose σ lies in `sigma`.
fn judge(held: &Held, place: &Place, sigma: Interval) -> Stored {
    let writer = match held.writer {
        Writer::TorchHook => "torch.nn.utils.spectral_norm",
        Writer::TorchParametrization => "torch.nn.utils.parametrizations.spectral_norm",
        Writer::Osn => "osn",
    };
    match place {
        &Ok((_, value)) => {
            let shortfall = if sigma.upper == 0.0 { 0.0 } else { 1.0 - value / sigma.value };
            let is_good = shortfall.abs() <= GOOD_SHORTFALL;
            let verdict = if is_good {
                format!("stored u, v are good: they see σ to {:.1e}", shortfall.abs())
            } else {
                format!("stored u, v are stale: they see {:.1} % of σ", 100.0 * (1.0 - shortfall))
            };
            Stored { writer, sigma: Some(value), shortfall: Some(shortfall), is_good, verdict }
        }
        Err(reason) => {
            let verdict = format!("stored u, v are unusable: {reason}");
            Stored { writer, sigma: None, shortfall: None, is_good: false, verdict }
        }
    }
}
