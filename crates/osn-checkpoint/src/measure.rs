//! What is measured on one weight, seen through a view.

use osn_core::{
    DenseMap, EstimateError, GeometryError, GramEstimate, GramMatrix, Interval, IntervalParams,
    Layout, View, bidirectional_interval, leading_singular_values, operator_interval,
    sigma_interval, stable_rank,
};

use rayon::prelude::*;

use crate::dtype::{Dtype, Real};
use crate::error::CheckpointError;
use crate::tensor::Tensor;

/// Tensors of up to this many bytes, as the numbers that they are read as, are read whole; larger
/// ones in panels of as much.
const HELD_BYTES: usize = 64 << 20;
/// Elements that one core reads at a time.
const READ_ELEMENTS: usize = 1 << 18;
/// Elements of one panel of a larger tensor.
const PANEL_ELEMENTS: usize = 4 << 20;

/// How a weight is seen, and how narrow its interval is to be.
#[derive(Clone, Debug)]
pub struct MeasureParams {
    /// What a tensor is seen as.
    pub view: View,
    /// The axis of a tensor that its outputs run along; where it is left out that is the one that
    /// stored vectors are for, or else the first.
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

/// What was found on a weight, or on one block of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
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

/// Why a tensor is not measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// A tensor of rank below 2 has no spectrum.
    #[error("rank {rank} is below 2")]
    Rank {
        /// The rank.
        rank: usize,
    },
    /// It has no elements.
    #[error("has no elements")]
    Empty,
    /// The matrix view was asked of a tensor that is no matrix.
    #[error("rank {rank} is no matrix")]
    NotAMatrix {
        /// The rank.
        rank: usize,
    },
    /// It has no axis that the view names.
    #[error("rank {rank} has no axis {axis}")]
    NoSuchAxis {
        /// The rank.
        rank: usize,
        /// The axis.
        axis: usize,
    },
    /// It cannot be cut into so many blocks of one size.
    #[error("axis {axis} of {length} cannot be cut into {count} equal blocks")]
    UnevenBlocks {
        /// The axis.
        axis: usize,
        /// Its length.
        length: usize,
        /// The number of blocks.
        count: usize,
    },
    /// The view tells the outputs by itself, along another axis.
    #[error("the operator view has its outputs along axis {its}, and axis {asked} is asked for")]
    OutputAxis {
        /// The axis of the view.
        its: usize,
        /// What was asked for.
        asked: usize,
    },
    /// The elements are of a type that is not read.
    #[error("{0}")]
    NotRead(String),
    /// The file does not tell how the weight is used.
    #[error("the weight in use is not known: {0}")]
    NotKnown(String),
    /// The weight in use has entries that are no numbers.
    #[error("the weight in use ({what}) has an entry that is {entry}")]
    NotFinite {
        /// What is done to the stored weight.
        what: String,
        /// The entry.
        entry: f64,
    },
    /// The convolution of the operator view does not fit.
    #[error(transparent)]
    Convolution(#[from] GeometryError),
    /// An entry is not finite, or an estimator failed.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] CheckpointError),
}

impl MeasureError {
    /// Whether the file is at fault, not the choice of what to measure.
    pub fn is_bad_file(&self) -> bool {
        match self {
            Self::Estimate(error) => !matches!(error, EstimateError::TooLarge { .. }),
            Self::File(_) | Self::NotFinite { .. } => true,
            _ => false,
        }
    }

    /// Whether the view is for tensors of another rank: it may still be right for others.
    pub fn is_other_rank(&self) -> bool {
        matches!(self, Self::NotAMatrix { .. } | Self::Convolution(GeometryError::Rank { .. }))
    }

