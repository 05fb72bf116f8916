//! What several tests share: files made by hand, and one look at every file that is written.

pub(crate) mod hostile;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use osn_checkpoint::{
    Checkpoint, Inspection, MeasureParams, NormalizeError, NormalizeOutcome, NormalizeParams,
    normalize,
};
use osn_core::act::Action;
use osn_core::layer::Globs;
use safetensors::SafeTensors;
use tempfile::TempDir;

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// What PyTorch says of the fixtures.
pub(crate) fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

/// What two versions of PyTorch call a weight before it is divided by uᵀWv, u and v.
pub(crate) const SPECTRAL_NORMS: [[&str; 3]; 2] = [
    ["fc.weight_orig", "fc.weight_u", "fc.weight_v"],
    [
        "fc.parametrizations.weight.original",
        "fc.parametrizations.weight.0._u",
        "fc.parametrizations.weight.0._v",
    ],
];

/// A safetensors file, put together by hand so that it may hold what the crate would refuse to write.
#[derive(Default)]
pub(crate) struct Builder {
    header: serde_json::Map<String, serde_json::Value>,
    data: Vec<u8>,
}

impl Builder {
    pub(crate) fn metadata(mut self, key: &str, text: &str) -> Self {
        self.header.insert("__metadata__".to_owned(), serde_json::json!({ key: text }));
        self
    }

    pub(crate) fn raw(mut self, name: &str, dtype: &str, shape: &[usize], data: Vec<u8>) -> Self {
        let start = self.data.len();
        self.data.extend(data);
        let offsets = [start, self.data.len()];
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        self.header.insert(name.to_owned(), entry);
        self
    }

    pub(crate) fn f32(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.raw(name, "F32", shape, data)
    }

    pub(crate) fn f16(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let half = |value: &f32| half::f16::from_f32(*value).to_le_bytes();
        self.raw(name, "F16", shape, values.iter().flat_map(half).collect())
    }

    pub(crate) fn bf16(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let half = |value: &f32| half::bf16::from_f32(*value).to_le_bytes();
        self.raw(name, "BF16", shape, values.iter().flat_map(half).collect())
    }

    pub(crate) fn i32(self, name: &str, values: &[i32]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.raw(name, "I32", &[values.len()], data)
    }

    pub(crate) fn write(self, path: &Path) {
        let header = serde_json::Value::Object(self.header).to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(self.data);
        std::fs::write(path, bytes).unwrap();
    }

    /// What is found in the file.
    pub(crate) fn inspected(self) -> Inspection {
        self.inspected_with(&[], &MeasureParams::default())
    }

    pub(crate) fn inspected_with(self, select: &[&str], params: &MeasureParams) -> Inspection {
        let at = Paths::default();
        self.write(&at.input);
        inspect_with(&at.input, select, params)
    }
}

/// A file to read and one to write, in a folder that goes away by itself.
pub(crate) struct Paths {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) folder: TempDir,
}

impl Default for Paths {
    fn default() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [input, output] = ["in", "out"].map(|name| folder.path().join(name));
        Self { input, output, folder }
    }
}

/// Numbers without a pattern, the same each time.
pub(crate) fn noise(count: usize) -> Vec<f32> {
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn inspect(path: &Path) -> Inspection {
    inspect_with(path, &[], &MeasureParams::default())
}

pub(crate) fn inspect_with(path: &Path, select: &[&str], params: &MeasureParams) -> Inspection {
    let mut inspection = Inspection::default();
    let select = Globs::new(select.iter().copied()).unwrap();
    let checkpoint = Checkpoint::open(path).unwrap();
    inspection.add(&checkpoint, &select, params, |_| {});
    let measured = inspection.tensors.iter().map(|it| &it.name);
    let listed: BTreeSet<_> =
        measured.chain(inspection.skipped.iter().map(|it| &it.name)).collect();
    assert_eq!(listed.len(), checkpoint.tensors().len(), "in neither list, or twice");
    inspection
}

pub(crate) fn viewed(view: &str) -> MeasureParams {
    MeasureParams { view: view.parse().unwrap(), ..MeasureParams::default() }
}

/// Normalizes, and opens what was written with the reference crate.
pub(crate) fn run(
    input: &Path,
    output: &Path,
    action: Action,
    view: &str,
    select: &[&str],
) -> Result<NormalizeOutcome, NormalizeError> {
    let params = NormalizeParams {
        select: Globs::new(select.iter().copied()).unwrap(),
        measure: viewed(view),
        action,
    };
    let outcome = normalize(&Checkpoint::open(input).unwrap(), output, &params, |_| {})?;
    opens(output);
    Ok(outcome)
}

/// The names in a file, as the reference crate reads it.
pub(crate) fn opens(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let read = SafeTensors::deserialize(&bytes);
    let read = read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut names: Vec<_> = read.names().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}

pub(crate) fn to(target: f64) -> Action {
    Action::Normalize { target }
}
