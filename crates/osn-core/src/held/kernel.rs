//! The arithmetic on plain slices: each weight is read once per product, nothing is copied.
//!
//! Work is cut into blocks whose size does not depend on the number of threads, and sums are taken
//! in the order of the blocks, so that a result has the same bits on one core and on sixty-four.

use rayon::prelude::*;

use crate::measure::operator::Layout;

/// Below this many elements a second thread costs more than it brings.
pub const PARALLEL_ELEMENTS: usize = 1 << 16;
/// Bands of rows at most: enough for many threads, few enough that adding their sums is nothing.
const MAX_BANDS: usize = 16;
/// Floats whose products are summed in f32 before they go into an f64.
const BLOCK: usize = 1024;
const LANES: usize = 16;
/// Floats that one thread writes at once where nothing is summed.
const CHUNK: usize = 1 << 15;

/// Where the products of one weight are computed; the bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// On those of rayon, its bands at the same time.
    Rayon,
    /// On the caller's alone: several weights are worked on at the same time.
    Own,
}

/// `y = A v` and `Aᵀy` of the matrix whose rows are those of the memory, reading each entry from memory once: the
/// product of a row with `v` is an entry of `y`, and the row is added to `Aᵀy` while it is in the cache.
pub fn apply_then_transpose(threads: Threads, rows: &[f32], v: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let columns = v.len();
    let mut y = vec![0.0; rows.len() / columns];
    let in_band = band_of(rows, y.len());
    let band = |(rows, y): (&[f32], &mut [f32])| {
        let mut sum = vec![0.0; columns];
        for (four, y) in rows.chunks(4 * columns).zip(y.chunks_mut(4)) {
            y.iter_mut().zip(four.chunks_exact(columns)).for_each(|(y, row)| *y = dot(row, v));
            add_weighted_rows(four, y, &mut sum);
        }
        sum
    };
    let sums = each_band(threads, (rows, in_band * columns), (&mut y, in_band), band);
    (y, total(sums))
}

/// `x = Aᵀu` and `A x`, likewise: where `inner` is 1 the memory is `Aᵀ` row by row, elsewhere it is one block of rows
/// after the other, each of which gives `inner` entries of `x`.
pub fn transpose_then_apply(
    threads: Threads,
    weight: &[f32],
    layout: Layout,
    u: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let Layout { outer, rows, inner } = layout;
    if inner == 1 {
        return apply_then_transpose(threads, weight, u);
    }
    let mut x = vec![0.0; outer * inner];
    let in_band = band_of(weight, outer);
    let band = |(blocks, x): (&[f32], &mut [f32])| {
        // Rows are short here: what they make is summed at the end and not in each block.
        let mut products = vec![0.0; rows * inner];
        for (block, x) in blocks.chunks_exact(rows * inner).zip(x.chunks_exact_mut(inner)) {
            add_weighted_rows(block, u, x);
            let of_rows = products.chunks_exact_mut(inner).zip(block.chunks_exact(inner));
            of_rows.for_each(|(products, row)| add_products(products, row, x));
        }
        products.chunks_exact(inner).map(|products| products.iter().sum()).collect()
    };
    let in_weight = in_band * rows * inner;
    let sums = each_band(threads, (weight, in_weight), (&mut x, in_band * inner), band);
    (x, total(sums))
}

/// How many of the `n_rows` of a weight make one band.
fn band_of(weight: &[f32], n_rows: usize) -> usize {
    let n_bands = (weight.len() / PARALLEL_ELEMENTS).clamp(1, MAX_BANDS);
    n_rows.div_ceil(n_bands).next_multiple_of(4)
}

/// What `band` gives for each part of a weight with the part of the product that it makes; the numbers are their lengths.
fn each_band(
    threads: Threads,
    (weight, in_weight): (&[f32], usize),
    (product, in_product): (&mut [f32], usize),
    band: impl Fn((&[f32], &mut [f32])) -> Vec<f32> + Send + Sync,
) -> Vec<Vec<f32>> {
    match threads {
        Threads::Rayon => {
            let parts = product.par_chunks_mut(in_product);
            weight.par_chunks(in_weight).zip(parts).map(band).collect()
        }
        Threads::Own => {
            weight.chunks(in_weight).zip(product.chunks_mut(in_product)).map(band).collect()
        }
    }
}

/// The sums of the bands, added in order.
fn total(sums: Vec<Vec<f32>>) -> Vec<f32> {
    let add = |mut total: Vec<f32>, sum: Vec<f32>| {
        total.iter_mut().zip(&sum).for_each(|(total, sum)| *total += sum);
        total
    };
    sums.into_iter().reduce(add).unwrap_or_default()
}

