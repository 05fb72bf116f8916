//! The σ that a weight of some shape starts at.

use crate::layer::facts::Layer;
use crate::layer::kind::Kind;
use crate::measure::convolution::geometry::Geometry;

/// The σ that a weight of some shape has at the usual random initialization. It stands in for the
/// measured σ of a weight that starts at zero.
///
/// Its `m×n` matrix has independent entries of Xavier's deviation `d` (Glorot and Bengio 2010, equation 12), and
/// then `E σ ≤ d·(√m + √n)`, which is reached as the matrix grows (Davidson and Szarek 2001, theorem II.13):
///
/// ```text
/// d = √(2/(fan_in + fan_out)),   σ ≈ d·(√m + √n)
/// ```
///
/// # Example
///
/// ```
/// use osn_core::layer::InitialSize;
///
/// // A square matrix starts at σ ≈ 2, whatever its side.
/// let size = InitialSize::new(&[256, 256], 1);
/// assert!((size.of_matrix(256, 256) - 2.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InitialSize {
    deviation: f64,
}

impl InitialSize {
    /// For a weight of `shape` whose outputs run along `axis`. Its inputs run along the other one of the first
    /// two axes, and the remaining axes are a kernel's positions.
    pub fn new(shape: &[usize], axis: usize) -> Self {
        let elements: f64 = shape.iter().map(|&length| length as f64).product();
        let outputs = shape.get(axis).map_or(1.0, |&length| length as f64);
        let other = shape.get(usize::from(axis == 0)).filter(|_| shape.len() > 1);
        let inputs = other.map_or(1.0, |&length| length as f64);
        let positions = elements / (outputs * inputs);
        let fans = (inputs + outputs) * positions;
        Self { deviation: if fans > 0.0 { (2.0 / fans).sqrt() } else { 0.0 } }
    }

    /// The σ of the weight as a matrix of so many rows and columns.
    pub fn of_matrix(self, rows: usize, cols: usize) -> f64 {
        self.of(rows as f64, cols as f64)
    }

    fn of(self, rows: f64, cols: f64) -> f64 {
        self.deviation * (rows.sqrt() + cols.sqrt())
    }

    /// The σ of the convolution whose kernel the weight is.
    ///
    /// At each frequency of a large image the convolution of `k` positions and strides of product `s` is a matrix
    /// of `out` rows and `in·s` columns of deviation `d·√(k/s)`. This is the mean of their σ; the largest is
    /// somewhat above.
    pub fn of_convolution(self, geometry: &Geometry) -> f64 {
        let product = |of: [usize; 3]| of.iter().map(|&it| it as f64).product::<f64>();
        let (positions, strides) = (product(geometry.kernel), product(geometry.stride));
        let groups = geometry.groups.max(1) as f64;
        let rows = geometry.out_channels as f64 / groups;
        let cols = geometry.in_channels as f64 / groups * strides;
        self.deviation * (positions / strides).sqrt() * (rows.sqrt() + cols.sqrt())
    }

    /// The σ that a layer starts at, as a matrix with its outputs first, for a layer whose view is not known.
    pub(crate) fn of_layer(layer: &Layer) -> f64 {
        let has_outputs_second = matches!(layer.kind, Kind::Linear | Kind::ConvTranspose);
        let axis = usize::from(has_outputs_second);
        // In floats, since a shape can come from a file and its product may overflow whole numbers.
        let elements: f64 = layer.shape.iter().map(|&length| length as f64).product();
        let rows = layer.shape.get(axis).map_or(0.0, |&length| length as f64);
        let cols = if rows > 0.0 { elements / rows } else { 0.0 };
        Self::new(&layer.shape, axis).of(rows, cols)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::tests::layers;
    use crate::measure::convolution::geometry::Convolution;
    use crate::measure::convolution::map::ConvMap;
    use crate::measure::estimate::start_vector;
    use crate::measure::exact::exact;
    use crate::measure::golub_kahan::{GolubKahanParams, golub_kahan};
    use crate::measure::operator::{DenseMap, LinearMap};
    use crate::split_mix::split_mix;

    /// Normal numbers by Box and Muller from a fixed sequence.
    fn normal(count: usize, deviation: f64) -> Vec<f64> {
        let uniform = |index| ((split_mix(index) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let draw = |index: u64| {
            let radius = (-2.0 * uniform(2 * index).ln()).sqrt();
            deviation * radius * (std::f64::consts::TAU * uniform(2 * index + 1)).cos()
        };
        (0..count as u64).map(draw).collect()
    }

    #[test]
    fn a_random_matrix_has_the_size_that_is_said() {
        for (rows, cols) in [(60, 60), (120, 40), (10, 256)] {
            let size = InitialSize::new(&[rows, cols], 0);
            let entries = normal(rows * cols, (2.0 / (rows + cols) as f64).sqrt());
            let map = DenseMap::new(&entries, rows, cols).unwrap();
            let ratio = exact(&map).unwrap().sigma / size.of_matrix(rows, cols);
            assert!((0.9..1.05).contains(&ratio), "{rows}x{cols}: {ratio}");
        }
    }

    #[test]
    fn a_random_convolution_has_about_the_size_that_is_said() {
        for stride in [1, 2] {
            let shape = [16, 8, 4, 4];
            let geometry = Convolution::new([16, 16]).stride([stride; 2]).padding([1, 1]);
            let geometry = geometry.geometry(&shape).unwrap();
            let entries = normal(shape.iter().product(), (2.0_f64 / (24.0 * 16.0)).sqrt());
            let map = ConvMap::new(&entries, geometry).unwrap();
            let params = GolubKahanParams { n_steps: 30, tolerance: 1e-4, n_restarts: 5 };
            let vector = start_vector(map.cols());
            let sigma = golub_kahan(&map, &vector, &params).unwrap().sigma;
            let ratio = sigma / InitialSize::new(&shape, 0).of_convolution(&geometry);
            assert!((0.9..1.4).contains(&ratio), "stride {stride}: {ratio}");
        }
    }

    #[test]
    fn no_shape_is_a_panic() {
        for shape in [&[][..], &[0], &[3], &[0, 4], &[2, 0, 3], &[usize::MAX; 5]] {
            let layer = Layer { kind: Kind::Linear, shape: shape.to_vec(), ..layers(1)[0].clone() };
            assert!(InitialSize::of_layer(&layer).is_finite(), "{shape:?}");
        }
    }
}
