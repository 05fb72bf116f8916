//! The message at the end of a run.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use osn_recipes::run::description::RunStatus;
use osn_recipes::run::summary::RunSummary;
use osn_report::{Warning, duration, short};

use crate::command_line::shell;
use crate::failure::Failure;
use crate::run::page;
use crate::terminal::interrupt::StopFlag;
use crate::terminal::stderr::say;
use crate::terminal::stdout;

/// Prints scores, paths and the next command: after a stopped run how to resume it, else `next`.
pub(crate) fn conclude(
    summary: &RunSummary,
    stop: &StopFlag,
    next: impl FnOnce() -> String,
) -> Result<ExitCode, Failure> {
    let (page, warnings) = page::write_run(&summary.folder)?;
    let is_stopped = summary.status == RunStatus::Stopped;
    let next = if is_stopped { resume_command(&summary.folder) } else { next() };
    say(ending(summary, &warnings, &page, &next));
    // For scripts; on a terminal the path is printed above.
    if !io::stdout().is_terminal() {
        stdout::print(&format!("{}\n", summary.folder.display()))?;
    }
    Ok(if is_stopped { ExitCode::from(stop.exit_code()) } else { ExitCode::SUCCESS })
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
    let line = |lines: String, warning: &Warning| lines + &format!("warning: {warning}\n");
    let warnings = warnings.iter().fold(String::new(), line);
    format!(
        "{word} after {steps} steps in {time}\n{warnings}\n{}\n  run      {folder}\n  samples  {}\n  report   {}\n\nnext: {}",
        scores(summary),
        summary.folder.join("samples").display(),
        page.display(),
        next,
    )
}

fn scores(summary: &RunSummary) -> String {
    if summary.metrics.is_empty() {
        return String::new();
    }
    let width = 2 + summary.metrics.keys().map(String::len).max().unwrap_or_default();
    // Returns have no value on real data.
    if summary.real_vs_real.is_empty() {
        let row = |(name, value): (&String, &f64)| format!("  {name:width$}{:>9}\n", short(*value));
        return summary.metrics.iter().map(row).collect();
    }
    let row = |(name, value): (&String, &f64)| {
        let floor =
            summary.real_vs_real.get(name).map_or_else(|| "–".to_owned(), |floor| short(*floor));
        format!("  {name:width$}{:>10}  {floor:>18}\n", short(*value))
    };
    let title = format!("  {:width$}{:>10}  {:>18}\n", "", "generated", "real vs real");
    summary.metrics.iter().map(row).fold(title, |table, row| table + &row)
}
