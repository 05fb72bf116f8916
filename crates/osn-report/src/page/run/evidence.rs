//! The number that a rule decides by, against time, under the rows of the decision map that it decides.

use maud::{Markup, html};

use crate::page::chart::Chart;
use crate::record::run::LayerHistory;
use crate::series::min_max::Drawing;
use crate::text::Digits;

/// Points of a line.
const MAX_POINTS: usize = 240;
/// The height of a strip in its own units, and what stays free at its top and bottom.
const HEIGHT: f64 = 100.0;
const MARGIN: f64 = 10.0;
/// Positive numbers whose largest is so many times the smallest are shown by their logarithm.
const LOGARITHMIC_FROM: f64 = 30.0;

/// For the last of neighbouring layers that are decided by the same numbers, how many they are.
pub(super) fn groups(layers: &[&LayerHistory]) -> Vec<Option<usize>> {
    let mut ends = vec![None; layers.len()];
    let mut place = 0;
    for group in layers.chunk_by(|layer, next| layer.evidence == next.evidence) {
        place += group.len();
        ends[place - 1] = Some(group.len()).filter(|_| !group[0].evidence.is_empty());
    }
    ends
}

/// The strip under a layer, which is the last of `n_layers` that are decided by the same numbers.
pub(super) fn strip(layer: &LayerHistory, n_layers: usize, last_step: u64) -> Markup {
    // A record may hold a rule of one's own that gives its number another name midway: the first is shown.
    let drawing = layer.evidence.drawing(MAX_POINTS).only(0);
    let last = layer.last.as_ref().and_then(|last| last.evidence.as_ref());
    let thresholds = last.map_or(&[][..], |last| &last.thresholds);
    let scale = Scale::of(&drawing, thresholds);
    let name = &layer.evidence.names()[0];
    let words = Chart::new(name, drawing.clone(), last_step).summary();
    html! {
        div.layer.evidence role="row" {
            div.name role="rowheader" {
                (name)
                small {
                    @if n_layers > 1 { "decides the " (n_layers) " layers above, " } @else { "decides the layer above, " }
                    @if thresholds.is_empty() { "without a threshold" } @else { "at " (in_words(thresholds)) }
                    @if scale.is_logarithmic { "; logarithmic" }
                }
            }
            div role="gridcell" {
                svg.evidence role="img" aria-label=(words) preserveAspectRatio="none"
                    viewBox=(format!("0 0 {} {HEIGHT}", last_step.max(1))) {
                    @for threshold in thresholds {
                        @let y = scale.place(*threshold);
                        line.threshold x1="0" x2=(last_step.max(1)) y1=(y) y2=(y) {}
                    }
                    polyline points=(scale.points(&drawing)) {}
                }
            }
        }
    }
}

/// The numbers with as many decimals.
fn in_words(numbers: &[f64]) -> String {
    let digits = Digits::of(numbers.iter().copied());
    numbers.iter().map(|it| digits.shown(*it)).collect::<Vec<_>>().join(" and ")
}

/// From the numbers to places in a strip.
#[derive(Clone, Copy, Debug)]
struct Scale {
    is_logarithmic: bool,
    lowest: f64,
    highest: f64,
}

impl Scale {
    /// That shows each number and threshold.
    fn of(drawing: &Drawing, thresholds: &[f64]) -> Self {
        let numbers = drawing.lines.iter().flat_map(|line| line.values.iter().flatten());
        let finite = numbers.chain(thresholds).filter(|it| it.is_finite());
        let (lowest, highest) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| {
                (low.min(*it), high.max(*it))
            });
        let is_logarithmic = lowest > 0.0 && highest / lowest > LOGARITHMIC_FROM;
        let ends = [lowest, highest].map(|it| if is_logarithmic { it.ln() } else { it });
        Self { is_logarithmic, lowest: ends[0], highest: ends[1] }
    }

    /// How far from the top of the strip a number is.
    fn place(&self, number: f64) -> String {
        let number = if self.is_logarithmic { number.ln() } else { number };
        let part = (number - self.lowest) / (self.highest - self.lowest);
        let part = if part.is_finite() { part } else { 0.5 };
        format!("{:.1}", MARGIN + (1.0 - part) * (HEIGHT - 2.0 * MARGIN))
    }

    fn points(&self, drawing: &Drawing) -> String {
        let line = drawing.lines.iter().flat_map(|line| drawing.steps.iter().zip(&line.values));
        let numbers = line.filter_map(|(step, number)| Some((step, (*number)?)));
        let points = numbers.map(|(step, number)| format!("{step},{}", self.place(number)));
        points.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::min_max::MinMaxSeries;

    fn layer(numbers: &[f64]) -> LayerHistory {
        let mut evidence = MinMaxSeries::default();
        for (step, number) in (10..).step_by(10).zip(numbers) {
            evidence.push(step, [("separation", *number)]);
        }
        LayerHistory { evidence, ..LayerHistory::default() }
    }

    #[test]
    fn neighbours_of_the_same_numbers_have_one_strip_under_the_last() {
        let (one, other, none) = (layer(&[1.0, 0.5]), layer(&[1.0, 0.6]), layer(&[]));
        let layers = [&one, &one, &other, &none, &none, &one];
        assert_eq!(groups(&layers), [None, Some(2), Some(1), None, None, Some(1)]);
        assert_eq!(groups(&[]), [None; 0]);
    }

    #[test]
    fn the_largest_number_is_at_the_top_and_ratios_are_shown_by_their_logarithm() {
        let places = |numbers: &[f64], thresholds: &[f64]| {
            let drawing = layer(numbers).evidence.drawing(MAX_POINTS);
            let scale = Scale::of(&drawing, thresholds);
            (scale.is_logarithmic, scale.points(&drawing))
        };
        assert_eq!(places(&[0.0, 1.0], &[]), (false, "10,90.0 20,10.0".to_owned()));
        assert_eq!(places(&[1.0, 2.0], &[3.0]), (false, "10,90.0 20,50.0".to_owned()));
        let (is_logarithmic, points) = places(&[0.01, 0.1], &[1.0]);
        assert!(is_logarithmic && points == "10,90.0 20,50.0", "{points}");
        assert_eq!(places(&[4.0], &[]), (false, "10,50.0".to_owned()));
    }
}
