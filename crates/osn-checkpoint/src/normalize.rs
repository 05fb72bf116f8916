//! Writes a checkpoint with effective weights in place of the stored ones.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use osn_core::{Action, Globs, Interval, View};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use crate::checkpoint::Checkpoint;
use crate::dtype::Dtype;
use crate::error::CheckpointError;
use crate::held::{Held, held};
use crate::inspect::{at_home, unwanted};
use crate::measure::{
    MeasureError, MeasureParams, Measurement, check, measure_entries, read_whole,
};
use crate::tensor::Tensor;

/// Bytes of an unchanged tensor that are copied at a time.
const COPY_BYTES: usize = 8 << 20;
/// Rounding to the tensor's own type moves σ; this far from the target is near enough.
const NEAR: f64 = 1e-6;
/// How often a scale is corrected for that.
const MAX_CORRECTIONS: usize = 3;
/// The key of the note in the file's metadata.
const NOTE: &str = "osn.normalize";

/// Which weights to bring where.
#[derive(Clone, Debug)]
pub struct NormalizeParams {
    /// Globs of which one must match the name; empty for every tensor that can be measured and is
    /// no state of an optimizer.
    pub select: Globs,
    /// What σ is meant.
    pub measure: MeasureParams,
    /// What is done to it.
    pub action: Action,
}

/// What was done to one tensor, or one block of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalized {
    /// The tensor's name.
    pub name: String,
    /// Which block of it, where it was cut.
    pub block: Option<usize>,
    /// σ as it was.
    pub before: Interval,
    /// σ as it was written, rounding included.
    pub after: Interval,
    /// The factor between the two weights.
    pub scale: f64,
}

/// Why no checkpoint was written; what was there before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NormalizeError {
    /// The output is one of the files that are read.
    #[error("{} is the input itself; give another file to write to", path.display())]
    SameFile {
        /// The path.
        path: PathBuf,
    },
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
    /// A tensor cannot be copied.
    #[error(transparent)]
    Read(#[from] CheckpointError),
    /// The output cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Writes `input` to `output` as safetensors, with the effective weight of each selected tensor in
/// place of the stored one, and all else byte for byte.
///
/// The metadata is kept and a note of what was done is added under `osn.normalize`. The file appears
/// whole or not at all. `before` is called before each tensor. Tensors that cannot be measured (of
/// rank below 2, or no floating point) are copied.
///
/// # Errors
///
/// [`NormalizeError`]; nothing is then written.
pub fn normalize(
    input: &Checkpoint,
    output: &Path,
    params: &NormalizeParams,
    mut before: impl FnMut(&Tensor),
) -> Result<Vec<Normalized>, NormalizeError> {
    refuse_input(input, output)?;
    let tensors = in_writing_order(input);
    let header = header(input, &tensors, params);
    let fail = |source| NormalizeError::Write { path: output.to_owned(), source };
    let mut file = temporary_beside(output).map_err(fail)?;
    let mut writer = BufWriter::new(&mut file);
    let held = held(input);
    let mut done = Vec::new();
    let mut reason = None;
    writer.write_all(&header).map_err(fail)?;
    for tensor in tensors {
        before(tensor);
        let held = held.iter().find(|held| held.weight.name() == tensor.name());
        match effective(tensor, held, params)? {
            Effective::Changed(bytes, notes) => {
                writer.write_all(&bytes).map_err(fail)?;
                done.extend(notes);
            }
            Effective::Left(why) => {
                reason = why.or(reason);
                copy(tensor, &mut writer, output)?;
            }
        }
    }
    if done.is_empty() {
        let reason = reason.unwrap_or_else(|| "no name matches".to_owned());
        return Err(NormalizeError::NothingSelected { reason });
    }
    writer.flush().map_err(fail)?;
    drop(writer);
    file.as_file().sync_all().map_err(fail)?;
    file.persist(output).map_err(|error| fail(error.error))?;
    Ok(done)
}

/// A file in the folder of `output`, which goes away unless it is kept.
fn temporary_beside(output: &Path) -> io::Result<NamedTempFile> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".osn-normalize-");
    // As for any new file: what the user's umask leaves of it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder.unwrap_or(Path::new(".")))
}

fn refuse_input(input: &Checkpoint, output: &Path) -> Result<(), NormalizeError> {
    let Ok(output_path) = output.canonicalize() else { return Ok(()) };
    let is_output = |tensor: &Tensor| {
        Path::new(tensor.file()).canonicalize().is_ok_and(|path| path == output_path)
    };
    if input.tensors().iter().any(is_output) {
        return Err(NormalizeError::SameFile { path: output.to_owned() });
    }
    Ok(())
}

/// The largest elements first, so that every tensor lies at a multiple of its element's size.
fn in_writing_order(input: &Checkpoint) -> Vec<&Tensor> {
    let mut tensors: Vec<_> = input.tensors().iter().collect();
    tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.dtype().bits()));
    tensors
}

