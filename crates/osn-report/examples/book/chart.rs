//! Line charts as one SVG picture that stands by itself.

use maud::{Markup, html};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 180.0;
/// Between panels, for the numbers on the axes and the titles.
const GAP: [f64; 2] = [64.0, 68.0];
const MARGIN: f64 = 56.0;
/// Above the panels, for the title, the note and the legend.
const TOP: f64 = 132.0;
const COLUMNS: usize = 3;

const STYLE: &str = "svg{--paper:#fff;--ink:#1b1f24;--soft:#5c6670;--line:#dfe3e8;--c0:#1f6fd0;--c1:#d95f0e;--c2:#0f8a6a;--c3:#8250c4}\
@media (prefers-color-scheme:dark){svg{--paper:#14171b;--ink:#e7eaee;--soft:#9ba6b2;--line:#333840;--c0:#5ca2f5;--c1:#ff964d;--c2:#3dc9a3;--c3:#b794f4}}\
.paper{fill:var(--paper)}text{font:12px system-ui,sans-serif;fill:var(--soft)}.end{text-anchor:end}.middle{text-anchor:middle}\
.title{font-size:18px;font-weight:600;fill:var(--ink)}.panel{font-size:13px;font-weight:600;fill:var(--ink)}\
.grid{stroke:var(--line);stroke-width:1}.curve{fill:none;stroke-width:2}.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}\
.dashed{stroke-dasharray:5 4;stroke-width:1.5}";

/// A curve.
pub(crate) struct Line {
    /// What it is, in the legend.
    pub(crate) label: String,
    /// Which of four colours.
    pub(crate) colour: usize,
    pub(crate) is_dashed: bool,
    /// Step and value.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Curves over one pair of axes.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line>,
}

/// Panels in rows of three, with a title, two lines below it and one legend.
pub(crate) fn picture(title: &str, notes: [&str; 2], panels: &[Panel]) -> String {
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(COLUMNS);
    let width = 2.0 * MARGIN + columns as f64 * (WIDTH + GAP[0]) - GAP[0];
    let width = width.max(800.0);
    let height = TOP + rows as f64 * (HEIGHT + GAP[1]);
    let place = |index: usize| {
        let [column, row] = [index % COLUMNS, index / COLUMNS].map(|it| it as f64);
        (MARGIN + column * (WIDTH + GAP[0]), TOP + row * (HEIGHT + GAP[1]))
    };
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(format!("0 0 {width} {height}"))
            role="img" {
            title { (title) }
            style { (STYLE) }
            rect.paper width=(width) height=(height) {}
            text.title x="24" y="32" { (title) }
            text x="24" y="52" { (notes[0]) }
            text x="24" y="69" { (notes[1]) }
            (legend(panels))
            @for (index, panel) in panels.iter().enumerate() {
                g transform=(format!("translate({} {})", place(index).0, place(index).1)) { (drawn_panel(panel)) }
            }
        }
    };
    drawn.into_string() + "\n"
}

/// Each label once; a line without one is named by its panel.
fn legend(panels: &[Panel]) -> Markup {
    let mut labels: Vec<&Line> = Vec::new();
    for line in panels.iter().flat_map(|panel| &panel.lines) {
        if !line.label.is_empty() && !labels.iter().any(|it| it.label == line.label) {
            labels.push(line);
        }
    }
    let width = |line: &Line| 54.0 + 6.8 * line.label.chars().count() as f64;
    let places = labels.iter().scan(24.0, |next, line| {
        let x = *next;
        *next += width(line);
        Some((x, *line))
    });
    html! {
        @for (x, line) in places {
            path class=(class(line)) d=(format!("M{x:.0} 90h24")) {}
            text x=(format!("{:.0}", x + 30.0)) y="94" { (line.label) }
        }
    }
}

fn class(line: &Line) -> String {
    let dashed = if line.is_dashed { " dashed" } else { "" };
    format!("curve c{}{dashed}", line.colour)
}

fn drawn_panel(panel: &Panel) -> Markup {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let [low, high, tick] = range(points().map(|point| point.1));
    let x = |step: f64| WIDTH * step / last;
    let y = |value: f64| HEIGHT * (high - value) / (high - low);
    let ticks = (0_u32..).map(|index| low + f64::from(index) * tick);
    let ticks = ticks.take_while(|value| *value < high + 0.5 * tick);
    let path = |line: &Line| {
        let at = |(step, value): &(f64, f64)| format!("{:.1} {:.1}", x(*step), y(*value));
        let places: Vec<String> = line.points.iter().map(at).collect();
        format!("M{}", places.join("L"))
    };
    html! {
        text.panel x="0" y="-12" { (panel.title) }
        @for value in ticks {
            path.grid d=(format!("M0 {:.1}h{WIDTH}", y(value))) {}
            text.end x="-8" y=(format!("{:.1}", y(value) + 4.0)) { (number(value, tick)) }
        }
        text x="0" y=(HEIGHT + 18.0) { "0" }
        text.middle x=(WIDTH / 2.0) y=(HEIGHT + 18.0) { "step" }
        text.end x=(WIDTH) y=(HEIGHT + 18.0) { (last) }
        @for line in &panel.lines { path class=(class(line)) d=(path(line)) {} }
    }
}

/// A range that begins and ends at ticks, with 0 in it, and the distance of the ticks.
fn range(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let (low, high) =
        values.fold((0.0_f64, 0.0_f64), |(low, high), it| (low.min(it), high.max(it)));
    let rough = ((high - low) / 4.0).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let tick = [1.0, 2.0, 2.5, 5.0, 10.0].map(|it| it * power).into_iter().find(|it| *it >= rough);
    let tick = tick.unwrap_or(10.0 * power);
    [(low / tick).floor() * tick, (high / tick).ceil() * tick, tick]
}

fn number(value: f64, tick: f64) -> String {
    let decimals = if tick < 0.1 { 2 } else { usize::from(tick.fract() != 0.0) };
    let decimals = if (tick * 10.0).fract().abs() > 1e-9 && tick < 1.0 { 2 } else { decimals };
    format!("{value:.decimals$}")
}
