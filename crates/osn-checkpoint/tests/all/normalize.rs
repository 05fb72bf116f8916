//! What is written has the wanted σ when its framework loads it. All else is as it was, or listed.

use std::fs;
use std::path::Path;

use crate::support::{
    Builder, Paths, SPECTRAL_NORMS, fixture, inspect, inspect_with, noise, opens, run, to, viewed,
};
use osn_checkpoint::{
    Checkpoint, Dtype, MeasureError, MeasureParams, NormalizeError, NormalizeOutcome, Tensor,
};
use osn_core::act::Action;
use osn_core::measure::{DenseMap, exact};

fn tensor(path: &Path, name: &str) -> Tensor {
    let checkpoint = Checkpoint::open(path).unwrap();
    let tensor = checkpoint.tensors().iter().find(|tensor| tensor.name() == name);
    tensor.unwrap_or_else(|| panic!("no {name}")).clone()
}

/// The elements of a tensor in a file that was written.
fn elements(path: &Path, name: &str) -> Vec<f64> {
    tensor(path, name).read_all().unwrap()
}

fn bytes(path: &Path, name: &str) -> Vec<u8> {
    tensor(path, name).read_all_bytes().unwrap()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64]) {
    let is_near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(is_near && found.len() == expected.len(), "{found:?}, not {expected:?}");
}

