//! The distance by which points are judged.

/// The energy distance of two sets of points: `2·E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖`, over all pairs,
/// those of a point with itself included, so that it is never negative (Székely and Rizzo 2013).
///
/// `x` and `y` are points of `size` numbers one after the other.
pub(crate) fn energy_distance(x: &[f32], y: &[f32], size: usize) -> f64 {
    2.0 * mean_distance(x, y, size) - mean_distance(x, x, size) - mean_distance(y, y, size)
}

fn mean_distance(x: &[f32], y: &[f32], size: usize) -> f64 {
    let pairs = x.chunks_exact(size).flat_map(|a| y.chunks_exact(size).map(move |b| (a, b)));
    let total: f64 = pairs.map(|(a, b)| f64::from(distance(a, b))).sum();
    total / ((x.len() / size) * (y.len() / size)) as f64
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}
