//! Files that PyTorch wrote, against the elements that PyTorch reads from them.

use std::collections::BTreeMap;

use crate::support::{fixture, json};
use osn_checkpoint::{Checkpoint, Format, Problem, Tensor, TensorError, TorchError};
use serde::Deserialize;

#[derive(Deserialize)]
struct ExpectedTensor {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    values: Option<Vec<Number>>,
}

/// JSON has no NaN and no infinity, so those are texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(String),
}

impl Number {
    fn value(&self) -> f64 {
        match self {
            Self::Finite(value) => *value,
            Self::Other(text) => text.parse().unwrap(),
        }
    }
}

fn expected() -> BTreeMap<String, Vec<ExpectedTensor>> {
    serde_json::from_value(json("expected.json")["files"].clone()).unwrap()
}

/// PyTorch's name of a dtype.
fn torch_name(tensor: &Tensor) -> &str {
    match tensor.dtype().name() {
        "F64" => "float64",
        "F32" => "float32",
        "F16" => "float16",
        "BF16" => "bfloat16",
        "I64" => "int64",
        "BOOL" => "bool",
        "C64" => "complex64",
        "U16" => "uint16",
        "F8_E4M3" => "float8_e4m3fn",
        other => other,
    }
}

fn tensor(file: &str, name: &str) -> Tensor {
    let checkpoint = Checkpoint::open(fixture(file)).unwrap();
    checkpoint.tensors().iter().find(|tensor| tensor.name() == name).unwrap().clone()
}

fn elements(tensor: &Tensor) -> Vec<f64> {
    let mut elements = vec![0.0; tensor.element_count()];
    tensor.read(0, &mut elements).unwrap();
    elements
}

/// Equal bits, or both NaN.
fn same(left: f64, right: f64) -> bool {
    left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
}

#[test]
fn every_file_of_pytorch_has_the_tensors_that_pytorch_reads() {
    let expected = expected();
    assert!(expected.len() > 20, "the list of files is there");
    for (file, tensors) in &expected {
        let checkpoint = Checkpoint::open(fixture(file)).unwrap();
        let names: Vec<_> = checkpoint.tensors().iter().map(Tensor::name).collect();
        let expected_names: Vec<_> = tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, expected_names, "{file}");
        for (found, expected) in checkpoint.tensors().iter().zip(tensors) {
            assert_eq!(found.shape(), expected.shape, "{file}: {}", found.name());
            assert_eq!(torch_name(found), expected.dtype, "{file}: {}", found.name());
        }
    }
}

#[test]
fn every_element_has_the_bits_that_pytorch_reads() {
    let mut compared = 0;
    for (file, tensors) in expected() {
        let checkpoint = Checkpoint::open(fixture(&file)).unwrap();
        for (found, expected) in checkpoint.tensors().iter().zip(&tensors) {
            if found.skip_reason().is_some() {
                continue;
            }
            let expected: Vec<_> =
                expected.values.as_ref().unwrap().iter().map(Number::value).collect();
            let found_elements = elements(found);
            let all_same = found_elements.iter().zip(&expected).all(|(&f, &e)| same(f, e));
            assert_eq!(found_elements.len(), expected.len(), "{file}: {}", found.name());
            assert!(all_same, "{file}: {}: {found_elements:?}", found.name());
            compared += expected.len();
        }
    }
    assert!(compared > 1000, "only {compared} elements were compared");
}

#[test]
fn a_run_is_a_part_of_the_whole() {
    let checkpoint = Checkpoint::open(fixture("views.pt")).unwrap();
    for tensor in checkpoint.tensors() {
        let whole = elements(tensor);
        for start in 0..whole.len() {
            let mut run = vec![0.0; (whole.len() - start).min(7)];
            tensor.read(start, &mut run).unwrap();
            assert_eq!(run, whole[start..start + run.len()], "{} from {start}", tensor.name());
        }
    }
}

#[test]
fn bytes_are_those_of_the_elements_in_little_endian_order() {
    for file in ["archive.pt", "big_endian.pt", "views.pt"] {
        for tensor in Checkpoint::open(fixture(file)).unwrap().tensors() {
            let mut bytes = vec![0; tensor.byte_count()];
            tensor.read_bytes(0, &mut bytes).unwrap();
            let decoded: Vec<f64> = match tensor.dtype().name() {
                "F64" => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
                "F32" => {
                    bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b).into()).collect()
                }
                "I64" => {
                    let numbers: Vec<_> =
                        bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect();
                    assert_eq!(numbers, [0, 1, 2], "{file}");
                    continue;
                }
                _ => continue,
            };
            let same = decoded.iter().zip(elements(tensor)).all(|(&d, e)| same(d, e));
            assert!(same, "{file}: {}", tensor.name());
        }
    }
}

