//! Lines at the foot of a terminal that are drawn anew, and lines above them that stay.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use console::{Term, measure_text_width, style, truncate_str};
use osn_report::duration;

use crate::terminal::capabilities::is_live;
use crate::terminal::text::message;

/// How often the foot is looked at while nothing else happens: its clock moves, and the terminal may have
/// another size.
const TICK: Duration = Duration::from_millis(250);
/// The cells of a bar, and the columns of a terminal for each where there is not room for all.
const BAR_CELLS: usize = 24;
const COLUMNS_OF_A_CELL: usize = 4;
/// The row of the cursor, which is below the foot.
const CURSOR_ROWS: usize = 1;

/// The foot of the terminal at standard error, shared by all threads that draw there.
#[derive(Clone, Debug)]
pub(crate) struct Screen(Arc<Mutex<Foot>>);

impl Default for Screen {
    fn default() -> Self {
        let foot = Arc::new(Mutex::new(Foot::default()));
        let watched = Arc::downgrade(&foot);
        // Without a thread it is drawn when something happens.
        let _ = thread::Builder::new().spawn(move || tick(&watched));
        Self(foot)
    }
}

impl Screen {
    /// Shows these lines at the foot, below the bar where there is one.
    pub(crate) fn show(&self, bar: Option<Bar>, lines: Vec<String>) {
        let mut foot = self.foot();
        (foot.bar, foot.lines) = (bar, lines);
        foot.draw();
    }

    /// Writes a line above the foot, where it stays.
    pub(crate) fn say(&self, line: &str) {
        self.foot().say(line);
    }

    /// Removes the foot.
    pub(crate) fn clear(&self) {
        self.show(None, Vec::new());
    }

    fn foot(&self) -> MutexGuard<'_, Foot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Draws at every tick until the screen is dropped.
fn tick(foot: &Weak<Mutex<Foot>>) {
    while let Some(foot) = foot.upgrade() {
        foot.lock().unwrap_or_else(PoisonError::into_inner).draw();
        drop(foot);
        thread::sleep(TICK);
    }
}

/// How far something is, with a clock.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// What is done, of what there is to do.
    pub(crate) done: f64,
    pub(crate) all: f64,
    /// What was done before the clock began.
    pub(crate) before: f64,
    pub(crate) since: Instant,
    /// What stands behind the bar, before and after the time that is left.
    pub(crate) count: String,
    pub(crate) message: String,
}

impl Bar {
    /// The time for what is left, at the pace so far.
    pub(crate) fn left(&self, spent: Duration) -> String {
        let new = self.done - self.before;
        let secs = spent.as_secs_f64() / new * (self.all - self.done);
        if new > 0.0 { duration(secs.max(0.0)) } else { "–".to_owned() }
    }

    fn line(&self, columns: usize) -> String {
        let cells = (columns / COLUMNS_OF_A_CELL).min(BAR_CELLS);
        let part = if self.all > 0.0 { self.done / self.all } else { 0.0 };
        let (full, rest) = cells_of(part, cells);
        let (full, rest) = (style(full).for_stderr().cyan(), style(rest).for_stderr().dim());
        let left = self.left(self.since.elapsed());
        format!("{full}{rest} {}  left {left}  {}", self.count, self.message)
    }
}

/// The cells of a bar that are full, and the others.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before; NaN becomes 0"
)]
fn cells_of(part: f64, cells: usize) -> (String, String) {
    let full = (part.clamp(0.0, 1.0) * cells as f64) as usize;
    ("━".repeat(full), "─".repeat(cells - full))
}

/// A bar for work other than training; there is none without a terminal.
#[derive(Debug)]
pub(crate) struct Work {
    screen: Option<Screen>,
    since: Instant,
}

impl Work {
    pub(crate) fn begin(is_worth_a_bar: bool) -> Self {
        let screen = (is_worth_a_bar && is_live()).then(Screen::default);
        Self { screen, since: Instant::now() }
    }

    /// Shows how much is done, its count, and what is next.
    pub(crate) fn show(&self, (done, all): (u64, u64), count: String, message: String) {
        let Some(screen) = &self.screen else { return };
        let (done, all) = (done as f64, all as f64);
        screen
            .show(Some(Bar { done, all, before: 0.0, since: self.since, count, message }), vec![]);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(screen) = &self.screen {
            screen.clear();
        }
    }
}

