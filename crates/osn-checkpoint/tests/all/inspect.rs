//! The measurements of whole checkpoints, and what is written of them.

use std::fs;
use std::path::Path;

use crate::support::{Builder, Paths, fixture, inspect, inspect_with, noise, run, to, viewed};
use osn_checkpoint::{MeasureError, MeasureParams, NormalizeError};
use osn_core::act::Action;
use osn_core::measure::convolution::{ConvMap, Convolution};
use osn_core::measure::{DenseMap, EstimateError, exact};
use osn_files::output::OutputError;
use safetensors::SafeTensors;

/// Two kernels, a bias and a counter.
fn model() -> Builder {
    Builder::default()
        .metadata("format", "pt")
        .f32("conv.weight", &[6, 2, 3, 2], &noise(72))
        .f32("fc.weight", &[5, 8], &noise(40))
        .f32("fc.bias", &[5], &noise(5))
        .raw("steps", "I64", &[], 3_i64.to_le_bytes().to_vec())
}

#[test]
fn the_object_has_the_fields_that_its_schema_promises() {
    let inspection = model().inspected();
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["schema"], 1);
    let conv = &json["tensors"][0];
    assert_eq!(conv["name"], "conv.weight");
    assert_eq!(conv["shape"], serde_json::json!([6, 2, 3, 2]));
    assert_eq!((conv["dtype"].as_str(), conv["view"].as_str()), (Some("F32"), Some("reshaped")));
    assert!(conv["file"].as_str().unwrap().ends_with("in"));
    let number = |name: &str| conv["sigma"][name].as_f64().unwrap();
    assert!(number("lower") <= number("value") && number("value") <= number("upper"));
    let true_sigma =
        exact(&DenseMap::from_tensor(&noise(72), &[6, 2, 3, 2], 0).unwrap()).unwrap().sigma;
    assert!(number("lower") <= true_sigma && true_sigma <= number("upper"));
    let rank = conv["frobenius"].as_f64().unwrap().powi(2) / number("value").powi(2);
    assert!((conv["stable_rank"].as_f64().unwrap() / rank - 1.0).abs() < 1e-12);
    let [bias, steps] = &inspection.skipped[..] else { panic!("two are skipped") };
    assert!(matches!(bias.why, MeasureError::Rank { rank: 1 }));
    assert!(matches!(steps.why, MeasureError::NotRead(_)));
    for (skipped, json) in [bias, steps].into_iter().zip(json["skipped"].as_array().unwrap()) {
        assert_eq!(
            (&json["name"], &json["reason"]),
            (&skipped.name.clone().into(), &skipped.why.to_string().into())
        );
    }
    assert!(inspection.first_bad().is_none());
}

#[test]
fn every_view_measures_what_it_says() {
    let kernel = noise(72);
    let reshaped =
        |axis| exact(&DenseMap::from_tensor(&kernel, &[6, 2, 3, 2], axis).unwrap()).unwrap().sigma;
    let inspect = |params: &MeasureParams| model().inspected_with(&[], params);
    let of_conv = |params: &MeasureParams| inspect(params).tensors[0].sigma;

    let inputs = MeasureParams { output_axis: Some(1), ..MeasureParams::default() };
    assert!(of_conv(&inputs).contains(reshaped(1)));
    let mean = f64::midpoint(reshaped(0), reshaped(1));
    assert!(of_conv(&viewed("bidirectional")).contains(mean));

    let convolution = Convolution::new([5, 4]).stride([2, 1]).padding([1, 0]);
    let geometry = convolution.geometry(&[6, 2, 3, 2]).unwrap();
    let operator = exact(&ConvMap::new(&kernel, geometry).unwrap()).unwrap().sigma;
    let inspection = inspect(&viewed("operator:size=5x4,stride=2x1,padding=1x0"));
    assert!(inspection.tensors[0].sigma.contains(operator));
    assert_eq!(inspection.tensors[0].stable_rank, None);
    // A matrix is no kernel over images of two dimensions.
    assert!(inspection.skipped.iter().any(|skipped| skipped.name == "fc.weight"));

    let blocks = inspect(&viewed("blocks:axis=0,count=3"));
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
    let params = MeasureParams { leading: 3, ..MeasureParams::default() };
    let inspection = model().inspected_with(&[], &params);
    let all =
        osn_core::measure::singular_values(&DenseMap::new(&noise(40), 5, 8).unwrap()).unwrap();
    let found = &inspection.tensors[1].leading;
    assert_eq!(found.len(), 3);
    assert!(found.iter().zip(all).all(|(ours, theirs)| (ours / theirs - 1.0).abs() < 1e-12));
}

#[test]
fn stored_vectors_are_judged_by_the_weight() {
    let inspection = inspect(&fixture("spectral_hook.pt"));
    let stored: Vec<_> = inspection.tensors.iter().filter_map(|it| it.stored.as_ref()).collect();
    assert_eq!(stored.len(), 3);
    for stored in stored {
        assert!(stored.is_good && stored.shortfall.unwrap() < 1e-3, "{stored:?}");
    }

    // The vectors of one weight beside another weight.
    let inspection = Builder::default()
        .f32("a.weight_orig", &[4, 5], &noise(20))
        .f32("a.weight_u", &[4], &[0.0, 1.0, 0.0, 0.0])
        .f32("a.weight_v", &[5], &[0.0, 0.0, 1.0, 0.0, 0.0])
        .inspected();
    let stored = inspection.tensors[0].stored.as_ref().unwrap();
    assert!(!stored.is_good && stored.shortfall.unwrap() > 0.1, "{stored:?}");
    let seen = f64::from(noise(20)[7].abs());
    assert!((stored.sigma.unwrap() - seen).abs() < 1e-7);
}

