//! How a run looks while it goes on: live on a terminal, in plain lines elsewhere.

mod lines;
mod screen;
mod terminal;

pub(crate) use lines::step_of;
pub(crate) use screen::{Bar, Screen, Work};

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use console::style;
use osn_recipes::run::metrics::Metrics;
use osn_recipes::run::observer::{DecisionNote, Evaluation, Progress, RunStart};
use osn_report::{escaped, short};

use crate::stderr;

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
    fn speaker(&self) -> Speaker;
}

/// Says things without disturbing what is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speaker(Option<Screen>);

impl Speaker {
    /// One that speaks above what moves on a screen.
    pub(crate) fn above(screen: &Screen) -> Self {
        Self(Some(screen.clone()))
    }

    pub(crate) fn say(&self, words: &str) {
        match &self.0 {
            Some(screen) => screen.say(&style(words).for_stderr().yellow().to_string()),
            None => stderr::say(words),
        }
    }

    /// Takes whatever moves off the screen.
    pub(crate) fn close(&self) {
        if let Some(screen) = &self.0 {
            screen.clear();
        }
    }
}

/// Whether standard error is a screen on which lines can be drawn anew.
pub(crate) fn is_live() -> bool {
    io::stderr().is_terminal() && !is_dumb()
}

/// Whether the terminal says that it knows no escapes; on Unix whoever has one that does says so.
fn is_dumb() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    term == "dumb" || (cfg!(unix) && term.is_empty())
}

/// Colours only where they are wanted, by the same rule for every word of the program and of its help:
/// `NO_COLOR`, then `CLICOLOR_FORCE`, `CLICOLOR`, and what `TERM` can.
pub(crate) fn choose_colours() {
    // The rule itself takes any terminal of a build server for one that can.
    let is_forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|force| force != "0");
    if is_dumb() && !is_forced {
        ColorChoice::Never.write_global();
    }
    let is_wanted = |choice| choice != ColorChoice::Never;
    console::set_colors_enabled(is_wanted(AutoStream::choice(&io::stdout())));
    console::set_colors_enabled_stderr(is_wanted(AutoStream::choice(&io::stderr())));
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
    let Evaluation { metrics, real_vs_real: floor, primary_metric: headline, .. } = evaluation;
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
    let value = Metrics::get(evaluation.metrics, evaluation.primary_metric)?;
    Some(format!("{} {}", evaluation.primary_metric, short(*value)))
}

#[cfg(test)]
mod tests {
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
        assert_eq!(scores(&evaluation), "frechet 41.50 (real 1.250)  coverage 0.500");
        assert_eq!(headline_score(&evaluation).unwrap(), "frechet 41.50");
    }
}
