//! Products with a map, and of vectors.

use osn_core::measure::LinearMap;

pub(crate) fn applied(map: &impl LinearMap, x: &[f64]) -> Vec<f64> {
    let mut y = vec![f64::NAN; map.rows()];
    map.apply(x, &mut y);
    y
}

pub(crate) fn applied_transpose(map: &impl LinearMap, y: &[f64]) -> Vec<f64> {
    let mut x = vec![f64::NAN; map.cols()];
    map.apply_transpose(y, &mut x);
    x
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