#[test]
fn the_state_of_an_optimizer_is_measured_where_it_is_asked_for() {
    let measured = |select: &[&str]| {
        let file = ["model.weight", "optimizer_state.state.0.exp_avg", "adam.7.momentum_buffer"]
            .into_iter()
            .fold(Builder::default(), |file, name| file.f32(name, &[3, 4], &noise(12)));
        file.inspected_with(select, &MeasureParams::default()).tensors.len()
    };
    assert_eq!((measured(&[]), measured(&["**"]), measured(&["**.exp_avg"])), (1, 3, 1));
}

#[test]
fn a_tensor_with_a_bad_entry_is_named_and_the_others_are_measured() {
    let at = Paths::default();
    let mut bad = noise(12);
    bad[7] = f32::NAN;
    let file = Builder::default().f32("bad", &[3, 4], &bad);
    file.f32("good", &[3, 4], &noise(12)).write(&at.input);
    let inspection = inspect(&at.input);
    assert_eq!(inspection.tensors.len(), 1);
    let bad = inspection.first_bad().unwrap();
    let is_named = |error: &MeasureError| {
        matches!(error, MeasureError::Estimate(EstimateError::NonFiniteEntry { index: 7, .. }))
    };
    assert!(bad.name == "bad" && is_named(&bad.why), "{bad:?}");
    match run(&at.input, &at.output, to(1.0), "reshaped", &[]) {
        Err(NormalizeError::Tensor { source, .. }) => assert!(is_named(&source), "{source}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_dir(at.folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn a_normalized_checkpoint_has_every_selected_sigma_at_its_target_and_all_else_as_it_was() {
    let at = Paths::default();
    model().write(&at.input);
    let action = to(0.75);
    for view in ["reshaped", "bidirectional", "blocks:axis=0,count=2", "operator:size=6x5"] {
        run(&at.input, &at.output, action, view, &["conv.*"]).unwrap();
        let inspection = inspect_with(&at.output, &[], &viewed(view));
        let of_conv = inspection.tensors.iter().filter(|tensor| tensor.name == "conv.weight");
        for tensor in of_conv {
            let width = tensor.sigma.relative_width().max(1e-6);
            assert!((tensor.sigma.value / 0.75 - 1.0).abs() <= width, "{view}: {tensor:?}");
        }
    }
    let [before, after] = [&at.input, &at.output].map(|path| fs::read(path).unwrap());
    let (_, metadata) = SafeTensors::read_metadata(&after).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    let [before, after] = [&before, &after].map(|it| SafeTensors::deserialize(it).unwrap());
    for name in ["fc.weight", "fc.bias", "steps"] {
        assert_eq!(before.tensor(name).unwrap().data(), after.tensor(name).unwrap().data());
    }
    assert_eq!(metadata["format"], "pt");
    let note: serde_json::Value = serde_json::from_str(&metadata["osn.normalize"]).unwrap();
    assert_eq!(note["action"], action.to_string());
}

#[test]
fn a_cap_leaves_what_is_below_it_to_the_bit() {
    let at = Paths::default();
    model().write(&at.input);
    let sigmas = |path: &Path| -> Vec<f64> {
        inspect(path).tensors.iter().map(|tensor| tensor.sigma.value).collect()
    };
    let befores = sigmas(&at.input);
    let between = f64::midpoint(befores[0], befores[1]);
    let cap = Action::Cap { target: between, sharpness: f64::INFINITY };
    let done = run(&at.input, &at.output, cap, "reshaped", &[]).unwrap().done;
    for ((before, after), done) in befores.into_iter().zip(sigmas(&at.output)).zip(done) {
        if before <= between {
            assert_eq!((after, done.scale), (before, 1.0));
        } else {
            assert!((after / between - 1.0).abs() < 1e-6 && done.scale < 1.0);
        }
    }
}

#[test]
fn halves_are_normalized_as_nearly_as_they_can_say() {
    let Paths { output, folder: _folder, .. } = Paths::default();
    for name in ["f16", "bf16", "f64"] {
        let done = run(&fixture("archive.pt"), &output, to(2.0), "reshaped", &[name]).unwrap().done;
        let inspection = inspect(&output);
        let written = inspection.tensors.iter().find(|tensor| tensor.name == name).unwrap();
        assert!((written.sigma.value / 2.0 - 1.0).abs() < 2e-3, "{name}: {:?}", written.sigma);
        assert_eq!(written.sigma, done[0].after, "the outcome is what was written");
    }
}

#[test]
fn nothing_is_written_over_the_input_or_without_a_weight() {
    let at = Paths::default();
    model().write(&at.input);
    let before = fs::read(&at.input).unwrap();
    let link = at.folder.path().join("link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&at.input, &link).unwrap();
    for output in [&at.input, &link] {
        let refused = run(&at.input, output, to(1.0), "reshaped", &[]);
        assert!(matches!(refused, Err(NormalizeError::Output(OutputError::Input { .. }))));
    }
    for select in ["nothing", "steps"] {
        let refused = run(&at.input, &at.output, to(1.0), "reshaped", &[select]);
        assert!(matches!(refused, Err(NormalizeError::NothingSelected { .. })), "{select}");
    }
    assert!(!at.output.exists());
    assert_eq!(fs::read(&at.input).unwrap(), before);
}
