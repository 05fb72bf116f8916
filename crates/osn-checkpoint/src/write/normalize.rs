//! Writes a checkpoint whose model has the wanted effective weights.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use osn_core::layer::View;
use osn_files::output::{OutputError, OutputFile};
use serde_json::{Map, Value, json};

use crate::checkpoint::Checkpoint;
use crate::read::tensor::{Tensor, TensorError};
use crate::weights::known::Known;
use crate::write::outcome::{Named, NormalizeError, NormalizeOutcome, NormalizeParams, Normalized};
use crate::write::plan::{Entry, Job, plan};
use crate::write::scaled::{Loaded, Scaled, limits};

/// Bytes of an unchanged tensor that are copied at a time.
const COPY_BYTES: usize = 8 << 20;
/// The key of the note in the file's metadata.
const NOTE: &str = "osn.normalize";
/// The longest header that readers of safetensors take.
const MAX_HEADER: usize = 100_000_000;

/// Writes `input` to `output` as safetensors, with each selected weight at its wanted σ *as the model
/// uses it*, and all else byte for byte.
///
/// A weight that its model divides by a spectral norm is written as the plain weight of its module,
/// without the vectors: with them the model would divide again. Of weight norm g is scaled, of a pruned
/// weight the weight and not its mask.
///
/// The metadata is kept and a note of what was done is added under `osn.normalize`. The file appears
/// whole or not at all. What is no weight is written as it was, and what safetensors has no type for is
/// left out; the outcome lists both. `before` is called before each tensor.
///
/// # Errors
///
/// [`NormalizeError`]; nothing is then written.
pub fn normalize(
    input: &Checkpoint,
    output: &Path,
    params: &NormalizeParams,
    mut before: impl FnMut(&Tensor),
) -> Result<NormalizeOutcome, NormalizeError> {
    let files: Vec<_> = input.tensors().iter().map(|tensor| Path::new(tensor.file())).collect();
    let mut file = OutputFile::create(output, &files)?;
    let known = Known::of(input.tensors());
    let (entries, mut outcome) = plan(input, &known, params)?;
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

/// What was done, for later readers of the file.
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
        outcome: &mut NormalizeOutcome,
    ) -> Result<Option<Vec<u8>>, NormalizeError> {
        let Some(job) = &self.job else {
            return Ok(None);
        };
        let failed = |source| NormalizeError::Tensor { name: job.weight_name().to_owned(), source };
        let loaded = match job.load(&params.measure) {
            Ok(loaded) => loaded,
            Err(error) if matches!(job, Job::Plain(_)) && !error.is_bad_file() => {
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
        outcome.done.extend(notes(&scaled, job, &loaded));
        Ok(Some(scaled.bytes))
    }
}

fn notes(scaled: &Scaled, job: &Job<'_>, loaded: &Loaded) -> Vec<Normalized> {
    let is_cut = matches!(loaded.params.view, View::Blocks { .. });
    let blocks = scaled.found.iter().zip(&scaled.after).zip(&scaled.scales).enumerate();
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

/// Copies a tensor's bytes: the outer error is of reading, the inner one of writing.
fn copy(tensor: &Tensor, writer: &mut impl Write) -> Result<io::Result<()>, TensorError> {
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
