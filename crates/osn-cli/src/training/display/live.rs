//! A progress bar and a live line for each layer.

use std::time::Instant;

use console::{pad_str, style, truncate_str};
use osn_recipes::run::observer::{DecisionNote, Evaluation, LayerStatus, Progress, RunStart};
use osn_report::short;

use super::groups::{Group, groups};
use super::run_display::{RunDisplay, headline, headline_score, losses, scores};
use crate::terminal::printer::Printer;
use crate::terminal::screen::{Bar, Screen, size};

/// Cells of the bar that shows the elasticity.
const BAR_CELLS: usize = 8;
/// A layer's path takes no more than this share of its line.
const PATH_SHARE: usize = 3;
/// Lines of the screen that are not for layers: the bar, what is above it, and the cursor's.
const OTHER_LINES: usize = 4;

/// Until training begins.
const PREPARING: &str = "loading data …";

/// Draws on standard error.
#[derive(Debug, Default)]
pub(super) struct LiveRun {
    screen: Screen,
    bar: Option<Bar>,
    layers: Vec<LayerStatus>,
    score: String,
}

impl RunDisplay for LiveRun {
    fn started(&mut self, start: &RunStart) {
        self.screen.say(&style(headline(start)).for_stderr().bold().to_string());
        let done = start.done as f64;
        self.bar = Some(Bar {
            done,
            all: start.steps as f64,
            // Steps of before took no time of this process.
            before: done,
            since: Instant::now(),
            count: format!("{}/{}", start.done, start.steps),
            message: String::new(),
        });
        self.draw();
    }

    fn progress(&mut self, progress: &Progress) {
        if let Some(bar) = &mut self.bar {
            bar.done = progress.step as f64;
            bar.count = format!("{}/{}", progress.step, progress.steps);
            bar.message = format!("{}  {}", losses(progress), self.score);
        }
        // A step without a reading leaves the lines of before.
        if !progress.layers.is_empty() {
            progress.layers.clone_into(&mut self.layers);
        }
        self.draw();
    }

    fn evaluated(&mut self, evaluation: &Evaluation) {
        self.score = headline_score(evaluation).unwrap_or_default();
        self.screen.say(&format!("step {}  {}", evaluation.step, scores(evaluation)));
    }

    /// Each layer's line shows its last decision and reason already.
    fn decided(&mut self, _: &DecisionNote) {}

    fn close(&mut self) {
        self.screen.clear();
    }

    fn printer(&self) -> Printer {
        Printer(Some(self.screen.clone()))
    }
}

impl LiveRun {
    /// A display that says what the seconds before the first step are spent on.
    pub(super) fn new() -> Self {
        let run = Self::default();
        run.screen.show(None, vec![PREPARING.to_owned()]);
        run
    }

    fn draw(&self) {
        let (rows, columns) = size();
        let room = rows.saturating_sub(OTHER_LINES);
        let lines = layer_lines(&self.layers, room, columns.saturating_sub(1));
        self.screen.show(self.bar.clone(), lines);
    }
}

/// One line a layer or, where there is not room for all, one for several; the last says how many do not fit.
fn layer_lines(layers: &[LayerStatus], room: usize, columns: usize) -> Vec<String> {
    let groups = groups(layers, room);
    let longest = groups.iter().map(|group| group.name.chars().count()).max();
    let width = longest.unwrap_or_default().min(columns / PATH_SHARE);
    let n_shown = if groups.len() <= room { groups.len() } else { room.saturating_sub(1) };
    let shown = groups[..n_shown].iter().map(|group| group_line(group, width));
    let n_hidden: usize = groups[n_shown..].iter().map(|group| group.layers.len()).sum();
    let more = (n_hidden > 0).then(|| format!("  and {n_hidden} more layers"));
    shown.chain(more).map(|line| truncate_str(&line, columns, "…").into_owned()).collect()
}

fn group_line(group: &Group, name_width: usize) -> String {
    if let [layer] = group.layers[..] {
        return layer_line(layer, name_width);
    }
    let name = padded(&group.name, name_width);
    let bar = style(elasticity_bar(group.elasticity())).for_stderr().cyan();
    let held = style(group.held()).for_stderr().bold();
    let largest = group.largest().map_or_else(String::new, |layer| {
        format!("{}: {}: {}", layer.path, layer.action, layer.reason)
    });
    let largest = style(largest).for_stderr().dim();
    // As wide as σ and its target, so that the bars stand below each other.
    format!("  {name}  σ {:^16}  {bar}  {held}  {largest}", group.sigmas())
}

fn padded(path: &str, width: usize) -> String {
    let path = truncate_str(path, width, "…").into_owned();
    pad_str(&path, width, console::Alignment::Left, None).into_owned()
}

fn layer_line(layer: &LayerStatus, path_width: usize) -> String {
    let path = padded(&layer.path, path_width);
    let target = layer.target.map_or_else(|| "–".to_owned(), short);
    let bar = style(elasticity_bar(layer.elasticity)).for_stderr().cyan();
    let action = style(&layer.action).for_stderr().bold();
    let reason = style(&layer.reason).for_stderr().dim();
    format!("  {path}  σ {:>7} → {target:>6}  {bar}  {action}: {reason}", short(layer.sigma))
}

/// An elasticity from 0 to 1 as a bar of eighths of a cell.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before; NaN becomes 0"
)]
fn elasticity_bar(elasticity: f64) -> String {
    const EIGHTHS: [char; 8] = ['·', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    // NaN is drawn as 0.
    let filled = (elasticity.clamp(0.0, 1.0) * (BAR_CELLS * 8) as f64).round() as usize;
    let cell = |index: usize| match filled.saturating_sub(index * 8) {
        8.. => '█',
        eighths => EIGHTHS[eighths],
    };
    (0..BAR_CELLS).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(path: &str) -> LayerStatus {
        LayerStatus {
            path: path.into(),
            sigma: 3.25,
            target: Some(1.0),
            scale: 0.5,
            elasticity: 0.5,
            action: "cap".into(),
            reason: "sigma 3.250 above 1".into(),
        }
    }

    #[test]
    fn an_elasticity_fills_its_bar() {
        assert_eq!(elasticity_bar(0.0), "········");
        assert_eq!(elasticity_bar(0.5), "████····");
        assert_eq!(elasticity_bar(1.0), "████████");
        assert_eq!(elasticity_bar(1.0 / 64.0), "▏·······");
        assert_eq!([f64::NAN, -1.0, 2.0].map(elasticity_bar), ["········", "········", "████████"]);
    }

    #[test]
    fn lines_fit_the_terminal_and_say_what_is_left_out() {
        let layers: Vec<_> = (0..10).map(|i| layer(&format!("block{i}.weight"))).collect();
        let lines = layer_lines(&layers, 4, 40);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], "  and 7 more layers");
        assert!(lines.iter().all(|line| console::measure_text_width(line) <= 40));
        assert_eq!(layer_lines(&layers, 10, 40).len(), 10);
    }

    #[test]
    fn a_layer_that_is_left_alone_has_no_target() {
        let off = LayerStatus { target: None, elasticity: 0.0, action: "off".into(), ..layer("w") };
        assert!(layer_line(&off, 8).contains("σ   3.250 →      –  ········  off:"));
    }
}
