//! Writes a checkpoint whose model has the wanted effective weights.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use half::{bf16, f16};
use osn_core::{Action, Globs, Interval, View};
use osn_files::output::{OutputError, OutputFile};
use serde_json::{Map, Value, json};

use crate::checkpoint::Checkpoint;
use crate::dtype::Dtype;
use crate::effective::Known;
use crate::error::CheckpointError;
use crate::measure::{MeasureError, MeasureParams, Measurement, measure_entries};
use crate::plan::{Entry, Job, Plan};
use crate::tensor::Tensor;
use crate::used::plain;

/// Bytes of an unchanged tensor that are copied at a time.
const COPY_BYTES: usize = 8 << 20;
/// Rounding to the tensor's own type moves σ; this far from the target is near enough.
const NEAR: f64 = 1e-6;
/// How often a scale is corrected for that.
const MAX_CORRECTIONS: usize = 3;
/// Rounding alone never moves σ this far; numbers near the ends of a type's range do.
const FAR: f64 = 1e-2;
/// The key of the note in the file's metadata.
const NOTE: &str = "osn.normalize";
/// The longest header that readers of safetensors take.
const MAX_HEADER: usize = 100_000_000;

/// Which weights to bring where.
#[derive(Clone, Debug)]
pub struct NormalizeParams {
    /// Globs of which one must match the name; empty for every weight that can be measured.
    pub select: Globs,
    /// What σ is meant.
    pub measure: MeasureParams,
    /// What is done to it.
    pub action: Action,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The weights that were brought to their σ.
    pub done: Vec<Normalized>,
    /// What could be taken for a weight and was written as it was, and why.
    pub left: Vec<Named>,
    /// What was not written, and why.
    pub left_out: Vec<Named>,
}

/// A tensor, and what there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Why it is as it is.
    pub reason: String,
}

/// What was done to one weight, or one block of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalized {
    /// The name of the weight in the model.
    pub name: String,
    /// Which block of it, where it was cut.
    pub block: Option<usize>,
    /// σ of the weight in use, as it was.
    pub before: Interval,
    /// σ of the weight in use as it was written, rounding included.
    pub after: Interval,
    /// The factor between the two weights in use.
    pub scale: f64,
    /// How it is stored, where that is not as it was or not as a plain weight.
    pub stored: Option<String>,
}

/// Why no checkpoint was written; what was there before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NormalizeError {
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// No tensor is selected that could be normalized.
    #[error("no tensor is selected that can be normalized ({reason})")]
    NothingSelected {
        /// What is the matter with one that is.
        reason: String,
    },
    /// A selected tensor cannot be measured.
    #[error("tensor {name}: {source}")]
    Tensor {
        /// Its name.
        name: String,
        /// Why not.
        source: MeasureError,
    },
    /// The type of a tensor cannot say what is wanted of it.
    #[error(
        "tensor {name}: its σ of {} cannot become {} in {dtype}, whose numbers go from {} to {}",
        plain(*before), plain(*wanted), plain(limits[0]), plain(limits[1])
    )]
    Range {
        /// Its name.
        name: String,
        /// Its type.
        dtype: Dtype,
        /// σ as it is.
        before: f64,
        /// σ as it is wanted.
        wanted: f64,
        /// The smallest and the largest positive number of the type.
        limits: [f64; 2],
    },
    /// The names and shapes take more than readers of safetensors allow.
    #[error(
        "its names and shapes take {bytes} bytes, more than safetensors allows; write fewer tensors"
    )]
    Header {
        /// How many they take.
        bytes: usize,
    },
    /// A tensor cannot be copied.
    #[error(transparent)]
    Read(#[from] CheckpointError),
}

/// Writes `input` to `output` as safetensors, with each selected weight at its wanted σ *as the model
/// uses it*, and all else byte for byte.
///
/// A weight that its model divides by a spectral norm is written as the plain weight of its module,
/// without the vectors: with them the model would divide again. Of weight norm g is scaled, of a pruned
/// weight the weight and not its mask.
///
/// The metadata is kept and a note of what was done is added under `osn.normalize`. The file appears
/// whole or not at all, and says nothing that the outcome does not: what is no weight is left as it
/// was, and what safetensors has no type for is left out. `before` is called before each tensor.
///
/// # Errors
///
/// [`NormalizeError`]; nothing is then written.
pub fn normalize(
    input: &Checkpoint,
    output: &Path,
    params: &NormalizeParams,
    mut before: impl FnMut(&Tensor),
) -> Result<Outcome, NormalizeError> {
    let files: Vec<_> = input.tensors().iter().map(|tensor| Path::new(tensor.file())).collect();
    let mut file = OutputFile::create(output, &files)?;
    let known = Known::of(input.tensors());
    let Plan { entries, mut outcome } = Plan::of(input, &known, params)?;
    let header = header(input, &entries, params);
    if header.len() > MAX_HEADER {
        return Err(NormalizeError::Header { bytes: header.len() });
    }
    let failed = |source| OutputError::Write { path: output.to_owned(), source };
    let mut writer = BufWriter::new(file.file());
    writer.write_all(&header).map_err(failed)?;
    for entry in &entries {
        before(entry.tensor);
        match entry.changed(params, &mut outcome)? {
            Some(bytes) => writer.write_all(&bytes).map_err(failed)?,
            None => copy(entry.tensor, &mut writer)?.map_err(failed)?,
        }
    }
    if outcome.done.is_empty() {
        let first = outcome.left.first().or(outcome.left_out.first());
        let reason = first.map(|it| format!("{}: {}", it.name, it.reason));
        let reason = reason.unwrap_or_else(|| "no name matches".to_owned());
        return Err(NormalizeError::NothingSelected { reason });
    }
    writer.flush().map_err(failed)?;
    drop(writer);
    file.keep()?;
    Ok(outcome)
}

