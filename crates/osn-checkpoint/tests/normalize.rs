//! What is written has the wanted σ when its framework loads it, and all else is as it was or said.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod support;

use std::fs;
use std::path::Path;

use osn_checkpoint::{Checkpoint, Dtype, NormalizeError, NormalizeOutcome};
use osn_core::act::Action;
use osn_core::measure::{DenseMap, exact};
use support::{Builder, fixture, inspect, opens, run, to};

/// The elements of a tensor in a file that was written.
fn elements(path: &Path, name: &str) -> Vec<f64> {
    let checkpoint = Checkpoint::open(path).unwrap();
    let tensor = checkpoint.tensors().iter().find(|tensor| tensor.name() == name);
    tensor.unwrap_or_else(|| panic!("no {name}")).read_all().unwrap()
}

fn bytes(path: &Path, name: &str) -> Vec<u8> {
    let checkpoint = Checkpoint::open(path).unwrap();
    let tensor = checkpoint.tensors().iter().find(|tensor| tensor.name() == name).unwrap();
    tensor.read_all_bytes().unwrap()
}

fn names(named: &[osn_checkpoint::Named]) -> Vec<&str> {
    named.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn what_a_spectral_norm_divides_is_written_as_the_plain_weight() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    for [weight, u, v] in [
        ["fc.weight_orig", "fc.weight_u", "fc.weight_v"],
        [
            "fc.parametrizations.weight.original",
            "fc.parametrizations.weight.0._u",
            "fc.parametrizations.weight.0._v",
        ],
    ] {
        // The model uses diag(3, 1)/−3.
        let file = Builder::default().f32(weight, &[2, 2], &[3.0, 0.0, 0.0, 1.0]);
        file.f32(u, &[2], &[-1.0, 0.0])
            .f32(v, &[2], &[1.0, 0.0])
            .f32("fc.bias", &[2], &[5.0; 2])
            .write(&input);
        let outcome = run(&input, &output, to(2.0), "reshaped", &[]).unwrap();
        assert_eq!(opens(&output), ["fc.bias", "fc.weight"]);
        let written = elements(&output, "fc.weight");
        let expected = [-2.0, 0.0, 0.0, -2.0 / 3.0];
        assert!(written.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{written:?}");
        let done = &outcome.done[0];
        assert!((done.before.value - 1.0).abs() < 1e-6 && (done.after.value - 2.0).abs() < 1e-6);
        assert!(done.stored.as_deref().unwrap().contains("without spectral norm"));
        // A cap above it scales nothing, and is written in the same form.
        let cap = Action::Cap { target: 2.0, sharpness: f64::INFINITY };
        let outcome = run(&input, &output, cap, "reshaped", &[]).unwrap();
        assert_eq!((opens(&output).len(), outcome.done[0].scale), (2, 1.0));
    }
}

#[test]
fn weight_norm_is_scaled_by_its_g_and_a_pruned_weight_beside_its_mask() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
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
    let near = |name: &str, expected: &[f64]| {
        let written = elements(&output, name);
        let is_near = written.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(is_near && written.len() == expected.len(), "{name}: {written:?}");
    };
    near("conv.weight_g", &[2.0, 1.0]);
    near("conv.weight_v", &v.map(f64::from));
    near("lin.parametrizations.weight.original0", &[2.0 * 10.0_f64.sqrt() / 3.0]);
    near("fc.weight_orig", &[6.0, 0.0, 0.0, 2.0]);
    near("fc.weight_mask", &mask.map(f64::from));
    let befores: Vec<_> =
        outcome.done.iter().map(|it| (it.name.as_str(), it.before.value)).collect();
    let of = |name: &str| befores.iter().find(|it| it.0 == name).unwrap().1;
    assert!((of("conv.weight") - 1.0).abs() < 1e-6 && (of("fc.weight") - 1.0).abs() < 1e-6);
    assert!((of("lin.weight") - 6.0 / 10.0_f64.sqrt()).abs() < 1e-6);
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
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    let triangle: Vec<f32> = (0..16).map(|i| f32::from(u8::from(i % 4 <= i / 4))).collect();
    let hidden: Vec<f32> =
        triangle.iter().map(|&x| if x > 0.0 { 0.0 } else { f32::NEG_INFINITY }).collect();
    let weight = [2.0, 0.5, -1.0, 1.0];
    let others = [
        "h.0.attn.bias",
        "mask",
        "l.weight_scale_inv",
        "optimizer_states.0.state.0.exp_avg",
        "state.0.precond_0",
        "state.0.step_sizes",
        "q.scales",
        "rope.cos_cached",
        "bn.running_mean",
        "h.2.attn.bias",
        "opt.state.fc.weight.sum",
        "pos_encoder.pe",
    ];
    // Attention to a window of two.
    let band = (0..16).map(|i| f32::from(u8::from(i % 4 <= i / 4 && i / 4 <= i % 4 + 1)));
    let band: Vec<f32> = band.collect();
    let waves: Vec<f32> = (0..8_u8)
        .flat_map(|at| [1.0, 0.01].map(|rate| f32::from(at) * rate))
        .flat_map(|angle| [angle.sin(), angle.cos()])
        .collect();
    Builder::default()
        .f32("fc.weight", &[2, 2], &weight)
        // Honest weights under names that others have.
        .f32("h.1.attn.bias", &[2, 2], &weight)
        .f32("mask.weight", &[2, 2], &weight)
        .f32("net.state.0.weight", &[2, 2], &weight)
        .f32("film.scale", &[2, 2], &weight)
        .f32("opt_proj.weight", &[2, 2], &weight)
        .f32(others[0], &[1, 1, 4, 4], &triangle)
        .f32(others[1], &[4, 4], &hidden)
        .raw("l.weight", "F8_E4M3", &[2, 2], vec![0x38; 4])
        .f32(others[2], &[1, 1], &[0.002])
        .f32(others[3], &[2, 2], &weight)
        .f32(others[4], &[2, 2], &weight)
        .f32(others[5], &[2, 2], &weight)
        .raw("q.qweight", "I32", &[1, 1], vec![1; 4])
        .f32(others[6], &[2, 2], &weight)
        .f32(others[7], &[2, 2], &weight)
        .f32(others[8], &[2, 2], &weight)
        .f32(others[9], &[1, 1, 4, 4], &band)
        .f32(others[10], &[2, 2], &weight)
        .f32(others[11], &[8, 1, 4], &waves)
        .write(&input);
    let outcome = run(&input, &output, to(1.0), "reshaped", &[]).unwrap();
    assert_eq!(outcome.done.len(), 6, "{outcome:?}");
    for other in others {
        assert_eq!(bytes(&input, other), bytes(&output, other), "{other}");
        assert!(names(&outcome.left).contains(&other), "{other} in {:?}", outcome.left);
    }
    assert!(names(&outcome.left).contains(&"l.weight"));
    assert!(outcome.left_out.is_empty());
    // Who names one of them in full gets it.
    let outcome = run(&input, &output, to(1.0), "reshaped", &["h.0.attn.bias"]).unwrap();
    assert_eq!(outcome.done[0].name, "h.0.attn.bias");
    let quantized = run(&input, &output, to(1.0), "reshaped", &["l.weight"]).unwrap_err();
    assert!(quantized.to_string().contains("quantized"), "{quantized}");
}

