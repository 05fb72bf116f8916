//! A weight that is not stored as its model uses it, and what is done to make it.

use crate::read::tensor::Tensor;

/// A weight that is not stored as it is used.
pub(crate) struct Weight<'a> {
    /// The name that it has where nothing is done to it: `X.weight`.
    pub(crate) path: String,
    /// The tensor that it is made from.
    pub(crate) base: &'a Tensor,
    /// What is done to that, in order; or why nobody can know.
    pub(crate) steps: Result<Vec<Step<'a>>, String>,
    /// The other tensors that make it, and what the framework has computed from it.
    pub(crate) parts: Vec<&'a Tensor>,
}

impl Weight<'_> {
    /// Whether it is stored as the product of a scale and numbers of few bits.
    pub(crate) fn is_quantized(&self) -> bool {
        matches!(self.steps.as_deref(), Ok([Step::Scale { .. }]))
    }
}

/// One thing that is done to a weight.
pub(crate) enum Step<'a> {
    /// Weight norm: `g·v/‖v‖`, with a norm for each entry of g.
    Norm { g: &'a Tensor },
    /// Pruning: entry by entry times a mask.
    Mask { mask: &'a Tensor },
    /// PyTorch's spectral norm: divided by uᵀWv, u and v as they are stored. Old versions stored no
    /// v, but the quotient.
    Spectral { u: &'a Tensor, v: Option<&'a Tensor>, computed: Option<&'a Tensor> },
    /// `BigGAN`'s: divided by ‖Wv‖ with v = Wᵀu/‖Wᵀu‖.
    Iterated { u: &'a Tensor },
    /// osn's: times the scale of the state.
    Osn { u: &'a Tensor, v: Option<&'a Tensor>, state: &'a Tensor },
    /// Numbers of 8 bits times the scale of their block.
    Scale { scale: &'a Tensor },
}

/// Whether g can be the norms of a v: along each axis as long as v, or 1; or one number for all.
pub(crate) fn is_norm_of(g: &[usize], v: &[usize]) -> bool {
    let all_in_one = g.iter().product::<usize>() == 1;
    all_in_one || (g.len() == v.len() && g.iter().zip(v).all(|(g, v)| g == v || *g == 1) && g != v)
}

/// Where in g, in row-major order, the norm of an entry of v stands.
pub(crate) fn place_in_norm(mut index: usize, shape: &[usize], g: &[usize]) -> usize {
    if g.len() != shape.len() {
        return 0;
    }
    let (mut place, mut stride) = (0, 1);
    for (&size, &of_g) in shape.iter().zip(g).rev() {
        place += if of_g == 1 { 0 } else { index % size * stride };
        stride *= of_g;
        index /= size;
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_found_along_every_axis() {
        assert!(
            is_norm_of(&[2, 1], &[2, 3])
                && is_norm_of(&[1, 3], &[2, 3])
                && is_norm_of(&[], &[2, 3])
        );
        assert!(!is_norm_of(&[2], &[2, 3]) && !is_norm_of(&[2, 3], &[2, 3]));
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|i| place_in_norm(i, &[2, 3], &[2, 1])),
            [0, 0, 0, 1, 1, 1]
        );
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|i| place_in_norm(i, &[2, 3], &[1, 3])),
            [0, 1, 2, 0, 1, 2]
        );
    }
}
