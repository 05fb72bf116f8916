//! Curves: what the charting library gets, and the same in words and as a table.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::embed;
use crate::series::min_max::{Drawing, DrawnLine};
use crate::text::number::short;

/// Points of a curve.
pub(super) const MAX_POINTS: usize = 1500;
/// Rows of the table beside a chart.
const TABLE_ROWS: usize = 9;

/// One chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: String,
    /// Its curves.
    pub(super) drawing: Drawing,
    /// A level to compare with: its name and where it is.
    pub(super) level: Option<(&'static str, f64)>,
    /// The line that is dashed, by name.
    pub(super) dashed: Option<&'static str>,
    /// The line that is wide, so that one on top of it leaves its edges in sight, by name.
    pub(super) wide: Option<&'static str>,
    /// The last step of its run.
    pub(super) last_step: u64,
    /// For each line the thin ones that it is the middle of; none where it stands for itself.
    pub(super) threads: Vec<Vec<DrawnLine>>,
    /// Whether lines are shown and hidden in all such charts of an article together.
    pub(super) is_linked: bool,
}

impl Chart {
    /// A figure that the page's script draws into; nothing where there is nothing to draw.
    pub(super) fn figure(&self) -> Markup {
        let threads = self.threads.iter().flatten();
        let has_values =
            self.drawing.lines.iter().chain(threads).any(|line| finite(line).next().is_some());
        html! {
            figure.chart {
                figcaption { (self.title) }
                @if has_values {
                    div.plot {}
                    (embed::data(&self.data()))
                } @else {
                    p.note { "No finite values." }
                }
                (self.notes())
                @if has_values { (self.table()) }
            }
        }
    }

    fn data(&self) -> Value {
        let line = |(index, line): (usize, &DrawnLine)| {
            let threads = self.threads.get(index).map(Vec::as_slice).unwrap_or_default();
            json!({
                "label": line.name,
                "dashed": self.dashed == Some(&line.name[..]),
                "wide": self.wide == Some(&line.name[..]),
                "values": values(line),
                "threads": threads.iter().map(values).collect::<Vec<_>>(),
            })
        };
        json!({
            "linked": self.is_linked,
            "title": self.title,
            "summary": self.summary(),
            "last_step": self.last_step,
            "steps": self.drawing.steps,
            "lines": self.drawing.lines.iter().enumerate().map(line).collect::<Vec<_>>(),
            "level": self.level.map(|(name, value)| json!({"label": name, "value": rounded(value)})),
        })
    }

    /// The chart in words, for who does not see it.
    fn summary(&self) -> String {
        let lines = self.drawing.lines.iter().filter_map(|line| self.line_in_words(line));
        let level = self.level.map(|(name, value)| format!("{name}: {}.", short(value)));
        lines.chain(level).collect::<Vec<_>>().join(" ")
    }

    fn line_in_words(&self, line: &DrawnLine) -> Option<String> {
        let steps = &self.drawing.steps;
        let first = finite(line).next()?;
        let last = finite(line).next_back()?;
        let lowest = finite(line).map(|point| point.1).fold(f64::INFINITY, f64::min);
        let highest = finite(line).map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
        let [start, end, lowest, highest] = [first.1, last.1, lowest, highest].map(short);
        Some(format!(
            "{}: from {start} at step {} to {end} at step {}, lowest {lowest}, highest {highest}.",
            line.name, steps[first.0], steps[last.0],
        ))
    }

    /// What the curves leave out.
    fn notes(&self) -> Markup {
        let n_joined = self.drawing.n_joined;
        html! {
            @for line in self.drawing.lines.iter().filter(|line| line.n_not_finite > 0) {
                p.note { (line.name) ": " (line.n_not_finite) " logged values were not finite." }
            }
            @if n_joined > 1 {
                p.note { "Each pair of points is the lowest and the highest of " (n_joined) " logged values." }
            }
        }
    }

