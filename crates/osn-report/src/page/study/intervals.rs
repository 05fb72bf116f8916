//! Numbers with their intervals as points and bars on one scale.
//!
//! Each row of a table has a drawing of its own, so that the table itself is what a screen reader reads
//! and what is printed. Places are in per cent of the width: nothing is distorted at any width.

use maud::{Markup, html};

use crate::page::table::{numbers, words};
use crate::study::statistics::ConfidenceInterval;
use crate::text::short;

/// Labels of an axis, about.
const N_TICKS: f64 = 4.0;
/// Part of the width that is kept free at each end.
const AIR: f64 = 0.06;

/// What all rows of a column share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Scale {
    /// Around all values; `None` where there is none, or no number between them can be told.
    pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let ends = finite.fold(None, |ends: Option<(f64, f64)>, value| {
            let (lowest, highest) = ends.unwrap_or((value, value));
            Some((lowest.min(value), highest.max(value)))
        });
        let (lowest, highest) = ends?;
        let width = highest - lowest;
        let air = if width > 0.0 { width * AIR } else { lowest.abs().max(1e-3) * 0.5 };
        let (from, to) = (lowest - air, highest + air);
        (to - from).is_finite().then(|| Self { from, to, ticks: ticks(from, to) })
    }

    /// From 0 to 1, with a little air.
    pub(super) fn of_probabilities() -> Self {
        Self { from: -0.03, to: 1.03, ticks: vec![0.0, 0.5, 1.0] }
    }

    /// Where a value is.
    fn place(&self, value: f64) -> String {
        let part = (value - self.from) / (self.to - self.from);
        format!("{:.2}%", 100.0 * part.clamp(0.0, 1.0))
    }
}

/// Round numbers between two ends.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let rough = (to - from) / N_TICKS;
    let power = 10.0_f64.powf(rough.log10().floor());
    let size = [1.0, 2.0, 5.0].map(|factor| factor * power);
    let size = size.into_iter().find(|size| *size >= rough).unwrap_or(10.0 * power);
    let first = (from / size).ceil();
    // Whole multiples, so that no sum of roundings ends beside a round number.
    let tick = |index: u32| (first + f64::from(index)) * size;
    (0..10).map(tick).take_while(|tick| *tick <= to).collect()
}

/// One interval, with what it was made of.
pub(super) struct Bar {
    /// The interval.
    pub(super) interval: Option<ConfidenceInterval>,
    /// The numbers behind it, each with what it is.
    pub(super) dots: Vec<(String, f64)>,
    /// The class that gives it its colour.
    pub(super) class: String,
    /// The number in words.
    pub(super) text: String,
    /// What stands behind the number.
    pub(super) more: Markup,
    /// A value to compare with.
    pub(super) level: Option<f64>,
}

/// One row of a table: a title, an interval at the end and one over the run.
pub(super) struct Row {
    pub(super) title: Markup,
    pub(super) bars: [Bar; 2],
    /// How many runs failed, where that has a column.
    pub(super) failed: Option<String>,
    /// Whether it is of all regimes together, and set apart.
    pub(super) is_together: bool,
}

/// A table with the drawings of two intervals in each row.
pub(super) fn table(title: &str, rows: &[Row], scales: &[Option<Scale>; 2]) -> Markup {
    let has_failed = rows.iter().any(|row| row.failed.is_some());
    html! {
        table.intervals {
            thead { tr {
                (words([title, "At the end", "Over the run"]))
                @if has_failed { (numbers(["Failed"])) }
            } }
            tbody { @for row in rows { tr class=[row.is_together.then_some("together")] {
                th scope="row" { (row.title) }
                @for (bar, scale) in row.bars.iter().zip(scales) { (cell(scale.as_ref(), bar)) }
                @if let Some(failed) = &row.failed { td.n { (failed) } }
            } } }
            tfoot aria-hidden="true" { tr {
                td {}
                @for scale in scales { (axis(scale.as_ref())) }
                @if has_failed { td {} }
            } }
        }
    }
}

