//! Convolutions as operators: against `PyTorch`, against matrices written out by the definition, and
//! against each other.

use crate::maps::{applied, applied_transpose, dot};
use osn_core::measure::bounds::{
    IntervalParams, bidirectional_interval, circular_interval, operator_interval,
};
use osn_core::measure::convolution::{
    Boundary, CircularError, ConvMap, Convolution, Geometry, circular_singular_values,
};
use osn_core::measure::{
    DenseMap, EstimateError, Layout, LinearMap, exact, singular_values, start_vector,
};
use proptest::prelude::*;

// ---- against PyTorch

/// A layer with whole-number weights, its input and the output that `PyTorch` 2.15 gives, made by
/// `golden/torch_convolutions.py`.
#[derive(serde::Deserialize)]
struct TorchLayer {
    name: String,
    weight_shape: Vec<usize>,
    size: Vec<usize>,
    stride: Vec<usize>,
    padding: Vec<usize>,
    dilation: Vec<usize>,
    groups: usize,
    circular: bool,
    transposed: Option<Vec<usize>>,
    weight: Vec<f64>,
    x: Vec<f64>,
    y: Vec<f64>,
    output: Vec<usize>,
}

impl TorchLayer {
    fn convolution(&self) -> Convolution {
        let layer = Convolution::new(self.size.clone())
            .stride(self.stride.clone())
            .dilation(self.dilation.clone())
            .padding(self.padding.clone())
            .groups(self.groups);
        let layer = if self.circular { layer.circular() } else { layer };
        match &self.transposed {
            Some(output_padding) => layer.transposed(output_padding.clone()),
            None => layer,
        }
    }
}

fn torch_layers() -> Vec<TorchLayer> {
    serde_json::from_str(include_str!("../golden/torch_convolutions.json")).expect("valid layers")
}

#[test]
fn a_convolution_and_its_transpose_compute_what_pytorch_does() {
    for layer in torch_layers() {
        let geometry = layer.convolution().geometry(&layer.weight_shape).unwrap();
        let map = ConvMap::new(&layer.weight, geometry).unwrap();
        let (sizes, y) = match layer.transposed {
            None => (geometry.output, applied(&map, &layer.x)),
            Some(_) => (geometry.input, applied_transpose(&map, &layer.x)),
        };
        assert_eq!(sizes[3 - layer.size.len()..], layer.output, "{}", layer.name);
        assert_eq!(y, layer.y, "{}", layer.name);
    }
}

// ---- against matrices written out by the definition

/// Layers in which a wrong axis, order or side shows.
fn layers() -> Vec<(Convolution, Vec<usize>)> {
    let circle = |size: &[usize]| Convolution::new(size).circular();
    vec![
        (Convolution::new([6]), vec![2, 3, 3]),
        (Convolution::new([7]).stride([3]).padding([2]), vec![3, 1, 4]),
        (Convolution::new([5]).groups(3), vec![6, 2, 2]),
        (Convolution::new([5, 4]), vec![3, 2, 3, 2]),
        (Convolution::new([6, 5]).stride([2, 1]).padding([0, 1]), vec![2, 3, 2, 4]),
        (Convolution::new([4, 7]).dilation([1, 3]).groups(2), vec![2, 3, 3, 2]),
        (Convolution::new([3, 4, 2]).stride([1, 2, 1]), vec![2, 2, 3, 1, 2]),
        (Convolution::new([1, 1]).padding([2, 2]), vec![3, 2, 3, 3]),
        (circle(&[5]), vec![2, 2, 3]),
        (circle(&[4, 3]), vec![2, 3, 3, 2]),
        (circle(&[6, 4]).stride([3, 2]), vec![3, 2, 2, 4]),
        (circle(&[2, 3]).padding([5, 4]), vec![2, 1, 7, 5]),
        (circle(&[3, 2]).dilation([2, 3]).groups(2), vec![4, 2, 3, 2]),
        (circle(&[2, 3, 2]), vec![2, 1, 2, 2, 3]),
        (
            Convolution::new([3, 2]).stride([2, 3]).padding([1, 0]).transposed([1, 2]),
            vec![2, 3, 2, 3],
        ),
        (Convolution::new([3]).stride([2]).groups(2).transposed([]), vec![4, 1, 4]),
    ]
}

