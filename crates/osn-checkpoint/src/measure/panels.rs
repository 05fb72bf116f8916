//! σ of a tensor that is too large for memory.

use osn_core::measure::bounds::{GramEstimate, IntervalParams};
use osn_core::measure::{EstimateError, GramMatrix, Layout};

use crate::measure::error::MeasureError;
use crate::read::dtype::Real;
use crate::read::tensor::{Tensor, TensorError};

/// Elements of one panel.
pub(crate) const PANEL_ELEMENTS: usize = 4 << 20;

/// σ of a tensor that is read twice in panels: for its largest magnitude, then for its Gram matrix.
pub(crate) fn streamed<T: Real>(
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

fn largest<T: Real>(tensor: &Tensor) -> Result<f64, MeasureError> {
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
) -> Result<(), TensorError> {
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
fn read_columns<T: Real>(
    tensor: &Tensor,
    layout: Layout,
    first: usize,
    panel: &mut [T],
) -> Result<(), TensorError> {
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
    use osn_core::measure::bounds::sigma_interval;

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