#[derive(Debug, Default)]
struct Foot {
    bar: Option<Bar>,
    lines: Vec<String>,
    /// What is on the screen, and its size then.
    drawn: Vec<String>,
    drawn_at: (usize, usize),
}

impl Foot {
    /// The lines as they fit into so many rows and columns.
    fn fitting(&self, (rows, columns): (usize, usize)) -> Vec<String> {
        // A line in the last column would make some terminals begin another.
        let columns = columns.saturating_sub(1);
        let bar = self.bar.iter().map(|bar| bar.line(columns));
        let lines = bar.chain(self.lines.iter().cloned());
        let room = rows.saturating_sub(CURSOR_ROWS);
        lines.take(room).map(|line| truncate_str(&line, columns, "…").into_owned()).collect()
    }

    /// Brings the screen to what it should be.
    fn draw(&mut self) {
        let size = size();
        let lines = self.fitting(size);
        if (&lines, size) != (&self.drawn, self.drawn_at) {
            write(&(self.erased(size.1) + &self.put(lines, size)));
        }
    }

    fn say(&mut self, line: &str) {
        let size = size();
        let line = message(line, Some(size.1));
        write(&(self.erased(size.1) + &line + "\n" + &self.put(self.fitting(size), size)));
    }

    /// The escapes that erase what is drawn. A terminal that became narrower has broken lines in two.
    fn erased(&self, columns: usize) -> String {
        let widths = self.drawn.iter().map(|line| measure_text_width(line));
        let rows = widths.map(|width| rows_of(width, columns)).sum();
        // Line by line: a terminal whose whole screen is cleared at once may keep it among its past lines.
        "\x1b[A\r\x1b[2K".repeat(rows)
    }

    /// The text that draws these lines.
    fn put(&mut self, lines: Vec<String>, size: (usize, usize)) -> String {
        let mut text = lines.join("\n");
        text.extend((!lines.is_empty()).then_some('\n'));
        (self.drawn, self.drawn_at) = (lines, size);
        text
    }
}

/// Rows and columns of the terminal.
pub(crate) fn size() -> (usize, usize) {
    let (rows, columns) = Term::stderr().size();
    (usize::from(rows), usize::from(columns))
}

/// Writes to standard error; a terminal that is gone is no failure.
fn write(text: &str) {
    // In one write, so that no half drawn screen is seen.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The rows that so many columns of text take.
fn rows_of(width: usize, columns: usize) -> usize {
    width.div_ceil(columns.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar() -> Bar {
        let (count, message) = ("3/9".to_owned(), "loss 0.5".to_owned());
        Bar { done: 3.0, all: 9.0, before: 1.0, since: Instant::now(), count, message }
    }

    #[test]
    fn time_left_counts_only_what_was_done_now() {
        assert_eq!(bar().left(Duration::from_mins(1)), "3 min 00 s");
        assert_eq!(Bar { before: 3.0, ..bar() }.left(Duration::from_mins(1)), "–");
    }

    #[test]
    fn a_foot_fits_any_terminal() {
        let lines = vec!["a line that is longer than some terminals are wide".to_owned(); 9];
        let foot = Foot { bar: Some(bar()), lines, ..Foot::default() };
        for size in [(0, 0), (1, 1), (5, 20), (24, 80)] {
            let lines = foot.fitting(size);
            assert!(lines.len() <= size.0, "{size:?}");
            let is_narrow = |line: &String| measure_text_width(line) <= size.1;
            assert!(lines.iter().all(is_narrow), "{size:?}: {lines:?}");
        }
    }

    #[test]
    fn a_bar_is_as_full_as_its_part() {
        let full = |part| cells_of(part, 4).0.chars().count();
        assert_eq!([-1.0, 0.0, 0.5, 1.0, 2.0, f64::NAN].map(full), [0, 0, 2, 4, 4, 0]);
    }

    #[test]
    fn a_line_in_a_narrower_terminal_takes_more_rows() {
        assert_eq!(
            [(0, 80), (79, 80), (79, 40), (81, 40), (5, 0)].map(|(w, c)| rows_of(w, c)),
            [1, 1, 2, 3, 5]
        );
    }
}
