//! What rounding did to a Gram matrix, as a bound that is certain.

use crate::measure::bounds::rounding::{UNDERFLOW, add_up, gamma, multiply_up, sum_up};
use crate::measure::gram_matrix::GramMatrix;

/// Each entry of the computed Ĝ is a sum of m products, m the number of rows of A, and rounding it
/// in any order leaves `|Ĝ − AᵀA| ≤ γₘ|A|ᵀ|A|` entry by entry (Higham 2002, Accuracy and Stability of
/// Numerical Algorithms, section 3.5), so
///
/// ```text
/// ‖Ĝ − AᵀA‖₂ ≤ γₘ‖|A|ᵀ|A|‖₂ ≤ γₘ‖A‖_F²,    γₘ = m·u/(1 − m·u),    u = 2⁻⁵³
/// ```
impl GramMatrix {
    /// Returns at least ‖A‖_F², of the scaled A.
    ///
    /// A diagonal entry is a sum of squares, so rounding changes it by a factor of at most 1 ± γₘ.
    pub(crate) fn squared_norm_up(&self) -> f64 {
        let growth = add_up(1.0, gamma(2.0 * self.n_rows() as f64 + 4.0));
        let products = self.n_rows() as f64 * self.side() as f64;
        add_up(multiply_up(sum_up(self.diagonal()), growth), multiply_up(products, UNDERFLOW))
    }

    /// Returns at least ‖Ĝ − AᵀA‖₂ + |fl(vᵀĜv/vᵀv) − vᵀĜv/vᵀv| for any v, of the scaled A.
    ///
    /// The first part is the bound above. For the second, Ĝv and the two inner
    /// products are sums of p terms, so their rounding is at most γ₃ₚ|v|ᵀ|Ĝ||v|/vᵀv, and |Ĝ| is at
    /// most (1 + γₘ)|A|ᵀ|A|, whose norm is at most ‖A‖_F². Together that is at most
    /// γ₍ₘ₊₄ₚ₊₈₎‖A‖_F². Twice as many roundings are counted, which covers products of the γs. A product
    /// that underflows, also with the scale, adds at most 2⁻¹⁰⁷⁵.
    pub(crate) fn error_up(&self) -> f64 {
        let (m, p) = (self.n_rows() as f64, self.side() as f64);
        let squared_norm = self.squared_norm_up();
        let rounding = multiply_up(gamma(2.0 * (m + 4.0 * p + 16.0)), squared_norm);
        let products = multiply_up((m + p) * p, add_up(1.0, squared_norm));
        add_up(rounding, multiply_up(products, UNDERFLOW))
    }
}
