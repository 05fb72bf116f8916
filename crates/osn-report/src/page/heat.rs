//! Heat maps: a row for each head, steps from left to right, as SVG that needs no script.

use std::fmt::Write;

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::page::chart::rounded;
use crate::text::{counted, short};

/// Equal parts that the steps of a run are drawn in.
pub(crate) const COLUMNS: usize = 120;
/// The size of a panel but for its height, in the units of its drawing.
pub(super) const WIDTH: usize = 372;
const LEFT: usize = 36;
const PLOT_WIDTH: usize = 328;
const BELOW: usize = 20;
/// The height that a panel's rows have together where they are neither few nor many.
const ROWS_HEIGHT: f64 = 180.0;
const ROW_HEIGHTS: [f64; 2] = [2.0, 14.0];
/// Labels of rows need so much room.
const LABEL_HEIGHT: f64 = 13.0;
/// How many strengths of a colour are told apart.
const LEVELS: u8 = 15;

/// How values become strengths of a colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From 0 to the number.
    Linear(f64),
    /// From 0 to the number, by `ln(1 + x)`: nearly linear below 1, logarithmic far above.
    Logarithmic(f64),
}

/// One heat map: rows that share a scale with those of other panels.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    /// What the rows are.
    pub(super) title: String,
    /// What the values are.
    pub(super) quantity: &'static str,
    /// The unit behind a value in words.
    pub(super) unit: &'static str,
    /// The class of the colour.
    pub(super) colour: &'static str,
    pub(super) scale: Scale,
    /// The layer and the head of each row.
    pub(super) rows: Vec<(String, usize)>,
    /// A value for each row and column: `None` is not logged, NaN not finite.
    pub(super) values: Vec<Vec<Option<f64>>>,
    /// What the values are the mean of, by name, where they are.
    pub(super) parts: Vec<(String, Vec<Vec<Option<f64>>>)>,
    pub(super) last_step: u64,
}

impl Scale {
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        Self::Logarithmic(highest(values))
    }

    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        Self::Linear(highest(values))
    }

    fn level(self, value: f64) -> u8 {
        let part = match self {
            Self::Linear(highest) => value / highest,
            Self::Logarithmic(highest) => value.max(0.0).ln_1p() / highest.ln_1p(),
        };
        (1..=LEVELS)
            .take_while(|level| part * f64::from(LEVELS) >= f64::from(*level) - 0.5)
            .last()
            .unwrap_or(0)
    }

    /// The value that has no strength, and the one that has all.
    pub(super) fn ends(self) -> [String; 2] {
        let (Self::Linear(highest) | Self::Logarithmic(highest)) = self;
        ["0".to_owned(), plain(highest)]
    }

    /// How it is read, where that is not plain.
    pub(super) fn how(self) -> &'static str {
        if matches!(self, Self::Logarithmic(..)) { "(logarithmic)" } else { "" }
    }
}

/// The highest finite value, and at least 0.
fn highest(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|value| value.is_finite()).fold(0.0, f64::max)
}

/// The scale as a bar between its ends.
pub(super) fn legend(scale: Scale, unit: &str, colour: &str) -> Markup {
    let [lowest, highest] = scale.ends();
    html! {
        p.scale {
            (lowest) " "
            svg.heat viewBox="0 0 96 12" aria-hidden="true" { (bar(colour)) }
            " " (highest) " " (unit) " " (scale.how())
        }
    }
}

/// The strengths of a colour, from left to right.
pub(super) fn bar(colour: &str) -> Markup {
    html! {
        rect.ground x="0" y="0" width="96" height="12" {}
        @for level in 1..=LEVELS {
            rect.(colour) x=(usize::from(level) * 6) y="0" width="6" height="12" fill-opacity=(opacity(level)) {}
        }
    }
}

/// Three digits, without zeros at the end.
fn plain(value: f64) -> String {
    let text = three_digits(value).to_string();
    if text == "null" { "–".to_owned() } else { text }
}

