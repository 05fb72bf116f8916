//! How a study looks while it goes on: a bar on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::time::Instant;

use console::style;
use osn_report::study::{RunStatus, StudyRun};
use osn_report::{counted, duration, short};

use super::ledger::Ledger;
use super::plan::{Cell, Plan};
use crate::terminal::capabilities::is_live;
use crate::terminal::screen::{Bar, Screen};
use crate::terminal::speaker::Speaker;
use crate::terminal::stderr::say;

/// Shows a study.
pub(super) trait StudyDisplay {
    /// A run has done this part of its steps.
    fn step(&mut self, cell: &Cell, index: usize, part: f64);
    /// A run is over.
    fn ended(&mut self, cell: &Cell, index: usize, run: &StudyRun);
    /// Whatever moves is taken off the screen.
    fn close(&mut self);
    /// A way to say something from another thread.
    fn speaker(&self) -> Speaker;
}

/// The display for standard error as it is now; it says at once what will run.
pub(super) fn for_stderr(plan: &Plan, ledger: &Ledger) -> Box<dyn StudyDisplay> {
    let tally = Tally::new(plan, ledger);
    let headline = headline(plan, ledger);
    if is_live() {
        let screen = Screen::default();
        screen.say(&style(headline).for_stderr().bold().to_string());
        Box::new(LiveStudy { screen, tally })
    } else {
        say(headline);
        Box::new(StudyLines { tally })
    }
}

fn headline(plan: &Plan, ledger: &Ledger) -> String {
    let asked = &plan.study.asked;
    let counts =
        [(asked.arms.len(), "rule"), (asked.regimes.len(), "regime"), (asked.seeds.len(), "seed")];
    // One regime is no dimension.
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

/// How far the grid is.
struct Tally {
    metric: String,
    n_runs: usize,
    n_before: usize,
    n_ended: usize,
    started: Instant,
    running: BTreeMap<usize, (String, f64)>,
}

impl Tally {
    fn new(plan: &Plan, ledger: &Ledger) -> Self {
        let n_before = ledger.n_ended();
        Self {
            metric: plan.study.asked.metric.clone(),
            n_runs: ledger.n_runs(),
            n_before,
            n_ended: n_before,
            started: Instant::now(),
            running: BTreeMap::new(),
        }
    }

    fn step(&mut self, cell: &Cell, index: usize, part: f64) {
        self.running.insert(index, (cell.label(), part.clamp(0.0, 1.0)));
    }

    /// What came of a run, in one line; none where its user stopped it.
    fn ended(&mut self, cell: &Cell, index: usize, run: &StudyRun) -> Option<String> {
        self.running.remove(&index);
        let label = cell.label();
        let time = run.wall_secs.map(|secs| format!(" in {}", duration(secs))).unwrap_or_default();
        let score = run.metrics.get(&self.metric).copied().flatten().map_or("–".to_owned(), short);
        let outcome = match run.status {
            RunStatus::Missing => {
                return run.why.as_ref().map(|why| format!("{label}  interrupted: {why}"));
            }
            RunStatus::Finished => format!("{} {score}{time}", self.metric),
            RunStatus::Failed => format!("failed{time}: {}", run.why.as_deref().unwrap_or("–")),
        };
        self.n_ended += 1;
        Some(format!("{label}  {outcome}"))
    }

    /// Runs done, with parts of those under way.
    fn done(&self) -> f64 {
        self.n_ended as f64 + self.running.values().map(|(_, part)| part).sum::<f64>()
    }

    fn bar(&self) -> Bar {
        let (n_ended, n_runs) = (self.n_ended, self.n_runs);
        Bar {
            done: self.done(),
            all: n_runs as f64,
            before: self.n_before as f64,
            since: self.started,
            count: format!("{n_ended}/{n_runs} runs"),
            message: style(self.under_way()).for_stderr().dim().to_string(),
        }
    }

    fn line(&self) -> String {
        let bar = self.bar();
        format!("{}  left {}", bar.count, bar.left(self.started.elapsed()))
    }

    fn under_way(&self) -> String {
        let of = |(label, part): &(String, f64)| format!("{label} {:.0} %", part * 100.0);
        self.running.values().map(of).collect::<Vec<_>>().join(", ")
    }
}

/// A bar over the whole grid, and a line above it for each run that is over.
struct LiveStudy {
    screen: Screen,
    tally: Tally,
}

impl LiveStudy {
    fn draw(&self) {
        self.screen.show(Some(self.tally.bar()), Vec::new());
    }
}

impl StudyDisplay for LiveStudy {
    fn step(&mut self, cell: &Cell, index: usize, part: f64) {
        self.tally.step(cell, index, part);
        self.draw();
    }

    fn ended(&mut self, cell: &Cell, index: usize, run: &StudyRun) {
        if let Some(line) = self.tally.ended(cell, index, run) {
            let is_failed = run.status != RunStatus::Finished;
            let line = style(line).for_stderr();
            self.screen.say(&(if is_failed { line.red() } else { line }).to_string());
        }
        self.draw();
    }

    fn close(&mut self) {
        self.screen.clear();
    }

    fn speaker(&self) -> Speaker {
        Speaker::above(&self.screen)
    }
}

/// A line for each run that is over.
struct StudyLines {
    tally: Tally,
}

impl StudyDisplay for StudyLines {
    fn step(&mut self, cell: &Cell, index: usize, part: f64) {
        self.tally.step(cell, index, part);
    }

    fn ended(&mut self, cell: &Cell, index: usize, run: &StudyRun) {
        if let Some(line) = self.tally.ended(cell, index, run) {
            say(format_args!("{}  {line}", self.tally.line()));
        }
    }

    fn close(&mut self) {}

    fn speaker(&self) -> Speaker {
        Speaker::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_left_counts_only_what_was_done_now_and_parts_of_runs() {
        let mut tally = Tally {
            metric: "return".into(),
            n_runs: 10,
            n_before: 4,
            n_ended: 4,
            started: Instant::now(),
            running: BTreeMap::new(),
        };
        let minute = Duration::from_mins(1);
        assert_eq!(tally.bar().left(minute), "–");
        tally.n_ended = 5;
        tally.running.insert(5, ("a".into(), 0.5));
        // One and a half run took a minute; four and a half are left.
        assert_eq!(tally.bar().left(minute), "3 min 00 s");
    }
}