/// The sizes of layers, each with a kernel.
fn with_kernels(
    layers: impl IntoIterator<Item = (Convolution, Vec<usize>)>,
) -> impl Iterator<Item = (Geometry, Vec<f64>)> {
    layers.into_iter().map(|(layer, shape)| {
        let geometry = layer.geometry(&shape).unwrap();
        (geometry, start_vector(geometry.kernel_len()))
    })
}

#[test]
fn the_map_is_the_matrix_of_the_definition() {
    for (geometry, kernel) in with_kernels(layers()) {
        let map = ConvMap::new(&kernel, geometry).unwrap();
        let matrix = written_by_the_definition(&kernel, &geometry);
        let dense = DenseMap::new(&matrix, geometry.rows(), geometry.cols()).unwrap();
        let (x, y) = (start_vector(map.cols()), start_vector(map.rows()));
        assert_all_close(&applied(&map, &x), &applied(&dense, &x), 1e-14);
        assert_all_close(&applied_transpose(&map, &y), &applied_transpose(&dense, &y), 1e-14);
        let (sigma, expected) = (exact(&map).unwrap().sigma, exact(&dense).unwrap().sigma);
        assert_all_close(&[sigma], &[expected], 1e-13 * expected);
    }
}

#[test]
fn a_map_in_many_bands_is_the_one_of_the_definition() {
    // Long lines, many lines, and more rows than one band holds.
    let layers = [
        (Convolution::new([3000]).stride([2]), vec![2, 3, 3]),
        (Convolution::new([90, 40]), vec![2, 1, 3, 3]),
        (Convolution::new([3, 3]).groups(2), vec![2, 40, 3, 3]),
    ];
    for (geometry, kernel) in with_kernels(layers) {
        let map = ConvMap::new(&kernel, geometry).unwrap();
        let (x, y) = (start_vector(map.cols()), start_vector(map.rows()));
        let mut expected = (vec![0.0; map.rows()], vec![0.0; map.cols()]);
        for_each_entry(&geometry, |row, col, tap| {
            expected.0[row] += kernel[tap] * x[col];
            expected.1[col] += kernel[tap] * y[row];
        });
        assert_all_close(&applied(&map, &x), &expected.0, 1e-14);
        assert_all_close(&applied_transpose(&map, &y), &expected.1, 1e-14);
    }
}

#[test]
fn groups_give_the_largest_of_the_groups_and_not_their_product() {
    let layer = Convolution::new([4, 3]).groups(2);
    let shape = [4, 3, 3, 2];
    let kernel = start_vector(4 * 3 * 3 * 2);
    let whole = exact(&ConvMap::new(&kernel, layer.geometry(&shape).unwrap()).unwrap()).unwrap();
    let alone = Convolution::new([4, 3]).geometry(&[2, 3, 3, 2]).unwrap();
    let of_group = |half: &[f64]| exact(&ConvMap::new(half, alone).unwrap()).unwrap().sigma;
    let (first, second) = (of_group(&kernel[..36]), of_group(&kernel[36..]));
    assert!((first - second).abs() > 0.01 * first, "{first} and {second} tell nothing apart");
    assert!((whole.sigma - first.max(second)).abs() < 1e-13);
}

#[test]
fn bad_kernels_are_named() {
    let geometry = Convolution::new([4]).geometry(&[1, 1, 3]).unwrap();
    let bad = ConvMap::new(&[1.0_f32, f32::NAN, 2.0], geometry).unwrap_err();
    assert!(matches!(bad, EstimateError::NonFiniteEntry { index: 1, .. }), "{bad}");
}

// ---- the gradient of σ

