//! Opens a run by a path from the command line.

use std::fs;
use std::path::{Path, PathBuf};

use osn_runs::folder::RunFolder;

use crate::failure::Failure;

/// How far below a folder runs lie: a study has `runs/<regime>/<run>`.
const DEPTH: usize = 3;
/// The most runs that a message names.
const MAX_NAMED: usize = 5;

/// Opens the folder of a run; the error of another path names the runs below or around it.
pub(crate) fn open(path: &Path) -> Result<RunFolder, Failure> {
    RunFolder::open(path).map_err(|error| match advice(path) {
        Some(advice) => Failure::bad_input(advice),
        None => Failure::bad_input(error),
    })
}

fn advice(path: &Path) -> Option<String> {
    let shown = path.display();
    let is_run = |path: &&Path| RunFolder::open(path).is_ok();
    if let Some(run) = path.ancestors().skip(1).take(DEPTH).find(is_run) {
        let run = if run.as_os_str().is_empty() { Path::new(".") } else { run };
        return Some(format!("{shown} is inside a run; pass the run itself: {}", run.display()));
    }
    let runs = runs_in(path, DEPTH);
    let named: Vec<_> = runs.iter().take(MAX_NAMED).map(|run| run.display().to_string()).collect();
    let more = match runs.len() {
        0 => return None,
        count if count > MAX_NAMED => format!(" and {} more", count - MAX_NAMED),
        _ => String::new(),
    };
    Some(format!("{shown} is a folder of runs; pass one of them: {}{more}", named.join(", ")))
}

/// The runs below a folder, by name.
fn runs_in(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    let below = |folder: PathBuf| match RunFolder::open(&folder) {
        Ok(_) => vec![folder],
        Err(_) if depth > 1 => runs_in(&folder, depth - 1),
        Err(_) => Vec::new(),
    };
    folders.into_iter().flat_map(below).collect()
}
