//! What is known of each run, in memory and as `study.json`.

use std::fs;
use std::path::{Path, PathBuf};

use osn_recipes::run::{
    FolderLock, RunDescription, RunError, RunFolder, RunStatus as Ended, write_whole,
};
use osn_report::study::{Analysis, RunStatus, Study, StudyRun};

use super::plan::{Cell, Plan};
use crate::failure::Failure;
use crate::report;

/// The file that says which process adds to a study.
const LOCK: &str = "study.lock";

/// The study so far.
pub(super) struct Ledger {
    study: Study,
    out: PathBuf,
    _lock: FolderLock,
}

impl Ledger {
    /// Finds the runs that are there already, and keeps other processes from adding to them. Before the
    /// first new one is over only the lock is written, so that what is refused leaves nothing.
    pub(super) fn open(plan: &Plan) -> Result<Self, Failure> {
        check_folder(&plan.out, &plan.study)?;
        let lock = lock(&plan.out)?;
        let mut ledger = Self { study: plan.study.clone(), out: plan.out.clone(), _lock: lock };
        for (index, cell) in plan.cells.iter().enumerate() {
            ledger.look(index, cell)?;
        }
        Ok(ledger)
    }

    /// Takes over the run of a cell if it is there and has ended; tells whether it has.
    pub(super) fn look(&mut self, index: usize, cell: &Cell) -> Result<bool, Failure> {
        let Some(folder) = ended_run(cell)? else { return Ok(false) };
        let record = report::read(&folder)?;
        let run = &mut self.study.runs[index];
        run.take(&record, &self.study.asked.metric);
        let inside = folder.strip_prefix(&self.out).unwrap_or(&folder);
        run.folder = Some(inside.to_string_lossy().into_owned());
        Ok(true)
    }

    /// Takes the lock away, and the folder, where there is nothing else in it: the first run was refused.
    pub(super) fn leave_nothing(&self) {
        let is_lock = |entry: fs::DirEntry| entry.file_name() == LOCK;
        let has_more = |entries: fs::ReadDir| entries.flatten().any(|entry| !is_lock(entry));
        if fs::read_dir(&self.out).is_ok_and(|entries| !has_more(entries)) {
            let _ = fs::remove_file(self.out.join(LOCK));
            let _ = fs::remove_dir(&self.out);
        }
    }

    /// Notes that the process of a run died.
    pub(super) fn died(&mut self, index: usize, why: &str) {
        self.study.runs[index].died(why);
    }

    /// Writes `study.json`, so that at every moment it is either as before or complete.
    pub(super) fn write(&self, analysis: Option<&Analysis>) -> Result<(), Failure> {
        let text = self.study.to_json(analysis);
        write_whole(&self.path(), text.as_bytes()).map_err(Failure::failed)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.out.join(report::STUDY_FILE)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.out
    }

    pub(super) fn study(&self) -> &Study {
        &self.study
    }

    pub(super) fn run(&self, index: usize) -> &StudyRun {
        &self.study.runs[index]
    }

    pub(super) fn has_ended(&self, index: usize) -> bool {
        self.study.runs[index].status != RunStatus::Missing
    }

    pub(super) fn n_ended(&self) -> usize {
        (0..self.n_runs()).filter(|&index| self.has_ended(index)).count()
    }

    pub(super) fn n_runs(&self) -> usize {
        self.study.runs.len()
    }
}

/// A folder keeps to one recipe, and to one set of data: runs do not say which they were asked for.
fn check_folder(out: &Path, study: &Study) -> Result<(), Failure> {
    let path = out.join(report::STUDY_FILE);
    if !path.exists() {
        return Ok(());
    }
    let text = report::read_text(&path)?;
    let before = Study::read(&text).map_err(|error| {
        let path = path.display();
        Failure::bad_input(format!("{path}: {error}; remove it or choose another --out"))
    })?;
    let key = |study: &Study| (study.asked.recipe.clone(), study.asked.data.clone());
    if key(&before) == key(study) {
        return Ok(());
    }
    let (recipe, data) = key(&before);
    let data = data.map(|data| format!(" on {data}")).unwrap_or_default();
    let path = path.display();
    let message = format!("{path} is a study of {recipe}{data}; choose another --out");
    Err(Failure::bad_input(message))
}

/// One process at a time adds to a study.
fn lock(out: &Path) -> Result<FolderLock, Failure> {
    fs::create_dir_all(out).map_err(|error| {
        let out = out.display();
        Failure::failed(format!("cannot create {out}: {error}; choose another with --out"))
    })?;
    FolderLock::take(out, LOCK).map_err(|error| Failure::from(RunError::from(error)))
}

/// The last run of a cell that came to an end, well or not; one that was stopped or killed has not.
fn ended_run(cell: &Cell) -> Result<Option<PathBuf>, Failure> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for path in folders(&cell.request.out)? {
        let description = RunFolder::open(&path).and_then(|folder| folder.description());
        // What is no run, or a damaged one, is no run of this cell.
        let Ok(description) = description else { continue };
        if has_ended(&description) && cell.is(&description) {
            found.push((description.started_unix_secs, path));
        }
    }
    Ok(found.into_iter().max().map(|(_, path)| path))
}

fn has_ended(description: &RunDescription) -> bool {
    matches!(description.status, Ended::Finished | Ended::Failed)
}

fn folders(out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::bad_input(format!("cannot list {}: {error}", out.display()));
    match fs::read_dir(out) {
        Ok(entries) => {
            entries.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect::<Result<_, _>>()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(error)),
    }
}