#[test]
fn the_kernel_gradient_is_the_derivative_of_sigma() {
    let mut n_checked = 0;
    for (geometry, kernel) in with_kernels(layers()) {
        let sigma = |kernel: &[f64]| exact(&ConvMap::new(kernel, geometry).unwrap()).unwrap();
        let leading = sigma(&kernel);
        let values = singular_values(&ConvMap::new(&kernel, geometry).unwrap()).unwrap();
        if values.get(1).is_some_and(|second| second / values[0] > 1.0 - 1e-3) {
            continue; // σ has no derivative where it is repeated, as it often is on a circle.
        }
        n_checked += 1;
        let gradient = geometry.kernel_gradient(&leading.u, &leading.v);
        let step = 1e-6;
        for tap in 0..kernel.len() {
            let moved = |by: f64| {
                let mut kernel = kernel.clone();
                kernel[tap] += by;
                sigma(&kernel).sigma
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((slope - gradient[tap]).abs() < 1e-7, "{geometry:?} {tap}: {slope}");
        }
    }
    assert!(n_checked >= 10, "only {n_checked} layers have a derivative");
}

#[test]
fn the_kernel_gradient_is_the_one_of_the_definition_in_many_bands() {
    let geometry = Convolution::new([90, 40]).groups(2).geometry(&[4, 40, 3, 3]).unwrap();
    let (u, v) = (start_vector(geometry.rows()), start_vector(geometry.cols()));
    let mut expected = vec![0.0; geometry.kernel_len()];
    for_each_entry(&geometry, |row, col, tap| expected[tap] += u[row] * v[col]);
    assert_all_close(&geometry.kernel_gradient(&u, &v), &expected, 1e-14);
}

// ---- the circular spectrum

/// Circular layers whose outputs go around exactly once.
fn circles() -> Vec<(Convolution, Vec<usize>)> {
    let circle = |size: &[usize]| Convolution::new(size).circular();
    vec![
        (circle(&[5]), vec![2, 2, 3]),
        (circle(&[6]).padding([2]).stride([2]), vec![1, 3, 5]),
        (circle(&[4, 3]), vec![2, 3, 3, 2]),
        (circle(&[6, 4]).stride([3, 2]), vec![3, 2, 2, 4]),
        (circle(&[6, 4]).stride([3, 2]), vec![8, 1, 2, 4]),
        (circle(&[2, 3]).padding([3, 2]), vec![2, 1, 7, 5]),
        (circle(&[3, 2]).dilation([2, 3]).groups(2), vec![4, 2, 3, 2]),
        (circle(&[6, 6]).dilation([2, 1]).stride([1, 2]).groups(3), vec![3, 2, 3, 2]),
        (circle(&[2, 3, 4]).stride([1, 1, 2]), vec![2, 1, 2, 2, 3]),
    ]
}

#[test]
fn the_circular_spectrum_is_that_of_the_matrix() {
    for (geometry, kernel) in with_kernels(circles()) {
        let expected = singular_values(&ConvMap::new(&kernel, geometry).unwrap()).unwrap();
        let values = circular_singular_values(&kernel, &geometry).unwrap();
        assert_all_close(&values, &expected, 1e-14 * expected[0] * expected.len() as f64);
    }
}

#[test]
fn the_circular_interval_holds_the_largest_value_tightly() {
    for scale in [1.0, 1e-150, 1e150] {
        for (geometry, kernel) in with_kernels(circles()) {
            let kernel: Vec<f64> = kernel.iter().map(|x| x * scale).collect();
            let sigma = exact(&ConvMap::new(&kernel, geometry).unwrap()).unwrap().sigma;
            let interval = circular_interval(&kernel, &geometry).unwrap();
            assert!(interval.lower <= sigma * (1.0 + 1e-14), "{interval:?} {sigma}");
            assert!(interval.upper >= sigma * (1.0 - 1e-14), "{interval:?} {sigma}");
            assert!(interval.relative_width() < 2e-7, "{interval:?} {sigma}");
        }
    }
}

#[test]
fn a_zero_kernel_has_a_zero_circular_spectrum() {
    let geometry = Convolution::new([4, 4]).circular().geometry(&[2, 3, 3, 3]).unwrap();
    let interval = circular_interval(&[0.0_f32; 54], &geometry).unwrap();
    assert_eq!((interval.lower, interval.upper), (0.0, 0.0));
    assert_eq!(circular_singular_values(&[0.0_f32; 54], &geometry).unwrap(), vec![0.0; 32]);
}

#[test]
fn a_circular_spectrum_is_refused_where_outputs_do_not_go_around_once() {
    let refused = |layer: Convolution| {
        let geometry = layer.geometry(&[1, 1, 3]).unwrap();
        circular_interval(&[1.0, 2.0, 3.0], &geometry).unwrap_err()
    };
    let line = Convolution::new([6]);
    assert_eq!(refused(line.clone()), CircularError::NotOnceAround { axis: 0 });
    let line = line.circular();
    assert_eq!(refused(line.clone().stride([4])), CircularError::NotOnceAround { axis: 2 });
    assert_eq!(refused(line.padding([0])), CircularError::NotOnceAround { axis: 2 });
}

#[test]
fn the_reshaped_kernel_brackets_the_circular_convolution() {
    // σ(R) ≤ σ(A) ≤ √(k₁k₂)·σ(R) at stride 1: the lower end needs K̂ to be an isometry up to
    // scale on the average, the upper end is reached by a constant kernel.
    let (shape, taps) = ([3, 2, 3, 5], 15);
    let geometry = Convolution::new([6, 5]).circular().geometry(&shape).unwrap();
    let random = start_vector(90);
    let low_pass: Vec<f64> =
        random.iter().enumerate().map(|(i, x)| if i % taps < 8 { x.abs() } else { 0.1 }).collect();
    let constant = vec![0.25; 90];
    let delta: Vec<f64> = (0..90).map(|i| if i % taps == 4 { random[i] } else { 0.0 }).collect();
    for (kernel, reached) in [
        (&random, None),
        (&low_pass, None),
        (&constant, Some(15.0_f64.sqrt())),
        (&delta, Some(1.0)),
    ] {
        let reshaped = exact(&DenseMap::from_tensor(kernel, &shape, 0).unwrap()).unwrap().sigma;
        let ratio = circular_interval(kernel, &geometry).unwrap();
        assert!(ratio.upper >= reshaped * (1.0 - 1e-13), "{ratio:?} {reshaped}");
        assert!(ratio.lower <= 15.0_f64.sqrt() * reshaped * (1.0 + 1e-13), "{ratio:?} {reshaped}");
        if let Some(reached) = reached {
            assert!((ratio.value / reshaped - reached).abs() < 1e-12);
        }
    }
}

// ---- both reshapings

/// σ of the convolution by its matrix, and of its kernel reshaped.
fn operator_and_reshaped(kernel: &[f64], geometry: &Geometry) -> [f64; 2] {
    let matrix = written_by_the_definition(kernel, geometry);
    let rows = geometry.out_channels;
    let maps = [
        DenseMap::new(&matrix, geometry.rows(), geometry.cols()),
        DenseMap::new(kernel, rows, kernel.len() / rows),
    ];
    maps.map(|map| exact(&map.expect("a matrix")).expect("finite").sigma)
}

#[test]
fn a_reshaped_kernel_is_no_lower_bound_where_no_output_sees_all_of_it() {
    let ones = [1.0; 9];
    let of_size = |size: usize| {
        let layer = Convolution::new([size; 2]).padding([1, 1]);
        operator_and_reshaped(&ones, &layer.geometry(&[1, 1, 3, 3]).unwrap())
    };
    let [operator, reshaped] = of_size(1);
    assert!((operator - 1.0).abs() < 1e-12 && (reshaped - 3.0).abs() < 1e-12);
    let [operator, reshaped] = of_size(3);
    assert!(operator >= reshaped, "the middle one sees all nine");
}

proptest! {
    #[test]
    fn no_operator_is_above_its_factor_times_the_reshaped_kernel(
        (size, kernel) in (1..8_usize, 1..5_usize),
        stride in 1..5_usize, dilation in 1..4_usize, padding in 0..3_usize,
        (groups, circular) in (1..3_usize, any::<bool>()),
        frequency in 0.1..3.0_f64,
    ) {
        let shape = [2 * groups, 2, kernel];
        let layer = Convolution::new([size]).stride([stride]).dilation([dilation]).groups(groups);
        let layer = if circular { layer.circular() } else { layer.padding([padding]) };
        let Ok(geometry) = layer.geometry(&shape) else { return Ok(()) };
        let count: usize = shape.iter().product();
        for flat in [false, true] {
            let entry = |index: usize| if flat { 1.0 } else { (index as f64 * frequency).sin() };
            let entries: Vec<f64> = (0..count).map(entry).collect();
            let [operator, reshaped] = operator_and_reshaped(&entries, &geometry);
            let bound = geometry.reshaping_factor() * reshaped;
            prop_assert!(operator <= bound * (1.0 + 1e-9) + 1e-12, "{operator} {bound} {geometry:?}");
        }
    }
}

#[test]
fn the_factor_of_a_reshaped_kernel_is_reached() {
    for (size, kernel, stride, factor) in [(16, 4, 2, 2.0), (16, 3, 1, 3.0), (12, 3, 3, 1.0)] {
        let layer = Convolution::new([size; 2]).stride([stride; 2]).circular();
        let shape = [1, 1, kernel, kernel];
        let geometry = layer.geometry(&shape).unwrap();
        let [operator, reshaped] = operator_and_reshaped(&vec![1.0; kernel * kernel], &geometry);
        assert_eq!(geometry.reshaping_factor(), factor);
        assert!((operator / reshaped - factor).abs() < 1e-9, "{operator} of {reshaped}");
    }
}

#[test]
fn the_bidirectional_sigma_is_the_mean_of_both_matrices_written_out() {
    // [out 2, in 3, 2, 2] and, transposed, [in 3, out 2, 2, 2]: every axis has another meaning.
    let weight = start_vector(24);
    for (shape, output_axis, input_axis) in [([2, 3, 2, 2], 0, 1), ([3, 2, 2, 2], 1, 0)] {
        let moved_first = |axis: usize| -> Vec<f64> {
            let other = shape[1 - axis];
            let index = |row, column, tap| {
                let place =
                    if axis == 0 { row * shape[1] + column } else { column * shape[1] + row };
                weight[place * 4 + tap]
            };
            let rows = (0..shape[axis]).flat_map(|row| (0..other).map(move |column| (row, column)));
            rows.flat_map(|(row, column)| (0..4).map(move |tap| index(row, column, tap))).collect()
        };
        let sigma = |axis: usize| {
            let matrix = moved_first(axis);
            exact(&DenseMap::new(&matrix, shape[axis], 24 / shape[axis]).unwrap()).unwrap().sigma
        };
        let mean = f64::midpoint(sigma(output_axis), sigma(input_axis));
        assert!(
            (sigma(output_axis) - sigma(input_axis)).abs() > 1e-3,
            "the two tell nothing apart"
        );
        let of_maps = Layout::reshapings(&shape, output_axis).map(|layout| {
            let shape = [layout.outer, layout.rows, layout.inner];
            exact(&DenseMap::from_tensor(&weight, &shape, 1).unwrap()).unwrap().sigma
        });
        assert_all_close(&of_maps, &[sigma(output_axis), sigma(input_axis)], 1e-14);
        let params = IntervalParams::default();
        let interval = bidirectional_interval(&weight, &shape, output_axis, &params).unwrap();
        assert!(interval.lower <= mean + 1e-14 && mean - 1e-14 <= interval.upper);
        assert!(interval.relative_width() < 1e-5);
    }
    let zero = bidirectional_interval(&[0.0_f32; 8], &[2, 2, 2], 0, &IntervalParams::default());
    assert_eq!(zero.unwrap().upper, 0.0);
}

// ---- intervals of any convolution

#[test]
fn the_operator_interval_holds_sigma_for_every_layer() {
    for (geometry, kernel) in with_kernels(layers().into_iter().chain(circles())) {
        assert_interval_holds(&kernel, &geometry);
    }
}

#[test]
fn the_operator_interval_holds_sigma_where_the_search_for_any_layer_has_failed() {
    let padded = |size, stride, padding: [(usize, usize); 2]| Convolution {
        padding: Some(padding.to_vec()),
        ..Convolution::new(size).stride(stride)
    };
    let failed = [
        // faer's decomposition of its matrix did not converge.
        (padded([4, 5], [1, 3], [(1, 2), (0, 2)]), vec![2, 2, 3, 1]),
        // The estimate is 0.2 % below σ, while the upper bound is 17 % above it.
        (padded([4, 5], [1, 3], [(2, 0), (2, 2)]).groups(3).circular(), vec![9, 3, 1, 3]),
    ];
    for (geometry, kernel) in with_kernels(failed) {
        assert_interval_holds(&kernel, &geometry);
    }
}

#[test]
fn the_operator_interval_is_tight_where_the_edges_do_not_matter() {
    let tight = [
        // One tap; kernels side by side; a single output; a circle that is gone around twice.
        (Convolution::new([5, 4]), vec![3, 2, 1, 1]),
        (Convolution::new([6, 4]).stride([3, 2]).padding([0, 0]), vec![4, 2, 3, 2]),
        (Convolution::new([4, 4]).padding([0, 0]), vec![3, 2, 4, 4]),
        (Convolution::new([4]).circular().padding([4]), vec![2, 2, 5]),
        (Convolution::new([3]).circular().stride([2]).padding([5]), vec![2, 2, 3]),
    ];
    for (geometry, kernel) in with_kernels(tight) {
        assert_interval_holds(&kernel, &geometry);
        let interval = operator_interval(&kernel, &geometry).unwrap();
        assert!(interval.relative_width() < 3e-6, "{geometry:?} {interval:?}");
    }
}

fn assert_interval_holds(kernel: &[f64], geometry: &Geometry) {
    let map = ConvMap::new(kernel, *geometry).expect("a finite kernel");
    let sigma = exact(&map).expect("a decomposition").sigma;
    let interval = operator_interval(kernel, geometry).expect("an interval");
    assert!(interval.lower <= sigma * (1.0 + 1e-14), "{geometry:?}: {interval:?} {sigma}");
    assert!(interval.upper >= sigma * (1.0 - 1e-14), "{geometry:?}: {interval:?} {sigma}");
    // Close to σ compared with how far the upper bound is.
    let missing = (sigma - interval.value).max(0.0);
    let most = (1e-3 * sigma).max(0.05 * (interval.upper - sigma));
    assert!(missing <= most, "{geometry:?}: {interval:?} {sigma}");
}

// ---- any layer at all

proptest! {
    #[test]
    fn the_transpose_is_the_adjoint(layer in any_layer()) {
        let (layer, shape) = layer;
        if let Ok(geometry) = layer.geometry(&shape) {
            let kernel = start_vector(geometry.kernel_len());
            let map = ConvMap::new(&kernel, geometry).unwrap();
            let (x, y) = (start_vector(map.cols()), start_vector(map.rows()));
            let left = dot(&applied(&map, &x), &y);
            let right = dot(&x, &applied_transpose(&map, &y));
            prop_assert!((left - right).abs() < 1e-13, "{layer:?} {left} {right}");
            let along_kernel = dot(&geometry.kernel_gradient(&y, &x), &kernel);
            prop_assert!((left - along_kernel).abs() < 1e-13, "{layer:?} {left} {along_kernel}");
        }
    }

    #[test]
    fn the_operator_interval_holds_sigma_for_any_layer(layer in any_layer()) {
        let (layer, shape) = layer;
        if let Ok(geometry) = layer.geometry(&shape) {
            assert_interval_holds(&start_vector(geometry.kernel_len()), &geometry);
        }
    }

    #[test]
    fn any_layer_is_the_one_of_the_definition(layer in any_layer()) {
        let (layer, shape) = layer;
        if let Ok(geometry) = layer.geometry(&shape) {
            let kernel = start_vector(geometry.kernel_len());
            let x = start_vector(geometry.cols());
            let mut expected = vec![0.0; geometry.rows()];
            for_each_entry(&geometry, |row, col, tap| expected[row] += kernel[tap] * x[col]);
            let map = ConvMap::new(&kernel, geometry).unwrap();
            assert_all_close(&applied(&map, &x), &expected, 1e-14);
        }
    }
}

prop_compose! {
    /// Layers in two dimensions; many of them do not fit together.
    fn any_layer()(
        size in [1..7_usize, 1..7],
        kernel in [1..5_usize, 1..5],
        stride in [1..4_usize, 1..4],
        dilation in [1..4_usize, 1..4],
        padding in prop::option::of([(0..5_usize, 0..5_usize), (0..5, 0..5)]),
        (outputs, inputs, groups) in (1..4_usize, 1..4_usize, 1..4_usize),
        is_circular in any::<bool>(),
    ) -> (Convolution, Vec<usize>) {
        let layer = Convolution {
            padding: padding.map(|padding| padding.to_vec()),
            boundary: if is_circular { Boundary::Circular } else { Boundary::Zero },
            ..Convolution::new(size).stride(stride).dilation(dilation).groups(groups)
        };
        (layer, vec![outputs * groups, inputs, kernel[0], kernel[1]])
    }
}

// ---- helpers

/// Writes the matrix `[rows, cols]` out, entry by entry.
fn written_by_the_definition(kernel: &[f64], geometry: &Geometry) -> Vec<f64> {
    let mut matrix = vec![0.0; geometry.rows() * geometry.cols()];
    for_each_entry(geometry, |row, col, tap| matrix[row * geometry.cols() + col] += kernel[tap]);
    matrix
}

/// Visits every (row, column, index of the kernel) that the definition of a convolution connects.
fn for_each_entry(geometry: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let (outputs, inputs) = (geometry.output, geometry.input);
    let (out_of_group, in_of_group) = (geometry.out_per_group(), geometry.in_per_group());
    for row in 0..geometry.rows() {
        let (out_channel, position) = split(row, outputs);
        for tap in 0..depth(geometry) {
            let (channel, offsets) = split(tap, geometry.kernel);
            let channel = channel + out_channel / out_of_group * in_of_group;
            let seen = |axis: usize| {
                let padded = position[axis] * geometry.stride[axis]
                    + offsets[axis] * geometry.dilation[axis];
                let (before, size) = (geometry.padding[axis].0, inputs[axis]);
                (0..size).find(|at| match geometry.boundary {
                    Boundary::Zero => at + before == padded,
                    Boundary::Circular => (at + before) % size == padded % size,
                })
            };
            if let (Some(first), Some(second), Some(third)) = (seen(0), seen(1), seen(2)) {
                let col = ((channel * inputs[0] + first) * inputs[1] + second) * inputs[2] + third;
                visit(row, col, out_channel * depth(geometry) + tap);
            }
        }
    }
}

/// The length of a row of the kernel.
fn depth(geometry: &Geometry) -> usize {
    geometry.kernel_len() / geometry.out_channels
}

/// Splits a flat index of `[channels, sizes…]` into the channel and the three others.
fn split(index: usize, sizes: [usize; 3]) -> (usize, [usize; 3]) {
    let (rest, third) = (index / sizes[2], index % sizes[2]);
    let (rest, second) = (rest / sizes[1], rest % sizes[1]);
    (rest / sizes[0], [rest % sizes[0], second, third])
}

fn assert_all_close(numbers: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(numbers.len(), expected.len());
    for (index, (number, expected)) in numbers.iter().zip(expected).enumerate() {
        assert!((number - expected).abs() <= tolerance, "{index}: {number} for {expected}");
    }
}