fn opacity(level: u8) -> String {
    short(f64::from(level) / f64::from(LEVELS))
}

impl Panel {
    fn row_height(&self) -> f64 {
        let [least, most] = ROW_HEIGHTS;
        (ROWS_HEIGHT / self.rows.len().max(1) as f64).clamp(least, most)
    }

    fn rows_height(&self) -> f64 {
        self.row_height() * self.rows.len() as f64
    }

    /// The height of the drawing.
    pub(super) fn height(&self) -> f64 {
        self.rows_height() + BELOW as f64
    }

    /// The panel as a figure, with its numbers for the script.
    pub(super) fn figure(&self) -> Markup {
        let view = format!("0 0 {WIDTH} {}", self.height());
        html! {
            figure.heat {
                figcaption { (self.title) }
                svg.heat role="img" tabindex="0" viewBox=(view)
                    aria-label=(format!("{}, {}: {}", self.title, self.quantity, self.in_words())) { (self.drawing()) }
                (super::embed::data(&self.data()))
            }
        }
    }

    /// Everything that is drawn, from the upper left corner on.
    pub(super) fn drawing(&self) -> Markup {
        let (width, height) = (PLOT_WIDTH, self.rows_height());
        let transform = format!(
            "translate({LEFT} 0) scale({} {})",
            PLOT_WIDTH as f64 / COLUMNS as f64,
            self.row_height()
        );
        html! {
            rect.ground x=(LEFT) y="0" width=(width) height=(height) {}
            g transform=(transform) shape-rendering="crispEdges" {
                @for (level, path) in self.paths() {
                    path.(self.colour) fill-opacity=(opacity(level)) d=(path) {}
                }
                @let lost = self.path_of(f64::is_nan);
                @if !lost.is_empty() { path.lost d=(lost) {} }
            }
            (self.layers())
            text.first x=(LEFT) y=(height + 14.0) { "step 0" }
            text.last x=(LEFT + PLOT_WIDTH) y=(height + 14.0) { (self.last_step) }
        }
    }

    /// A line between each layer and the next, and their names where there is room.
    fn layers(&self) -> Markup {
        let mut starts: Vec<(usize, &str)> = Vec::new();
        for (row, (layer, _)) in self.rows.iter().enumerate() {
            if starts.last().is_none_or(|(_, last)| last != layer) {
                starts.push((row, layer));
            }
        }
        let row_height = self.row_height();
        let ends: Vec<_> =
            starts.iter().skip(1).map(|start| start.0).chain([self.rows.len()]).collect();
        let least = starts.iter().zip(&ends).map(|(start, end)| end - start.0).min().unwrap_or(1);
        let each = (LABEL_HEIGHT / (least as f64 * row_height)).ceil().max(1.0);
        html! {
            @for (place, ((start, layer), end)) in starts.iter().zip(&ends).enumerate() {
                @let top = *start as f64 * row_height;
                @if place > 0 { line x1=(LEFT) x2=(LEFT + PLOT_WIDTH) y1=(top) y2=(top) {} }
                @if place as f64 % each == 0.0 {
                    text.layer x=(LEFT - 6) y=(short(f64::midpoint(top, *end as f64 * row_height) + 4.0)) { (layer) }
                }
            }
        }
    }

    /// The cells of each strength as one path, in columns and rows.
    fn paths(&self) -> Vec<(u8, String)> {
        let of = |level| {
            (level, self.path_of(|value| !value.is_nan() && self.scale.level(value) == level))
        };
        (1..=LEVELS).map(of).filter(|(_, path)| !path.is_empty()).collect()
    }

