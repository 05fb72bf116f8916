//! A number in a sentence.

/// Four digits, and no row of zeros.
pub(crate) fn plain(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e6).contains(&value.abs()) {
        return format!("{value:.3e}");
    }
    let digits = format!("{value:.5}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}
