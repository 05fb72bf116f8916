//! The trait of displays of a run, and the text that they share.

use osn_recipes::run::observer::{DecisionNote, Evaluation, Progress, RunStart};
use osn_report::{QuotedScore, arrow, escaped, quoted, short};

use crate::terminal::printer::Printer;

/// Shows a run.
pub(crate) trait RunDisplay {
    /// Training begins.
    fn started(&mut self, start: &RunStart);
    /// Some steps are done.
    fn progress(&mut self, progress: &Progress);
    /// The samples were scored.
    fn evaluated(&mut self, evaluation: &Evaluation);
    /// A decision changed something.
    fn decided(&mut self, decision: &DecisionNote);
    /// The run is over; the foot of the screen is removed.
    fn close(&mut self);
    /// Prints messages from other threads without disturbing what is shown.
    fn printer(&self) -> Printer;
}

/// What will run, in one line.
pub(super) fn headline(start: &RunStart) -> String {
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

pub(super) fn losses(progress: &Progress) -> String {
    let named = progress.losses.iter().map(|(name, value)| format!("{name} {}", short(*value)));
    named.collect::<Vec<_>>().join("  ")
}

/// Every score but those of a single class (`intra_frechet/3`), the headline first and with its floor
/// in brackets.
pub(super) fn scores(evaluation: &Evaluation) -> String {
    let Evaluation { metrics, real_vs_real: floor, primary_metric: headline, .. } = evaluation;
    let floor = floor.get(*headline).map_or_else(String::new, |f| format!(" (real {})", short(*f)));
    let others = quoted(metrics);
    let others = others.iter().filter(|it| it.name != *headline && !it.name.contains('/'));
    let others = others.map(|it| format!("{} {}", it.name, with_error(it)));
    headline_score(evaluation)
        .map(|first| first + &floor)
        .into_iter()
        .chain(others)
        .collect::<Vec<_>>()
        .join("  ")
}

pub(super) fn headline_score(evaluation: &Evaluation) -> Option<String> {
    let scores = quoted(evaluation.metrics);
    let headline = scores.iter().find(|it| it.name == evaluation.primary_metric)?;
    Some(format!("{}{} {}", headline.name, arrow(headline.name), with_error(headline)))
}

fn with_error(score: &QuotedScore) -> String {
    let error = score.error.map_or_else(String::new, |error| format!(" ± {}", short(error)));
    short(score.value) + &error
}

#[cfg(test)]
mod tests {
    use osn_runs::metrics::Metrics;

    use super::*;

    #[test]
    fn the_headline_score_comes_first_with_its_floor() {
        let metrics = Metrics::from([("coverage".into(), 0.5), ("frechet".into(), 41.5)]);
        let floor = Metrics::from([("frechet".into(), 1.25)]);
        let evaluation = Evaluation {
            step: 1,
            metrics: &metrics,
            real_vs_real: &floor,
            primary_metric: "frechet",
        };
        assert_eq!(scores(&evaluation), "frechet ↓ 41.50 (real 1.250)  coverage 0.500");
        assert_eq!(headline_score(&evaluation).unwrap(), "frechet ↓ 41.50");
    }
}
