//! What is said of whole checkpoints, and what is written of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

mod support;

use osn_checkpoint::{Checkpoint, Inspection, MeasureError, MeasureParams, NormalizeError};
use osn_core::act::Action;
use osn_core::layer::{Globs, View};
use osn_core::measure::convolution::{ConvMap, Convolution};
use osn_core::measure::{DenseMap, EstimateError, exact};
use osn_files::output::OutputError;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use support::{fixture, run, viewed};

fn inspect(path: &Path, params: &MeasureParams) -> Inspection {
    let mut inspection = Inspection::default();
    inspection.add(&Checkpoint::open(path).unwrap(), &Globs::default(), params, |_| {});
    inspection
}

/// Numbers without a pattern, the same each time.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 7_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A safetensors file with two kernels, a bias and a counter.
fn checkpoint(folder: &Path) -> PathBuf {
    let path = folder.join("model.safetensors");
    let (kernel, linear, bias) = (noise(6 * 2 * 3 * 2), noise(5 * 8), noise(5));
    let (kernel, linear, bias) = (bytes(&kernel), bytes(&linear), bytes(&bias));
    let counter = 3_i64.to_le_bytes();
    let tensors = [
        ("conv.weight", TensorView::new(Dtype::F32, vec![6, 2, 3, 2], &kernel).unwrap()),
        ("fc.weight", TensorView::new(Dtype::F32, vec![5, 8], &linear).unwrap()),
        ("fc.bias", TensorView::new(Dtype::F32, vec![5], &bias).unwrap()),
        ("steps", TensorView::new(Dtype::I64, vec![], &counter).unwrap()),
    ];
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    serialize_to_file(tensors, Some(metadata), &path).unwrap();
    path
}

#[test]
fn the_object_has_the_fields_that_its_schema_promises() {
    let folder = tempfile::tempdir().unwrap();
    let inspection = inspect(&checkpoint(folder.path()), &MeasureParams::default());
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["schema"], 1);
    let conv = &json["tensors"][0];
    assert_eq!(conv["name"], "conv.weight");
    assert_eq!(conv["shape"], serde_json::json!([6, 2, 3, 2]));
    assert_eq!((conv["dtype"].as_str(), conv["view"].as_str()), (Some("F32"), Some("reshaped")));
    assert!(conv["file"].as_str().unwrap().ends_with("model.safetensors"));
    let number = |name: &str| conv["sigma"][name].as_f64().unwrap();
    assert!(number("lower") <= number("value") && number("value") <= number("upper"));
    let true_sigma =
        exact(&DenseMap::from_tensor(&noise(72), &[6, 2, 3, 2], 0).unwrap()).unwrap().sigma;
    assert!(number("lower") <= true_sigma && true_sigma <= number("upper"));
    let rank = conv["frobenius"].as_f64().unwrap().powi(2) / number("value").powi(2);
    assert!((conv["stable_rank"].as_f64().unwrap() / rank - 1.0).abs() < 1e-12);
    let skipped: BTreeMap<_, _> = json["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skipped| (skipped["name"].as_str().unwrap(), skipped["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(skipped["fc.bias"], "rank 1 is below 2");
    assert_eq!(skipped["steps"], "not floating point");
    assert!(inspection.first_bad().is_none());
}

#[test]
fn every_view_measures_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path());
    let kernel = noise(72);
    let reshaped =
        |axis| exact(&DenseMap::from_tensor(&kernel, &[6, 2, 3, 2], axis).unwrap()).unwrap().sigma;
    let of_conv = |params: &MeasureParams| inspect(&path, params).tensors[0].sigma;

    let inputs = MeasureParams { output_axis: Some(1), ..MeasureParams::default() };
    assert!(of_conv(&inputs).contains(reshaped(1)));
    let mean = f64::midpoint(reshaped(0), reshaped(1));
    assert!(of_conv(&viewed("bidirectional")).contains(mean));

    let convolution = Convolution::new([5, 4]).stride([2, 1]).padding([1, 0]);
    let geometry = convolution.geometry(&[6, 2, 3, 2]).unwrap();
    let operator = exact(&ConvMap::new(&kernel, geometry).unwrap()).unwrap().sigma;
    let inspection = inspect(&path, &viewed("operator:size=5x4,stride=2x1,padding=1x0"));
    assert!(inspection.tensors[0].sigma.contains(operator));
    assert_eq!(inspection.tensors[0].stable_rank, None);
    // A matrix is no kernel over images of two dimensions.
    assert!(inspection.skipped.iter().any(|skipped| skipped.name == "fc.weight"));

    let blocks = inspect(&path, &viewed("blocks:axis=0,count=3"));
    assert_eq!(blocks.tensors.len(), 3, "fc has no three equal blocks");
    for (block, measured) in blocks.tensors.iter().enumerate() {
        let entries = &kernel[block * 24..(block + 1) * 24];
        let sigma = exact(&DenseMap::new(entries, 2, 12).unwrap()).unwrap().sigma;
        assert!(measured.sigma.contains(sigma));
        assert_eq!((measured.block, &measured.shape[..]), (Some(block), &[2, 2, 3, 2][..]));
    }
}