/// The length and the JSON that a safetensors file begins with.
fn header(input: &Checkpoint, tensors: &[&Tensor], params: &NormalizeParams) -> Vec<u8> {
    let mut entries = Map::new();
    let mut metadata = input.metadata().clone();
    metadata.insert(NOTE.to_owned(), note(params));
    entries.insert("__metadata__".to_owned(), json!(metadata));
    let mut start = 0;
    for tensor in tensors {
        let end = start + tensor.byte_count();
        let (dtype, shape) = (tensor.dtype().name(), tensor.shape());
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        entries.insert(tensor.name().to_owned(), entry);
        start = end;
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
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

/// What becomes of one tensor.
enum Effective {
    /// Its new bytes, and what was done.
    Changed(Vec<u8>, Vec<Normalized>),
    /// It stays; why, where it was selected.
    Left(Option<String>),
}

fn effective(
    tensor: &Tensor,
    held: Option<&Held>,
    params: &NormalizeParams,
) -> Result<Effective, NormalizeError> {
    if unwanted(tensor.name(), &params.select).is_some() {
        return Ok(Effective::Left(None));
    }
    let place = held.and_then(|held| held.place().ok());
    let measure = at_home(&params.measure, place.as_ref());
    match scaled(tensor, &NormalizeParams { measure, ..params.clone() }) {
        Ok((bytes, notes)) => Ok(Effective::Changed(bytes, notes)),
        Err(source) if source.is_bad_file() => {
            Err(NormalizeError::Tensor { name: tensor.name().to_owned(), source })
        }
        Err(source) => Ok(Effective::Left(Some(format!("{}: {source}", tensor.name())))),
    }
}

/// A tensor's new bytes, each block at its wanted σ as nearly as its type can say it.
fn scaled(
    tensor: &Tensor,
    params: &NormalizeParams,
) -> Result<(Vec<u8>, Vec<Normalized>), MeasureError> {
    check(tensor, &params.measure)?;
    let entries = read_whole::<f64>(tensor)?;
    let found = measure_entries(&entries, tensor.shape(), &params.measure)?;
    let first = |found: &Measurement| params.action.scale(1.0, found.sigma.value);
    let mut scales: Vec<f64> = found.iter().map(first).collect();
    let wanted: Vec<f64> = found.iter().zip(&scales).map(|(it, s)| it.sigma.value * s).collect();
    let mut corrections = 0;
    loop {
        let rounded = rounded(&entries, tensor, &scales, &params.measure.view);
        let after = measure_entries(&rounded, tensor.shape(), &params.measure)?;
        corrections += 1;
        if corrections > MAX_CORRECTIONS || !correct(&mut scales, &after, &wanted) {
            let notes = notes(tensor, params, &found, &after, &scales);
            return Ok((encode(&rounded, tensor.dtype()), notes));
        }
    }
}

/// Moves the scales by which rounding has missed what was wanted; false where all are near enough.
fn correct(scales: &mut [f64], after: &[Measurement], wanted: &[f64]) -> bool {
    let mut is_moved = false;
    for ((scale, after), wanted) in scales.iter_mut().zip(after).zip(wanted) {
        let miss = after.sigma.value / wanted;
        // A weight that is left alone stays as it is, to the bit.
        if *scale != 1.0 && miss.is_finite() && (miss - 1.0).abs() > NEAR {
            *scale /= miss;
            is_moved = true;
        }
    }
    is_moved
}

/// The entries times the scale of their block, rounded to the tensor's type.
fn rounded(entries: &[f64], tensor: &Tensor, scales: &[f64], view: &View) -> Vec<f64> {
    let run = match view {
        View::Blocks { axis, count } => {
            tensor.shape()[*axis] / count * tensor.shape()[axis + 1..].iter().product::<usize>()
        }
        _ => entries.len(),
    };
    let runs = entries.chunks_exact(run).zip(scales.iter().cycle());
    let round = |value: f64| round_to(tensor.dtype(), value);
    runs.flat_map(|(run, scale)| run.iter().map(move |entry| round(entry * scale))).collect()
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

fn notes(
    tensor: &Tensor,
    params: &NormalizeParams,
    found: &[Measurement],
    after: &[Measurement],
    scales: &[f64],
) -> Vec<Normalized> {
    let is_cut = matches!(params.measure.view, View::Blocks { .. });
    let blocks = found.iter().zip(after).zip(scales).enumerate();
    blocks
        .map(|(block, ((found, after), &scale))| Normalized {
            name: tensor.name().to_owned(),
            block: is_cut.then_some(block),
            before: found.sigma,
            after: after.sigma,
            scale,
        })
        .collect()
}

fn copy(tensor: &Tensor, writer: &mut impl Write, output: &Path) -> Result<(), NormalizeError> {
    let size = tensor.byte_count();
    let element = (tensor.dtype().bits() / 8).max(1);
    let step = COPY_BYTES / element * element;
    let mut bytes = Vec::new();
    for start in (0..size).step_by(step) {
        bytes.resize(step.min(size - start), 0);
        tensor.read_bytes(start, &mut bytes)?;
        let fail = |source| NormalizeError::Write { path: output.to_owned(), source };
        writer.write_all(&bytes).map_err(fail)?;
    }
    Ok(())
}
