//! Plain lines for logs and pipes.

use std::time::{Duration, Instant};

use osn_recipes::run::{DecisionNote, Evaluation, LayerStatus, Progress, RunStart};
use osn_report::{duration, short};

use super::{Display, headline, losses, scores};

/// The time between two lines of progress.
const INTERVAL: Duration = Duration::from_secs(10);

/// Writes a line every ten seconds, at every scoring and at the last step.
#[derive(Debug, Default)]
pub(super) struct Lines {
    started: Option<Instant>,
    written: Option<Instant>,
    n_decisions: u64,
    last_decision: String,
}

impl Lines {
    fn is_due(&self, progress: &Progress) -> bool {
        let is_last = progress.step == progress.steps;
        is_last || self.written.is_none_or(|written| written.elapsed() >= INTERVAL)
    }

    fn time_left(&self, progress: &Progress) -> String {
        let spent = self.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let left = (progress.steps - progress.step) as f64 / progress.step.max(1) as f64 * spent;
        duration(left)
    }

    fn write_decisions(&mut self) {
        if self.n_decisions > 0 {
            eprintln!("  {} decisions, the last: {}", self.n_decisions, self.last_decision);
            self.n_decisions = 0;
        }
    }
}

impl Display for Lines {
    fn started(&mut self, start: &RunStart) {
        self.started = Some(Instant::now());
        eprintln!("{}", headline(start));
    }

    fn progress(&mut self, progress: &Progress) {
        if self.is_due(progress) {
            let (step, steps, left) = (progress.step, progress.steps, self.time_left(progress));
            eprintln!("step {step}/{steps}  left {left}  {}", losses(progress));
            progress.layers.iter().for_each(|layer| eprintln!("  {}", line(layer)));
            self.write_decisions();
            self.written = Some(Instant::now());
        }
    }

    fn evaluated(&mut self, evaluation: &Evaluation) {
        eprintln!("step {}  {}", evaluation.step, scores(evaluation));
    }

    fn decided(&mut self, decision: &DecisionNote) {
        let DecisionNote { step, path, from, to, reason } = decision;
        self.n_decisions += 1;
        self.last_decision = format!("step {step} {path}: {from} → {to} ({reason})");
    }

    fn close(&mut self) {
        self.write_decisions();
    }

    fn notifier(&self) -> Box<dyn Fn(&str) + Send> {
        Box::new(|text| eprintln!("{text}"))
    }
}

fn line(layer: &LayerStatus) -> String {
    let LayerStatus { path, action, reason, .. } = layer;
    let target = layer.target.map_or_else(|| "–".to_owned(), short);
    let (sigma, strength) = (short(layer.sigma), short(layer.strength));
    format!("{path}  σ {sigma}  target {target}  strength {strength}  {action}: {reason}")
}
