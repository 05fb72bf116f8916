//! A recipe's config: found by the preset's name, changed by settings, checked.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::Need;

use super::{RecipeDoc, RunError, TrainRequest, apply_settings};

/// Steps and updates of a run: their products with other counts fit 64 bits.
pub const MAX_STEPS: u64 = 1_000_000_000_000;
/// Channels of a feature map.
pub const MAX_CHANNELS: u64 = 1_024;
/// Units of a layer.
pub const MAX_UNITS: u64 = 8_192;
/// Examples in a batch.
pub const MAX_BATCH: u64 = 8_192;
const MAX_SIDE: usize = 512;
const MAX_LAYERS: usize = 64;

/// Data was named where none are taken.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoData(&'static str);

/// Every hyper-parameter of a recipe.
pub trait Config: Serialize + DeserializeOwned + Clone {
    /// What to do in place of naming data, where a recipe takes none.
    const NO_DATA: Option<&'static str> = None;

    /// The presets, in the order of [`RecipeDoc::presets`].
    fn presets() -> Vec<Self>;

    /// Whether the values go together.
    ///
    /// # Errors
    ///
    /// [`RunError::Config`] for the first value that cannot be.
    fn check(&self) -> Result<(), RunError>;

    /// What data it takes.
    fn need(&self) -> Need;

    /// The preset that was asked for, with the settings that were asked for.
    ///
    /// # Errors
    ///
    /// [`RunError`]: an unknown preset, an unknown or bad setting, data where none are taken.
    fn resolve(request: &TrainRequest, doc: &RecipeDoc) -> Result<Self, RunError> {
        if let Some(stopped) = &request.stopped {
            return stopped.config();
        }
        if let (Some(name), Some(instead)) = (&request.data, Self::NO_DATA) {
            return Err(RunError::Data { name: name.clone(), source: Box::new(NoData(instead)) });
        }
        let name = request.preset.as_deref().unwrap_or(doc.presets[0]);
        let named = doc.presets.iter().zip(Self::presets()).find(|(preset, _)| **preset == name);
        let Some((_, preset)) = named else {
            return Err(RunError::unknown_name("preset", name, doc.presets));
        };
        let config = apply_settings(&preset, &request.settings)?;
        config.check()?;
        Ok(config)
    }
}

/// Fails with the sentence "KEY must be …" unless the value is as it must be.
///
/// # Errors
///
/// [`RunError::Config`].
pub fn ensure(key: &str, holds: bool, problem: impl Fn() -> String) -> Result<(), RunError> {
    if holds { Ok(()) } else { Err(RunError::Config { key: key.to_owned(), problem: problem() }) }
}

/// Counts that must be `least` or more.
///
/// # Errors
///
/// [`RunError::Config`] for the first that is not.
pub fn at_least(least: u64, counts: &[(&str, u64)]) -> Result<(), RunError> {
    counts.iter().try_for_each(|(key, count)| {
        ensure(key, *count >= least, || format!("must be at least {least}, not {count}"))
    })
}

/// Counts that must be `most` or less: memory and time grow with them, and no counter may run over.
///
/// # Errors
///
/// [`RunError::Config`] for the first that is not.
pub fn at_most(most: u64, counts: &[(&str, u64)]) -> Result<(), RunError> {
    counts.iter().try_for_each(|(key, count)| {
        ensure(key, *count <= most, || format!("must be at most {most}, not {count}"))
    })
}

/// Numbers that must be positive and finite, such as learning rates.
///
/// # Errors
///
/// [`RunError::Config`] for the first that is not.
pub fn above_zero(numbers: &[(&str, f64)]) -> Result<(), RunError> {
    numbers.iter().try_for_each(|(key, number)| {
        let holds = number.is_finite() && *number > 0.0;
        ensure(key, holds, || format!("must be above 0, not {number}"))
    })
}

/// Weights that must be finite and not negative.
///
/// # Errors
///
/// [`RunError::Config`] for the first that is not.
pub fn zero_or_more(numbers: &[(&str, f64)]) -> Result<(), RunError> {
    numbers.iter().try_for_each(|(key, number)| {
        let holds = number.is_finite() && *number >= 0.0;
        ensure(key, holds, || format!("must be 0 or more, not {number}"))
    })
}

/// Decays and momenta, which must lie in [0, 1).
///
/// # Errors
///
/// [`RunError::Config`] for the first that does not.
pub fn below_one(numbers: &[(&str, f64)]) -> Result<(), RunError> {
    numbers.iter().try_for_each(|(key, number)| {
        let holds = (0.0..1.0).contains(number);
        ensure(key, holds, || format!("must be from 0 to below 1, not {number}"))
    })
}

/// Parts of a whole, which must lie in [0, 1].
///
/// # Errors
///
/// [`RunError::Config`] for the first that does not.
pub fn parts(numbers: &[(&str, f64)]) -> Result<(), RunError> {
    numbers.iter().try_for_each(|(key, number)| {
        ensure(key, (0.0..=1.0).contains(number), || format!("must be from 0 to 1, not {number}"))
    })
}

/// Sides of images that are halved twice and doubled again.
///
/// # Errors
///
/// [`RunError::Config`].
pub fn check_image_size(size: usize) -> Result<(), RunError> {
    ensure("image_size", (8..=MAX_SIDE).contains(&size) && size.is_multiple_of(4), || {
        format!("must be a multiple of 4 from 8 to {MAX_SIDE}, not {size}")
    })
}

/// The widths of layers in a row, of which there may be none.
///
/// # Errors
///
/// [`RunError::Config`] for a layer of nothing, and for more or wider layers than any machine trains.
pub fn check_widths(key: &str, widths: &[usize], most: u64) -> Result<(), RunError> {
    ensure(key, widths.len() <= MAX_LAYERS, || {
        format!("must name at most {MAX_LAYERS} layers, not {}", widths.len())
    })?;
    let holds = widths.iter().all(|&width| (1..=most).contains(&(width as u64)));
    ensure(key, holds, || format!("must be from 1 to {most} each, not {widths:?}"))
}
