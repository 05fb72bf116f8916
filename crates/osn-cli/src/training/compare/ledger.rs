//! What is known of each run, in memory and as `study.json`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use osn_recipes::run::description::{RunDescription, RunStatus as Status};
use osn_recipes::run::error::RunError;
use osn_report::study::{Analysis, Completion, Study, StudyRun};
use osn_runs::folder::RunFolder;
use osn_runs::folder_error::write_whole;
use osn_runs::lock::FolderLock;

use super::plan::{Cell, Plan, key};
use super::same;
use crate::failure::Failure;
use crate::run::files::{self, STUDY_FILE};

/// The file that says which process adds to a study.
const LOCK: &str = "study.lock";

/// The study so far.
pub(super) struct Ledger {
    study: Study,
    out: PathBuf,
    /// The place of each cell, by its folder of runs and its key.
    places: HashMap<(PathBuf, String), usize>,
    /// The runs that have ended and were read: nothing writes them again.
    read: HashSet<PathBuf>,
    /// When the run of a cell that was taken started, and where it is.
    taken: Vec<Option<(u64, PathBuf)>>,
    _lock: FolderLock,
}

impl Ledger {
    /// Finds the runs that are there already, and keeps other processes from adding to them. Before the
    /// first new one is over only the lock is written, so that what is refused leaves nothing.
    pub(super) fn open(plan: &Plan) -> Result<Self, Failure> {
        let lock = lock(&plan.out)?;
        // With the lock, so that no process writes another study in between.
        check_folder(&plan.out, &plan.study)?;
        let place = |(index, cell): (usize, &Cell)| ((cell.args.out.clone(), cell.key()), index);
        let mut ledger = Self {
            study: plan.study.clone(),
            out: plan.out.clone(),
            places: plan.cells.iter().enumerate().map(place).collect(),
            read: HashSet::new(),
            taken: vec![None; plan.cells.len()],
            _lock: lock,
        };
        ledger.look(plan)?;
        Ok(ledger)
    }

    /// Takes over every run that has ended since the last look; the cells that have got one.
    pub(super) fn look(&mut self, plan: &Plan) -> Result<Vec<usize>, Failure> {
        let folders: HashSet<_> = plan.cells.iter().map(|cell| &cell.args.out).collect();
        let mut new = Vec::new();
        for folder in folders {
            new.extend(self.look_into(folder)?);
        }
        new.sort_unstable();
        Ok(new)
    }

    /// Takes over the run of a cell if it is there and has ended; whether it has.
    pub(super) fn poll(&mut self, index: usize, cell: &Cell) -> Result<bool, Failure> {
        self.look_into(&cell.args.out)?;
        Ok(self.taken[index].is_some())
    }

    /// Reads each `run.json` of a folder that was not read before, and takes the last run of each cell.
    fn look_into(&mut self, out: &Path) -> Result<Vec<usize>, Failure> {
        let mut new = Vec::new();
        for path in entries(out)? {
            if self.read.contains(&path) {
                continue;
            }
            let Some(description) = ended(&path) else { continue };
            let found = self.places.get(&(out.to_owned(), key(&description))).copied();
            if let Some(index) = found
                && self.taken[index] < Some((description.started_unix_secs, path.clone()))
            {
                self.taken[index] = Some((description.started_unix_secs, path.clone()));
                new.push(index);
            }
            self.read.insert(path);
        }
        new.sort_unstable();
        new.dedup();
        new.iter().try_for_each(|&index| self.take(index))?;
        Ok(new)
    }

    /// Takes over what the files of a cell's run say.
    fn take(&mut self, index: usize) -> Result<(), Failure> {
        let Some((_, folder)) = &self.taken[index] else { return Ok(()) };
        let record = files::read_numbers(folder)?;
        let run = &mut self.study.runs[index];
        run.take(&record, &self.study.asked.metric);
        let inside = folder.strip_prefix(&self.out).unwrap_or(folder);
        run.folder = Some(inside.to_string_lossy().into_owned());
        Ok(())
    }

    /// Removes the lock and the folder, where there is nothing else in it: the first run was refused.
    pub(super) fn remove_if_empty(&self) {
        let is_lock = |entry: fs::DirEntry| entry.file_name() == LOCK;
        let has_more = |entries: fs::ReadDir| entries.flatten().any(|entry| !is_lock(entry));
        if fs::read_dir(&self.out).is_ok_and(|entries| !has_more(entries)) {
            let _ = fs::remove_file(self.out.join(LOCK));
            let _ = fs::remove_dir(&self.out);
        }
    }

    /// Notes that a run was interrupted from outside.
    pub(super) fn interrupted(&mut self, index: usize, why: &str) {
        self.study.runs[index].interrupted(why);
    }

    /// Writes `study.json`, so that at every moment it is either as before or complete.
    pub(super) fn write(&self, analysis: Option<&Analysis>) -> Result<(), Failure> {
        let text = self.study.to_json(analysis);
        write_whole(&self.path(), text.as_bytes()).map_err(Failure::failed)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.out.join(STUDY_FILE)
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
        self.study.runs[index].status != Completion::Missing
    }

    pub(super) fn n_ended(&self) -> usize {
        (0..self.n_runs()).filter(|&index| self.has_ended(index)).count()
    }

    pub(super) fn n_runs(&self) -> usize {
        self.study.runs.len()
    }
}

/// A folder keeps to one study: more seeds, arms and regimes are more of it, and all else is another
/// one, which would take the place of what is there.
fn check_folder(out: &Path, study: &Study) -> Result<(), Failure> {
    let path = out.join(STUDY_FILE);
    if !path.exists() {
        return Ok(());
    }
    let text = files::read_text(&path)?;
    let path = path.display();
    let before = Study::read(&text).map_err(|error| {
        Failure::bad_input(format!("{path}: {error}; remove it or choose another --out"))
    })?;
    let differences = same::differences(&before, study);
    if differences.is_empty() {
        return Ok(());
    }
    let differences = differences.join(", ");
    Err(Failure::bad_input(format!(
        "{path} is a different study ({differences}); repeat its settings, or choose another --out"
    )))
}

/// One process at a time adds to a study.
fn lock(out: &Path) -> Result<FolderLock, Failure> {
    fs::create_dir_all(out).map_err(|error| {
        let out = out.display();
        Failure::failed(format!("cannot create {out}: {error}; choose another with --out"))
    })?;
    FolderLock::take(out, LOCK).map_err(|error| Failure::from(RunError::from(error)))
}

/// What a run says of itself that came to an end, well or not; one that was stopped, killed or interrupted has not.
/// What is no run, or a damaged one, is no run of a study.
fn ended(path: &Path) -> Option<RunDescription> {
    let description = RunFolder::open(path).ok()?.description::<RunDescription>().ok()?;
    has_ended(&description).then_some(description)
}

pub(super) fn has_ended(description: &RunDescription) -> bool {
    matches!(description.status, Status::Finished | Status::Failed)
}

/// What is in a folder; nothing where there is none.
pub(super) fn entries(out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::bad_input(format!("cannot list {}: {error}", out.display()));
    match fs::read_dir(out) {
        Ok(entries) => {
            entries.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect::<Result<_, _>>()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(error)),
    }
}
