//! The weight in use is the one that PyTorch computes with, and is written so that it is again.

use std::collections::BTreeMap;

use crate::support::{Builder, SPECTRAL_NORMS, fixture, inspect, inspect_with, json};
use osn_checkpoint::{Checkpoint, Inspection, MeasureError, MeasureParams, Measured, TensorError};
use osn_core::layer::Globs;

/// σ of the weight that PyTorch used, by layer; none where a checkpoint cannot tell.
fn expected() -> BTreeMap<String, Option<f64>> {
    serde_json::from_value(json("used.json")).unwrap()
}

/// What was measured of a layer.
fn of_layer<'a>(inspection: &'a Inspection, layer: &str) -> Vec<&'a Measured> {
    inspection.tensors.iter().filter(|it| is_in(layer, &it.name)).collect()
}

fn is_in(layer: &str, name: &str) -> bool {
    name.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'))
}

#[test]
fn every_way_to_store_a_weight_has_the_sigma_that_pytorch_computes_with() {
    let inspection = inspect(&fixture("used.pt"));
    for (layer, sigma) in expected() {
        let measured = of_layer(&inspection, &layer);
        let Some(sigma) = sigma else {
            assert!(measured.is_empty(), "{layer}: {measured:?}");
            let mut skipped = inspection.skipped.iter().filter(|it| is_in(&layer, &it.name));
            let is_said = skipped.any(|it| matches!(it.why, MeasureError::NotKnown(_)));
            assert!(is_said, "{layer}: {:?}", inspection.skipped);
            continue;
        };
        if layer.starts_with("modules") || layer == "up_square_untrained" {
            continue;
        }
        assert_eq!(measured.len(), 1, "{layer}: {measured:?}");
        let found = measured[0].sigma.value;
        assert!((found / sigma - 1.0).abs() < 1e-5, "{layer}: {found}, PyTorch has {sigma}");
        assert!(measured[0].in_use.is_some(), "{layer}");
    }
    assert_eq!(inspection.totals().len(), 1);
}

#[test]
fn a_module_that_was_pickled_whole_is_counted_once() {
    let inspection = inspect(&fixture("used_modules.pt"));
    let names: Vec<_> = inspection.tensors.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["spectral.weight_orig", "norm.weight_v"]);
    for measured in &inspection.tensors {
        let layer = measured.name.split('.').next().unwrap();
        let sigma = expected()[&format!("modules.{layer}")].unwrap();
        assert!((measured.sigma.value / sigma - 1.0).abs() < 1e-5, "{measured:?}");
    }
    let computed = inspection.skipped.iter().filter(|it| it.name.ends_with(".weight"));
    assert_eq!(computed.count(), 2, "{:?}", inspection.skipped);
}

#[test]
fn an_axis_that_the_file_does_not_tell_can_be_given() {
    let layer = "up_square_untrained";
    let sigma = expected()[layer].unwrap();
    for (output_axis, is_right) in [(None, false), (Some(1), true)] {
        let params = MeasureParams { output_axis, ..MeasureParams::default() };
        let inspection = inspect_with(&fixture("used.pt"), &[&format!("{layer}.**")], &params);
        let measured = of_layer(&inspection, layer)[0];
        assert_eq!((measured.sigma.value / sigma - 1.0).abs() < 1e-5, is_right, "{measured:?}");
    }
}

#[test]
fn vectors_of_another_length_than_one_are_not_good() {
    for [weight, u, v] in SPECTRAL_NORMS {
        let file = Builder::default().f32(weight, &[2, 2], &[3.0, 0.0, 0.0, 1.0]);
        let inspection = file.f32(u, &[2], &[0.6, 0.0]).f32(v, &[2], &[0.6, 0.0]).inspected();
        let measured = &inspection.tensors[0];
        let stored = measured.stored.as_ref().unwrap();
        assert!((stored.sigma.unwrap() - 1.08).abs() < 1e-6, "{stored:?}");
        assert!(!stored.is_good, "{stored:?}");
        assert!((measured.sigma.value - 3.0 / 1.08).abs() < 1e-6);
        assert!((measured.raw_sigma.unwrap().value - 3.0).abs() < 1e-9);
        assert_eq!(measured.weight.as_deref(), Some("fc.weight"));
        let product = inspection.totals()[0].log10_lipschitz_product;
        assert!((product - (3.0_f64 / 1.08).log10()).abs() < 1e-6, "{product}");
    }
}

