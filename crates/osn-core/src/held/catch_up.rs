//! What the refresh of a weight that was left alone for some steps has in common for all frameworks.

use crate::held::form::{Map, Maps};
use crate::held::iteration::begins_at_v;
use crate::measure::exact::exact;
use crate::measure::operator::DenseMap;
use crate::state_code::State;

/// Power iterations at most. Where they end above the residual at which u and v count as lost, the read-back starts
/// the weight again.
const MAX_ITERATIONS: u64 = 8;
/// A residual at which no further iteration runs, where reading it costs nothing: the last one raised σ by at most half
/// its square, 1e-5 of σ.
const SETTLED_RESIDUAL: f64 = 0.005;
/// What is left of a unit vector, at least, beside those before it: below, it is rounding of single precision.
const NEW_DIRECTION: f64 = 1e-4;

/// How many power iterations a refresh has at most whose last one was `behind` steps ago: one for each step, up to 8, all on
/// the weight as it is now.
pub fn catch_up_iterations(behind: u64) -> u64 {
    behind.min(MAX_ITERATIONS)
}

/// Whether another iteration of a block is not worth it, or not possible.
pub fn is_settled(state: &State) -> bool {
    state.residual <= SETTLED_RESIDUAL || state.bad_step != 0
}

/// Whether the iterations on a weight begin at `v`, and not at `u`, where they can begin at the [best](Space::best_start) of
/// what they have seen: `None` of two maps, of which only the mean σ is known.
pub fn starts_at_v(maps: &Maps) -> Option<bool> {
    let mut maps = maps.iter();
    let (Some(map), None) = (maps.next(), maps.next()) else { return None };
    Some(matches!(map, Map::Matrix(layout) if begins_at_v(*layout)))
}

/// What the iterations on one map `A` have seen of it, or of `Aᵀ` where they begin at `v`.
///
/// Begun at the best vector of all so far (Rayleigh–Ritz), iterations are those of Golub and Kahan, which come near in about
/// the root of the number of plain ones.
#[derive(Clone, Debug, Default)]
pub struct Space {
    /// Orthonormal vectors.
    basis: Vec<Vec<f64>>,
    /// The product with each.
    images: Vec<Vec<f64>>,
}

impl Space {
    /// The unit vector that the next iteration is best begun at, if the last one showed anything new: it left `σ` with the
    /// vectors `start`, at which an iteration begins, and `end`, whose product `σ·start` is.
    ///
    /// # Panics
    ///
    /// If they have not the lengths of those before.
    pub fn best_start(&mut self, start: &[f64], end: &[f64], sigma: f64) -> Option<Vec<f64>> {
        self.add(end.to_vec(), start.iter().map(|x| sigma * x).collect())
    }

    /// Adds `v` with `A v`; returns the unit vector along the largest `A x` over the unit `x` of the space, if `v` was
    /// new.
    fn add(&mut self, mut v: Vec<f64>, mut image: Vec<f64>) -> Option<Vec<f64>> {
        for (other, its_image) in self.basis.iter().zip(&self.images) {
            assert_eq!((v.len(), image.len()), (other.len(), its_image.len()), "another map");
            let along = dot(&v, other);
            subtract(&mut v, along, other);
            subtract(&mut image, along, its_image);
        }
        let norm = dot(&v, &v).sqrt();
        if norm < NEW_DIRECTION {
            return None;
        }
        [&mut v, &mut image].into_iter().flatten().for_each(|x| *x /= norm);
        let length = image.len();
        self.basis.push(v);
        self.images.push(image);
        let images = self.images.concat();
        Some(exact(&DenseMap::new(&images, self.images.len(), length).ok()?).ok()?.v)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `a ← a − factor·b`.
fn subtract(a: &mut [f64], factor: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a -= factor * b);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_a_space_is_the_largest_singular_vector_once_the_space_is_whole() {
        // A = diag(3, 2): A e₁ = 3 e₁, A e₂ = 2 e₂.
        let mut space = Space::default();
        let best = space.add(vec![0.6, 0.8], vec![1.8, 1.6]).unwrap();
        let along = 0.6 * 1.8 + 0.8 * 1.6;
        assert!(along > 0.0 && (dot(&best, &best) - 1.0).abs() < 1e-12);
        let best = space.add(vec![1.0, 0.0], vec![3.0, 0.0]).unwrap();
        assert!((best[0].abs() - 1.0).abs() < 1e-12 && best[1].abs() < 1e-12, "{best:?}");
        assert_eq!(space.add(vec![0.0, 1.0], vec![0.0, 2.0]), None, "it was there already");
    }

    #[test]
    fn one_iteration_a_step_up_to_eight() {
        assert_eq!([0, 1, 5, 8, 50].map(catch_up_iterations), [0, 1, 5, 8, 8]);
    }
}
