//! A run in equal parts, for what is drawn as cells.

/// That an item, which stands from its step until the next item's, stands in a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Overlap {
    pub(crate) item: usize,
    pub(crate) column: usize,
    /// How much of the column it takes; a trace where it is of no length.
    pub(crate) weight: f64,
}

/// What of so many equal parts of a run items take that begin at these rising steps. The first one stands from
/// the start, the last one until the end.
pub(crate) fn overlaps(steps: &[u64], last_step: u64, n_columns: usize) -> Vec<Overlap> {
    const TRACE: f64 = 1e-9;
    let per_step = n_columns as f64 / last_step.max(1) as f64;
    let end = n_columns as f64;
    let mut overlaps = Vec::new();
    for (item, step) in steps.iter().enumerate() {
        let from = if item == 0 { 0.0 } else { (*step as f64 * per_step).min(end) };
        let to = steps.get(item + 1).map_or(end, |next| (*next as f64 * per_step).min(end));
        let mut at = place(from).min(n_columns.saturating_sub(1));
        loop {
            let weight = (to.min(at as f64 + 1.0) - from.max(at as f64)).max(TRACE);
            overlaps.push(Overlap { item, column: at, weight });
            at += 1;
            if at as f64 >= to || at >= n_columns {
                break;
            }
        }
    }
    overlaps
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to a few hundred"
)]
fn place(at: f64) -> usize {
    at as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(steps: &[u64], last_step: u64, n_columns: usize) -> Vec<(usize, usize, f64)> {
        let all = overlaps(steps, last_step, n_columns);
        all.iter().map(|it| (it.item, it.column, (it.weight * 1e6).round() / 1e6)).collect()
    }

    #[test]
    fn each_item_stands_until_the_next() {
        assert_eq!(
            of(&[10, 30, 75], 100, 4),
            [(0, 0, 1.0), (0, 1, 0.2), (1, 1, 0.8), (1, 2, 1.0), (2, 3, 1.0)]
        );
    }

    #[test]
    fn the_last_step_is_in_the_last_column_and_no_column_is_left_out() {
        assert_eq!(of(&[50, 100], 100, 2), [(0, 0, 1.0), (0, 1, 1.0), (1, 1, 0.0)]);
        let columns: Vec<_> = overlaps(&[3], 3, 7).iter().map(|it| it.column).collect();
        assert_eq!(columns, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(of(&[0], 0, 1), [(0, 0, 1.0)]);
    }
}