#[test]
fn vectors_behind_an_unknown_parametrization_give_no_number() {
    let chain = "fc.parametrizations.weight";
    let inspected = |select: &[&str]| {
        Builder::default()
            .f32(&format!("{chain}.original"), &[2, 2], &[3.0, 0.0, 0.0, 1.0])
            .f32(&format!("{chain}.1._u"), &[2], &[1.0, 0.0])
            .f32(&format!("{chain}.1._v"), &[2], &[1.0, 0.0])
            .inspected_with(select, &MeasureParams::default())
    };
    let inspection = inspected(&[]);
    assert!(inspection.tensors.is_empty() && inspection.skipped.len() == 3);
    assert!(inspection.skipped.iter().any(|it| matches!(it.why, MeasureError::NotKnown(_))));
    // Selected by its name, it is measured as it is stored, with a note.
    let asked = &inspected(&[&format!("{chain}.original")]).tensors[0];
    assert!((asked.sigma.value - 3.0).abs() < 1e-9 && asked.in_use.is_some(), "{asked:?}");
    assert!(asked.stored.is_none());
}

#[test]
fn a_divisor_of_zero_is_the_files_fault() {
    let file = Builder::default().f32("fc.weight_orig", &[2, 2], &[3.0, 0.0, 0.0, 1.0]);
    let file = file.f32("fc.weight_u", &[2], &[1.0, 0.0]).f32("fc.weight_v", &[2], &[0.0, 1.0]);
    let inspection = file.inspected();
    let bad = inspection.first_bad().unwrap();
    assert!(matches!(bad.why, MeasureError::NotFinite { .. }), "{bad:?}");
}

/// The largest singular values that PyTorch's decomposition gives, by layer.
fn decomposed(stem: &str) -> BTreeMap<String, f64> {
    serde_json::from_value(json("expected.json")["sigma"][stem].clone()).unwrap()
}

#[test]
fn the_vectors_of_pytorch_belong_to_their_weights() {
    let cases = [
        ("spectral_hook", "torch.nn.utils.spectral_norm"),
        ("spectral_parametrization", "torch.nn.utils.parametrizations.spectral_norm"),
    ];
    for (stem, writer) in cases {
        for file in [format!("{stem}.pt"), format!("{stem}_legacy.pt")] {
            let inspection = inspect(&fixture(&file));
            let weights: Vec<_> =
                inspection.tensors.iter().filter_map(|it| it.weight.as_deref()).collect();
            assert_eq!(weights, ["conv.weight", "up.weight", "fc.weight"], "{file}");
            for measured in &inspection.tensors {
                let weight = measured.weight.as_deref().unwrap();
                let exact = decomposed(stem)[weight.strip_suffix(".weight").unwrap()];
                let stored = measured.stored.as_ref().unwrap();
                assert_eq!(stored.writer, writer);
                assert!((stored.sigma.unwrap() / exact - 1.0).abs() < 1e-3, "{file}: {stored:?}");
                assert!((measured.raw_sigma.unwrap().value / exact - 1.0).abs() < 1e-5, "{file}");
            }
        }
    }
}

#[test]
fn weight_norm_and_plain_weights_are_not_taken_for_spectral_norm() {
    for file in ["weight_norm.pt", "module.pt", "plain.safetensors"] {
        let inspection = inspect(&fixture(file));
        assert!(inspection.tensors.iter().all(|it| it.stored.is_none()), "{file}");
    }
}