fn names(named: &[osn_checkpoint::Named]) -> Vec<&str> {
    named.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn what_a_spectral_norm_divides_is_written_as_the_plain_weight() {
    let Paths { input, output, folder: _folder } = Paths::default();
    for [weight, u, v] in SPECTRAL_NORMS {
        // The model uses diag(3, 1)/−3.
        let file = Builder::default().f32(weight, &[2, 2], &[3.0, 0.0, 0.0, 1.0]);
        file.f32(u, &[2], &[-1.0, 0.0])
            .f32(v, &[2], &[1.0, 0.0])
            .f32("fc.bias", &[2], &[5.0; 2])
            .write(&input);
        let outcome = run(&input, &output, to(2.0), "reshaped", &[]).unwrap();
        assert_eq!(opens(&output), ["fc.bias", "fc.weight"]);
        assert_near(&elements(&output, "fc.weight"), &[-2.0, 0.0, 0.0, -2.0 / 3.0]);
        let done = &outcome.done[0];
        assert_near(&[done.before.value, done.after.value], &[1.0, 2.0]);
        assert!(done.stored.is_some());
        // A cap above it scales nothing, and is written in the same form.
        let cap = Action::Cap { target: 2.0, sharpness: f64::INFINITY };
        let outcome = run(&input, &output, cap, "reshaped", &[]).unwrap();
        assert_eq!((opens(&output).len(), outcome.done[0].scale), (2, 1.0));
    }
}

#[test]
fn weight_norm_is_scaled_by_its_g_and_a_pruned_weight_beside_its_mask() {
    let Paths { input, output, folder: _folder } = Paths::default();
    let v = [3.0, 0.0, 0.0, 1.0];
    let mask = [0.0, 0.0, 0.0, 1.0];
    Builder::default()
        .f32("conv.weight_g", &[2, 1], &[1.0, 0.5])
        .f32("conv.weight_v", &[2, 2], &v)
        .f32("lin.parametrizations.weight.original0", &[], &[2.0])
        .f32("lin.parametrizations.weight.original1", &[2, 2], &v)
        .f32("fc.weight_orig", &[2, 2], &v)
        .f32("fc.weight_mask", &[2, 2], &mask)
        .write(&input);
    let outcome = run(&input, &output, to(2.0), "reshaped", &[]).unwrap();
    assert_eq!(opens(&output), opens(&input));
    let near = |name: &str, expected: &[f64]| assert_near(&elements(&output, name), expected);
    near("conv.weight_g", &[2.0, 1.0]);
    near("conv.weight_v", &v.map(f64::from));
    near("lin.parametrizations.weight.original0", &[2.0 * 10.0_f64.sqrt() / 3.0]);
    near("fc.weight_orig", &[6.0, 0.0, 0.0, 2.0]);
    near("fc.weight_mask", &mask.map(f64::from));
    let before = |name: &str| outcome.done.iter().find(|it| it.name == name).unwrap().before.value;
    let befores = ["conv.weight", "fc.weight", "lin.weight"].map(before);
    assert_near(&befores, &[1.0, 1.0, 6.0 / 10.0_f64.sqrt()]);
    assert_eq!(names(&outcome.left), ["fc.weight_mask"]);
    for measured in inspect(&output).tensors {
        assert!((measured.sigma.value - 2.0).abs() < 1e-5, "{measured:?}");
    }
}

#[test]
fn everything_that_pytorch_stores_comes_to_the_target() {
    let folder = tempfile::tempdir().unwrap();
    for (file, count) in [("used.pt", 23), ("used_modules.pt", 2), ("spectral_hook.pt", 3)] {
        let output = folder.path().join("out");
        let outcome = run(&fixture(file), &output, to(0.5), "reshaped", &[]).unwrap();
        assert_eq!(outcome.done.len(), count, "{file}: {outcome:?}");
        let mut checked = 0;
        for measured in inspect(&output).tensors {
            // Transposed convolutions are now plain, and a file does not tell them from others.
            let name = measured.weight.as_deref().unwrap_or(&measured.name);
            if !name.starts_with("up") {
                assert!((measured.sigma.value / 0.5 - 1.0).abs() < 1e-5, "{file} {measured:?}");
                checked += 1;
            }
        }
        assert!(checked >= count.saturating_sub(4), "{file}: {checked}");
    }
}

#[test]
fn what_only_looks_like_a_weight_is_left_as_it_was_and_named() {
    let Paths { input, output, folder: _folder } = Paths::default();
    let triangle: Vec<f32> = (0..16).map(|i| f32::from(u8::from(i % 4 <= i / 4))).collect();
    let hidden: Vec<f32> =
        triangle.iter().map(|&x| if x > 0.0 { 0.0 } else { f32::NEG_INFINITY }).collect();
    let weight = [2.0, 0.5, -1.0, 1.0];
    // Attention to a window of two.
    let band = (0..16).map(|i| f32::from(u8::from(i % 4 <= i / 4 && i / 4 <= i % 4 + 1)));
    let band: Vec<f32> = band.collect();
    let waves: Vec<f32> = (0..8_u8)
        .flat_map(|at| [1.0, 0.01].map(|rate| f32::from(at) * rate))
        .flat_map(|angle| [angle.sin(), angle.cos()])
        .collect();
    // Under names that others have.
    let honest = [
        "fc.weight",
        "h.1.attn.bias",
        "mask.weight",
        "net.state.0.weight",
        "film.scale",
        "opt_proj.weight",
    ];
    let others: [(&str, &[usize], &[f32]); 12] = [
        ("h.0.attn.bias", &[1, 1, 4, 4], &triangle),
        ("mask", &[4, 4], &hidden),
        ("l.weight_scale_inv", &[1, 1], &[0.002]),
        ("optimizer_states.0.state.0.exp_avg", &[2, 2], &weight),
        ("state.0.precond_0", &[2, 2], &weight),
        ("state.0.step_sizes", &[2, 2], &weight),
        ("q.scales", &[2, 2], &weight),
        ("rope.cos_cached", &[2, 2], &weight),
        ("bn.running_mean", &[2, 2], &weight),
        ("h.2.attn.bias", &[1, 1, 4, 4], &band),
        ("opt.state.fc.weight.sum", &[2, 2], &weight),
        ("pos_encoder.pe", &[8, 1, 4], &waves),
    ];
    let file =
        honest.into_iter().fold(Builder::default(), |file, it| file.f32(it, &[2, 2], &weight));
    others
        .into_iter()
        .fold(file, |file, (name, shape, values)| file.f32(name, shape, values))
        .raw("l.weight", "F8_E4M3", &[2, 2], vec![0x38; 4])
        .raw("q.qweight", "I32", &[1, 1], vec![1; 4])
        .write(&input);
    let outcome = run(&input, &output, to(1.0), "reshaped", &[]).unwrap();
    assert_eq!(outcome.done.len(), 6, "{outcome:?}");
    for (other, ..) in others {
        assert_eq!(bytes(&input, other), bytes(&output, other), "{other}");
        assert!(names(&outcome.left).contains(&other), "{other} in {:?}", outcome.left);
    }
    assert!(names(&outcome.left).contains(&"l.weight"));
    assert!(outcome.left_out.is_empty());
    // One that is named in full is normalized.
    let outcome = run(&input, &output, to(1.0), "reshaped", &["h.0.attn.bias"]).unwrap();
    assert_eq!(outcome.done[0].name, "h.0.attn.bias");
    let quantized = run(&input, &output, to(1.0), "reshaped", &["l.weight"]);
    assert!(matches!(quantized, Err(NormalizeError::NothingSelected { .. })));
}

#[test]
fn averages_are_a_set_of_their_own() {
    let weight = [2.0, 0.0, 0.0, 1.0];
    let totals = Builder::default()
        .f32("model.fc.weight", &[2, 2], &weight)
        .f32("model_ema.fc.weight", &[2, 2], &weight)
        .f32("swa.module.fc.weight", &[2, 2], &weight)
        .f32("swa.n_averaged", &[], &[3.0])
        .f32("layers.0.ema.weight", &[2, 2], &weight)
        .f32("student.fc.weight", &[2, 2], &weight)
        .f32("teacher.fc.weight", &[2, 2], &weight)
        .f32("target_proj.weight", &[2, 2], &weight)
        .inspected()
        .totals();
    let sets: Vec<_> = totals.iter().map(|it| (it.set.as_deref(), it.count)).collect();
    assert_eq!(sets, [(None, 4), (Some("model_ema"), 1), (Some("swa"), 1), (Some("teacher"), 1)]);
    let products: Vec<_> = totals.iter().map(|it| it.log10_lipschitz_product).collect();
    assert_near(&products[..2], &[16.0_f64.log10(), 2.0_f64.log10()]);
}

#[test]
fn a_checkpoint_of_a_run_has_a_network_its_average_and_an_optimizer() {
    let Paths { input: path, output, folder: _folder } = Paths::default();
    let weight = [2.0, 0.0, 0.0, 1.0];
    // s = ½ as round(ln ½·2²⁴).
    let state = [11_629_080, -11_629_080, 0, 0, 0];
    Builder::default()
        .f32("generator/fc.weight", &[2, 2], &weight)
        .i32("generator/fc.weight.spectral_norm.u", &[1 << 30, 0])
        .i32("generator/fc.weight.spectral_norm.v", &[1 << 30, 0])
        .i32("generator/fc.weight.spectral_norm.state", &state)
        .f32("generator.adam/fc.weight:moment_1", &[2, 2], &weight)
        .f32("generator.adam/fc.weight:moment_2", &[2, 2], &weight)
        .raw("generator.osn", "U8", &[2], vec![1; 2])
        .f32("average/fc.weight", &[2, 2], &weight)
        .write(&path);
    let inspection = inspect(&path);
    assert_eq!(inspection.tensors.len(), 2);
    for measured in &inspection.tensors {
        let expected = match (&*measured.name, measured.set.as_deref()) {
            ("generator/fc.weight", None) => 1.0,
            ("average/fc.weight", Some("average")) => 2.0,
            other => panic!("{other:?}"),
        };
        assert_near(&[measured.sigma.value], &[expected]);
    }
    let outcome = run(&path, &output, to(3.0), "reshaped", &[]).unwrap();
    let written = elements(&output, "generator/fc.weight");
    assert_near(&written, &[3.0, 0.0, 0.0, 1.5]);
    assert_eq!(bytes(&path, "generator.osn"), bytes(&output, "generator.osn"));
    assert!(!opens(&output).iter().any(|name| name.contains("spectral_norm")));
    assert_eq!(
        names(&outcome.left),
        ["generator.adam/fc.weight:moment_1", "generator.adam/fc.weight:moment_2"]
    );
}

#[test]
fn what_safetensors_has_no_type_for_is_left_out_by_name() {
    let Paths { input, output, folder: _folder } = Paths::default();
    let select = ["f64", "whole", "**.weight", "model*"];
    let files = "archive.pt late_dtypes.pt views.pt training.pt nested.pt plain.safetensors";
    for file in files.split(' ') {
        match run(&fixture(file), &output, to(1.0), "reshaped", &select) {
            Ok(NormalizeOutcome { left_out, .. }) => {
                let written = opens(&output);
                for tensor in Checkpoint::open(fixture(file)).unwrap().tensors() {
                    let is_out = left_out.iter().any(|it| it.name == tensor.name());
                    assert!(written.contains(&tensor.name().to_owned()) != is_out, "{file}");
                }
            }
            Err(error) => {
                assert!(matches!(error, NormalizeError::NothingSelected { .. }), "{error}");
            }
        }
    }
    let file = Builder::default().f32("w", &[2, 2], &[2.0; 4]);
    file.raw("c", "C128", &[1], vec![1; 16]).write(&input);
    let outcome = run(&input, &output, to(1.0), "reshaped", &[]).unwrap();
    assert_eq!((opens(&output), names(&outcome.left_out)), (vec!["w".to_owned()], vec!["c"]));
}

#[test]
fn halves_are_multiplied_in_full_and_rounded_once() {
    let Paths { input, output, folder: _folder } = Paths::default();
    let values: Vec<f32> = (1..=64_u8).map(|i| (f32::from(i) * 1.7).sin()).collect();
    Builder::default().bf16("b", &[8, 8], &values).f16("h", &[8, 8], &values).write(&input);
    let outcome = run(&input, &output, to(1.0), "reshaped", &[]).unwrap();
    for done in &outcome.done {
        let (before, after) = (elements(&input, &done.name), elements(&output, &done.name));
        let sigma = exact(&DenseMap::new(&after, 8, 8).unwrap()).unwrap().sigma;
        assert!((sigma - 1.0).abs() < 2.0_f64.powi(-11), "{}: {sigma}", done.name);
        let rounded = |x: f64| match done.name.as_str() {
            "b" => half::bf16::from_f64(x).to_f64(),
            _ => half::f16::from_f64(x).to_f64(),
        };
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(*after, rounded(before * done.scale), "{}", done.name);
        }
    }
}