#[test]
fn averages_are_a_set_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    let weight = [2.0, 0.0, 0.0, 1.0];
    Builder::default()
        .f32("model.fc.weight", &[2, 2], &weight)
        .f32("model_ema.fc.weight", &[2, 2], &weight)
        .f32("swa.module.fc.weight", &[2, 2], &weight)
        .f32("swa.n_averaged", &[], &[3.0])
        .f32("layers.0.ema.weight", &[2, 2], &weight)
        .f32("student.fc.weight", &[2, 2], &weight)
        .f32("teacher.fc.weight", &[2, 2], &weight)
        .f32("target_proj.weight", &[2, 2], &weight)
        .write(&path);
    let totals = inspect(&path).totals();
    let sets: Vec<_> = totals.iter().map(|it| (it.set.as_deref(), it.count)).collect();
    assert_eq!(sets, [(None, 4), (Some("model_ema"), 1), (Some("swa"), 1), (Some("teacher"), 1)]);
    assert!((totals[0].log10_lipschitz_product - 16.0_f64.log10()).abs() < 1e-6);
    assert!((totals[1].log10_lipschitz_product - 2.0_f64.log10()).abs() < 1e-6);
}

#[test]
fn a_checkpoint_of_a_run_has_a_network_its_average_and_an_optimizer() {
    let folder = tempfile::tempdir().unwrap();
    let (path, output) = (folder.path().join("in"), folder.path().join("out"));
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
    let sigmas: Vec<_> = inspection
        .tensors
        .iter()
        .map(|it| (&*it.name, it.set.as_deref(), it.sigma.value))
        .collect();
    assert_eq!(sigmas.len(), 2, "{sigmas:?}");
    let own = sigmas.iter().find(|it| it.0 == "generator/fc.weight").unwrap();
    assert!(own.1.is_none() && (own.2 - 1.0).abs() < 1e-6, "{own:?}");
    assert!(sigmas.contains(&("average/fc.weight", Some("average"), sigmas[0].2.max(sigmas[1].2))));
    let outcome = run(&path, &output, to(3.0), "reshaped", &[]).unwrap();
    let written = elements(&output, "generator/fc.weight");
    assert!((written[0] - 3.0).abs() < 1e-6 && (written[3] - 1.5).abs() < 1e-6, "{written:?}");
    assert_eq!(bytes(&path, "generator.osn"), bytes(&output, "generator.osn"));
    assert!(!opens(&output).iter().any(|name| name.contains("spectral_norm")));
    assert_eq!(
        names(&outcome.left),
        ["generator.adam/fc.weight:moment_1", "generator.adam/fc.weight:moment_2"]
    );
}

