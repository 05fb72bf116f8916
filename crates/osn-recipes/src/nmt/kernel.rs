//! What a Transformer computes row by row, on plain slices: softmax, layer normalization, cross-entropy.
//!
//! Rows are shared among threads in chunks of a fixed size, and sums over rows are taken chunk by chunk, so
//! that no bit depends on the number of threads.

use rayon::prelude::*;

/// Rows of one task.
const ROWS: usize = 64;
/// Fewer numbers than these are not worth waking another thread for.
const SHARED: usize = 1 << 16;
/// Numbers that are added side by side.
const LANES: usize = 16;

/// Softmax of `scale`·row over the first numbers of each row, as many as `n_seen(row)` says and at least one;
/// 0 behind them. Over what was there.
pub(super) fn softmax(
    scores: &mut [f32],
    width: usize,
    scale: f32,
    n_seen: impl Fn(usize) -> usize + Sync,
) {
    let softmax = |(chunk, rows): (usize, &mut [f32])| {
        for (index, row) in rows.chunks_exact_mut(width).enumerate() {
            let (seen, hidden) = row.split_at_mut(n_seen(chunk * ROWS + index));
            hidden.fill(0.0);
            let most = largest(seen);
            for x in &mut *seen {
                *x = exp(scale * (*x - most));
            }
            let share = sum(seen).recip();
            for x in seen {
                *x *= share;
            }
        }
    };
    if scores.len() < SHARED {
        scores.chunks_mut(width * ROWS).enumerate().for_each(softmax);
    } else {
        scores.par_chunks_mut(width * ROWS).enumerate().for_each(softmax);
    }
}

/// The gradient at the scores, `scale·p∘(g − ⟨g, p⟩)` in each row, from that at the probabilities, over which
/// it is written.
pub(super) fn softmax_gradient(probabilities: &[f32], grad: &mut [f32], width: usize, scale: f32) {
    let gradient = |(probabilities, grads): (&[f32], &mut [f32])| {
        let rows = probabilities.chunks_exact(width).zip(grads.chunks_exact_mut(width));
        for (p, g) in rows {
            let along = dot(p, g);
            g.iter_mut().zip(p).for_each(|(g, p)| *g = scale * p * (*g - along));
        }
    };
    let size = width * ROWS;
    if grad.len() < SHARED {
        probabilities.chunks(size).zip(grad.chunks_mut(size)).for_each(gradient);
    } else {
        probabilities.par_chunks(size).zip(grad.par_chunks_mut(size)).for_each(gradient);
    }
}

/// `γ·(x − mean)/√(variance + ε) + β` of each row.
pub(super) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let width = gamma.len();
    let mut output = vec![0.0; x.len()];
    let normalize = |(x, output): (&[f32], &mut [f32])| {
        for (x, y) in x.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
            let [mean, inverse] = mean_and_inverse(x, epsilon);
            let parameters = gamma.iter().zip(beta);
            for ((y, x), (gamma, beta)) in y.iter_mut().zip(x).zip(parameters) {
                *y = gamma * (x - mean) * inverse + beta;
            }
        }
    };
    let size = width * ROWS;
    if x.len() < SHARED {
        x.chunks(size).zip(output.chunks_mut(size)).for_each(normalize);
    } else {
        x.par_chunks(size).zip(output.par_chunks_mut(size)).for_each(normalize);
    }
    output
}