#[test]
fn a_target_beyond_the_type_is_refused_with_the_limits_of_the_type() {
    let Paths { input, output, folder: _folder } = Paths::default();
    let refused = |target: f64| {
        let error = run(&input, &output, to(target), "reshaped", &[]).unwrap_err();
        let NormalizeError::Range { dtype, limits, .. } = error else { panic!("{error}") };
        assert_eq!((dtype, limits[1], output.exists()), (Dtype::F16, 65504.0, false));
    };
    let identity = [1.0, 0.0, 0.0, 1.0];
    Builder::default().f16("w", &[2, 2], &identity).write(&input);
    refused(1e-9);
    refused(1e6);
    // Each entry would be in range, the sum of them is not.
    Builder::default().f16("w", &[2, 32], &[1.0; 64]).write(&input);
    assert!(run(&input, &output, to(65504.0), "reshaped", &[]).is_ok());
    fs::remove_file(&output).unwrap();
    refused(1e7);
    Builder::default().f16("w", &[2, 2], &identity).write(&input);
    assert!(run(&input, &output, to(6e4), "reshaped", &[]).is_ok());
}

#[test]
fn expanded_and_tied_tensors_are_written_whole() {
    let Paths { output, folder: _folder, .. } = Paths::default();
    let outcome = run(&fixture("views.pt"), &output, to(1.0), "reshaped", &[]).unwrap();
    assert_eq!(elements(&output, "whole"), elements(&output, "tied"));
    assert!(outcome.left_out.is_empty());
}

