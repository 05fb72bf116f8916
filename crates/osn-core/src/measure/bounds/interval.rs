//! A number that is not known exactly, between two bounds that are certain.

use serde::{Deserialize, Serialize};

/// A value and two bounds between which the true one is certain to lie.
///
/// `lower` ≤ `value` ≤ `upper`, and `lower` ≤ true value ≤ `upper`, rounding of `f64` included. All
/// three have the unit of what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The best guess.
    pub value: f64,
    /// At most the true value.
    pub lower: f64,
    /// At least the true value; infinite where that may lie beyond the largest `f64`.
    pub upper: f64,
}

impl Interval {
    /// The interval of a value that is known exactly.
    pub fn exactly(value: f64) -> Self {
        Self { value, lower: value, upper: value }
    }

    /// Puts a guess between its bounds, moving it onto the nearer one where rounding left it outside.
    pub(crate) fn around(value: f64, lower: f64, upper: f64) -> Self {
        Self { value: value.max(lower).min(upper), lower, upper }
    }

    /// Divides a value that is not negative, and both bounds outwards; the interval [0, 0] stays as it is.
    pub(crate) fn divided_by(self, divisor: f64) -> Self {
        if self.upper == 0.0 {
            return self;
        }
        let lower = (self.lower / divisor).next_down().max(0.0);
        Self::around(self.value / divisor, lower, (self.upper / divisor).next_up())
    }

    /// Whether the number lies within the bounds.
    pub fn contains(&self, number: f64) -> bool {
        self.lower <= number && number <= self.upper
    }

    /// Returns (upper − lower)/upper, between 0 and 1; 0 for the interval [0, 0].
    pub fn relative_width(&self) -> f64 {
        if self.upper == 0.0 {
            return 0.0;
        }
        if self.upper.is_infinite() { 1.0 } else { (self.upper - self.lower) / self.upper }
    }
}
