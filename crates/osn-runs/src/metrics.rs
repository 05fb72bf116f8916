//! Named numbers, as records and descriptions hold them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Named numbers, in the order of their names so that a record is the same every time.
pub type Metrics = BTreeMap<String, f64>;

/// Reads a number, and `null` as NaN: JSON has no number that is not finite.
///
/// # Errors
///
/// What the deserializer says.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Reads named numbers, each as [`number`] does.
///
/// # Errors
///
/// What the deserializer says.
pub fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
    let named = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(named.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}