#[test]
fn the_scale_of_osn_is_in_use() {
    // s = ½ as round(ln ½·2²⁴), σ = 3 likewise; u and v as round(x·2³⁰).
    let file = || {
        Builder::default()
            .f32("fc.weight", &[2, 2], &[0.0, 3.0, 0.0, 0.0])
            .i32("fc.weight.spectral_norm.v", &[0, 1 << 30])
            .i32("fc.weight.spectral_norm.state", &[18_431_656, -11_629_080, 0, 0, 0])
    };
    let inspection = file().i32("fc.weight.spectral_norm.u", &[1 << 30, 0]).inspected();
    let measured = &inspection.tensors[0];
    assert!((measured.sigma.value - 1.5).abs() < 1e-6, "{measured:?}");
    let stored = measured.stored.as_ref().unwrap();
    assert!(stored.is_good && stored.writer == "osn", "{stored:?}");
    assert!((stored.sigma.unwrap() - 3.0).abs() < 1e-6, "{stored:?}");
    // Codes of another type are no codes.
    let inspection = file().f32("fc.weight.spectral_norm.u", &[2], &[1.0, 0.0]).inspected();
    assert!(inspection.tensors.is_empty());
    let skipped = inspection.skipped.iter().find(|it| it.name == "fc.weight").unwrap();
    assert!(matches!(skipped.why, MeasureError::File(TensorError::NotRead { .. })), "{skipped:?}");
}

#[test]
fn norms_that_iterate_before_each_use_divide_by_what_the_next_iteration_sees() {
    let half = 0.5_f32.sqrt();
    let (weight, u, v) = ([3.0, 0.0, 0.0, 1.0], [half, half], [0.0, 1.0]);
    let inspection = Builder::default()
        .f32("g.conv.weight", &[2, 2], &weight)
        .f32("g.conv.u0", &[1, 2], &u)
        .f32("g.conv.sv0", &[1], &[1.0])
        .f32("d.module.weight_bar", &[2, 2], &weight)
        .f32("d.module.weight_u", &[2], &u)
        .f32("d.module.weight_v", &[2], &v)
        .inspected();
    // v = (3, 1)/√10 and ‖Wv‖ = ‖(9, 1)‖/√10.
    let sigma = 3.0 / 8.2_f64.sqrt();
    assert_eq!(inspection.tensors.len(), 2);
    for measured in &inspection.tensors {
        assert!((measured.sigma.value - sigma).abs() < 1e-6, "{measured:?}");
    }
}

#[test]
fn numbers_of_eight_bits_are_measured_with_their_scales() {
    // Ones in E4M3; as blocks of 128 with one scale, by rows, and without any.
    let ones = |count| vec![0x38_u8; count];
    let inspection = Builder::default()
        .raw("a.weight", "F8_E4M3", &[128, 128], ones(128 * 128))
        .f32("a.weight_scale_inv", &[1, 1], &[0.002])
        .raw("b.weight", "F8_E4M3", &[200, 130], ones(200 * 130))
        .f32("b.weight_scale_inv", &[2, 2], &[1.0, 0.0, 0.0, 0.0])
        .raw("c.weight", "F8_E4M3", &[2, 2], ones(4))
        .f32("c.weight_scale", &[2, 1], &[3.0, 4.0])
        .raw("d.weight", "F8_E4M3", &[2, 2], ones(4))
        .inspected();
    let sigmas: Vec<_> = inspection.tensors.iter().map(|it| (&*it.name, it.sigma.value)).collect();
    let expected = [("a.weight", 0.256), ("b.weight", 128.0), ("c.weight", 50.0_f64.sqrt())];
    assert_eq!(sigmas.len(), expected.len(), "{sigmas:?}");
    for ((name, sigma), (expected_name, expected)) in sigmas.iter().zip(expected) {
        assert!(*name == expected_name && (sigma / expected - 1.0).abs() < 1e-6, "{sigmas:?}");
    }
    assert!(inspection.skipped.iter().any(|it| it.name == "d.weight"));
    assert_eq!(inspection.skipped.len(), 4);
}

#[test]
fn every_name_can_be_selected_by_what_the_model_calls_it() {
    let names = osn_checkpoint::selectable(&Checkpoint::open(fixture("used.pt")).unwrap());
    assert!(names.iter().any(|name| name == "norm.weight"));
    let select = ["norm.weight", "twice.weight"];
    let inspection = inspect_with(&fixture("used.pt"), &select, &MeasureParams::default());
    assert_eq!(inspection.tensors.len(), 2);
    assert!(Globs::new(select).is_ok());
}
