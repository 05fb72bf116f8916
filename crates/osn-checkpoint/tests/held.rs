//! Spectral normalization as PyTorch and osn store it, against PyTorch's decomposition.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use osn_checkpoint::{Checkpoint, Writer, held};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The largest singular values that PyTorch's decomposition gives, by layer.
fn sigmas(stem: &str) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(expected["sigma"][stem].clone()).unwrap()
}

#[test]
fn the_vectors_of_pytorch_belong_to_their_weights() {
    let cases = [
        ("spectral_hook", Writer::TorchHook),
        ("spectral_parametrization", Writer::TorchParametrization),
    ];
    for (stem, writer) in cases {
        for file in [format!("{stem}.pt"), format!("{stem}_legacy.pt")] {
            let found = held(&Checkpoint::open(fixture(&file)).unwrap());
            let paths: Vec<_> = found.iter().map(|held| held.path.as_str()).collect();
            assert_eq!(paths, ["conv.weight", "up.weight", "fc.weight"], "{file}");
            for held in found {
                assert_eq!(held.writer, writer);
                let mut weight = vec![0.0_f32; held.weight.element_count()];
                held.weight.read(0, &mut weight).unwrap();
                let stored = held.stored().unwrap();
                let sigma = stored.sigma_of(&weight, held.weight.shape()).unwrap();
                let exact = sigmas(stem)[held.path.strip_suffix(".weight").unwrap()];
                assert!(
                    (sigma / exact - 1.0).abs() < 1e-3,
                    "{file} {}: {sigma} {exact}",
                    held.path
                );
                let without_v = osn_checkpoint::StoredTriplet { v: None, ..stored };
                let without_v = without_v.sigma_of(&weight, held.weight.shape()).unwrap();
                assert!(without_v >= sigma * (1.0 - 1e-6) && without_v <= exact * (1.0 + 1e-6));
            }
        }
    }
}

#[test]
fn weight_norm_and_plain_weights_are_not_taken_for_spectral_norm() {
    for file in ["weight_norm.pt", "module.pt", "plain.safetensors"] {
        assert!(held(&Checkpoint::open(fixture(file)).unwrap()).is_empty(), "{file}");
    }
}

/// `round(ln 3·2²⁴)`.
const LN_3_CODE: i32 = 18_431_656;

/// Writes u, v and the state as osn's records have them, for the weight 3·e₁e₂ᵀ.
fn osn_record() -> BTreeMap<String, Arc<[u8]>> {
    let one = 1 << 30;
    let codes =
        |codes: &[i32]| codes.iter().flat_map(|code| code.to_le_bytes()).collect::<Vec<_>>();
    let weight: Vec<_> = [0.0_f32, 3.0, 0.0, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let u = codes(&[one, 0]);
    let v = codes(&[0, one]);
    let state = codes(&[LN_3_CODE, 0, 0, 0, 0]);
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let tensors = [
        ("fc.weight", view(Dtype::F32, &[2, 2], &weight)),
        ("fc.weight.spectral_norm.u", view(Dtype::I32, &[2], &u)),
        ("fc.weight.spectral_norm.v", view(Dtype::I32, &[2], &v)),
        ("fc.weight.spectral_norm.state", view(Dtype::I32, &[5], &state)),
    ];
    let bytes = safetensors::serialize(tensors, None).unwrap();
    BTreeMap::from([("record.safetensors".to_owned(), bytes.into())])
}

#[test]
fn the_state_of_osn_is_read_back() {
    let checkpoint = Checkpoint::open_in(&osn_record(), "record.safetensors").unwrap();
    let found = held(&checkpoint);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].writer, found[0].path.as_str()), (Writer::Osn, "fc.weight"));
    let stored = found[0].stored().unwrap();
    assert_eq!(stored.u, [1.0, 0.0]);
    assert!((stored.sigma.unwrap() - 3.0).abs() < 1e-6);
    assert_eq!(stored.sigma_of(&[0.0_f32, 3.0, 0.0, 0.0], &[2, 2]).unwrap(), 3.0);
}
