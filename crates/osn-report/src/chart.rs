//! Curves as SVG, drawn by `plotters`.
//!
//! A chart holds numbers only: every name is written by the page, in HTML. The colours are those of
//! the light page; [`dark_colours`] changes them for the dark one.

use std::fmt::Write;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::number::short;

/// Series colours for light and dark backgrounds, told apart with any colour vision in pairs of
/// neighbours.
const PALETTE: [(RGBColor, RGBColor); 8] = [
    (RGBColor(0x1f, 0x6f, 0xd0), RGBColor(0x5c, 0xa2, 0xf5)),
    (RGBColor(0xd9, 0x5f, 0x0e), RGBColor(0xff, 0x96, 0x4d)),
    (RGBColor(0x0f, 0x8a, 0x6a), RGBColor(0x3d, 0xc9, 0xa3)),
    (RGBColor(0xb8, 0x32, 0x7a), RGBColor(0xf0, 0x7a, 0xb8)),
    (RGBColor(0x8a, 0x6d, 0x00), RGBColor(0xe0, 0xb8, 0x1f)),
    (RGBColor(0x5b, 0x4b, 0xc4), RGBColor(0xa2, 0x96, 0xff)),
    (RGBColor(0x3f, 0x7d, 0x20), RGBColor(0x8a, 0xcf, 0x63)),
    (RGBColor(0xb0, 0x2a, 0x2a), RGBColor(0xff, 0x7d, 0x7d)),
];
const AXIS: RGBColor = RGBColor(0x66, 0x66, 0x66);
const GRID: RGBColor = RGBColor(0xe2, 0xe2, 0xe2);
const DARK_GRID: RGBColor = RGBColor(0x33, 0x38, 0x40);
const FLOOR: RGBColor = RGBColor(0x77, 0x77, 0x77);
/// More points than this cannot be seen on a chart's width.
const MAX_POINTS: usize = 600;
/// Cells of a strip.
const STRIP_CELLS: u16 = 120;
/// Pixels of a cell.
const CELL_SIZE: (u16, u16) = (2, 16);

type DrawResult = Result<(), Box<dyn std::error::Error>>;

/// One curve.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    /// Which colour it has.
    pub(crate) colour: usize,
    /// Step and value.
    pub(crate) points: Vec<(u64, f64)>,
}

/// The colour of the n-th curve, for a legend.
pub(crate) fn colour(index: usize) -> String {
    hex(PALETTE[index % PALETTE.len()].0)
}

/// Draws curves over the steps, and a dashed line at `floor`.
///
/// Values that are not finite leave a gap. `None` where nothing can be drawn.
pub(crate) fn curves(
    curves: &[Curve],
    floor: Option<f64>,
    last_step: u64,
    size: (u32, u32),
) -> Option<String> {
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1));
    let range = value_range(values.chain(floor))?;
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let steps = 0.0..last_step.max(1) as f64;
    draw_curves(&area, curves, floor, steps, range).ok()?;
    drop(area);
    Some(svg)
}

fn draw_curves(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    curves: &[Curve],
    floor: Option<f64>,
    steps: Range<f64>,
    values: Range<f64>,
) -> DrawResult {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(22)
        .y_label_area_size(52)
        .build_cartesian_2d(steps.clone(), values)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(5)
        .y_labels(5)
        .label_style(("sans-serif", 12))
        .x_label_formatter(&|step| short_step(*step))
        .y_label_formatter(&|value| tick(*value))
        .draw()?;
    if let Some(floor) = floor {
        let ends = [(steps.start, floor), (steps.end, floor)];
        chart.draw_series(DashedLineSeries::new(ends, 5, 4, FLOOR.stroke_width(1)))?;
    }
    for curve in curves {
        let style = PALETTE[curve.colour % PALETTE.len()].0.stroke_width(2);
        for piece in finite_pieces(&thinned(&curve.points)) {
            chart.draw_series(LineSeries::new(piece.clone(), style))?;
            if let [only] = piece[..] {
                chart.draw_series([Circle::new(only, 3, style.filled())])?;
            }
        }
    }
    area.present()?;
    Ok(())
}

fn short_step(step: f64) -> String {
    if step >= 1e5 { format!("{}k", step / 1e3) } else { format!("{step}") }
}