/// The gradients at x, γ and β.
pub(super) fn layer_norm_gradients(
    x: &[f32],
    gamma: &[f32],
    grad: &[f32],
    epsilon: f32,
) -> [Vec<f32>; 3] {
    let width = gamma.len();
    let mut of_x = vec![0.0; x.len()];
    let size = width * ROWS;
    let of_chunk = |(of_x, (x, grad)): (&mut [f32], (&[f32], &[f32]))| {
        layer_norm_chunk(of_x, x, gamma, grad, epsilon)
    };
    let parts: Vec<[Vec<f32>; 2]> = if x.len() < SHARED {
        let inputs = x.chunks(size).zip(grad.chunks(size));
        of_x.chunks_mut(size).zip(inputs).map(of_chunk).collect()
    } else {
        let inputs = x.par_chunks(size).zip(grad.par_chunks(size));
        of_x.par_chunks_mut(size).zip(inputs).map(of_chunk).collect()
    };
    let mut sums = [vec![0.0; width], vec![0.0; width]];
    for part in parts {
        for (sum, part) in sums.iter_mut().zip(part) {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
    }
    let [of_gamma, of_beta] = sums;
    [of_x, of_gamma, of_beta]
}

/// With `h = γ∘g` and x̂ the normalized row: `(h − mean(h) − x̂·mean(h∘x̂))/√(variance + ε)`. Returns what the
/// rows add to the gradients at γ and β.
fn layer_norm_chunk(
    of_x: &mut [f32],
    x: &[f32],
    gamma: &[f32],
    grad: &[f32],
    epsilon: f32,
) -> [Vec<f32>; 2] {
    let width = gamma.len();
    let (mut of_gamma, mut of_beta) = (vec![0.0; width], vec![0.0; width]);
    let mut normal = vec![0.0; width];
    let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
    for ((x, g), out) in rows.zip(of_x.chunks_exact_mut(width)) {
        let [mean, inverse] = mean_and_inverse(x, epsilon);
        normal.iter_mut().zip(x).for_each(|(normal, x)| *normal = (x - mean) * inverse);
        of_beta.iter_mut().zip(g).for_each(|(sum, g)| *sum += g);
        let scaled = of_gamma.iter_mut().zip(&normal).zip(g.iter().zip(gamma));
        for (h, ((sum, normal), (g, gamma))) in out.iter_mut().zip(scaled) {
            *sum += g * normal;
            *h = g * gamma;
        }
        let [of_mean, along] = [sum(out), dot(out, &normal)].map(|sum| sum / width as f32);
        out.iter_mut()
            .zip(&normal)
            .for_each(|(h, normal)| *h = (*h - of_mean - normal * along) * inverse);
    }
    [of_gamma, of_beta]
}

fn mean_and_inverse(x: &[f32], epsilon: f32) -> [f32; 2] {
    let count = x.len() as f32;
    let mean = sum(x) / count;
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += (x - mean) * (x - mean));
    }
    let rest: f32 = rest.iter().map(|x| (x - mean) * (x - mean)).sum();
    let variance = (lanes.iter().sum::<f32>() + rest) / count;
    [mean, (variance + epsilon).sqrt().recip()]
}

/// What a row of logits should say: this class, with `1 − smoothing` and its even share of the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) classes: &'a [u32],
    pub(super) smoothing: f32,
}

/// The mean over rows of `−Σ q ln softmax(logits)`, with `q = (1 − ε)·[class] + ε/width`, and its gradient,
/// which is written over the logits.
pub(super) fn cross_entropy(logits: &mut [f32], width: usize, wanted: Wanted) -> f32 {
    let share = (wanted.classes.len() as f32).recip();
    let chunks = logits.par_chunks_mut(width * ROWS).zip(wanted.classes.par_chunks(ROWS));
    let losses: Vec<f64> = chunks
        .map(|(logits, classes)| {
            let rows = logits.chunks_exact_mut(width).zip(classes);
            rows.map(|(row, &class)| of_row(row, class as usize, wanted.smoothing, share)).sum()
        })
        .collect();
    #[expect(clippy::cast_possible_truncation, reason = "losses are f32")]
    let loss = (losses.iter().sum::<f64>() / wanted.classes.len() as f64) as f32;
    loss
}

fn of_row(row: &mut [f32], class: usize, smoothing: f32, share: f32) -> f64 {
    let most = largest(row);
    let (of_class, mean) = (row[class] - most, sum(row) / row.len() as f32 - most);
    for x in &mut *row {
        *x = exp(*x - most);
    }
    let total = sum(row);
    let even = smoothing / row.len() as f32;
    let factor = share / total;
    for x in &mut *row {
        *x = *x * factor - even * share;
    }
    row[class] -= (1.0 - smoothing) * share;
    f64::from(total.ln() - (1.0 - smoothing) * of_class - smoothing * mean)
}

fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x);
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((of_a, rest_a), (of_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in of_a.iter().zip(of_b) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    lanes.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}

/// The largest; NaN is smaller than all else.
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        lanes
            .iter_mut()
            .zip(chunk)
            .for_each(|(lane, x)| *lane = if *x > *lane { *x } else { *lane });
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// eˣ of x up to 0, to two units in the last place: 2ⁿ times a polynomial in what is left of x, as Cephes has
/// it. In a loop the compiler computes many at once, which it cannot with the library's.
fn exp(x: f32) -> f32 {
    // Adding it leaves a whole number in the low bits.
    const SHIFT: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut power = 1.0 / 720.0;
    for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        power = power * r + factor;
    }
    power * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_library() {
        for step in 0..90_000 {
            let x = -0.001 * step as f32;
            let (ours, theirs) = (f64::from(exp(x)), f64::from(x).max(-87.0).exp());
            assert!((ours / theirs - 1.0).abs() < 3e-7, "{x}: {ours} and {theirs}");
        }
        assert_eq!((exp(0.0), exp(f32::NEG_INFINITY)), (1.0, exp(-87.0)));
        assert!(exp(f32::NAN).is_nan());
    }
}
