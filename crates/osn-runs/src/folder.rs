//! The folder that a run writes, and only that run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use osn_files::atomic::{is_incomplete, sync_folder};
use osn_files::plain_file;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::folder_error::{FolderError, must_be_no_link, write_error, write_whole};
use crate::lock::FolderLock;
use crate::record::RecordWriter;

/// A description has some kilobytes, and more with hundreds of layers.
const MAX_DESCRIPTION_BYTES: u64 = 64 << 20;

/// How many runs of one name a folder may hold: more is a mistake in a script.
const MAX_RUNS_OF_A_NAME: u32 = 10_000;

const DESCRIPTION: &str = "run.json";
const RECORD: &str = "record.jsonl";
const CHECKPOINTS: &str = "checkpoints";
/// The file that says which process writes a run.
const LOCK: &str = "run.lock";

/// The folder of one run.
///
/// ```text
/// run.json       what ran and how it ended, always complete
/// record.jsonl   one event a line
/// samples/       step-000500.png, …; of recordings also step-000500-1.wav, …; step-000500.json of samples that are text
/// checkpoints/   step-000500.safetensors, …
/// run.lock       the process that writes them
/// tokenizer.json of `nmt`: its subwords
/// report.html    written by `osn report`
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates a new folder for the run `name` inside `out`, which is created too where missing.
    ///
    /// No run is ever written over: where `name` exists the folder is `name-2`, `name-3` and so on,
    /// also when two runs start at the same moment.
    ///
    /// # Errors
    ///
    /// [`FolderError::InsideRun`] where `out` is the folder of a run or lies in one,
    /// [`FolderError::Write`] when the system refuses.
    pub fn create(out: &Path, name: &str) -> Result<Self, FolderError> {
        must_not_be_in_a_run(out)?;
        fs::create_dir_all(out).map_err(|source| write_error(out, source))?;
        let path = create_new_folder(out, name)?;
        let folder = Self { path };
        let samples = folder.samples_path();
        fs::create_dir(&samples).map_err(|source| write_error(&samples, source))?;
        sync_folder(out).map_err(|source| write_error(out, source))?;
        Ok(folder)
    }

    /// Points at the folder of a run that exists.
    ///
    /// # Errors
    ///
    /// [`FolderError::Read`] when it holds no `run.json`.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = Self { path: path.to_owned() };
        let description = folder.description_path();
        fs::metadata(&description)
            .map_err(|source| FolderError::Read { path: description, source })?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `run.json`.
    pub fn description_path(&self) -> PathBuf {
        self.path.join(DESCRIPTION)
    }

    /// `record.jsonl`.
    pub fn record_path(&self) -> PathBuf {
        self.path.join(RECORD)
    }

    /// `samples/`.
    pub fn samples_path(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// `report.html`.
    pub fn report_path(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// `checkpoints/`.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// Makes sure that what is written here stays here.
    ///
    /// # Errors
    ///
    /// [`FolderError::Link`] for the first file or folder of the run that leads elsewhere.
    pub fn must_not_lead_out(&self) -> Result<(), FolderError> {
        let files = [self.description_path(), self.record_path(), self.samples_path()];
        let own = files.into_iter().chain([self.checkpoints_path(), self.path.join(LOCK)]);
        own.into_iter().try_for_each(|path| must_be_no_link(&path))
    }

    /// Keeps other processes from writing here.
    ///
    /// # Errors
    ///
    /// [`FolderError::InUse`] where one does already.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        Self::lock_of(&self.path)
    }

    /// The same of a folder that is to become a run's.
    ///
    /// # Errors
    ///
    /// [`FolderError::InUse`] where one does already.
    pub fn lock_of(path: &Path) -> Result<FolderLock, FolderError> {
        FolderLock::take(path, LOCK)
    }

    /// Whether a process writes here.
    pub fn is_being_written(&self) -> bool {
        FolderLock::is_taken(&self.path, LOCK)
    }

    /// Whether the last process that wrote the run in a folder is this one.
    pub fn was_written_by(path: &Path, process: u32) -> bool {
        FolderLock::signer(path, LOCK) == Some(process)
    }

    /// Starts the record.
    ///
    /// # Errors
    ///
    /// [`FolderError::Record`] when there is one already.
    pub fn start_record(&self) -> Result<RecordWriter, FolderError> {
        Ok(RecordWriter::create(&self.record_path())?)
    }

    /// Starts the record anew, in place of what there is of it.
    ///
    /// # Errors
    ///
    /// [`FolderError`] when the system refuses.
    pub fn start_record_again(&self) -> Result<RecordWriter, FolderError> {
        let path = self.record_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(&path, error)),
            _ => self.start_record(),
        }
    }

    /// Writes `run.json`, in place of the one before.
    ///
    /// # Errors
    ///
    /// [`FolderError::Write`] when the system refuses; the file before is then still there.
    pub fn describe(&self, description: &impl Serialize) -> Result<(), FolderError> {
        let path = self.description_path();
        let mut text = serde_json::to_vec_pretty(description)
            .map_err(|source| FolderError::Description { path: path.clone(), source })?;
        text.push(b'\n');
        write_whole(&path, &text)
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    ///
    /// [`FolderError::Read`] or [`FolderError::Description`] when there is none or it is damaged.
    pub fn description<T: DeserializeOwned>(&self) -> Result<T, FolderError> {
        let path = self.description_path();
        let text = plain_file::read(&path, MAX_DESCRIPTION_BYTES)
            .map_err(|source| FolderError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|source| FolderError::Description { path, source })
    }

    /// Where a sample of a step is: `.png` is the ending of a picture, `.json` of a table of text, `-1.wav` of
    /// the first sound.
    pub fn sample_path(&self, step: u64, ending: &str) -> PathBuf {
        self.samples_path().join(format!("step-{step:06}{ending}"))
    }

    /// Writes a file that only its recipe knows.
    ///
    /// # Errors
    ///
    /// [`FolderError::Write`] when the system refuses.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        write_whole(&self.path.join(name), bytes)
    }

    /// Removes what a killed process left half written. Only files that bear the mark of
    /// [`write_whole`] are removed; what cannot be removed does no harm.
    pub fn remove_half_written(&self) {
        let folders = [self.path.clone(), self.samples_path(), self.checkpoints_path()];
        for entry in folders.iter().flat_map(fs::read_dir).flatten().flatten() {
            if is_incomplete(&entry.file_name().to_string_lossy()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Removes the samples of a step and of those after it: a resumed run draws them again.
    ///
    /// # Errors
    ///
    /// [`FolderError`] when the system refuses.
    pub fn remove_samples_from(&self, step: u64) -> Result<(), FolderError> {
        let of_any_kind = |file: &Path| {
            let step = sample_step(file, ".png").or_else(|| sample_step(file, ".json"));
            step.or_else(|| sound_step(file))
        };
        let late = self.files_of_samples(of_any_kind)?.into_iter().filter(|(of, _)| *of >= step);
        late.map(|(_, file)| file).try_for_each(|file| {
            fs::remove_file(&file).map_err(|source| write_error(&file, source))
        })
    }

    /// The sample pictures by step, in order; none where the run has no samples.
    ///
    /// # Errors
    ///
    /// [`FolderError::Read`] when `samples/` cannot be listed.
    pub fn samples(&self) -> Result<Vec<(u64, PathBuf)>, FolderError> {
        self.files_of_samples(|file| sample_step(file, ".png"))
    }

    /// The files of samples that are text by step, in order: the columns and rows of a table, as JSON.
    ///
    /// # Errors
    ///
    /// [`FolderError::Read`] when `samples/` cannot be listed.
    pub fn sample_tables(&self) -> Result<Vec<(u64, PathBuf)>, FolderError> {
        self.files_of_samples(|file| sample_step(file, ".json"))
    }

    fn files_of_samples(
        &self,
        step: fn(&Path) -> Option<u64>,
    ) -> Result<Vec<(u64, PathBuf)>, FolderError> {
        let path = self.samples_path();
        let list = || -> io::Result<Vec<PathBuf>> {
            match fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                entries => entries?.map(|entry| Ok(entry?.path())).collect(),
            }
        };
        let files = list().map_err(|source| FolderError::Read { path: path.clone(), source })?;
        let mut samples: Vec<_> =
            files.into_iter().filter_map(|file| Some((step(&file)?, file))).collect();
        samples.sort();
        Ok(samples)
    }
}

fn sample_step(file: &Path, ending: &str) -> Option<u64> {
    file.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(ending)?.parse().ok()
}

/// The step of a sound, such as `step-000500-1.wav`.
fn sound_step(file: &Path) -> Option<u64> {
    let name = file.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".wav")?;
    name.split_once('-')?.0.parse().ok()
}