    fn path_of(&self, is_in: impl Fn(f64) -> bool) -> String {
        let mut path = String::new();
        for (row, values) in self.values.iter().enumerate() {
            let mut from = None;
            for column in 0..=values.len() {
                let is_in = values.get(column).copied().flatten().is_some_and(&is_in);
                match from {
                    None if is_in => from = Some(column),
                    Some(start) if !is_in => {
                        // Writing to a string does not fail.
                        let _ = write!(path, "M{start} {row}h{0}v1h-{0}z", column - start);
                        from = None;
                    }
                    _ => {}
                }
            }
        }
        path
    }

    /// The panel for who does not see it.
    fn in_words(&self) -> String {
        let known = |column: usize| {
            let at = self.values.iter().filter_map(move |row| row.get(column).copied().flatten());
            at.filter(|value| value.is_finite())
        };
        let mean = |column: usize| {
            let n = known(column).count();
            if n == 0 { f64::NAN } else { known(column).sum::<f64>() / n as f64 }
        };
        let highest = (0..COLUMNS).flat_map(known).fold(f64::NEG_INFINITY, f64::max);
        format!(
            "mean over {} {} at first and {} at the end, highest {}.",
            counted(self.rows.len(), "head"),
            short(mean(0)),
            short(mean(COLUMNS - 1)),
            short(highest)
        )
    }

    fn data(&self) -> Value {
        let cell = |value: &Option<f64>| value.map_or(Value::Bool(false), three_digits);
        let rows = |values: &[Vec<Option<f64>>]| -> Vec<Vec<Value>> {
            values.iter().map(|row| row.iter().map(cell).collect()).collect()
        };
        let parts =
            self.parts.iter().map(|(name, values)| json!({"name": name, "values": rows(values)}));
        json!({
            "title": self.title, "quantity": self.quantity, "unit": self.unit,
            "rows": self.rows, "columns": COLUMNS, "last_step": self.last_step,
            // The mean of parts is the script's to take.
            "values": if self.parts.is_empty() { rows(&self.values) } else { Vec::new() },
            "parts": parts.collect::<Vec<_>>(),
            "box": [LEFT, PLOT_WIDTH, self.rows_height()],
        })
    }
}

/// Three digits, which is more than a colour tells.
fn three_digits(value: f64) -> Value {
    rounded(format!("{value:.2e}").parse().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(values: Vec<Vec<Option<f64>>>) -> Panel {
        let rows = (0..values.len()).map(|row| ((row / 2).to_string(), row % 2)).collect();
        let (title, quantity, unit) = ("t".to_owned(), "q", "nats");
        let scale = Scale::linear([1.0].into_iter());
        Panel {
            title,
            quantity,
            unit,
            colour: "c0",
            scale,
            rows,
            values,
            parts: Vec::new(),
            last_step: 9,
        }
    }

    #[test]
    fn neighbours_of_one_strength_are_one_shape() {
        let panel = panel(vec![
            vec![Some(1.0), Some(1.0), None, Some(0.0), Some(1.0)],
            vec![Some(f64::NAN), Some(0.999), Some(0.5), None, None],
        ]);
        let paths = panel.paths();
        assert_eq!(paths.last().unwrap(), &(15, "M0 0h2v1h-2zM4 0h1v1h-1zM1 1h1v1h-1z".to_owned()));
        assert_eq!(paths.len(), 2);
        assert_eq!(panel.path_of(f64::is_nan), "M0 1h1v1h-1z");
    }

    #[test]
    fn a_logarithmic_scale_has_equal_steps_for_equal_ratios_far_above_one() {
        let scale = Scale::logarithmic([1.0, f64::NAN, -3.0, 999.0].into_iter());
        assert_eq!(scale, Scale::Logarithmic(999.0));
        assert_eq!(
            [-5.0, 0.0, 9.0, 99.0, 999.0].map(|value| scale.level(value)),
            [0, 0, 5, 10, 15]
        );
        // Nothing but zeros has no strength.
        assert_eq!(Scale::logarithmic([].into_iter()).level(0.0), 0);
        assert_eq!(Scale::linear([].into_iter()).level(0.0), 0);
    }
}
