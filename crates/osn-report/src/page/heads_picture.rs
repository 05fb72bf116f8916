//! The heat maps of a run's heads as one picture that stands by itself.

use maud::{Markup, html};

use super::heat::{Panel, WIDTH, bar};
use super::run::heads::{self, Quantity};
use crate::record::run::RunRecord;
use crate::text::escaped_lines;

const GAP: usize = 20;
const MARGIN: usize = 24;
/// Above the panels of a quantity, for its title and the panels' own.
const TITLES: usize = 64;
/// Above everything, for the run's title.
const TOP: usize = 60;

const STYLE: &str = "svg{--paper:#fff;--ink:#1b1f24;--soft:#5c6670;--line:#dfe3e8;--raised:#f2f4f6;--c0:#1f6fd0;--c1:#d95f0e;--c2:#0f8a6a}\
@media (prefers-color-scheme:dark){svg{--paper:#14171b;--ink:#e7eaee;--soft:#9ba6b2;--line:#333840;--raised:#1c2127;--c0:#5ca2f5;--c1:#ff964d;--c2:#3dc9a3}}\
.paper{fill:var(--paper)}.ground{fill:var(--raised)}.lost{fill:var(--ink)}.c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}\
text{font:12px system-ui,sans-serif;fill:var(--soft)}.last,.layer{text-anchor:end}.title{font-size:18px;font-weight:600;fill:var(--ink)}\
.quantity{font-size:15px;font-weight:600;fill:var(--ink)}.panel{font-size:13px;fill:var(--ink)}line{stroke:var(--line)}";

/// Which heads of a run were held and when, their largest logits and their entropies, as the text of an SVG file;
/// `None` of a run without attention heads.
///
/// It follows the reader's light or dark scheme, loads nothing and has no script.
pub fn heads_picture(run: &RunRecord) -> Option<String> {
    let quantities = heads::drawn(run);
    let n_panels = quantities.iter().map(|quantity| quantity.panels.len()).max()?;
    let width = 2 * MARGIN + n_panels * (WIDTH + GAP) - GAP;
    let height = TOP as f64 + quantities.iter().map(height_of).sum::<f64>() + MARGIN as f64;
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(format!("0 0 {width} {height}"))
            role="img" {
            title { "Attention heads of " (run.title()) }
            style { (STYLE) }
            rect.paper width=(width) height=(height) {}
            text.title x=(MARGIN) y=(MARGIN + 8) { (run.title()) }
            text x=(MARGIN) y=(MARGIN + 28) { "A row for each attention head, layer by layer from top to bottom; steps from left to right." }
            @for (quantity, top) in quantities.iter().zip(tops(&quantities)) {
                g transform=(format!("translate({MARGIN} {top})")) { (row(quantity)) }
            }
        }
    };
    Some(escaped_lines(&picture.into_string()))
}

/// Where each quantity begins.
fn tops(quantities: &[Quantity]) -> impl Iterator<Item = f64> {
    quantities.iter().scan(TOP as f64, |next, quantity| {
        let top = *next;
        *next += height_of(quantity);
        Some(top)
    })
}

fn height_of(quantity: &Quantity) -> f64 {
    TITLES as f64 + quantity.panels.iter().map(Panel::height).fold(0.0, f64::max)
}

/// A quantity: its title and scale, and a panel for each kind of attention.
fn row(quantity: &Quantity) -> Markup {
    html! {
        text.quantity y="24" { (quantity.title) }
        @if let Some(panel) = quantity.panels.first() {
            @let [lowest, highest] = panel.scale.ends();
            g transform=(format!("translate({} 13)", WIDTH + GAP)) {
                text.last x="-8" y="11" { (lowest) }
                (bar(panel.colour))
                text x="104" y="11" { (highest) " " (panel.unit) " " (panel.scale.how()) }
            }
        }
        @for (place, panel) in quantity.panels.iter().enumerate() {
            g transform=(format!("translate({} {})", place * (WIDTH + GAP), TITLES - 8)) {
                text.panel y="-8" { (panel.title) }
                (panel.drawing())
            }
        }
    }
}