#[test]
fn the_largest_values_are_those_of_the_decomposition() {
    let folder = tempfile::tempdir().unwrap();
    let params = MeasureParams { leading: 3, ..MeasureParams::default() };
    let inspection = inspect(&checkpoint(folder.path()), &params);
    let all =
        osn_core::measure::singular_values(&DenseMap::new(&noise(40), 5, 8).unwrap()).unwrap();
    let found = &inspection.tensors[1].leading;
    assert_eq!(found.len(), 3);
    assert!(found.iter().zip(all).all(|(ours, theirs)| (ours / theirs - 1.0).abs() < 1e-12));
}

#[test]
fn stored_vectors_are_judged_by_the_weight() {
    let inspection = inspect(&fixture("spectral_hook.pt"), &MeasureParams::default());
    let stored: Vec<_> = inspection.tensors.iter().filter_map(|it| it.stored.as_ref()).collect();
    assert_eq!(stored.len(), 3);
    for stored in stored {
        assert!(stored.is_good && stored.shortfall.unwrap() < 1e-3, "{stored:?}");
    }

    // The vectors of one weight beside another weight.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stale.safetensors");
    let weight = bytes(&noise(20));
    let (mut u, mut v) = (vec![0.0; 4], vec![0.0; 5]);
    (u[1], v[2]) = (1.0, 1.0);
    let (u, v) = (bytes(&u), bytes(&v));
    let tensors = [
        ("a.weight_orig", TensorView::new(Dtype::F32, vec![4, 5], &weight).unwrap()),
        ("a.weight_u", TensorView::new(Dtype::F32, vec![4], &u).unwrap()),
        ("a.weight_v", TensorView::new(Dtype::F32, vec![5], &v).unwrap()),
    ];
    serialize_to_file(tensors, None, &path).unwrap();
    let inspection = inspect(&path, &MeasureParams::default());
    let stored = inspection.tensors[0].stored.as_ref().unwrap();
    assert!(!stored.is_good && stored.shortfall.unwrap() > 0.1, "{stored:?}");
    let seen = f64::from(noise(20)[7].abs());
    assert!((stored.sigma.unwrap() - seen).abs() < 1e-7);
}

#[test]
fn the_state_of_an_optimizer_is_measured_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.safetensors");
    let data = bytes(&noise(12));
    let view = || TensorView::new(Dtype::F32, vec![3, 4], &data).unwrap();
    let names = ["model.weight", "optimizer_state.state.0.exp_avg", "adam.7.momentum_buffer"];
    serialize_to_file(names.map(|name| (name, view())), None, &path).unwrap();
    let measured = |select: &[&str]| {
        let mut inspection = Inspection::default();
        let select = Globs::new(select.iter().copied()).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        inspection.add(&checkpoint, &select, &MeasureParams::default(), |_| {});
        assert_eq!(inspection.tensors.len() + inspection.skipped.len(), 3);
        inspection.tensors.len()
    };
    assert_eq!((measured(&[]), measured(&["**"]), measured(&["**.exp_avg"])), (1, 3, 1));
}

