//! σ and other norms of one weight in a view.

use osn_core::layer::View;
use osn_core::measure::bounds::{
    Interval, IntervalParams, bidirectional_interval, operator_interval, sigma_interval,
};
use osn_core::measure::{DenseMap, Layout, leading_singular_values, stable_rank};

use crate::measure::error::MeasureError;
use crate::measure::panels::{PANEL_ELEMENTS, streamed};
use crate::read::dtype::{Dtype, Real};
use crate::read::tensor::Tensor;

/// Tensors of up to this many bytes, as the numbers that they are read as, are read whole; larger
/// ones in panels of as much.
const HELD_BYTES: usize = 64 << 20;

/// In which view a weight is measured, and how narrow its interval is to be.
#[derive(Clone, Debug)]
pub struct MeasureParams {
    /// The view: the linear map that a tensor is taken for.
    pub view: View,
    /// The axis of a tensor that its outputs run along. Where it is left out, that is the axis that
    /// stored vectors are for, else the first.
    pub output_axis: Option<usize>,
    /// How many of the largest singular values to find besides σ's interval.
    pub leading: usize,
    /// How narrow the interval is to be.
    pub interval: IntervalParams,
}

impl Default for MeasureParams {
    /// The reshaped view.
    fn default() -> Self {
        let interval = IntervalParams::default();
        Self { view: View::Reshaped, output_axis: None, leading: 0, interval }
    }
}

impl MeasureParams {
    /// The same, along the axis that stored vectors are for where none is asked for.
    pub(crate) fn along(&self, axis: Option<usize>) -> Self {
        let axis = axis.filter(|_| !matches!(self.view, View::Operator(_)));
        Self { output_axis: self.output_axis.or(axis), ..self.clone() }
    }
}

/// The measurement of a weight, or of one block of it.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightMeasurement {
    /// The shape of the weight, or of the block.
    pub shape: Vec<usize>,
    /// The largest singular value, in an interval that holds the true one.
    pub sigma: Interval,
    /// The Frobenius norm of the entries.
    pub frobenius: f64,
    /// `‖A‖²_F/σ²`, where the map has the entries of the weight and no others.
    pub stable_rank: Option<f64>,
    /// The largest singular values, as many as were asked for.
    pub leading: Vec<f64>,
}

/// Measures a tensor: one measurement, or one for each block of [`View::Blocks`].
///
/// It takes the tensor's size in memory, or 64 MiB where that is less, and 4·p² bytes for p the
/// smaller side of the matrix, whatever else is in the file.
///
/// # Errors
///
/// [`MeasureError`], which names what does not fit or which entry is not finite.
pub fn measure(
    tensor: &Tensor,
    params: &MeasureParams,
) -> Result<Vec<WeightMeasurement>, MeasureError> {
    check(tensor, params)?;
    if tensor.dtype() == Dtype::F64 {
        measure_as::<f64>(tensor, params)
    } else {
        measure_as::<f32>(tensor, params)
    }
}

/// Measures row-major entries that are in memory, as [`measure`] does those of a file.
///
/// # Errors
///
/// As [`measure`].
///
/// # Panics
///
/// If the entries do not fill `shape`.
pub fn measure_array<T: Real>(
    entries: &[T],
    shape: &[usize],
    params: &MeasureParams,
) -> Result<Vec<WeightMeasurement>, MeasureError> {
    check_shape(shape, params)?;
    measure_entries(entries, shape, params)
}

/// What tells that a tensor cannot be measured before any of it is read.
pub(crate) fn check(tensor: &Tensor, params: &MeasureParams) -> Result<(), MeasureError> {
    match tensor.skip_reason() {
        Some(reason) => Err(MeasureError::NotRead(reason.to_owned())),
        None => check_shape(tensor.shape(), params),
    }
}

pub(crate) fn check_shape(shape: &[usize], params: &MeasureParams) -> Result<(), MeasureError> {
    let rank = shape.len();
    if rank < 2 {
        return Err(MeasureError::Rank { rank });
    }
    if shape.contains(&0) {
        return Err(MeasureError::Empty);
    }
    if let Some(axis) = params.output_axis.filter(|&axis| axis >= rank) {
        return Err(MeasureError::NoSuchAxis { rank, axis });
    }
    match &params.view {
        View::Matrix if rank != 2 => Err(MeasureError::NotAMatrix { rank }),
        View::Blocks { axis, count } => check_blocks(shape, *axis, *count),
        View::Operator(convolution) => {
            let its = usize::from(convolution.output_padding.is_some());
            if let Some(asked) = params.output_axis.filter(|&asked| asked != its) {
                return Err(MeasureError::OutputAxis { its, asked });
            }
            Ok(convolution.geometry(shape).map(|_| ())?)
        }
        _ => Ok(()),
    }
}

