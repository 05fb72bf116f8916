//! How a run looks while it goes on: live on a terminal, in plain lines elsewhere.

mod lines;
mod terminal;

pub(crate) use lines::step_of;

use std::io::IsTerminal;

use osn_recipes::run::{DecisionNote, Evaluation, Metrics, Progress, RunStart};
use osn_report::short;

use crate::harmless::escaped;

/// Shows a run.
pub(crate) trait Display {
    /// Training begins.
    fn started(&mut self, start: &RunStart);
    /// Some steps are done.
    fn progress(&mut self, progress: &Progress);
    /// The samples were scored.
    fn evaluated(&mut self, evaluation: &Evaluation);
    /// A decision changed something.
    fn decided(&mut self, decision: &DecisionNote);
    /// The run is over; whatever moves is taken off the screen.
    fn close(&mut self);
    /// A way to say something from another thread without disturbing what is shown.
    fn notifier(&self) -> Box<dyn Fn(&str) + Send>;
}

/// Whether standard error is a screen on which lines can be drawn anew.
pub(crate) fn is_live() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stderr().is_terminal() && !is_dumb
}

/// The display for standard error as it is now.
pub(crate) fn for_stderr() -> Box<dyn Display> {
    if is_live() {
        Box::new(terminal::Terminal::default())
    } else {
        Box::new(lines::Lines::default())
    }
}

/// What will run, in one line.
fn headline(start: &RunStart) -> String {
    let d = start.description;
    escaped(&format!(
        "{} · {} · {} · seed {} · {} · {} steps on {} → {}",
        d.recipe,
        d.preset,
        d.decide,
        d.seed,
        d.data,
        start.steps,
        d.device,
        start.folder.display()
    ))
}

fn losses(progress: &Progress) -> String {
    let named = progress.losses.iter().map(|(name, value)| format!("{name} {}", short(*value)));
    named.collect::<Vec<_>>().join("  ")
}

/// Every score but those of a single class (`intra_frechet/3`), the headline first and with its floor
/// in brackets.
fn scores(evaluation: &Evaluation) -> String {
    let Evaluation { metrics, floor, headline, .. } = evaluation;
    let floor = floor.get(*headline).map_or_else(String::new, |f| format!(" (real {})", short(*f)));
    let others = metrics.iter().filter(|(name, _)| name != headline && !name.contains('/'));
    let others = others.map(|(name, value)| format!("{name} {}", short(*value)));
    headline_score(evaluation)
        .map(|first| first + &floor)
        .into_iter()
        .chain(others)
        .collect::<Vec<_>>()
        .join("  ")
}

fn headline_score(evaluation: &Evaluation) -> Option<String> {
    let value = Metrics::get(evaluation.metrics, evaluation.headline)?;
    Some(format!("{} {}", evaluation.headline, short(*value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_score_comes_first_with_its_floor() {
        let metrics = Metrics::from([("coverage".into(), 0.5), ("frechet".into(), 41.5)]);
        let floor = Metrics::from([("frechet".into(), 1.25)]);
        let evaluation =
            Evaluation { step: 1, metrics: &metrics, floor: &floor, headline: "frechet" };
        assert_eq!(scores(&evaluation), "frechet 41.50 (real 1.250)  coverage 0.500");
        assert_eq!(headline_score(&evaluation).unwrap(), "frechet 41.50");
    }
}
