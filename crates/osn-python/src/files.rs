//! Checkpoints, runs and studies in files.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use osn_checkpoint::{Checkpoint, Inspection, MeasureParams, Named, NormalizeParams, Normalized};
use osn_core::act::Action;
use osn_core::layer::Globs;
use osn_files::{output, plain_file};
use osn_report::study::{Study, StudyRecord};
use osn_report::{Document, RunRecord, Sample};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::errors::{in_words, value_error};
use crate::sigma::params;

/// The most bytes of a description, a study or a picture.
const MAX_BYTES: u64 = 256 << 20;

/// σ of every weight of some checkpoints, as the JSON that `osn inspect --json` prints.
#[pyfunction]
pub(crate) fn inspect(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    select: Vec<String>,
    view: &str,
    output_axis: Option<usize>,
    tolerance: f64,
    top: usize,
) -> PyResult<String> {
    let params = params(view, output_axis, tolerance, top)?;
    let select = Globs::new(select).map_err(|error| value_error(&error))?;
    let checkpoints = paths.iter().map(Checkpoint::open).collect::<Result<Vec<_>, _>>();
    let checkpoints = checkpoints.map_err(|error| value_error(&error))?;
    let inspection = py.detach(|| {
        let mut inspection = Inspection::default();
        for checkpoint in &checkpoints {
            inspection.add(checkpoint, &select, &params, |_| ());
        }
        inspection
    });
    if let Some(bad) = inspection.first_bad() {
        let message = format!("{}: tensor {}: {}", bad.file, bad.name, bad.why);
        return Err(PyValueError::new_err(message));
    }
    serde_json::to_string(&inspection).map_err(|error| value_error(&error))
}

/// Writes a checkpoint with the wanted σ as safetensors, and returns what was done as JSON.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python names them")]
pub(crate) fn normalize(
    py: Python<'_>,
    input: PathBuf,
    output: PathBuf,
    target: f64,
    cap: bool,
    select: Vec<String>,
    view: &str,
    output_axis: Option<usize>,
    tolerance: f64,
) -> PyResult<String> {
    let action = if cap {
        Action::Cap { target, sharpness: f64::INFINITY }
    } else {
        Action::Normalize { target }
    };
    action.validate().map_err(|error| value_error(&error))?;
    let measure: MeasureParams = params(view, output_axis, tolerance, 0)?;
    let select = Globs::new(select).map_err(|error| value_error(&error))?;
    let params = NormalizeParams { select, measure, action };
    let checkpoint = Checkpoint::open(&input).map_err(|error| value_error(&error))?;
    let outcome = py.detach(|| osn_checkpoint::normalize(&checkpoint, &output, &params, |_| ()));
    let outcome = outcome.map_err(|error| value_error(&error))?;
    Ok(json!({
        "done": outcome.done.iter().map(done).collect::<Vec<_>>(),
        "left": outcome.left.iter().map(named).collect::<Vec<_>>(),
        "left_out": outcome.left_out.iter().map(named).collect::<Vec<_>>(),
    })
    .to_string())
}

fn done(it: &Normalized) -> Value {
    let Normalized { name, block, before, after, scale, stored } = it;
    json!({ "name": name, "block": block, "before": before, "after": after, "scale": scale, "stored": stored })
}

fn named(it: &Named) -> Value {
    json!({ "name": it.name, "reason": it.reason })
}

/// Writes runs and studies as one page.
#[pyfunction]
pub(crate) fn report_page(folders: Vec<PathBuf>, page: PathBuf) -> PyResult<()> {
    let subjects =
        folders.iter().map(|folder| Subject::read(folder)).collect::<PyResult<Vec<_>>>()?;
    let html = osn_report::page(subjects.iter().map(Subject::document));
    output::write(&page, html.as_bytes()).map_err(|error| PyOSError::new_err(in_words(&error)))
}

enum Subject {
    Run(Box<RunRecord>),
    Study(Box<StudyRecord>),
}

impl Subject {
    fn read(folder: &Path) -> PyResult<Self> {
        let study = folder.join("study.json");
        if study.is_file() {
            let study = Study::read(&text(&study)?).map_err(|error| value_error(&error))?;
            return Ok(Self::Study(Box::new(StudyRecord::new(study, Vec::new()))));
        }
        let description = text(&folder.join("run.json"))?;
        let record = folder.join("record.jsonl");
        let record = plain_file::open(&record).map_err(|error| cannot_read(&record, &error))?;
        let run =
            RunRecord::read_lines(&description, BufReader::<File>::new(record), samples(folder)?)
                .map_err(|error| value_error(&error))?;
        Ok(Self::Run(Box::new(run)))
    }

    fn document(&self) -> Document<'_> {
        match self {
            Self::Run(run) => Document::Run(run),
            Self::Study(study) => Document::Study(study),
        }
    }
}

/// The pictures `samples/step-N.png` and the tables `samples/step-N.json` of a run, if it has any.
fn samples(folder: &Path) -> PyResult<Vec<Sample>> {
    let Ok(files) = fs::read_dir(folder.join("samples")) else { return Ok(Vec::new()) };
    let samples = files.filter_map(|file| {
        let path = file.ok()?.path();
        let (step, ending) = path.file_name()?.to_str()?.strip_prefix("step-")?.split_once('.')?;
        let step = step.parse().ok()?;
        match ending {
            "png" => Some(bytes(&path).map(|png| Sample::picture(step, png))),
            "json" => Some(table(step, &path)),
            _ => None,
        }
    });
    samples.collect()
}

fn table(step: u64, path: &Path) -> PyResult<Sample> {
    let table = Sample::table(step, &bytes(path)?);
    table.map_err(|error| PyValueError::new_err(format!("{}: {error}", path.display())))
}

fn text(path: &Path) -> PyResult<String> {
    Ok(String::from_utf8_lossy(&bytes(path)?).into_owned())
}

fn bytes(path: &Path) -> PyResult<Vec<u8>> {
    plain_file::read(path, MAX_BYTES).map_err(|error| cannot_read(path, &error))
}

fn cannot_read(path: &Path, error: &io::Error) -> PyErr {
    PyOSError::new_err(format!("cannot read {}: {error}", path.display()))
}
