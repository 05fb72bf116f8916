//! The display of a study while it trains: a bar on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::time::Instant;

use console::style;
use osn_report::study::{Completion, StudyRun};
use osn_report::{counted, duration, short};

use super::ledger::Ledger;
use super::plan::{Cell, Plan};
use crate::terminal::capabilities::is_live;
use crate::terminal::printer::Printer;
use crate::terminal::screen::{Bar, Screen};
use crate::terminal::stderr::say;

/// How far a study is, and the screen that shows it.
pub(super) struct StudyDisplay {
    /// None without a terminal.
    screen: Option<Screen>,
    metric: String,
    n_runs: usize,
    n_before: usize,
    n_ended: usize,
    started: Instant,
    /// The label of each run that is being trained, and the part of its steps that is done.
    running: BTreeMap<usize, (String, f64)>,
}

impl StudyDisplay {
    /// The display for standard error as it is now; it prints at once what will run.
    pub(super) fn for_stderr(plan: &Plan, ledger: &Ledger) -> Self {
        let screen = is_live().then(Screen::default);
        let headline = headline(plan, ledger);
        match &screen {
            Some(screen) => screen.say(&style(headline).for_stderr().bold().to_string()),
            None => say(headline),
        }
        let n_before = ledger.n_ended();
        Self {
            screen,
            metric: plan.study.asked.metric.clone(),
            n_runs: ledger.n_runs(),
            n_before,
            n_ended: n_before,
            started: Instant::now(),
            running: BTreeMap::new(),
        }
    }

    /// A run has done this part of its steps.
    pub(super) fn step(&mut self, cell: &Cell, index: usize, part: f64) {
        self.running.insert(index, (cell.label(), part.clamp(0.0, 1.0)));
        self.draw();
    }

    /// Prints the outcome of a run in a line; none where its user stopped it.
    pub(super) fn ended(&mut self, cell: &Cell, index: usize, run: &StudyRun) {
        self.running.remove(&index);
        self.n_ended += usize::from(run.status != Completion::Missing);
        if let Some(outcome) = self.outcome(run) {
            let line = format!("{}  {outcome}", cell.label());
            match &self.screen {
                Some(screen) if run.status == Completion::Finished => screen.say(&line),
                Some(screen) => screen.say(&style(line).for_stderr().red().to_string()),
                None => {
                    let bar = self.bar();
                    let left = bar.left(self.started.elapsed());
                    say(format_args!("{}  left {left}  {line}", bar.count));
                }
            }
        }
        self.draw();
    }

    /// Removes the bar.
    pub(super) fn close(&self) {
        self.printer().close();
    }

    /// Prints messages from other threads.
    pub(super) fn printer(&self) -> Printer {
        Printer(self.screen.clone())
    }

    fn draw(&self) {
        if let Some(screen) = &self.screen {
            screen.show(Some(self.bar()), Vec::new());
        }
    }

    fn outcome(&self, run: &StudyRun) -> Option<String> {
        let time = run.wall_secs.map(|secs| format!(" in {}", duration(secs))).unwrap_or_default();
        match run.status {
            Completion::Missing => run.why.as_ref().map(|why| format!("interrupted: {why}")),
            Completion::Finished => {
                let score = run.metrics.get(&self.metric).copied().flatten();
                let score = score.map_or("–".to_owned(), short);
                Some(format!("{} {score}{time}", self.metric))
            }
            Completion::Failed => {
                Some(format!("failed{time}: {}", run.why.as_deref().unwrap_or("–")))
            }
        }
    }

    fn bar(&self) -> Bar {
        let running = self.running.values();
        let part = |(label, part): &(String, f64)| format!("{label} {:.0} %", part * 100.0);
        let parts: Vec<_> = running.clone().map(part).collect();
        Bar {
            // Parts of the runs that are being trained count, too.
            done: self.n_ended as f64 + running.map(|(_, part)| part).sum::<f64>(),
            all: self.n_runs as f64,
            before: self.n_before as f64,
            since: self.started,
            count: format!("{}/{} runs", self.n_ended, self.n_runs),
            message: style(parts.join(", ")).for_stderr().dim().to_string(),
        }
    }
}

fn headline(plan: &Plan, ledger: &Ledger) -> String {
    let asked = &plan.study.asked;
    let counts =
        [(asked.arms.len(), "rule"), (asked.regimes.len(), "regime"), (asked.seeds.len(), "seed")];
    // A single regime is not mentioned.
    let grid = counts
        .into_iter()
        .filter(|it| *it != (1, "regime"))
        .map(|(count, noun)| counted(count, noun));
    let grid = grid.collect::<Vec<_>>().join(" × ");
    let there = match ledger.n_ended() {
        0 => String::new(),
        n_ended => format!(", {n_ended} of them done already"),
    };
    format!(
        "{}: {grid} = {} runs{there}, {} at a time → {}",
        asked.recipe,
        ledger.n_runs(),
        plan.n_jobs,
        plan.out.display()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_left_counts_only_what_was_done_now_and_parts_of_runs() {
        let mut display = StudyDisplay {
            screen: None,
            metric: "return".into(),
            n_runs: 10,
            n_before: 4,
            n_ended: 4,
            started: Instant::now(),
            running: BTreeMap::new(),
        };
        let minute = Duration::from_mins(1);
        assert_eq!(display.bar().left(minute), "–");
        display.n_ended = 5;
        display.running.insert(5, ("a".into(), 0.5));
        // One and a half run took a minute; four and a half are left.
        assert_eq!(display.bar().left(minute), "3 min 00 s");
    }
}