#[test]
fn what_safetensors_has_no_type_for_is_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    for file in [
        "archive.pt",
        "late_dtypes.pt",
        "views.pt",
        "training.pt",
        "nested.pt",
        "plain.safetensors",
    ] {
        let input = Checkpoint::open(fixture(file)).unwrap();
        match run(
            &fixture(file),
            &output,
            to(1.0),
            "reshaped",
            &["f64", "whole", "**.weight", "model*"],
        ) {
            Ok(NormalizeOutcome { left_out, .. }) => {
                let written = opens(&output);
                for tensor in input.tensors() {
                    let is_out = left_out.iter().any(|it| it.name == tensor.name());
                    assert!(written.contains(&tensor.name().to_owned()) != is_out, "{file}");
                }
            }
            Err(error) => {
                assert!(matches!(error, NormalizeError::NothingSelected { .. }), "{error}");
            }
        }
    }
    let path = folder.path().join("in");
    Builder::default()
        .f32("w", &[2, 2], &[2.0; 4])
        .raw("c", "C128", &[1], vec![1; 16])
        .write(&path);
    if Checkpoint::open(&path).is_ok() {
        let outcome = run(&path, &output, to(1.0), "reshaped", &[]).unwrap();
        assert_eq!((opens(&output), names(&outcome.left_out)), (vec!["w".to_owned()], vec!["c"]));
    }
}

