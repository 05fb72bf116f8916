//! Curves: what the charting library gets, and the same in words and as a table.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::{embed, table};
use crate::series::min_max::{Drawing, DrawnLine};
use crate::text::{Digits, short};

/// Points of a curve.
pub(super) const MAX_POINTS: usize = 1500;
/// Rows of the table beside a chart.
pub(super) const TABLE_ROWS: usize = 9;

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
    /// Curves of a run, without anything to compare them with.
    pub(super) fn new(title: impl Into<String>, drawing: Drawing, last_step: u64) -> Self {
        Self { title: title.into(), drawing, last_step, ..Self::default() }
    }

    /// A figure that the page's script draws into; nothing where there is nothing to draw.
    pub(super) fn figure(&self) -> Markup {
        let threads = self.threads.iter().flatten();
        let has_values =
            self.drawing.lines.iter().chain(threads).any(|line| finite(line).next().is_some());
        let data = has_values.then(|| self.data());
        let more = html! { (self.notes()) @if has_values { (self.table()) } };
        figure(&self.title, data.as_ref(), &more)
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
    pub(super) fn summary(&self) -> String {
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
                p.note { (line.name) ": logged values that were not finite: " (line.n_not_finite) "." }
            }
            @if n_joined > 1 {
                p.note { "Each pair of points is the lowest and the highest of " (n_joined) " logged values." }
            }
        }
    }

    fn table(&self) -> Markup {
        let Drawing { steps, lines, .. } = &self.drawing;
        let names: Vec<_> = lines.iter().map(|line| line.name.as_str()).collect();
        let shown = spread(steps.len(), TABLE_ROWS);
        let value = |line: &DrawnLine, index: usize| line.values[index].unwrap_or(f64::NAN);
        let of_line = |line| Digits::of(shown.iter().map(|index| value(line, *index)));
        let digits: Vec<_> = lines.iter().map(of_line).collect();
        let rows = shown.iter().map(|&index| {
            let values = lines.iter().zip(&digits);
            let values = values.map(|(line, digits)| digits.shown(value(line, index)));
            (steps[index].to_string(), values.collect())
        });
        table::values(&self.title, "Step", &names, rows)
    }
}

/// What the page's script draws into, with its data; no plot where there are none.
pub(super) fn figure(title: &str, data: Option<&Value>, more: &Markup) -> Markup {
    html! {
        figure.chart {
            figcaption { (title) }
            @if let Some(data) = data { div.plot {} (embed::data(data)) } @else { p.note { "No finite values." } }
            (more)
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

/// Values for the page's script: `null` is a gap and `false` is no point at all.
fn values(line: &DrawnLine) -> Vec<Value> {
    line.values.iter().map(|value| value.map_or(Value::Bool(false), rounded)).collect()
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
        Chart::new("title", drawing, 9)
    }

    #[test]
    fn gaps_and_absent_points_are_told_apart() {
        let data = chart(&[Some(1.0), Some(f64::NAN), None, Some(0.123_456_789)]).data();
        assert_eq!(data["lines"][0]["values"].to_string(), "[1,null,false,0.123457]");
    }

    #[test]
    fn the_summary_has_both_ends_with_their_steps_and_the_extremes() {
        let chart = chart(&[None, Some(2.0), Some(9.0), Some(1.0), Some(3.0), Some(f64::NAN)]);
        let summary = chart.summary();
        let numbers = summary.split(|c: char| !c.is_ascii_digit() && c != '.');
        let numbers = numbers.map(|it| it.trim_end_matches('.')).filter(|it| !it.is_empty());
        assert!(numbers.eq(["2.000", "2", "3.000", "5", "1.000", "9.000"]), "{summary}");
    }

    #[test]
    fn nothing_finite_is_no_plot() {
        let figure = chart(&[Some(f64::INFINITY), Some(f64::NAN)]).figure().into_string();
        assert!(!figure.contains("class=\"plot\"") && !figure.contains("<script"), "{figure}");
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
