//! Why a map cannot be measured.

/// Why no estimate can be given.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EstimateError {
    /// The weight holds an infinity or a NaN.
    #[error("entry {index} of the weight is {value}")]
    NonFiniteEntry {
        /// The flat index of the first bad entry.
        index: usize,
        /// The entry.
        value: f64,
    },
    /// The vector to start from holds an infinity or a NaN.
    #[error("entry {index} of the start vector is {value}")]
    NonFiniteStart {
        /// The index of the first bad entry.
        index: usize,
        /// The entry.
        value: f64,
    },
    /// The map has no rows or no columns, so it has no singular value.
    #[error("a {rows}x{cols} map has no singular value")]
    Empty {
        /// The number of rows.
        rows: usize,
        /// The number of columns.
        cols: usize,
    },
    /// Applying the map gave an infinity or a NaN, though it was given finite numbers.
    #[error("product {product} with the map is not finite")]
    NonFiniteProduct {
        /// Which product it was, counted from 1.
        product: usize,
    },
    /// A convolution over so many numbers would take more memory than is at hand.
    #[error(
        "its input and output hold {numbers:.0e} numbers, and {most} are the most that are measured; \
         give a smaller input size, where σ is nearly the same"
    )]
    TooLarge {
        /// How many numbers, positions times channels.
        numbers: f64,
        /// The most.
        most: usize,
    },
    /// The singular value decomposition did not converge.
    #[error("the singular value decomposition of a {rows}x{cols} matrix did not converge")]
    NoConvergence {
        /// The number of rows.
        rows: usize,
        /// The number of columns.
        cols: usize,
    },
}

impl EstimateError {
    pub(crate) fn check_not_empty(rows: usize, cols: usize) -> Result<(), Self> {
        if rows == 0 || cols == 0 { Err(Self::Empty { rows, cols }) } else { Ok(()) }
    }

    pub(crate) fn check_entries<T: Into<f64> + Copy>(entries: &[T]) -> Result<(), Self> {
        match first_non_finite(entries) {
            Some((index, value)) => Err(Self::NonFiniteEntry { index, value }),
            None => Ok(()),
        }
    }

    pub(crate) fn check_start(start: &[f64], cols: usize) -> Result<(), Self> {
        assert_eq!(start.len(), cols, "the start vector does not fit a map of {cols} columns");
        match first_non_finite(start) {
            Some((index, value)) => Err(Self::NonFiniteStart { index, value }),
            None => Ok(()),
        }
    }

    pub(crate) fn check_product(norm: f64, product: usize) -> Result<f64, Self> {
        if norm.is_finite() { Ok(norm) } else { Err(Self::NonFiniteProduct { product }) }
    }
}

fn first_non_finite<T: Into<f64> + Copy>(numbers: &[T]) -> Option<(usize, f64)> {
    let numbers = numbers.iter().map(|&number| number.into());
    numbers.enumerate().find(|(_, number)| !number.is_finite())
}