#[test]
fn experts_of_a_stack_are_matrices_of_their_own() {
    let Paths { input, output, folder: _folder } = Paths::default();
    let stack = [1.0, 0.0, 0.0, 1.0, 3.0, 0.0, 0.0, 2.0];
    Builder::default().f32("experts.w", &[2, 2, 2], &stack).write(&input);
    let view = "blocks:axis=0,count=2";
    let inspection = inspect_with(&input, &[], &viewed(view));
    let sigmas: Vec<_> = inspection.tensors.iter().map(|it| it.sigma.value).collect();
    assert_near(&sigmas, &[1.0, 3.0]);
    assert_eq!(inspection.tensors[1].shape, [2, 2]);
    assert_eq!(inspection.tensors[1].output_axis, 1);
    let totals = &inspection.totals()[0];
    assert_eq!(totals.count, 1);
    assert_near(&[totals.log10_lipschitz_product], &[10.0_f64.sqrt().log10()]);
    run(&input, &output, to(2.0), view, &[]).unwrap();
    let expected = [2.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 4.0 / 3.0];
    assert_near(&elements(&output, "experts.w"), &expected);
}

#[test]
fn an_output_axis_is_obeyed_or_refused() {
    let kernel = noise(24);
    let sigma = |axis: usize| {
        exact(&DenseMap::from_tensor(&kernel, &[4, 3, 2], axis).unwrap()).unwrap().sigma
    };
    let measured = |view: &str, output_axis: Option<usize>| {
        Builder::default()
            .f32("conv.weight_orig", &[4, 3, 2], &kernel)
            .f32("conv.weight_u", &[4], &[1.0, 0.0, 0.0, 0.0])
            .f32("conv.weight_v", &[6], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
            .inspected_with(&[], &MeasureParams { output_axis, ..viewed(view) })
    };
    for axis in 0..3 {
        let inspection = measured("reshaped", Some(axis));
        let raw = inspection.tensors[0].raw_sigma.unwrap();
        assert!(raw.contains(sigma(axis)), "stored u and v do not override axis {axis}");
        assert_eq!(inspection.tensors[0].output_axis, axis);
    }
    assert!(measured("reshaped", None).tensors[0].raw_sigma.unwrap().contains(sigma(0)));
    let refused = |view: &str, axis| {
        let inspection = measured(view, Some(axis));
        let skipped = inspection.skipped.iter().find(|it| it.name == "conv.weight_orig").unwrap();
        assert!(skipped.why.is_bad_choice(), "{view}: {skipped:?}");
    };
    for view in ["reshaped", "bidirectional", "blocks:axis=0,count=2", "operator:size=5"] {
        refused(view, 7);
    }
    refused("operator:size=5", 1);
    refused("operator:size=5,transposed=0", 0);
}

/// u and v of a weight that repeats one number 2⁴⁰ times: nothing may be read before that is seen.
#[test]
fn vectors_beside_a_weight_that_cannot_be_read_take_no_memory() {
    let inspection = inspect(&fixture("expanded_orig.pt"));
    assert!(inspection.tensors.is_empty());
    let skipped = inspection.skipped.iter().find(|it| it.name == "a.weight_orig").unwrap();
    assert!(matches!(skipped.why, MeasureError::NotRead(_)), "{skipped:?}");
    let at = Paths::default();
    let refused = run(&fixture("expanded_orig.pt"), &at.output, to(1.0), "reshaped", &[]);
    assert!(matches!(refused, Err(NormalizeError::NothingSelected { .. })));
}
