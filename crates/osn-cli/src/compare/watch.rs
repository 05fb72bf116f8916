//! How a study looks while it goes on: a bar on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use osn_report::study::{RunStatus, StudyRun};
use osn_report::{counted, duration, short};

use super::ledger::Ledger;
use super::plan::{Cell, Plan};
use crate::display;

/// How finely the bar is divided for each run.
const PARTS: f64 = 1000.0;
const TICK: Duration = Duration::from_millis(250);

/// Shows a study.
pub(super) trait Watch {
    /// A run has done this part of its steps.
    fn step(&mut self, cell: &Cell, index: usize, part: f64);
    /// A run is over.
    fn ended(&mut self, cell: &Cell, index: usize, run: &StudyRun);
    /// Some time has passed.
    fn tick(&mut self);
    /// Whatever moves is taken off the screen.
    fn close(&mut self);
    /// A way to say something from another thread.
    fn notifier(&self) -> Box<dyn Fn(&str) + Send>;
}

/// The display for standard error as it is now; it says at once what will run.
pub(super) fn for_stderr(plan: &Plan, ledger: &Ledger) -> Box<dyn Watch> {
    let tally = Tally::new(plan, ledger);
    let headline = headline(plan, ledger);
    if display::is_live() {
        eprintln!("{}", style(headline).for_stderr().bold());
        Box::new(Live { bar: bar(&tally), tally })
    } else {
        eprintln!("{headline}");
        Box::new(Lines { tally })
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
        n_ended => format!(", {n_ended} of them there already"),
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

    /// The time for what is left at the pace so far.
    fn left(&self, spent: Duration) -> String {
        let done = self.done();
        let new = done - self.n_before as f64;
        let secs = spent.as_secs_f64() / new * (self.n_runs as f64 - done);
        if new > 0.0 { duration(secs) } else { "–".to_owned() }
    }

    fn line(&self) -> String {
        let (n_ended, n_runs) = (self.n_ended, self.n_runs);
        format!("{n_ended}/{n_runs} runs  left {}", self.left(self.started.elapsed()))
    }

    fn under_way(&self) -> String {
        let of = |(label, part): &(String, f64)| format!("{label} {:.0} %", part * 100.0);
        self.running.values().map(of).collect::<Vec<_>>().join(", ")
    }
}

/// A bar over the whole grid, and a line above it for each run that is over.
struct Live {
    tally: Tally,
    bar: ProgressBar,
}

fn bar(tally: &Tally) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:24.cyan/dim} {wide_msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─");
    let bar = ProgressBar::new(parts(tally.n_runs as f64)).with_style(style);
    bar.enable_steady_tick(TICK);
    bar
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of runs, with parts of them"
)]
fn parts(runs: f64) -> u64 {
    (runs * PARTS) as u64
}

impl Live {
    fn draw(&self) {
        self.bar.set_position(parts(self.tally.done()));
        let under_way = self.tally.under_way();
        let under_way = style(under_way).for_stderr().dim();
        self.bar.set_message(format!("{}  {under_way}", self.tally.line()));
    }
}

impl Watch for Live {
    fn step(&mut self, cell: &Cell, index: usize, part: f64) {
        self.tally.step(cell, index, part);
        self.draw();
    }

    fn ended(&mut self, cell: &Cell, index: usize, run: &StudyRun) {
        if let Some(line) = self.tally.ended(cell, index, run) {
            let is_failed = run.status != RunStatus::Finished;
            let line = style(line).for_stderr();
            self.bar.println((if is_failed { line.red() } else { line }).to_string());
        }
        self.draw();
    }

    fn tick(&mut self) {
        self.draw();
    }

    fn close(&mut self) {
        self.bar.finish_and_clear();
    }

    fn notifier(&self) -> Box<dyn Fn(&str) + Send> {
        let bar = self.bar.clone();
        Box::new(move |text| bar.println(style(text).for_stderr().yellow().to_string()))
    }
}

/// A line for each run that is over.
struct Lines {
    tally: Tally,
}

impl Watch for Lines {
    fn step(&mut self, cell: &Cell, index: usize, part: f64) {
        self.tally.step(cell, index, part);
    }

    fn ended(&mut self, cell: &Cell, index: usize, run: &StudyRun) {
        if let Some(line) = self.tally.ended(cell, index, run) {
            eprintln!("{}  {line}", self.tally.line());
        }
    }

    fn tick(&mut self) {}

    fn close(&mut self) {}

    fn notifier(&self) -> Box<dyn Fn(&str) + Send> {
        Box::new(|text| eprintln!("{text}"))
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(tally.left(minute), "–");
        tally.n_ended = 5;
        tally.running.insert(5, ("a".into(), 0.5));
        // One and a half run took a minute; four and a half are left.
        assert_eq!(tally.left(minute), "3 min 00 s");
    }
}
