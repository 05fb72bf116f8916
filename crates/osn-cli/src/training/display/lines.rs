//! Plain lines for logs and pipes.

use std::time::{Duration, Instant};

use osn_recipes::run::observer::{DecisionNote, Evaluation, LayerStatus, Progress, RunStart};
use osn_report::{counted, duration, short};

use super::groups::{Group, groups};
use super::run_display::{RunDisplay, headline, losses, scores};
use crate::terminal::printer::Printer;
use crate::terminal::stderr::say;

/// The time between two lines of progress.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lines for layers each time; more layers share lines.
const MAX_LAYER_LINES: usize = 40;

/// Writes a line every ten seconds, at every scoring and at the last step.
#[derive(Debug, Default)]
pub(super) struct RunLines {
    started: Option<Instant>,
    /// Steps that were done before this process.
    done: u64,
    written: Option<Instant>,
    n_decisions: usize,
    last_decision: String,
}

impl RunLines {
    fn is_due(&self, progress: &Progress) -> bool {
        let is_last = progress.step == progress.steps;
        is_last || self.written.is_none_or(|written| written.elapsed() >= INTERVAL)
    }

    fn time_left(&self, progress: &Progress) -> String {
        let spent = self.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let steps = progress.step.saturating_sub(self.done).max(1) as f64;
        let left = (progress.steps - progress.step) as f64 / steps * spent;
        duration(left)
    }

    fn write_decisions(&mut self) {
        if self.n_decisions > 0 {
            let decisions = counted(self.n_decisions, "decision");
            say(format_args!("  {decisions}, the last: {}", self.last_decision));
            self.n_decisions = 0;
        }
    }
}

impl RunDisplay for RunLines {
    fn started(&mut self, start: &RunStart) {
        (self.started, self.done) = (Some(Instant::now()), start.done);
        say(headline(start));
    }

    fn progress(&mut self, progress: &Progress) {
        if self.is_due(progress) {
            let (step, steps, left) = (progress.step, progress.steps, self.time_left(progress));
            let losses = losses(progress);
            say(format_args!("{}  left {left}  {losses}", step_text(step, steps)));
            let groups = groups(progress.layers, MAX_LAYER_LINES);
            for group in &groups {
                say(format_args!("  {}", group_line(group)));
            }
            self.write_decisions();
            self.written = Some(Instant::now());
        }
    }

    fn evaluated(&mut self, evaluation: &Evaluation) {
        say(format_args!("step {}  {}", evaluation.step, scores(evaluation)));
    }

    fn decided(&mut self, decision: &DecisionNote) {
        let DecisionNote { step, path, from, to, reason } = decision;
        // The decision at the start is no change, and is shown in the layer's line.
        if *step == 0 {
            return;
        }
        self.n_decisions += 1;
        self.last_decision = format!("step {step} {path}: {from} → {to} ({reason})");
    }

    fn close(&mut self) {
        self.write_decisions();
    }

    fn printer(&self) -> Printer {
        Printer::default()
    }
}

fn step_text(step: u64, steps: u64) -> String {
    format!("step {step}/{steps}")
}

/// The step, and how many there will be, of a line of progress; `osn compare` reads those of its runs.
pub(crate) fn step_of(line: &str) -> Option<(u64, u64)> {
    let (step, rest) = line.strip_prefix("step ")?.split_once('/')?;
    let steps = rest.split(' ').next()?;
    Some((step.parse().ok()?, steps.parse().ok()?))
}

fn group_line(group: &Group) -> String {
    if let [layer] = group.layers[..] {
        return line(layer);
    }
    let (name, sigmas, held) = (&group.name, group.sigmas(), group.held());
    format!("{name}  σ {sigmas}  γ {}  {held}", short(group.elasticity()))
}

fn line(layer: &LayerStatus) -> String {
    let LayerStatus { path, action, reason, .. } = layer;
    let target = layer.target.map_or_else(|| "–".to_owned(), short);
    let (sigma, elasticity) = (short(layer.sigma), short(layer.elasticity));
    format!("{path}  σ {sigma}  target {target}  γ {elasticity}  {action}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_of_a_line_of_progress_can_be_read_back() {
        assert_eq!(step_of(&format!("{}  left 3.0 s  loss 1", step_text(7, 90))), Some((7, 90)));
        assert_eq!(step_of("step 7  frechet 3.1"), None);
        assert_eq!(step_of("error: step 7/90"), None);
    }
}
