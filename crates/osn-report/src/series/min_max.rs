//! Named numbers over the steps, as many as a screen can show.

use super::columns::overlaps;
use super::downsampled::{Downsampled, Join};

/// Spans that a record is kept in: two points each.
const MAX_SPANS: usize = 750;

/// Named numbers over the steps.
///
/// A long record is thinned as it is read: each span of neighbouring rows keeps the lowest and the
/// highest value of every name, in the order in which they came, so that no spike is lost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MinMaxSeries {
    names: Vec<String>,
    spans: Downsampled<Span, MAX_SPANS>,
    /// How many values of each name were not finite.
    n_not_finite: Vec<u64>,
}

/// Neighbouring rows.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    first_step: u64,
    last_step: u64,
    /// By name, where it was logged; shorter than the names where later ones were not known yet.
    seen: Vec<Option<Extremes>>,
}

/// The lowest and the highest value, each with its step; NaN where none was finite.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Extremes {
    lowest: (u64, f64),
    highest: (u64, f64),
}

/// Curves as they are drawn: for each step one value of each line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Drawing {
    /// The steps, rising.
    pub(crate) steps: Vec<u64>,
    /// The lines, in the order of their names.
    pub(crate) lines: Vec<DrawnLine>,
    /// How many rows of the record each pair of points stands for; 1 where nothing was left out.
    pub(crate) n_joined: usize,
}

/// One named line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DrawnLine {
    /// Its name.
    pub(crate) name: String,
    /// One value for each step: NaN was not finite, `None` was not logged.
    pub(crate) values: Vec<Option<f64>>,
    /// How many logged values were not finite.
    pub(crate) n_not_finite: u64,
}

impl MinMaxSeries {
    /// Nothing yet, of names whose order is known beforehand.
    pub(crate) fn of(names: Vec<String>) -> Self {
        Self { n_not_finite: vec![0; names.len()], names, ..Self::default() }
    }

    /// Whether nothing was logged.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names, in the order in which they first came.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds the values of one step, which is not before the last one; NaN stands for what is not finite.
    pub fn push<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) {
        let mut seen = vec![None; self.names.len()];
        for (name, value) in values {
            let index = self.index(name);
            seen.resize(self.names.len(), None);
            let at = (step, if value.is_finite() { value } else { f64::NAN });
            seen[index] = Some(Extremes { lowest: at, highest: at });
            self.n_not_finite[index] += u64::from(!value.is_finite());
        }
        self.spans.push(Span { first_step: step, last_step: step, seen });
    }

    /// The curves with at most `max_points` points each.
    pub(crate) fn drawing(&self, max_points: usize) -> Drawing {
        let thinned = self.spans.clone().downsampled_to(max_points / 2);
        let spans = thinned.items();
        let line = |(index, name): (usize, &String)| DrawnLine {
            name: name.clone(),
            values: spans.iter().flat_map(|span| span.values(index)).collect(),
            n_not_finite: self.n_not_finite[index],
        };
        Drawing {
            steps: spans.iter().flat_map(Span::steps).collect(),
            lines: self.names.iter().enumerate().map(line).collect(),
            n_joined: thinned.n_joined(),
        }
    }

    /// The lowest and the highest value of a name in each of so many equal parts of a run, NaN where one is not finite;
    /// `None` where nothing was logged.
    pub(crate) fn columns(
        &self,
        name: &str,
        n_columns: usize,
        last_step: u64,
    ) -> Vec<Option<[f64; 2]>> {
        let mut columns = vec![None; n_columns];
        let Some(index) = self.names.iter().position(|known| known == name) else { return columns };
        let spans = self.spans.items();
        let steps: Vec<_> = spans.iter().map(|span| span.first_step).collect();
        for overlap in overlaps(&steps, last_step, n_columns) {
            let Some(seen) = spans[overlap.item].seen.get(index).copied().flatten() else {
                continue;
            };
            let [lowest, highest] = [seen.lowest.1, seen.highest.1];
            let column = &mut columns[overlap.column];
            *column = match *column {
                None => Some([lowest, highest]),
                // One that is not finite is what a reader must not miss.
                Some([low, _]) if low.is_nan() || lowest.is_nan() => Some([f64::NAN; 2]),
                Some([low, high]) => Some([low.min(lowest), high.max(highest)]),
            };
        }
        columns
    }

    fn index(&mut self, name: &str) -> usize {
        if let Some(index) = self.names.iter().position(|known| known == name) {
            return index;
        }
        self.names.push(name.to_owned());
        self.n_not_finite.push(0);
        self.names.len() - 1
    }
}

impl Drawing {
    /// One line on its own, at the steps where it was logged.
    pub(crate) fn only(&self, index: usize) -> Self {
        let line = &self.lines[index];
        let logged = self.steps.iter().zip(&line.values).filter(|(_, value)| value.is_some());
        let (steps, values) = logged.map(|(step, value)| (*step, *value)).unzip();
        Self { steps, lines: vec![DrawnLine { values, ..line.clone() }], n_joined: self.n_joined }
    }
}

impl Span {
    /// One step or, of several, the first and the last.
    fn steps(&self) -> impl Iterator<Item = u64> {
        let ends = [Some(self.first_step), (!self.is_single()).then_some(self.last_step)];
        ends.into_iter().flatten()
    }

