//! The arithmetic on plain slices: each weight is read once per product, nothing is copied.
//!
//! Work is cut into blocks whose size does not depend on the number of threads, and sums are taken
//! in the order of the blocks, so that a result has the same bits on one core and on sixty-four.

use rayon::prelude::*;

use osn_core::measure::Layout;

/// Below this many elements a second thread costs more than it brings.
const PARALLEL_ELEMENTS: usize = 1 << 16;
/// Bands of rows at most: enough for many threads, few enough that adding their sums is nothing.
const MAX_BANDS: usize = 16;
/// Floats whose products are summed in f32 before they go into an f64.
const BLOCK: usize = 1024;
const LANES: usize = 16;

/// `y = A·v`, one number a row.
pub(crate) fn apply(weight: &[f32], layout: Layout, v: &[f32]) -> Vec<f32> {
    let Layout { outer, rows, inner } = layout;
    if inner == 1 {
        return weighted_row_sum(weight, rows, v);
    }
    let mut y = vec![0.0; rows];
    for (block, v) in weight.chunks_exact(rows * inner).zip(v.chunks_exact(inner)).take(outer) {
        add_row_dots(block, v, &mut y);
    }
    y
}

/// `z = Aᵀ·u`, one number a column.
pub(crate) fn apply_transpose(weight: &[f32], layout: Layout, u: &[f32]) -> Vec<f32> {
    let Layout { outer, rows, inner } = layout;
    if inner == 1 {
        let mut z = vec![0.0; outer];
        add_row_dots(weight, u, &mut z);
        return z;
    }
    if outer == 1 {
        return weighted_row_sum(weight, inner, u);
    }
    let mut z = vec![0.0; outer * inner];
    let column_block = |(z, block): (&mut [f32], &[f32])| add_weighted_rows(block, u, z);
    for_each_pair(&mut z, inner, weight, rows * inner, weight.len(), column_block);
    z
}

/// `y[j] += ⟨row j of m, x⟩`.
fn add_row_dots(m: &[f32], x: &[f32], y: &mut [f32]) {
    let columns = x.len();
    let dot_row = |(y, row): (&mut [f32], &[f32])| y[0] += dot(row, x);
    for_each_pair(y, 1, m, columns, m.len(), dot_row);
}

/// `Σ_j x[j]·(row j of m)`, in bands of rows whose sums are added in order.
fn weighted_row_sum(m: &[f32], columns: usize, x: &[f32]) -> Vec<f32> {
    let n_bands = (m.len() / PARALLEL_ELEMENTS).clamp(1, MAX_BANDS);
    let rows_in_band = x.len().div_ceil(n_bands).max(1);
    let band = |(m, x): (&[f32], &[f32])| {
        let mut sum = vec![0.0; columns];
        add_weighted_rows(m, x, &mut sum);
        sum
    };
    let bands = m.par_chunks(rows_in_band * columns).zip(x.par_chunks(rows_in_band));
    let sums: Vec<Vec<f32>> = bands.map(band).collect();
    let add = |mut total: Vec<f32>, sum: Vec<f32>| {
        total.iter_mut().zip(&sum).for_each(|(total, sum)| *total += sum);
        total
    };
    sums.into_iter().reduce(add).unwrap_or_default()
}

/// `sum += Σ_j x[j]·(row j of m)`, four rows at a time so that `sum` is read and written less.
fn add_weighted_rows(m: &[f32], x: &[f32], sum: &mut [f32]) {
    let columns = sum.len();
    let (fours, rest) = x.as_chunks::<4>();
    let (of_fours, of_rest) = m.split_at(fours.len() * 4 * columns);
    for (rows, x) in of_fours.chunks_exact(4 * columns).zip(fours) {
        add_four_rows(rows, x, sum);
    }
    for (row, x) in of_rest.chunks_exact(columns).zip(rest) {
        sum.iter_mut().zip(row).for_each(|(sum, row)| *sum += x * row);
    }
}

fn add_four_rows(rows: &[f32], x: &[f32; 4], sum: &mut [f32]) {
    let (first, second) = rows.split_at(rows.len() / 2);
    let (row0, row1) = first.split_at(sum.len());
    let (row2, row3) = second.split_at(sum.len());
    for ((((sum, w0), w1), w2), w3) in sum.iter_mut().zip(row0).zip(row1).zip(row2).zip(row3) {
        *sum += (x[0] * w0 + x[1] * w1) + (x[2] * w2 + x[3] * w3);
    }
}

