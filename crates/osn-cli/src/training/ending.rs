//! The message at the end of a run.

use std::io::{self, IsTerminal};
use std::path::Path;

use osn_recipes::run::description::RunStatus;
use osn_recipes::run::summary::RunSummary;
use osn_report::{Digits, QuotedScore, Warning, arrow, duration, quoted};

use crate::command_line::shell;
use crate::failure::{Failure, SUCCESS};
use crate::run::page;
use crate::terminal::interrupt::StopFlag;
use crate::terminal::stderr::{is_quiet, say};
use crate::terminal::stdout;
use crate::terminal::table::{Row, Title, laid_out};
use crate::terminal::text::columns;

/// Prints scores, paths and the next command: after a stopped run how to resume it, else `next`.
pub(crate) fn conclude(
    summary: &RunSummary,
    stop: &StopFlag,
    next: impl FnOnce() -> String,
) -> Result<u8, Failure> {
    let (page, warnings) = page::write_run(&summary.folder)?;
    let is_stopped = summary.status == RunStatus::Stopped;
    let next = if is_stopped { resume_command(&summary.folder) } else { next() };
    say(ending(summary, &warnings, &page, &next));
    // For scripts; on a terminal the path is printed above.
    if !io::stdout().is_terminal() || is_quiet() {
        stdout::print(&format!("{}\n", summary.folder.display()))?;
    }
    Ok(if is_stopped { stop.exit_code() } else { SUCCESS })
}

/// The next command after a resumed run.
pub(crate) fn report_command(folder: &Path) -> String {
    let (program, folder) = (shell::program(), shell::quoted(&folder.to_string_lossy()));
    format!("the run's decisions and their reasons\n  {program} decide why {folder}")
}

/// The next command after a stopped run.
fn resume_command(folder: &Path) -> String {
    format!(
        "resume it, bit for bit as if it had not been stopped\n  {}",
        shell::resume_line(folder)
    )
}

fn ending(summary: &RunSummary, warnings: &[Warning], page: &Path, next: &str) -> String {
    let word = if summary.status == RunStatus::Stopped { "stopped" } else { "finished" };
    let (steps, time) = (summary.steps, duration(summary.wall_secs));
    let folder = summary.folder.display();
    let warnings: Vec<_> = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
    let warnings = warnings.concat();
    format!(
        "{word} after {steps} steps in {time}\n{warnings}\n{}\n  run      {folder}\n  samples  {}\n  report   {}\n\nnext: {}",
        scores(summary),
        summary.folder.join("samples").display(),
        page.display(),
        next,
    )
}

/// A table of the scores in the order in which people quote them, with the direction that is better and, where images
/// were scored, what real ones have. Returns have no value on real data.
fn scores(summary: &RunSummary) -> String {
    let (scores, real) = (quoted(&summary.metrics), quoted(&summary.real_vs_real));
    let titles = if real.is_empty() {
        vec![Title::text("score"), Title::number("value")]
    } else {
        let [generated, of_real] = ["generated", "real vs real"].map(Title::number);
        vec![Title::text("score"), generated, of_real]
    };
    let row = |score: &QuotedScore| {
        let of_real = real.iter().find(|real| real.name == score.name);
        let digits = Digits::of([score.value].into_iter().chain(of_real.map(|real| real.value)));
        let name = format!("{}{}", score.name, arrow(score.name));
        let of_real = of_real.map_or_else(|| "–".to_owned(), |real| with_error(digits, real));
        let mut cells = vec![name, with_error(digits, score), of_real];
        cells.truncate(titles.len());
        Row { mark: "", cells }
    };
    if scores.is_empty() {
        return String::new();
    }
    laid_out(&titles, &scores.iter().map(row).collect::<Vec<_>>(), columns()) + "\n"
}

/// `30.12 ± 4.20` where the standard error is known.
fn with_error(digits: Digits, score: &QuotedScore) -> String {
    let error = score.error.map_or_else(String::new, |it| format!(" ± {}", digits.shown(it)));
    digits.shown(score.value) + &error
}