/// A cell with a drawing and the number in words.
fn cell(scale: Option<&Scale>, bar: &Bar) -> Markup {
    html! {
        td { div.interval {
            @if let Some(scale) = scale { (drawing(scale, bar)) }
            span { (bar.text) (bar.more) }
        } }
    }
}

fn drawing(scale: &Scale, bar: &Bar) -> Markup {
    let place = |value: f64| scale.place(value);
    html! {
        svg.bar aria-hidden="true" {
            title { (bar.text) }
            @for tick in &scale.ticks { line.tick x1=(place(*tick)) x2=(place(*tick)) y1="0" y2="100%" {} }
            @if let Some(level) = bar.level { line.level x1=(place(level)) x2=(place(level)) y1="0" y2="100%" {} }
            g.(bar.class) {
                @for (name, value) in &bar.dots {
                    circle.dot cx=(place(*value)) cy="50%" r="3" { title { (name) ": " (short(*value)) } }
                }
                @if let Some(ConfidenceInterval { value, lower, upper }) = bar.interval {
                    line.range x1=(place(lower)) x2=(place(upper)) y1="50%" y2="50%" {}
                    circle.point cx=(place(value)) cy="50%" r="5" { title { (bar.text) } }
                }
            }
        }
    }
}

/// The scale's own cell, below the rows.
fn axis(scale: Option<&Scale>) -> Markup {
    html! {
        td { @if let Some(scale) = scale { div.interval {
            svg.axis { @for tick in &scale.ticks {
                text x=(scale.place(*tick)) y="1em" text-anchor="middle" { (label(*tick, scale)) }
            } }
            span {}
        } } }
    }
}

/// As many digits as tell the ticks apart.
fn label(tick: f64, scale: &Scale) -> String {
    let size = scale.ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::NAN, f64::min);
    if size.is_nan() || !(1e-4..1e6).contains(&size) || tick.abs() >= 1e6 {
        return short(tick);
    }
    let is_whole = |value: f64| (value - value.round()).abs() < 1e-6;
    let n_decimals = (0..6).find(|n| is_whole(size * 10.0_f64.powi(*n))).unwrap_or(6);
    // Without this, −0.0 would be "-0".
    let tick = if tick == 0.0 { 0.0 } else { tick };
    format!("{tick:.*}", usize::try_from(n_decimals).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_all_values_with_air() {
        let scale = Scale::around([3.0, f64::NAN, 7.0, 5.0, f64::INFINITY]).unwrap();
        let places = [3.0, 5.0, 7.0].map(|value| scale.place(value));
        assert_eq!(places, ["5.36%", "50.00%", "94.64%"]);
        assert_eq!(scale.ticks, [4.0, 6.0]);
        assert_eq!(Scale::around([f64::NAN]), None);
        assert_eq!(Scale::around([-f64::MAX, f64::MAX]), None);
    }

    #[test]
    fn one_value_alone_is_in_the_middle() {
        for value in [0.0, 5.0, -1e-7, 1e9] {
            assert_eq!(Scale::around([value]).unwrap().place(value), "50.00%");
        }
    }

    #[test]
    fn ticks_are_round_and_told_apart() {
        let labels = |from: f64, to: f64| {
            let scale = Scale { from, to, ticks: ticks(from, to) };
            scale.ticks.iter().map(|tick| label(*tick, &scale)).collect::<Vec<_>>()
        };
        assert_eq!(labels(0.79, 0.815), ["0.79", "0.80", "0.81"]);
        assert_eq!(labels(-1.06, 1.06), ["-1", "0", "1"]);
        assert_eq!(labels(0.12, 0.91), ["0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(-512.0, -70.0), ["-400", "-200"]);
        assert_eq!(labels(0.8015, 0.8042), ["0.802", "0.803", "0.804"]);
    }
}