/// The length and the JSON that a safetensors file begins with.
fn header(input: &Checkpoint, entries: &[Entry<'_>], params: &NormalizeParams) -> Vec<u8> {
    let mut described = Map::new();
    let mut metadata = input.metadata().clone();
    metadata.insert(NOTE.to_owned(), note(params));
    described.insert("__metadata__".to_owned(), json!(metadata));
    let mut start = 0;
    for entry in entries {
        let end = start + entry.tensor.byte_count();
        let (dtype, shape) = (entry.tensor.dtype().name(), entry.tensor.shape());
        let text = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        described.insert(entry.name.clone(), text);
        start = end;
    }
    let mut text = Value::Object(described).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.extend(text);
    header
}

/// What was done, for whoever reads the file later.
fn note(params: &NormalizeParams) -> String {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "action": params.action.to_string(),
        "view": params.measure.view.to_string(),
        "output_axis": params.measure.output_axis,
        "select": params.select.patterns(),
    })
    .to_string()
}

impl Entry<'_> {
    /// Its new bytes; none where it is written as it was.
    fn changed(
        &self,
        params: &NormalizeParams,
        outcome: &mut Outcome,
    ) -> Result<Option<Vec<u8>>, NormalizeError> {
        let Some(job) = &self.job else { return Ok(None) };
        let failed = |source| NormalizeError::Tensor { name: job.weight_name().to_owned(), source };
        let loaded = match job.load(&params.measure) {
            Ok(loaded) => loaded,
            Err(error) if job.is_plain() && !error.is_bad_file() => {
                let (name, reason) = (self.name.clone(), error.to_string());
                outcome.left.push(Named { name, reason });
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let scaled = loaded.scaled(params.action).map_err(failed)?;
        if let Some((before, wanted)) = scaled.missed() {
            let (dtype, limits) = (self.tensor.dtype(), limits(self.tensor.dtype()));
            let name = job.weight_name().to_owned();
            return Err(NormalizeError::Range { name, dtype, before, wanted, limits });
        }
        outcome.done.extend(scaled.notes(job, &loaded));
        Ok(Some(encode(&scaled.entries, self.tensor.dtype())))
    }
}

/// What is stored of one weight, in memory, and how the weight in use follows.
pub(crate) struct Loaded {
    /// The numbers that are scaled, as they are stored.
    pub(crate) stored: Vec<f64>,
    /// Their shape and type.
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
    /// The weight in use is each of these times the stored number of its place; none where it is the
    /// stored numbers themselves.
    pub(crate) factors: Option<Vec<f64>>,
    /// The place of each entry of the weight in use among the stored numbers.
    pub(crate) places: Option<Vec<usize>>,
    /// The shape of the weight in use, and what is measured on it.
    pub(crate) used_shape: Vec<usize>,
    pub(crate) params: MeasureParams,
}

/// The numbers to store, and what they come to.
struct Scaled {
    entries: Vec<f64>,
    found: Vec<Measurement>,
    after: Vec<Measurement>,
    wanted: Vec<f64>,
    scales: Vec<f64>,
}

impl Loaded {
    fn used(&self, stored: &[f64]) -> Vec<f64> {
        let Some(factors) = &self.factors else { return stored.to_vec() };
        match &self.places {
            None => factors.iter().zip(stored).map(|(factor, entry)| factor * entry).collect(),
            Some(places) => {
                factors.iter().zip(places).map(|(factor, &at)| factor * stored[at]).collect()
            }
        }
    }

    fn measured(&self, stored: &[f64]) -> Result<Vec<Measurement>, MeasureError> {
        measure_entries(&self.used(stored), &self.used_shape, &self.params)
    }

    /// Each block at its wanted σ as nearly as the type can say it.
    fn scaled(&self, action: Action) -> Result<Scaled, MeasureError> {
        let found = self.measured(&self.stored)?;
        let first = |found: &Measurement| action.scale(1.0, found.sigma.value);
        let mut scales: Vec<f64> = found.iter().map(first).collect();
        let wanted: Vec<f64> =
            found.iter().zip(&scales).map(|(it, scale)| it.sigma.value * scale).collect();
        let mut corrections = 0;
        loop {
            let entries = self.rounded(&scales);
            if entries.iter().any(|entry| !entry.is_finite()) {
                // Beyond the range of the type; that it missed is said by the scales.
                return Ok(Scaled { entries, after: vec![], found, wanted, scales });
            }
            let after = self.measured(&entries)?;
            corrections += 1;
            if corrections > MAX_CORRECTIONS || !correct(&mut scales, &after, &wanted) {
                return Ok(Scaled { entries, found, after, wanted, scales });
            }
        }
    }

    /// The stored numbers times the scale of their block, rounded to the type.
    fn rounded(&self, scales: &[f64]) -> Vec<f64> {
        let run = match &self.params.view {
            View::Blocks { axis, count } if self.shape.len() == self.used_shape.len() => {
                self.shape[*axis] / count * self.shape[axis + 1..].iter().product::<usize>()
            }
            _ => self.stored.len(),
        };
        let runs = self.stored.chunks(run.max(1)).zip(scales.iter().cycle());
        let round = |value: f64| round_to(self.dtype, value);
        runs.flat_map(|(run, scale)| run.iter().map(move |entry| round(entry * scale))).collect()
    }
}

impl Scaled {
    /// The first σ, as it was and as it is wanted, that the type cannot say.
    fn missed(&self) -> Option<(f64, f64)> {
        let befores = self.found.iter().map(|found| found.sigma.value);
        let mut pairs = befores.zip(self.wanted.iter().copied()).zip(&self.scales).enumerate();
        let pair = pairs.find(|&(block, ((_, wanted), &scale))| {
            let after = self.after.get(block).map_or(f64::INFINITY, |after| after.sigma.value);
            scale != 1.0 && (after - wanted).abs() > FAR * wanted
        });
        pair.map(|(_, (pair, _))| pair)
    }

    fn notes(&self, job: &Job<'_>, loaded: &Loaded) -> Vec<Normalized> {
        let is_cut = matches!(loaded.params.view, View::Blocks { .. });
        let blocks = self.found.iter().zip(&self.after).zip(&self.scales).enumerate();
        blocks
            .map(|(block, ((found, after), &scale))| Normalized {
                name: job.weight_name().to_owned(),
                block: is_cut.then_some(block),
                before: found.sigma,
                after: after.sigma,
                scale,
                stored: job.stored(),
            })
            .collect()
    }
}

/// Moves the scales by which rounding has missed what was wanted; false where all are near enough.
fn correct(scales: &mut [f64], after: &[Measurement], wanted: &[f64]) -> bool {
    let mut is_moved = false;
    for ((scale, after), wanted) in scales.iter_mut().zip(after).zip(wanted) {
        let miss = after.sigma.value / wanted;
        // A weight that is left alone stays as it is, to the bit.
        if *scale != 1.0 && miss.is_finite() && miss > 0.0 && (miss - 1.0).abs() > NEAR {
            *scale /= miss;
            is_moved = true;
        }
    }
    is_moved
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is what it is for")]
fn round_to(dtype: Dtype, value: f64) -> f64 {
    match dtype {
        Dtype::F32 => f64::from(value as f32),
        Dtype::F16 => f16::from_f64(value).to_f64(),
        Dtype::Bf16 => bf16::from_f64(value).to_f64(),
        _ => value,
    }
}

/// The smallest and the largest positive number of a type.
fn limits(dtype: Dtype) -> [f64; 2] {
    match dtype {
        Dtype::F16 => [2.0_f64.powi(-24), f16::MAX.to_f64()],
        Dtype::Bf16 => [2.0_f64.powi(-133), bf16::MAX.to_f64()],
        Dtype::F32 => [2.0_f64.powi(-149), f64::from(f32::MAX)],
        _ => [f64::from_bits(1), f64::MAX],
    }
}

/// Numbers that the type can hold, as safetensors has them.
#[expect(clippy::cast_possible_truncation, reason = "the values were rounded to the type before")]
fn encode(values: &[f64], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|&x| f16::from_f64(x).to_le_bytes()).collect(),
        Dtype::Bf16 => values.iter().flat_map(|&x| bf16::from_f64(x).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

/// Copies a tensor's bytes: the outer error is of reading, the inner one of writing.
fn copy(tensor: &Tensor, writer: &mut impl Write) -> Result<io::Result<()>, CheckpointError> {
    let size = tensor.byte_count();
    let element = (tensor.dtype().bits() / 8).max(1);
    let step = COPY_BYTES / element * element;
    let mut bytes = Vec::new();
    for start in (0..size).step_by(step) {
        bytes.resize(step.min(size - start), 0);
        tensor.read_bytes(start, &mut bytes)?;
        if let Err(error) = writer.write_all(&bytes) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}