    fn values(&self, index: usize) -> impl Iterator<Item = Option<f64>> {
        let seen = self.seen.get(index).copied().flatten();
        let ends = seen.map_or([None; 2], |extremes| extremes.in_order().map(Some));
        ends.into_iter().take(if self.is_single() { 1 } else { 2 })
    }

    fn is_single(&self) -> bool {
        self.first_step == self.last_step
    }
}

impl Join for Span {
    fn join(&mut self, later: Self) {
        self.last_step = later.last_step;
        self.seen.resize(self.seen.len().max(later.seen.len()), None);
        for (seen, later) in self.seen.iter_mut().zip(later.seen) {
            *seen = match (*seen, later) {
                (Some(seen), Some(later)) => Some(seen.joined(later)),
                (seen, later) => seen.or(later),
            };
        }
    }
}

impl Extremes {
    fn joined(self, later: Self) -> Self {
        let is_lower = later.lowest.1 < self.lowest.1 || self.lowest.1.is_nan();
        let is_higher = later.highest.1 > self.highest.1 || self.highest.1.is_nan();
        Self {
            lowest: if is_lower { later.lowest } else { self.lowest },
            highest: if is_higher { later.highest } else { self.highest },
        }
    }

    /// The two values in the order in which they came.
    fn in_order(self) -> [f64; 2] {
        let ends = [self.lowest.1, self.highest.1];
        if self.lowest.0 <= self.highest.0 { ends } else { [ends[1], ends[0]] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(curves: &MinMaxSeries, index: usize) -> (Vec<u64>, Vec<Option<f64>>) {
        let only = curves.drawing(1500).only(index);
        (only.steps, only.lines[0].values.clone())
    }

    #[test]
    fn short_records_are_shown_as_they_are() {
        let mut curves = MinMaxSeries::default();
        curves.push(10, [("a", 1.0), ("b", 5.0)]);
        curves.push(20, [("a", f64::NAN)]);
        curves.push(30, [("a", 3.0), ("late", 7.0)]);
        assert_eq!(curves.names(), ["a", "b", "late"]);
        let (steps, values) = line(&curves, 0);
        assert_eq!(steps, [10, 20, 30]);
        assert!(values[1].unwrap().is_nan() && values[2] == Some(3.0));
        // Where a name was not logged there is no point, and no gap either.
        assert_eq!(line(&curves, 1), (vec![10], vec![Some(5.0)]));
        assert_eq!(line(&curves, 2), (vec![30], vec![Some(7.0)]));
        assert_eq!(curves.drawing(1500).lines[0].n_not_finite, 1);
    }

    #[test]
    fn a_million_steps_stay_small_and_keep_their_spikes_in_place() {
        let mut curves = MinMaxSeries::default();
        for step in 1..=1_000_000 {
            let value = match step {
                654_321 => 1e6,
                123_456 => -1e6,
                777_777 => f64::INFINITY,
                _ => 1.0,
            };
            curves.push(step, [("loss", value)]);
        }
        let (steps, values) = line(&curves, 0);
        assert!((750..=1500).contains(&steps.len()), "{}", steps.len());
        assert_eq!((steps[0], steps[steps.len() - 1]), (1, 1_000_000));
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]));
        for (spike, at) in [(1e6, 654_321_u64), (-1e6, 123_456)] {
            let index = values.iter().position(|value| *value == Some(spike)).unwrap();
            assert!(steps[index].abs_diff(at) < 1_000_000 / 375, "{}", steps[index]);
        }
        assert_eq!(curves.drawing(1500).lines[0].n_not_finite, 1);
    }

    #[test]
    fn a_span_without_a_finite_value_is_a_gap() {
        let mut curves = MinMaxSeries::default();
        (1..=8).for_each(|step| curves.push(step, [("a", if step < 5 { 1.0 } else { f64::NAN })]));
        let only = curves.drawing(4).only(0);
        assert_eq!(only.steps, [1, 4, 5, 8]);
        let finite = only.lines[0].values.iter().map(|value| value.unwrap().is_finite());
        assert_eq!(finite.collect::<Vec<_>>(), [true, true, false, false]);
    }

    #[test]
    fn equal_parts_have_the_lowest_and_the_highest() {
        let mut curves = MinMaxSeries::default();
        curves.push(0, [("b", 1.0)]);
        for (step, value) in [(10, 5.0), (20, 9.0), (40, f64::NAN), (80, 4.0), (90, 6.0)] {
            curves.push(step, [("a", value)]);
        }
        let columns = curves.columns("a", 5, 100);
        assert_eq!(columns[0], Some([5.0, 5.0]));
        assert_eq!(columns[1], Some([9.0, 9.0]));
        assert!(columns[2].unwrap()[0].is_nan());
        assert_eq!(columns[4], Some([4.0, 6.0]));
        assert_eq!(curves.columns("c", 2, 100), [None, None]);
    }

    #[test]
    fn the_lowest_and_the_highest_stand_in_their_order() {
        let mut curves = MinMaxSeries::default();
        for (step, value) in [(1, 5.0), (2, 9.0), (3, 2.0), (4, 4.0)] {
            curves.push(step, [("a", value)]);
        }
        let only = curves.drawing(2).only(0);
        assert_eq!(
            (only.steps, &only.lines[0].values[..]),
            (vec![1, 4], &[Some(9.0), Some(2.0)][..])
        );
    }
}