/// `products[i] += row[i]·x[i]`.
fn add_products(products: &mut [f32], row: &[f32], x: &[f32]) {
    products.iter_mut().zip(row).zip(x).for_each(|((product, w), x)| *product += w * x);
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

/// `scale·weight` in memory of its own.
pub fn scaled(weight: &[f32], scale: f32) -> Vec<f32> {
    if weight.len() < PARALLEL_ELEMENTS {
        return weight.iter().map(|w| scale * w).collect();
    }
    weight.par_iter().with_min_len(CHUNK).map(|w| scale * w).collect()
}

/// `out ← scale·weight`.
pub fn scale_into(out: &mut [f32], weight: &[f32], scale: f32) {
    let write = |(out, weight): (&mut [f32], &[f32])| {
        out.iter_mut().zip(weight).for_each(|(out, w)| *out = scale * w);
    };
    if weight.len() < PARALLEL_ELEMENTS {
        return write((out, weight));
    }
    out.par_chunks_mut(CHUNK).zip(weight.par_chunks(CHUNK)).for_each(write);
}

/// `⟨a, b⟩`; sums of whole blocks are carried in f64.
pub fn inner_product(a: &[f32], b: &[f32]) -> f64 {
    let block = |(a, b): (&[f32], &[f32])| f64::from(dot(a, b));
    if a.len() < PARALLEL_ELEMENTS {
        return a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(block).sum();
    }
    let sums: Vec<f64> = a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK)).map(block).collect();
    sums.iter().sum()
}

/// `grad ← scale·grad − factor·u vᵀ`.
pub fn scale_minus_outer(
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
pub fn norm(x: &[f32]) -> f64 {
    square_sum(x).sqrt()
}

/// `‖x‖²`, in f64.
pub fn square_sum(x: &[f32]) -> f64 {
    let (lanes, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f64; LANES];
    for x in lanes {
        for lane in 0..LANES {
            sums[lane] += f64::from(x[lane]) * f64::from(x[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
}

/// `x ← x/by`, for entries that are at most `by` in size.
#[expect(clippy::cast_possible_truncation, reason = "the quotient is at most 1 in size")]
pub fn divide(x: &mut [f32], by: f64) {
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
    sum_of_lanes(&sums) + rest
}

/// By halves: sixteen additions, one after the other, take as long as the products of a short row.
///
/// Not inlined: seen together with the loop before it, its shape makes the compiler keep the lanes in pairs.
#[inline(never)]
fn sum_of_lanes(sums: &[f32; LANES]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|lane| sums[lane] + sums[lane + 8]);
    let four: [f32; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
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

    fn assert_close(ours: &[f32], exact: &[f64]) {
        assert_eq!(ours.len(), exact.len());
        let largest = exact.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
        for (ours, exact) in ours.iter().zip(exact) {
            assert!((f64::from(*ours) - exact).abs() < 1e-4 * largest, "{ours} is not {exact}");
        }
    }

    /// `A v` by the definition.
    fn product(w: &[f32], layout: Layout, v: &[f64]) -> Vec<f64> {
        let row = |row| v.iter().enumerate().map(move |(c, v)| entry(w, layout, row, c) * v).sum();
        (0..layout.rows).map(row).collect()
    }

    /// `Aᵀu` by the definition.
    fn transposed_product(w: &[f32], layout: Layout, u: &[f64]) -> Vec<f64> {
        let column = |c| u.iter().enumerate().map(move |(r, u)| entry(w, layout, r, c) * u).sum();
        (0..layout.cols()).map(column).collect()
    }

    #[test]
    fn products_are_those_of_the_definition() {
        for layout in LAYOUTS {
            let (w, v, u) = (weight(layout), wave(layout.cols(), 0.9), wave(layout.rows, 1.1));
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
            let (first, second) = transpose_then_apply(Threads::Rayon, &w, layout, &u);
            let exact = transposed_product(&w, layout, &wide(&u));
            assert_close(&first, &exact);
            assert_close(&second, &product(&w, layout, &exact));
            if layout.outer == 1 {
                let (first, second) = apply_then_transpose(Threads::Rayon, &w, &v);
                let exact = product(&w, layout, &wide(&v));
                assert_close(&first, &exact);
                assert_close(&second, &transposed_product(&w, layout, &exact));
            }
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        let all = |threads| {
            LAYOUTS.map(|layout| {
                let (w, v) = (weight(layout), wave(layout.cols(), 0.9));
                let u = wave(layout.rows, 1.1);
                let mut gradient = wave(w.len(), 0.53);
                let product = inner_product(&w, &gradient);
                scale_minus_outer(&mut gradient, layout, 0.5, 0.1, &u, &v);
                let from_v = (layout.outer == 1).then(|| apply_then_transpose(threads, &w, &v));
                (transpose_then_apply(threads, &w, layout, &u), from_v, product, gradient)
            })
        };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| all(Threads::Rayon))
        };
        let one = with(1);
        assert_eq!(one, with(3));
        assert_eq!(one, all(Threads::Rayon));
        assert_eq!(one, all(Threads::Own));
    }

    #[test]
    fn a_scaled_weight_is_the_same_in_new_memory_and_in_old() {
        for length in [3, PARALLEL_ELEMENTS + 7] {
            let weight = wave(length, 0.3);
            let mut old = vec![f32::NAN; length];
            scale_into(&mut old, &weight, 0.7);
            assert_eq!(old, scaled(&weight, 0.7));
            assert!(old.iter().zip(&weight).all(|(old, w)| *old == 0.7 * w));
        }
    }
}
