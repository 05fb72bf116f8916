//! The page of a run or of a study.

use std::path::{Path, PathBuf};

use osn_report::study::Completion::Missing;
use osn_report::study::{Grid, Study, StudyRecord, StudyRun};
use osn_report::{Description, Document, RunRecord, RunState, Warning};
use osn_runs::folder::RunFolder;
use osn_runs::folder_error::{FolderError, write_whole};

use crate::failure::Failure;
use crate::run::files::{self, STUDY_FILE, read_bytes, read_text};
use crate::run::folder;

/// Writes the `report.html` in the folder of a run or a study; its path.
pub(crate) fn write_own(folder: &Path) -> Result<PathBuf, Failure> {
    let path = own_page(folder)?;
    write(&path, [Subject::read(folder)?.document()])?;
    Ok(path)
}

/// Writes the `report.html` in the folder of a run; its path, and what went wrong in the run although every number
/// is finite.
pub(crate) fn write_run(folder: &Path) -> Result<(PathBuf, Vec<Warning>), Failure> {
    let (path, run) = (own_page(folder)?, files::read(folder)?);
    write(&path, [Document::Run(&run)])?;
    Ok((path, run.warnings()))
}

pub(crate) fn own_page(folder: &Path) -> Result<PathBuf, Failure> {
    if is_study(folder) {
        return Ok(folder.join("report.html"));
    }
    Ok(folder::open(folder)?.report_path())
}

fn is_study(folder: &Path) -> bool {
    folder.join(STUDY_FILE).is_file()
}

/// What a page shows.
pub(crate) enum Subject {
    Run(Box<RunRecord>),
    Study(Box<StudyRecord>),
}

impl Subject {
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        if is_study(folder) {
            return Ok(Self::Study(Box::new(read_study(folder)?)));
        }
        Ok(Self::Run(Box::new(files::read(folder)?)))
    }

    /// Why the page is incomplete, if it is.
    pub(crate) fn lacks(&self) -> Option<String> {
        match self {
            Self::Run(run) => lacks(run),
            Self::Study(study) => {
                let runs = &study.study.runs;
                let n_missing = runs.iter().filter(|run| run.status == Missing).count();
                let n_runs = runs.len();
                (n_missing > 0).then(|| format!("{n_missing} of its {n_runs} runs are missing"))
            }
        }
    }

    pub(crate) fn document(&self) -> Document<'_> {
        match self {
            Self::Run(run) => Document::Run(run),
            Self::Study(study) => Document::Study(study),
        }
    }
}

/// Why the record of a run is incomplete, if it is.
fn lacks(run: &RunRecord) -> Option<String> {
    let Description { status, config, .. } = &run.description;
    let end = match status {
        RunState::Finished => return None,
        RunState::Running => "it is running, or its process was killed",
        RunState::Stopped | RunState::Interrupted => "it was stopped",
        RunState::Failed | RunState::Unknown => "it failed",
    };
    let of = config["steps"].as_u64().map_or_else(String::new, |steps| format!(" of {steps}"));
    Some(match run.last_step {
        0 => format!("{end}, and its record has no step yet"),
        step => format!("{end}; its record ends at step {step}{of}"),
    })
}

/// Reads the study in a folder, with the last samples of its first seed where its runs are there.
fn read_study(folder: &Path) -> Result<StudyRecord, Failure> {
    let path = folder.join(STUDY_FILE);
    let study = Study::read(&read_text(&path)?)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))?;
    let seed = study.asked.seeds.iter().min().copied();
    let of_seed = study.runs.iter().filter(|run| Some(run.seed) == seed);
    let grids: Vec<_> =
        of_seed.map(|run| last_samples(folder, run)).collect::<Result<Vec<_>, _>>()?;
    Ok(StudyRecord::new(study, grids.into_iter().flatten().collect()))
}

/// The last samples of a run of a study; none where the run is not there.
fn last_samples(study: &Path, run: &StudyRun) -> Result<Option<Grid>, Failure> {
    let Some(folder) = run.folder.as_deref().map(Path::new).filter(|path| is_inside(path)) else {
        return Ok(None);
    };
    let Ok(folder) = RunFolder::open(&study.join(folder)) else { return Ok(None) };
    let Some((_, path)) = folder.samples().map_err(Failure::bad_input)?.pop() else {
        return Ok(None);
    };
    let (arm, regime, seed) = (run.arm.clone(), run.regime.clone(), run.seed);
    Ok(Some(Grid { arm, regime, seed, png: read_bytes(&path)? }))
}

/// Whether a path leads into subfolders only.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Writes a page into the folder of a run or a study, where links are replaced.
pub(crate) fn write<'a>(
    path: &Path,
    documents: impl IntoIterator<Item = Document<'a>>,
) -> Result<(), Failure> {
    write_whole(path, osn_report::page(documents).as_bytes()).map_err(|error| match error {
        FolderError::Write { path, source } => {
            Failure::failed(format!("cannot write {}: {source}", path.display()))
        }
        error => Failure::failed(error),
    })
}
