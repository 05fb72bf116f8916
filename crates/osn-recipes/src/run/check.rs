//! What the values of a config must be, each refused with the sentence "KEY must be …".

use std::ops::RangeInclusive;

use osn_core::number::exact;

use crate::run::error::RunError;

/// Of what costs neither memory nor time.
pub(crate) const ANY: RangeInclusive<u64> = 1..=u64::MAX;
/// Steps and updates of a run: their products with other counts fit 64 bits.
pub(crate) const MAX_STEPS: u64 = 1_000_000_000_000;
/// Channels of a feature map.
pub(crate) const MAX_CHANNELS: u64 = 1_024;
/// Layers in a row.
pub(crate) const MAX_LAYERS: u64 = 64;
/// Units of a layer.
pub(crate) const MAX_UNITS: u64 = 8_192;
/// Examples in a batch.
pub(crate) const MAX_BATCH: u64 = 8_192;
/// Images to choose or to score.
pub(crate) const MAX_IMAGES: u64 = 10_000_000;
/// Numbers in the features of a whole batch: four GiB in single precision.
pub(crate) const MAX_FEATURES: u64 = 1 << 30;
/// Weights of a network: one GiB, and three times that for its gradients and the optimizer.
pub(crate) const MAX_WEIGHTS: u64 = 1 << 28;
const MAX_SIDE: usize = 512;

/// Fails with the sentence "KEY must be …" unless the value is as it must be.
pub(crate) fn ensure(key: &str, holds: bool, problem: impl Fn() -> String) -> Result<(), RunError> {
    if holds { Ok(()) } else { Err(RunError::Config { key: key.to_owned(), problem: problem() }) }
}

/// A count by its key, and from which least to which most it may be.
pub(crate) type Count<'a> = (&'a str, u64, RangeInclusive<u64>);

/// Counts that must lie in their ranges: memory and time grow with them, and no counter may run over.
pub(crate) fn within(counts: &[Count]) -> Result<(), RunError> {
    counts.iter().try_for_each(|(key, count, range)| {
        let (least, most) = (range.start(), range.end());
        ensure(key, count >= least, || format!("must be at least {least}, not {count}"))?;
        ensure(key, count <= most, || format!("must be at most {most}, not {count}"))
    })
}

/// Refuses shards of a batch that would not be of one size.
pub(crate) fn check_shards(shards: usize, batch_size: usize) -> Result<(), RunError> {
    within(&[("shards", shards as u64, 1..=MAX_BATCH)])?;
    ensure("shards", batch_size.is_multiple_of(shards), || {
        format!("must divide batch_size, {batch_size}, not {shards}")
    })
}

/// What sizes come to together, as a sum of their products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product<'a> {
    /// The setting that is to be smaller where it is too much.
    pub key: &'a str,
    /// The other settings in it.
    pub with: &'a str,
    /// The sizes of each product.
    pub sizes: &'a [&'a [u64]],
}

/// Products of sizes that must be no more than `most`: what is taken of memory is multiplied out before any
/// is.
pub(crate) fn must_fit(most: u64, what: &str, products: &[Product]) -> Result<(), RunError> {
    products.iter().try_for_each(|Product { key, with, sizes }| {
        let product = |sizes: &&[u64]| sizes.iter().copied().fold(1, u64::saturating_mul);
        let sum = sizes.iter().map(product).fold(0, u64::saturating_add);
        ensure(key, sum <= most, || {
            format!("must be smaller: with {with} it makes more than {most} {what}")
        })
    })
}

/// Numbers that must be positive and finite, such as learning rates.
pub(crate) fn above_zero(numbers: &[(&str, f64)]) -> Result<(), RunError> {
    numbers.iter().try_for_each(|(key, number)| {
        let holds = number.is_finite() && *number > 0.0;
        ensure(key, holds, || format!("must be above 0, not {}", exact(*number)))
    })
}

/// Weights that must be finite and not negative.
pub(crate) fn zero_or_more(numbers: &[(&str, f64)]) -> Result<(), RunError> {
    numbers.iter().try_for_each(|(key, number)| {
        let holds = number.is_finite() && *number >= 0.0;
        ensure(key, holds, || format!("must be 0 or more, not {}", exact(*number)))
    })
}

/// Decays and momenta, which must lie in [0, 1).
pub(crate) fn below_one(numbers: &[(&str, f64)]) -> Result<(), RunError> {
    numbers.iter().try_for_each(|(key, number)| {
        let holds = (0.0..1.0).contains(number);
        ensure(key, holds, || format!("must be from 0 to below 1, not {}", exact(*number)))
    })
}

/// Refuses shares outside [0, 1].
pub(crate) fn parts(numbers: &[(&str, f64)]) -> Result<(), RunError> {
    numbers.iter().try_for_each(|(key, number)| {
        ensure(key, (0.0..=1.0).contains(number), || {
            format!("must be from 0 to 1, not {}", exact(*number))
        })
    })
}

/// Sides of images that are halved twice and doubled again.
pub(crate) fn check_image_size(size: usize) -> Result<(), RunError> {
    ensure("image_size", (8..=MAX_SIDE).contains(&size) && size.is_multiple_of(4), || {
        format!("must be a multiple of 4 from 8 to {MAX_SIDE}, not {size}")
    })
}

/// The widths of layers in a row, of which there may be none.
///
/// # Errors
///
/// [`RunError::Config`] for a layer of nothing, and for more or wider layers than any machine trains.
pub(crate) fn check_widths(key: &str, widths: &[usize], most: u64) -> Result<(), RunError> {
    ensure(key, widths.len() as u64 <= MAX_LAYERS, || {
        format!("must name at most {MAX_LAYERS} layers, not {}", widths.len())
    })?;
    let holds = widths.iter().all(|&width| (1..=most).contains(&(width as u64)));
    ensure(key, holds, || format!("must be from 1 to {most} each, not {widths:?}"))
}

/// Refuses so many linear layers of `hidden_sizes` behind so many inputs that their weights do not fit.
pub(crate) fn check_weights(inputs: u64, hidden_sizes: &[usize]) -> Result<(), RunError> {
    let outputs = hidden_sizes.iter().map(|&width| width as u64);
    let widths: Vec<u64> = [inputs].into_iter().chain(outputs).collect();
    let layers: Vec<&[u64]> = widths.windows(2).collect();
    let weights = Product { key: "hidden_sizes", with: "its neighbours", sizes: &layers };
    must_fit(MAX_WEIGHTS, "weights", &[weights])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_multiplied_out_without_running_over() {
        let fits = |sizes: &[&[u64]]| {
            must_fit(100, "weights", &[Product { key: "key", with: "others", sizes }])
        };
        assert!(fits(&[&[10, 9], &[2, 5]]).is_ok());
        assert!(fits(&[&[10, 9], &[2, 5], &[1]]).is_err());
        let most = u64::MAX;
        for products in [&[&[most, most][..]][..], &[&[most], &[most]], &[&[1 << 33, 1 << 33]]] {
            let error = fits(products).unwrap_err();
            assert!(matches!(&error, RunError::Config { key, .. } if key == "key"), "{error}");
        }
    }
}