/// The axis that the outputs of a tensor run along, as it is measured.
pub(crate) fn output_axis(shape: &[usize], params: &MeasureParams) -> usize {
    let first = match &params.view {
        View::Operator(convolution) => usize::from(convolution.output_padding.is_some()),
        View::Blocks { axis: 0, count } if is_stack(shape, 0, *count) => 1,
        _ => 0,
    };
    params.output_axis.unwrap_or(first)
}

/// Whether blocks are single matrices of a stack of them, `[n, out, in]` cut along n: then the axis
/// that is cut is none of theirs.
fn is_stack(shape: &[usize], axis: usize, count: usize) -> bool {
    shape.len() == 3 && shape[axis] == count
}

fn check_blocks(shape: &[usize], axis: usize, count: usize) -> Result<(), MeasureError> {
    match shape.get(axis) {
        None => Err(MeasureError::NoSuchAxis { rank: shape.len(), axis }),
        Some(&length) if count == 0 || !length.is_multiple_of(count) => {
            Err(MeasureError::UnevenBlocks { axis, length, count })
        }
        Some(_) => Ok(()),
    }
}

fn measure_as<T: Real>(
    tensor: &Tensor,
    params: &MeasureParams,
) -> Result<Vec<WeightMeasurement>, MeasureError> {
    let bytes = tensor.element_count().saturating_mul(size_of::<T>());
    let is_plain = matches!(params.view, View::Matrix | View::Reshaped);
    if is_plain && params.leading == 0 && bytes > HELD_BYTES {
        let layout = Layout::new(tensor.shape(), output_axis(tensor.shape(), params));
        let found = streamed::<T>(tensor, layout, &params.interval, PANEL_ELEMENTS)?;
        return Ok(vec![measurement(tensor.shape(), found.sigma, found.frobenius, vec![])]);
    }
    measure_entries(&tensor.read_all::<T>()?, tensor.shape(), params)
}

/// Measures entries that are in memory, of a tensor that [`check`] has found nothing wrong with.
pub(crate) fn measure_entries<T: Real>(
    entries: &[T],
    shape: &[usize],
    params: &MeasureParams,
) -> Result<Vec<WeightMeasurement>, MeasureError> {
    let axis = output_axis(shape, params);
    let frobenius = || DenseMap::from_tensor(entries, shape, axis).map(|it| it.frobenius_norm());
    match &params.view {
        View::Bidirectional if shape.len() > 2 => {
            let sigma = bidirectional_interval(entries, shape, axis, &params.interval)?;
            Ok(vec![measurement(shape, sigma, frobenius()?, vec![])])
        }
        View::Operator(convolution) => {
            let sigma = operator_interval(entries, &convolution.geometry(shape)?)?;
            let found = measurement(shape, sigma, frobenius()?, vec![]);
            Ok(vec![WeightMeasurement { stable_rank: None, ..found }])
        }
        View::Blocks { axis: cut, count } => {
            let mut block_shape = shape.to_vec();
            block_shape[*cut] /= count;
            let mut axis = axis;
            if is_stack(shape, *cut, *count) && axis != *cut {
                block_shape.remove(*cut);
                axis -= usize::from(axis > *cut);
            }
            let blocks = (0..*count).map(|block| block_of(entries, shape, *cut, *count, block));
            blocks.map(|block| dense(&block, &block_shape, axis, params)).collect()
        }
        _ => Ok(vec![dense(entries, shape, axis, params)?]),
    }
}

/// One matrix, its rows along `axis`.
fn dense<T: Real>(
    entries: &[T],
    shape: &[usize],
    axis: usize,
    params: &MeasureParams,
) -> Result<WeightMeasurement, MeasureError> {
    let layout = Layout::new(shape, axis);
    let found = sigma_interval(entries, layout, &params.interval)?;
    let leading = match params.leading {
        0 => Vec::new(),
        count => leading_singular_values(entries, layout, count)?,
    };
    Ok(measurement(shape, found.sigma, found.frobenius, leading))
}

fn measurement(
    shape: &[usize],
    sigma: Interval,
    frobenius: f64,
    leading: Vec<f64>,
) -> WeightMeasurement {
    let stable_rank = Some(stable_rank(frobenius, sigma.value));
    WeightMeasurement { shape: shape.to_vec(), sigma, frobenius, stable_rank, leading }
}

/// The entries of one block in its own row-major order.
fn block_of<T: Copy>(
    entries: &[T],
    shape: &[usize],
    axis: usize,
    count: usize,
    block: usize,
) -> Vec<T> {
    let run = shape[axis] / count * shape[axis + 1..].iter().product::<usize>();
    let runs = entries.chunks_exact(run).skip(block).step_by(count);
    runs.flatten().copied().collect()
}