/// Calls `body` on matching chunks of two slices, on all cores where `work` is worth it.
fn for_each_pair(
    left: &mut [f32],
    left_chunk: usize,
    right: &[f32],
    right_chunk: usize,
    work: usize,
    body: impl Fn((&mut [f32], &[f32])) + Sync + Send,
) {
    if work < PARALLEL_ELEMENTS {
        left.chunks_exact_mut(left_chunk).zip(right.chunks_exact(right_chunk)).for_each(body);
    } else {
        left.par_chunks_exact_mut(left_chunk)
            .zip(right.par_chunks_exact(right_chunk))
            .for_each(body);
    }
}

/// `⟨a, b⟩`; sums of whole blocks are carried in f64.
pub(crate) fn inner_product(a: &[f32], b: &[f32]) -> f64 {
    let block = |(a, b): (&[f32], &[f32])| f64::from(dot(a, b));
    if a.len() < PARALLEL_ELEMENTS {
        return a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(block).sum();
    }
    let sums: Vec<f64> = a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK)).map(block).collect();
    sums.iter().sum()
}

/// `grad ← scale·grad − factor·u vᵀ`.
pub(crate) fn scale_minus_outer(
    grad: &mut [f32],
    layout: Layout,
    scale: f32,
    factor: f32,
    u: &[f32],
    v: &[f32],
) {
    let Layout { rows, inner, .. } = layout;
    // Each contiguous run of the gradient has one factor from one vector and a run of the other.
    let run = if inner == 1 { rows } else { inner };
    let update = |(index, run): (usize, &mut [f32])| {
        let (coefficient, vector) = if inner == 1 {
            (factor * v[index], u)
        } else {
            (factor * u[index % rows], &v[index / rows * inner..][..inner])
        };
        for (g, x) in run.iter_mut().zip(vector) {
            *g = scale * *g - coefficient * x;
        }
    };
    if grad.len() < PARALLEL_ELEMENTS {
        grad.chunks_exact_mut(run).enumerate().for_each(update);
    } else {
        grad.par_chunks_exact_mut(run).enumerate().for_each(update);
    }
}

/// The Euclidean norm, in f64 so that no f32 can overflow or vanish in its square.
pub(crate) fn norm(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

#[expect(clippy::cast_possible_truncation, reason = "the quotient is at most 1 in size")]
pub(crate) fn divide(x: &mut [f32], by: f64) {
    for x in x {
        *x = (f64::from(*x) / by) as f32;
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUTS: [Layout; 6] = [
        Layout { outer: 5, rows: 7, inner: 1 },
        Layout { outer: 1, rows: 6, inner: 35 },
        Layout { outer: 3, rows: 4, inner: 16 },
        Layout { outer: 520, rows: 1300, inner: 1 },
        Layout { outer: 1, rows: 96, inner: 2500 },
        Layout { outer: 64, rows: 96, inner: 16 },
    ];

    fn wave(length: usize, frequency: f32) -> Vec<f32> {
        (0..length).map(|index| (index as f32 * frequency).sin()).collect()
    }

    fn weight(layout: Layout) -> Vec<f32> {
        wave(layout.rows * layout.cols(), 0.37)
    }

    /// `A[row, column]` by the definition of the layout.
    fn entry(weight: &[f32], layout: Layout, row: usize, column: usize) -> f64 {
        let (outer, inner) = (column / layout.inner, column % layout.inner);
        f64::from(weight[(outer * layout.rows + row) * layout.inner + inner])
    }

    fn assert_close(ours: &[f32], exact: impl Iterator<Item = f64>) {
        for (ours, exact) in ours.iter().zip(exact) {
            assert!((f64::from(*ours) - exact).abs() < 1e-3, "{ours} is not {exact}");
        }
    }

    #[test]
    fn products_are_those_of_the_definition() {
        for layout in LAYOUTS {
            let (w, v, u) = (weight(layout), wave(layout.cols(), 0.9), wave(layout.rows, 1.1));
            let rows = (0..layout.rows).map(|row| {
                let terms = v.iter().enumerate();
                terms.map(|(c, &v)| entry(&w, layout, row, c) * f64::from(v)).sum()
            });
            assert_close(&apply(&w, layout, &v), rows);
            let columns = (0..layout.cols()).map(|column| {
                let terms = u.iter().enumerate();
                terms.map(|(r, &u)| entry(&w, layout, r, column) * f64::from(u)).sum()
            });
            assert_close(&apply_transpose(&w, layout, &u), columns);
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let all = || {
            LAYOUTS.map(|layout| {
                let (w, v) = (weight(layout), wave(layout.cols(), 0.9));
                let u = wave(layout.rows, 1.1);
                let mut gradient = wave(w.len(), 0.53);
                let product = inner_product(&w, &gradient);
                scale_minus_outer(&mut gradient, layout, 0.5, 0.1, &u, &v);
                (apply(&w, layout, &v), apply_transpose(&w, layout, &u), product, gradient)
            })
        };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(all)
        };
        let one = with(1);
        assert_eq!(one, with(3));
        assert_eq!(one, all());
    }
}