fn create_new_folder(out: &Path, name: &str) -> Result<PathBuf, FolderError> {
    for attempt in 1..=MAX_RUNS_OF_A_NAME {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let path = out.join(format!("{name}{suffix}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(write_error(&path, source)),
        }
    }
    Err(FolderError::Full { path: out.join(name) })
}

/// Makes sure that a folder, which need not be there yet, is in no run.
///
/// # Errors
///
/// [`FolderError::InsideRun`].
pub fn must_not_be_in_a_run(folder: &Path) -> Result<(), FolderError> {
    // What is not there yet will lie in the nearest folder that is, wherever links lead.
    let real = |it: &Path| fs::canonicalize(Path::new(".").join(it)).ok();
    let whole = folder.ancestors().find_map(real).unwrap_or_default();
    match whole.ancestors().find(|folder| is_run(folder)) {
        Some(path) => Err(FolderError::InsideRun { path: path.to_owned() }),
        None => Ok(()),
    }
}

fn is_run(folder: &Path) -> bool {
    [DESCRIPTION, RECORD].iter().all(|file| folder.join(file).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::read_record;
    use serde_json::{Value, json};

    fn description(status: &str) -> Value {
        json!({ "recipe": "gan", "seed": u64::MAX, "status": status })
    }

    fn new_folder() -> (tempfile::TempDir, RunFolder) {
        let out = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(out.path(), "run").unwrap();
        (out, folder)
    }

    #[test]
    fn a_run_of_a_taken_name_gets_a_number_and_leaves_the_first_alone() {
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("deep/runs");
        let names: Vec<_> = (0..3)
            .map(|_| RunFolder::create(&out, "gan-always-s1").unwrap())
            .inspect(|folder| drop(folder.start_record().unwrap()))
            .map(|folder| folder.path().file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["gan-always-s1", "gan-always-s1-2", "gan-always-s1-3"]);
    }

    #[test]
    fn a_description_comes_back_as_it_was_written() {
        let (_out, folder) = new_folder();
        let finished = description("finished");
        folder.describe(&description("running")).unwrap();
        folder.describe(&finished).unwrap();
        let again: Value = RunFolder::open(folder.path()).unwrap().description().unwrap();
        assert_eq!(again, finished);
    }

    #[test]
    fn a_reader_never_sees_half_a_description() {
        let (_out, folder) = new_folder();
        folder.describe(&description("running")).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                (0..50).for_each(|_| folder.describe(&description("stopped")).unwrap());
            });
            while !writer.is_finished() {
                folder.description::<Value>().unwrap();
            }
        });
    }

    #[test]
    fn files_of_others_are_left_alone_whatever_they_are_called() {
        let (_out, folder) = new_folder();
        let [mine, killed] = ["run.json.tmp", ".osn-k1ll3d.tmp"].map(|it| folder.path().join(it));
        fs::write(&mine, "mine").unwrap();
        fs::write(&killed, "half").unwrap();
        folder.describe(&description("running")).unwrap();
        assert!(killed.exists(), "another process may be writing it");
        folder.remove_half_written();
        assert_eq!((fs::read_to_string(&mine).unwrap().as_str(), killed.exists()), ("mine", false));
    }

    #[test]
    fn no_run_is_made_inside_another() {
        let (_out, folder) = new_folder();
        folder.describe(&description("finished")).unwrap();
        drop(folder.start_record().unwrap());
        for inside in ["", "samples", "new/runs", "../run"] {
            let error = RunFolder::create(&folder.path().join(inside), "run").unwrap_err();
            assert!(matches!(error, FolderError::InsideRun { .. }), "{inside}: {error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing new");
        RunFolder::create(&folder.path().join("../beside"), "run").unwrap();
    }

    #[test]
    fn nothing_but_the_promised_files_is_left_behind() {
        let (_out, folder) = new_folder();
        folder.describe(&description("finished")).unwrap();
        drop(folder.start_record().unwrap());
        write_whole(&folder.sample_path(500, ".png"), b"").unwrap();
        let names = |path: &Path| {
            let mut names: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(folder.path()), ["record.jsonl", "run.json", "samples"]);
        assert_eq!(names(&folder.samples_path()), ["step-000500.png"]);
        assert!(read_record(&folder.record_path()).unwrap().events.is_empty());
    }

    #[test]
    fn samples_are_listed_by_step() {
        let (_out, folder) = new_folder();
        for step in [2_000_000, 500, 99] {
            write_whole(&folder.sample_path(step, ".png"), b"").unwrap();
        }
        fs::write(folder.samples_path().join("notes.txt"), "").unwrap();
        let steps: Vec<_> = folder.samples().unwrap().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [99, 500, 2_000_000]);
        fs::remove_dir_all(folder.samples_path()).unwrap();
        assert!(folder.samples().unwrap().is_empty(), "others write runs without samples");
    }

    #[test]
    fn a_folder_without_a_run_says_so() {
        let out = tempfile::tempdir().unwrap();
        let error = RunFolder::open(out.path()).unwrap_err();
        assert!(matches!(error, FolderError::Read { .. }), "{error}");
    }
}