    /// Whether the choice of a view or an axis is at fault: another one would do.
    pub fn is_bad_choice(&self) -> bool {
        matches!(
            self,
            Self::NotAMatrix { .. }
                | Self::NoSuchAxis { .. }
                | Self::UnevenBlocks { .. }
                | Self::OutputAxis { .. }
                | Self::Convolution(_)
                | Self::Estimate(EstimateError::TooLarge { .. })
        )
    }
}

/// Measures a tensor: one measurement, or one for each block of [`View::Blocks`].
///
/// It takes the tensor's size in memory, or 64 MiB where that is less, and 4·p² bytes for p the
/// smaller side of the matrix, whatever else is in the file.
///
/// # Errors
///
/// [`MeasureError`], which names what does not fit or which entry is not finite.
pub fn measure(tensor: &Tensor, params: &MeasureParams) -> Result<Vec<Measurement>, MeasureError> {
    check(tensor, params)?;
    if tensor.dtype() == Dtype::F64 {
        measure_as::<f64>(tensor, params)
    } else {
        measure_as::<f32>(tensor, params)
    }
}

/// What tells that a tensor cannot be measured before any of it is read.
pub(crate) fn check(tensor: &Tensor, params: &MeasureParams) -> Result<(), MeasureError> {
    check_readable(tensor)?;
    check_shape(tensor.shape(), params)
}

pub(crate) fn check_readable(tensor: &Tensor) -> Result<(), MeasureError> {
    tensor.skip_reason().map_or(Ok(()), |reason| Err(MeasureError::NotRead(reason.to_owned())))
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

fn measure_as<T: Real + Default + Into<f64> + Send + Sync>(
    tensor: &Tensor,
    params: &MeasureParams,
) -> Result<Vec<Measurement>, MeasureError> {
    let bytes = tensor.element_count().saturating_mul(size_of::<T>());
    let is_plain = matches!(params.view, View::Matrix | View::Reshaped);
    if is_plain && params.leading == 0 && bytes > HELD_BYTES {
        let layout = Layout::new(tensor.shape(), output_axis(tensor.shape(), params));
        let found = streamed::<T>(tensor, layout, &params.interval, PANEL_ELEMENTS)?;
        return Ok(vec![measurement(tensor.shape(), &found, Vec::new())]);
    }
    measure_entries(&read_whole::<T>(tensor)?, tensor.shape(), params)
}

/// All elements, read by all cores: each whole rows of the outermost axis.
pub(crate) fn read_whole<T: Real + Default + Send>(
    tensor: &Tensor,
) -> Result<Vec<T>, CheckpointError> {
    // Refused here where it is refused at all, before memory is taken.
    tensor.read::<T>(0, &mut [])?;
    let mut entries = vec![T::default(); tensor.element_count()];
    let row: usize = tensor.shape().iter().skip(1).product();
    let part = READ_ELEMENTS.next_multiple_of(row.max(1));
    let parts = entries.par_chunks_mut(part).enumerate();
    parts.try_for_each(|(index, into)| tensor.read(index * part, into))?;
    Ok(entries)
}

/// Measures entries that are in memory, of a tensor that [`check`] has found nothing wrong with.
pub(crate) fn measure_entries<T: Into<f64> + Copy + Sync>(
    entries: &[T],
    shape: &[usize],
    params: &MeasureParams,
) -> Result<Vec<Measurement>, MeasureError> {
    let axis = output_axis(shape, params);
    match &params.view {
        View::Bidirectional if shape.len() > 2 => {
            let sigma = bidirectional_interval(entries, shape, axis, &params.interval)?;
            let frobenius = DenseMap::from_tensor(entries, shape, axis)?.frobenius_norm();
            let stable_rank = Some(stable_rank(frobenius, sigma.value));
            Ok(vec![Measurement { sigma, frobenius, stable_rank, ..bare(shape) }])
        }
        View::Operator(convolution) => {
            let sigma = operator_interval(entries, &convolution.geometry(shape)?)?;
            let frobenius = DenseMap::from_tensor(entries, shape, axis)?.frobenius_norm();
            Ok(vec![Measurement { sigma, frobenius, ..bare(shape) }])
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
fn dense<T: Into<f64> + Copy + Sync>(
    entries: &[T],
    shape: &[usize],
    axis: usize,
    params: &MeasureParams,
) -> Result<Measurement, MeasureError> {
    let layout = Layout::new(shape, axis);
    let found = sigma_interval(entries, layout, &params.interval)?;
    let leading = match params.leading {
        0 => Vec::new(),
        count => leading_singular_values(entries, layout, count)?,
    };
    Ok(measurement(shape, &found, leading))
}

/// Nothing but the shape.
fn bare(shape: &[usize]) -> Measurement {
    let sigma = Interval::exactly(0.0);
    Measurement { shape: shape.to_vec(), sigma, frobenius: 0.0, stable_rank: None, leading: vec![] }
}

fn measurement(shape: &[usize], found: &GramEstimate, leading: Vec<f64>) -> Measurement {
    let GramEstimate { sigma, frobenius, .. } = *found;
    let stable_rank = Some(stable_rank(frobenius, sigma.value));
    Measurement { sigma, frobenius, stable_rank, leading, ..bare(shape) }
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

/// σ of a tensor that is read twice in panels: for its largest magnitude, then for its Gram matrix.
fn streamed<T: Real + Default + Into<f64> + Sync>(
    tensor: &Tensor,
    layout: Layout,
    params: &IntervalParams,
    panel_elements: usize,
) -> Result<GramEstimate, MeasureError> {
    // Aᵀ has the same σ, and its rows are read in long runs.
    let layout = layout.transposed().unwrap_or(layout);
    let mut gram = GramMatrix::new(layout.rows.min(layout.cols()), largest::<T>(tensor)?);
    let of_rows = layout.rows < layout.cols();
    let (vectors, side) =
        if of_rows { (layout.cols(), layout.rows) } else { (layout.rows, layout.cols()) };
    let step = (panel_elements / side).max(1);
    let mut panel = Vec::new();
    for start in (0..vectors).step_by(step) {
        let count = step.min(vectors - start);
        panel.resize(count * side, T::default());
        if of_rows {
            read_columns(tensor, layout, start, &mut panel)?;
        } else {
            read_rows(tensor, layout, start, &mut panel)?;
        }
        gram.add_rows(&panel);
    }
    Ok(gram.into_estimate(params)?)
}

fn largest<T: Real + Default + Into<f64>>(tensor: &Tensor) -> Result<f64, MeasureError> {
    let count = tensor.element_count();
    let (mut part, mut largest) = (Vec::new(), 0.0_f64);
    for start in (0..count).step_by(PANEL_ELEMENTS) {
        part.resize(PANEL_ELEMENTS.min(count - start), T::default());
        tensor.read(start, &mut part)?;
        for (index, &entry) in part.iter().enumerate() {
            let value: f64 = entry.into();
            if !value.is_finite() {
                return Err(EstimateError::NonFiniteEntry { index: start + index, value }.into());
            }
            largest = largest.max(value.abs());
        }
    }
    Ok(largest)
}

/// Rows of A from `first` on, `[any, cols]`, each of them gathered from its runs.
fn read_rows<T: Real>(
    tensor: &Tensor,
    layout: Layout,
    first: usize,
    panel: &mut [T],
) -> Result<(), CheckpointError> {
    if layout.outer == 1 {
        return tensor.read(first * layout.inner, panel);
    }
    for (row, into) in panel.chunks_exact_mut(layout.cols()).enumerate() {
        for (outer, run) in into.chunks_exact_mut(layout.inner).enumerate() {
            tensor.read((outer * layout.rows + first + row) * layout.inner, run)?;
        }
    }
    Ok(())
}

/// Columns of A from `first` on, as the rows of `[any, rows]`.
fn read_columns<T: Real + Default>(
    tensor: &Tensor,
    layout: Layout,
    first: usize,
    panel: &mut [T],
) -> Result<(), CheckpointError> {
    let Layout { rows, inner, .. } = layout;
    let count = panel.len() / rows;
    let mut run = Vec::new();
    let mut done = 0;
    while done < count {
        let (outer, offset) = ((first + done) / inner, (first + done) % inner);
        run.resize((inner - offset).min(count - done), T::default());
        for row in 0..rows {
            tensor.read((outer * rows + row) * inner + offset, &mut run)?;
            for (column, &entry) in run.iter().enumerate() {
                panel[(done + column) * rows + row] = entry;
            }
        }
        done += run.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    /// A file with one tensor of 1 to 5,040 in thousandths, signs mixed.
    fn checkpoint(folder: &std::path::Path, shape: &[usize]) -> Checkpoint {
        let path = folder.join("one.safetensors");
        let values = (1..=5040_u16).map(|i| (f32::from(i) * 1.7).sin() * f32::from(i) / 1000.0);
        let data: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), &data);
        safetensors::serialize_to_file([("one", view.unwrap())], None, &path).unwrap();
        Checkpoint::open(path).unwrap()
    }

    #[test]
    fn in_panels_a_tensor_has_the_sigma_that_it_has_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let shapes: [&[usize]; 4] = [&[42, 120], &[120, 42], &[5, 12, 84], &[30, 4, 6, 7]];
        for shape in shapes {
            let checkpoint = checkpoint(folder.path(), shape);
            let tensor = &checkpoint.tensors()[0];
            let mut entries = vec![0.0_f32; 5040];
            tensor.read(0, &mut entries).unwrap();
            for axis in 0..shape.len() {
                let (layout, params) = (Layout::new(shape, axis), IntervalParams::default());
                let in_memory = sigma_interval(&entries, layout, &params).unwrap();
                for panel_elements in [1, 500, 100_000] {
                    let found = streamed::<f32>(tensor, layout, &params, panel_elements).unwrap();
                    let ratio = found.sigma.value / in_memory.sigma.value;
                    assert!((ratio - 1.0).abs() < 1e-12, "{shape:?} {axis}: {ratio}");
                    assert!((found.frobenius / in_memory.frobenius - 1.0).abs() < 1e-12);
                }
            }
        }
    }
}