#[test]
fn a_tensor_with_a_bad_entry_is_named_and_the_others_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    let (mut bad, good) = (noise(12), bytes(&noise(12)));
    bad[7] = f32::NAN;
    let bad = bytes(&bad);
    let tensors = [
        ("bad", TensorView::new(Dtype::F32, vec![3, 4], &bad).unwrap()),
        ("good", TensorView::new(Dtype::F32, vec![3, 4], &good).unwrap()),
    ];
    serialize_to_file(tensors, None, &path).unwrap();
    let inspection = inspect(&path, &MeasureParams::default());
    assert_eq!(inspection.tensors.len(), 1);
    let bad = inspection.first_bad().unwrap();
    assert_eq!((&bad.name[..], &bad.reason[..]), ("bad", "entry 7 of the weight is NaN"));
    let output = folder.path().join("out.safetensors");
    let refused = run(&path, &output, Action::Normalize { target: 1.0 }, "reshaped", &[]);
    let Err(NormalizeError::Tensor { source: MeasureError::Estimate(error), .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(matches!(error, EstimateError::NonFiniteEntry { index: 7, .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn a_normalized_checkpoint_has_every_selected_sigma_at_its_target_and_all_else_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let input = checkpoint(folder.path());
    let output = folder.path().join("out.safetensors");
    for view in ["reshaped", "bidirectional", "blocks:axis=0,count=2", "operator:size=6x5"] {
        let target = 0.75;
        run(&input, &output, Action::Normalize { target }, view, &["conv.*"]).unwrap();
        let inspection = inspect(&output, &viewed(view));
        let of_conv = inspection.tensors.iter().filter(|tensor| tensor.name == "conv.weight");
        for tensor in of_conv {
            let width = tensor.sigma.relative_width().max(1e-6);
            assert!((tensor.sigma.value / target - 1.0).abs() <= width, "{view}: {tensor:?}");
        }
    }
    let [before, after] = [&input, &output].map(|path| fs::read(path).unwrap());
    let [before, after] =
        [&before, &after].map(|bytes| safetensors::SafeTensors::deserialize(bytes).unwrap());
    for name in ["fc.weight", "fc.bias", "steps"] {
        assert_eq!(before.tensor(name).unwrap().data(), after.tensor(name).unwrap().data());
    }
    let bytes = fs::read(&output).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    assert_eq!(metadata["format"], "pt");
    assert!(metadata["osn.normalize"].contains("normalize to 0.75"));
}

#[test]
fn a_cap_leaves_what_is_below_it_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let input = checkpoint(folder.path());
    let sigmas: Vec<_> = inspect(&input, &MeasureParams::default())
        .tensors
        .iter()
        .map(|tensor| tensor.sigma.value)
        .collect();
    let between = f64::midpoint(sigmas[0], sigmas[1]);
    let output = folder.path().join("out.safetensors");
    let cap = Action::Cap { target: between, sharpness: f64::INFINITY };
    let done = run(&input, &output, cap, "reshaped", &[]).unwrap().done;
    let after: Vec<_> = inspect(&output, &MeasureParams::default())
        .tensors
        .iter()
        .map(|tensor| tensor.sigma.value)
        .collect();
    for ((before, after), done) in sigmas.into_iter().zip(after).zip(done) {
        if before <= between {
            assert_eq!((after, done.scale), (before, 1.0));
        } else {
            assert!((after / between - 1.0).abs() < 1e-6 && done.scale < 1.0);
        }
    }
}

#[test]
fn halves_are_normalized_as_nearly_as_they_can_say() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.safetensors");
    for name in ["f16", "bf16", "f64"] {
        let action = Action::Normalize { target: 2.0 };
        let done = run(&fixture("archive.pt"), &output, action, "reshaped", &[name]).unwrap().done;
        let inspection = inspect(&output, &MeasureParams::default());
        let written = inspection.tensors.iter().find(|tensor| tensor.name == name).unwrap();
        assert!((written.sigma.value / 2.0 - 1.0).abs() < 2e-3, "{name}: {:?}", written.sigma);
        assert_eq!(written.sigma, done[0].after, "what is said was written");
    }
}

#[test]
fn nothing_is_written_over_the_input_or_without_a_weight() {
    let folder = tempfile::tempdir().unwrap();
    let input = checkpoint(folder.path());
    let before = fs::read(&input).unwrap();
    let action = Action::Normalize { target: 1.0 };
    let link = folder.path().join("link.safetensors");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&input, &link).unwrap();
    for output in [&input, &link] {
        let refused = run(&input, output, action, "reshaped", &[]);
        assert!(matches!(refused, Err(NormalizeError::Output(OutputError::Input { .. }))));
    }
    let output = folder.path().join("out.safetensors");
    for select in ["nothing", "steps"] {
        let refused = run(&input, &output, action, "reshaped", &[select]);
        assert!(matches!(refused, Err(NormalizeError::NothingSelected { .. })), "{select}");
    }
    assert!(!output.exists());
    assert_eq!(fs::read(&input).unwrap(), before);
    assert_eq!(View::Reshaped.to_string(), "reshaped");
}