#[test]
fn halves_are_multiplied_in_full_and_rounded_once() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
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
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    let refused = |target: f64| {
        let error = run(&input, &output, to(target), "reshaped", &[]).unwrap_err();
        assert!(!error.to_string().contains("00000") && !output.exists(), "{error}");
        let NormalizeError::Range { dtype, limits, .. } = error else { panic!("{error}") };
        assert_eq!((dtype, limits[1]), (Dtype::F16, 65504.0));
    };
    let identity = [1.0, 0.0, 0.0, 1.0];
    Builder::default().f16("w", &[2, 2], &identity).write(&input);
    refused(1e-9);
    refused(1e6);
    Builder::default().f32("w", &[2, 2], &[1.0, 1e-3, 1e-3, 1.0]).write(&input);
    // Each entry would be in range, the sum of them is not.
    let row = vec![1.0; 64];
    Builder::default().f16("w", &[2, 32], &row).write(&input);
    assert!(run(&input, &output, to(65504.0), "reshaped", &[]).is_ok());
    fs::remove_file(&output).unwrap();
    refused(1e7);
    Builder::default().f16("w", &[2, 2], &identity).write(&input);
    assert!(run(&input, &output, to(6e4), "reshaped", &[]).is_ok());
}

#[test]
fn expanded_and_tied_tensors_are_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let outcome = run(&fixture("views.pt"), &output, to(1.0), "reshaped", &[]).unwrap();
    assert_eq!(elements(&output, "whole"), elements(&output, "tied"));
    assert!(outcome.left_out.is_empty());
}

#[test]
fn experts_of_a_stack_are_matrices_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    let stack = [1.0, 0.0, 0.0, 1.0, 3.0, 0.0, 0.0, 2.0];
    Builder::default().f32("experts.w", &[2, 2, 2], &stack).write(&path);
    let viewed = support::viewed("blocks:axis=0,count=2");
    let inspection = support::inspect_with(&path, &[], &viewed);
    let sigmas: Vec<_> = inspection.tensors.iter().map(|it| it.sigma.value).collect();
    assert!((sigmas[0] - 1.0).abs() < 1e-9 && (sigmas[1] - 3.0).abs() < 1e-9, "{sigmas:?}");
    assert_eq!(inspection.tensors[1].shape, [2, 2]);
    assert_eq!(inspection.tensors[1].output_axis, 1);
    let totals = &inspection.totals()[0];
    assert_eq!(totals.count, 1);
    assert!((totals.log10_lipschitz_product - 10.0_f64.sqrt().log10()).abs() < 1e-6);
    let output = folder.path().join("out");
    run(&path, &output, to(2.0), "blocks:axis=0,count=2", &[]).unwrap();
    let expected = [2.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 4.0 / 3.0];
    let written = elements(&output, "experts.w");
    assert!(written.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{written:?}");
}

#[test]
fn an_output_axis_is_obeyed_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    let kernel: Vec<f32> = (1..=24_u8).map(|i| (f32::from(i) * 1.7).sin()).collect();
    let sigma = |axis: usize| {
        exact(&DenseMap::from_tensor(&kernel, &[4, 3, 2], axis).unwrap()).unwrap().sigma
    };
    Builder::default()
        .f32("conv.weight_orig", &[4, 3, 2], &kernel)
        .f32("conv.weight_u", &[4], &[1.0, 0.0, 0.0, 0.0])
        .f32("conv.weight_v", &[6], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        .write(&path);
    let measured = |view: &str, axis: Option<usize>| {
        let params = osn_checkpoint::MeasureParams { output_axis: axis, ..support::viewed(view) };
        support::inspect_with(&path, &[], &params)
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
        assert!(skipped.is_choice, "{view}: {skipped:?}");
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
    let reason = &inspection.skipped.iter().find(|it| it.name == "a.weight_orig").unwrap().reason;
    assert!(reason.contains("repeats"), "{reason}");
    let output = tempfile::tempdir().unwrap();
    let refused =
        run(&fixture("expanded_orig.pt"), &output.path().join("out"), to(1.0), "reshaped", &[]);
    assert!(matches!(refused, Err(NormalizeError::NothingSelected { .. })));
}