#[test]
fn the_format_is_told_by_the_content() {
    let cases = [
        ("archive.pt", Format::TorchArchive),
        ("script.pt", Format::TorchArchive),
        ("archive_legacy.pt", Format::TorchLegacy),
        ("plain.safetensors", Format::Safetensors),
        ("sharded.safetensors.index.json", Format::Sharded),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in cases {
        assert_eq!(Checkpoint::open(fixture(name)).unwrap().format(), format);
        let renamed = folder.path().join("no extension");
        if format != Format::Sharded {
            std::fs::copy(fixture(name), &renamed).unwrap();
            assert_eq!(Checkpoint::open(&renamed).unwrap().format(), format, "{name}");
        }
    }
}

#[test]
fn metadata_are_those_of_the_file() {
    let plain = Checkpoint::open(fixture("plain.safetensors")).unwrap();
    assert_eq!(plain.metadata()["made by"], "make.py");
    let sharded = Checkpoint::open(fixture("sharded.safetensors.index.json")).unwrap();
    assert_eq!(sharded.metadata()["total_size"], "128");
}

#[test]
fn a_tensor_of_a_shard_says_which() {
    for (name, shard) in [("layer.10.weight", 1), ("layer.2.weight", 2)] {
        let tensor = tensor("sharded.safetensors.index.json", name);
        let shard = format!("sharded-0000{shard}-of-00002.safetensors");
        assert!(tensor.file().ends_with(&shard), "{}", tensor.file());
    }
}

#[test]
fn a_file_that_shrinks_after_it_was_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shrinks.safetensors");
    std::fs::copy(fixture("plain.safetensors"), &path).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    std::fs::write(&path, b"").unwrap();
    let tensor = &checkpoint.tensors()[0];
    let error = tensor.read(0, &mut vec![0.0_f32; tensor.element_count()]).unwrap_err();
    assert!(matches!(error, TensorError::Read { .. }));
}

#[test]
fn what_is_not_read_says_why() {
    for (file, name) in [
        ("archive.pt", "i64"),
        ("archive.pt", "complex"),
        ("late_dtypes.pt", "f8"),
        ("expanded.pt", "expanded"),
    ] {
        let tensor = tensor(file, name);
        let error = tensor.read(0, &mut vec![0.0; tensor.element_count()]).unwrap_err();
        let TensorError::NotRead { reason, .. } = error else { panic!("{error}") };
        assert_eq!(Some(&*reason), tensor.skip_reason());
        let of_type = tensor.dtype().skip_reason();
        assert!(of_type.is_none_or(|of_type| of_type == reason), "{name}: {reason}");
        assert_eq!(of_type.is_none(), name == "expanded");
    }
}

/// One tensor of `forms.json`: its name, shape, dtype, whether it is copied, and its elements where it is
/// read.
type Form = (String, Vec<usize>, String, bool, Option<Vec<f64>>);

#[track_caller]
fn check_form(file: &str, found: &Tensor, form: &Form) {
    let (name, shape, dtype, is_copied, values) = form;
    let at = format!("{file}: {name}");
    assert_eq!((found.shape(), found.dtype().name()), (&shape[..], dtype.as_str()), "{at}");
    assert_eq!(found.copy_refusal().is_none(), *is_copied, "{at}: {:?}", found.copy_refusal());
    assert_eq!(found.read_all_bytes().is_ok(), *is_copied, "{at}");
    assert_eq!(found.skip_reason().is_none(), values.is_some(), "{at}: {:?}", found.skip_reason());
    match (found.read_all::<f64>(), values) {
        (Ok(found), Some(values)) => assert_eq!(&found, values, "{at}"),
        (Err(TensorError::NotRead { .. }), None) => {}
        (other, _) => panic!("{at}: {other:?}"),
    }
}

#[test]
fn every_form_of_a_tensor_is_listed_once_and_read_or_skipped_by_name() {
    let forms: BTreeMap<String, Vec<Form>> = serde_json::from_value(json("forms.json")).unwrap();
    assert!(forms.len() > 10, "the list of files is there");
    for (file, expected) in &forms {
        let checkpoint = Checkpoint::open(fixture(file)).unwrap();
        let names: Vec<_> = checkpoint.tensors().iter().map(Tensor::name).collect();
        let expected_names: Vec<_> = expected.iter().map(|form| form.0.as_str()).collect();
        assert_eq!(names, expected_names, "{file}");
        for (found, form) in checkpoint.tensors().iter().zip(expected) {
            check_form(file, found, form);
        }
    }
}

#[test]
fn what_is_lazy_is_done_when_bytes_are_read() {
    let bytes = |name| tensor("forms.pt", name).read_all_bytes().unwrap();
    let floats = |name| -> Vec<f32> {
        bytes(name).as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    assert_eq!(floats("negative"), [-1.0, -2.0, -3.0, -4.0]);
    assert_eq!(floats("imaginary"), [-2.0, 4.0]);
    assert_eq!(floats("conjugate"), [1.0, -2.0, 3.0, 4.0]);
    assert_eq!(floats("both"), [-2.0, 2.0, -4.0, -4.0]);
    let integers = bytes("integers");
    let integers = integers.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes));
    assert_eq!(integers.collect::<Vec<_>>(), [-1, 0, 3]);
    assert_eq!(floats("expanded"), [1.0; 16]);
}

#[test]
fn protocol_0_is_said() {
    for file in ["protocol_0.pt", "legacy_0.pt"] {
        let error = Checkpoint::open(fixture(file)).unwrap_err();
        assert!(matches!(error.problem, Problem::Torch(TorchError::TextStorage)), "{error}");
    }
}

#[test]
fn a_save_that_failed_is_said() {
    let error = Checkpoint::open(fixture("failed.pt")).unwrap_err();
    assert!(matches!(error.problem, Problem::Torch(TorchError::FailedSave)), "{error}");
}