/// A tick's label, without the zeros that [`short`] keeps for tables.
fn tick(value: f64) -> String {
    // Ticks are sums of steps: 0.30000000000000004 and -1e-17 are 0.3 and 0.
    let text = if value.abs() < 1e-12 { "0".to_owned() } else { short(value) };
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Every k-th point and the last, at most [`MAX_POINTS`] or one more.
fn thinned(points: &[(u64, f64)]) -> Vec<(f64, f64)> {
    let stride = points.len().div_ceil(MAX_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let kept = points.iter().enumerate().filter(|(i, _)| i % stride == 0 || *i == last);
    kept.map(|(_, (step, value))| (*step as f64, *value)).collect()
}

fn finite_pieces(points: &[(f64, f64)]) -> impl Iterator<Item = Vec<(f64, f64)>> {
    points.split(|point| !point.1.is_finite()).filter(|piece| !piece.is_empty()).map(<[_]>::to_vec)
}

/// The range of the finite values, with a little air; `None` where there are none.
fn value_range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return None;
    }
    let air = if high > low { (high - low) * 0.06 } else { high.abs().max(1e-3) * 0.5 };
    // What cannot be negative gets an axis that is not, and starts at zero where that is near.
    let bottom = if low >= 0.0 && low < 0.4 * high { 0.0 } else { low - air };
    Some(bottom..high + air)
}

/// One moment of a layer: how strongly it is held and which action's colour that has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Optimizer steps done.
    pub(crate) step: u64,
    /// From 0 to 1.
    pub(crate) strength: f64,
    /// Which colour the action has.
    pub(crate) colour: usize,
}

/// Draws how strongly a layer was held over the steps as a strip: full colour is fully held, no
/// colour is off.
pub(crate) fn strip(moments: &[Held], last_step: u64) -> Option<String> {
    let mut svg = String::new();
    let size = (u32::from(STRIP_CELLS * CELL_SIZE.0), u32::from(CELL_SIZE.1));
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    draw_strip(&area, moments, last_step.max(1)).ok()?;
    drop(area);
    Some(svg)
}

fn draw_strip(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    moments: &[Held],
    last_step: u64,
) -> DrawResult {
    for cell in 0..STRIP_CELLS {
        let step = (f64::from(cell) + 0.5) / f64::from(STRIP_CELLS) * last_step as f64;
        let after = moments.partition_point(|moment| moment.step as f64 <= step);
        let Some(held) = moments.get(after.saturating_sub(1)) else { continue };
        if held.strength > 0.0 {
            let colour = PALETTE[held.colour % PALETTE.len()].0.mix(held.strength.min(1.0));
            let edge = |cell: u16| i32::from(cell * CELL_SIZE.0);
            let corners = [(edge(cell), 0), (edge(cell + 1), i32::from(CELL_SIZE.1))];
            area.draw(&Rectangle::new(corners, colour.filled()))?;
        }
    }
    area.present()?;
    Ok(())
}

/// CSS rules that give charts the dark page's colours.
pub(crate) fn dark_colours() -> String {
    let series = PALETTE.iter().copied();
    let all = series.chain([(GRID, DARK_GRID)]);
    all.fold(String::new(), |mut css, (light, dark)| {
        let (light, dark) = (hex(light), hex(dark));
        let _ = write!(
            css,
            "svg [stroke=\"{light}\"]{{stroke:{dark}}}svg [fill=\"{light}\"]{{fill:{dark}}}\
             i[style*=\"{light}\"]{{background:{dark}!important}}"
        );
        css
    })
}

fn hex(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> Curve {
        let points = values.iter().enumerate().map(|(i, value)| (i as u64, *value)).collect();
        Curve { colour: 0, points }
    }

    #[test]
    fn a_gap_splits_the_curve() {
        let svg = curves(&[curve(&[1.0, 2.0, f64::NAN, 3.0, 4.0])], None, 4, (300, 200)).unwrap();
        let lines = svg.matches(&format!("stroke=\"{}\"", colour(0))).count();
        assert_eq!(lines, 2);
    }

    #[test]
    fn nothing_finite_is_no_chart() {
        assert!(curves(&[curve(&[f64::NAN, f64::INFINITY])], None, 4, (300, 200)).is_none());
        assert!(curves(&[], None, 4, (300, 200)).is_none());
    }

    #[test]
    fn constant_and_single_values_can_be_drawn() {
        for values in [&[0.0, 0.0][..], &[5.0], &[-3.0, -3.0], &[1e300, 1e300], &[1e-300]] {
            let svg = curves(&[curve(values)], Some(values[0]), 1, (300, 200)).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}");
        }
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let points: Vec<_> = (0..100_000).map(|step| (step, 1.0)).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= MAX_POINTS + 1);
        assert_eq!((kept[0].0, kept[kept.len() - 1].0), (0.0, 99_999.0));
    }

    #[test]
    fn a_strip_shows_only_where_the_layer_is_held() {
        let moment = |step, strength| Held { step, strength, colour: 1 };
        let cells = |moments: &[Held]| strip(moments, 100).unwrap().matches("<rect").count();
        let never = cells(&[moment(0, 0.0)]);
        assert_eq!(cells(&[moment(0, 1.0)]) - never, usize::from(STRIP_CELLS));
        assert_eq!(cells(&[moment(0, 0.0), moment(50, 0.5)]) - never, usize::from(STRIP_CELLS) / 2);
    }
}