    fn table(&self) -> Markup {
        let lines = &self.drawing.lines;
        html! {
            details.values {
                summary { "Some values" span.unseen { " of " (self.title) } }
                div.scroll {
                    table {
                        thead { tr {
                            th.n scope="col" { "Step" }
                            @for line in lines { th.n scope="col" { (line.name) } }
                        } }
                        tbody { @for index in spread(self.drawing.steps.len(), TABLE_ROWS) { tr {
                            th.n scope="row" { (self.drawing.steps[index]) }
                            @for line in lines { td.n { (short(line.values[index].unwrap_or(f64::NAN))) } }
                        } } }
                    }
                }
            }
        }
    }
}

/// At most `n` of the indices below `len`, evenly spread, with the first and the last.
pub(super) fn spread(len: usize, n: usize) -> Vec<usize> {
    if len <= n {
        return (0..len).collect();
    }
    (0..n).map(|place| place * (len - 1) / (n - 1)).collect()
}

fn finite(line: &DrawnLine) -> impl DoubleEndedIterator<Item = (usize, f64)> {
    let value = |(index, value): (usize, &Option<f64>)| Some((index, (*value)?));
    line.values.iter().enumerate().filter_map(value).filter(|(_, value)| value.is_finite())
}

fn values(line: &DrawnLine) -> Vec<Value> {
    line.values.iter().map(|value| number(*value)).collect()
}

/// A value for the page's script: `null` is a gap and `false` is no point at all.
fn number(value: Option<f64>) -> Value {
    value.map_or(Value::Bool(false), rounded)
}

/// Six digits, which no screen can tell from the whole number; `null` where it is not finite.
pub(super) fn rounded(value: f64) -> Value {
    let short: f64 = format!("{value:.5e}").parse().unwrap_or(f64::NAN);
    let is_whole = short == short.trunc() && short.abs() < 1e6;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below a million")]
    if is_whole { json!(short as i64) } else { json!(short) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[Option<f64>]) -> Chart {
        let line = DrawnLine { name: "a".into(), values: values.to_vec(), n_not_finite: 0 };
        let steps = (1..=values.len() as u64).collect();
        let drawing = Drawing { steps, lines: vec![line], n_joined: 1 };
        Chart { title: "title".into(), drawing, last_step: 9, ..Chart::default() }
    }

    #[test]
    fn gaps_and_absent_points_are_told_apart() {
        let data = chart(&[Some(1.0), Some(f64::NAN), None, Some(0.123_456_789)]).data();
        assert_eq!(data["lines"][0]["values"].to_string(), "[1,null,false,0.123457]");
    }

    #[test]
    fn the_summary_names_ends_and_extremes() {
        let summary = chart(&[None, Some(2.0), Some(9.0), Some(1.0), Some(3.0), Some(f64::NAN)]);
        assert_eq!(
            summary.summary(),
            "a: from 2.000 at step 2 to 3.000 at step 5, lowest 1.000, highest 9.000."
        );
    }

    #[test]
    fn nothing_finite_is_no_plot() {
        let figure = chart(&[Some(f64::INFINITY), Some(f64::NAN)]).figure().into_string();
        assert!(figure.contains("No finite values") && !figure.contains("<script"));
    }

    #[test]
    fn tables_have_both_ends() {
        assert_eq!(spread(5, 9), [0, 1, 2, 3, 4]);
        let many = spread(1000, 9);
        assert_eq!((many.len(), many[0], many[8]), (9, 0, 999));
        assert_eq!(spread(0, 9), [0_usize; 0]);
    }

    #[test]
    fn numbers_keep_six_digits() {
        let shown = [0.0, -0.0, 1.0 / 3.0, 123_456.7, 1e300, -5e-324, f64::NAN].map(rounded);
        let expected = ["0", "0", "0.333333", "123457", "1e+300", "-5e-324", "null"];
        assert_eq!(shown.map(|value| value.to_string()), expected);
    }
}
