//! `osn report`: runs and studies as one page.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use osn_files::{output, plain_file};
use osn_recipes::run::{FolderError, RunFolder, write_whole};
use osn_report::study::RunStatus::Missing;
use osn_report::study::{Grid, Study, StudyRecord, StudyRun};
use osn_report::{Description, Document, RunRecord, Sample, escaped};

use crate::args::ReportArgs;
use crate::failure::Failure;
use crate::run_folder;
use crate::stderr::say;

/// The name of a study's file, in its folder.
pub(crate) const STUDY_FILE: &str = "study.json";

/// No picture, description or study that osn writes is larger.
const MAX_BYTES: u64 = 256 << 20;

/// Writes the page that is asked for.
pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let output = output(args)?;
    must_differ(&args.folders)?;
    let subjects: Vec<_> =
        args.folders.iter().map(|folder| Subject::read(folder)).collect::<Result<_, _>>()?;
    let documents = subjects.iter().map(Subject::document);
    match &args.output {
        Some(typed) => write_typed(typed, documents)?,
        None => write(&output, documents)?,
    }
    say(format_args!("wrote {}", escaped(&output.to_string_lossy())));
    for (folder, subject) in args.folders.iter().zip(&subjects) {
        if let Some(lacks) = subject.lacks() {
            say(escaped(&format!("{}: {lacks}", folder.display())));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One run shown twice would look like two that agree.
fn must_differ(folders: &[PathBuf]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for folder in folders {
        if fs::canonicalize(folder).is_ok_and(|real| !seen.insert(real)) {
            let twice = folder.display();
            return Err(Failure::bad_input(format!("{twice} is named twice; name it once")));
        }
    }
    Ok(())
}

/// Writes the `report.html` of a run's or a study's own and returns its path.
pub(crate) fn write_own(folder: &Path) -> Result<PathBuf, Failure> {
    let path = own_page(folder)?;
    write(&path, [Subject::read(folder)?.document()])?;
    Ok(path)
}

fn output(args: &ReportArgs) -> Result<PathBuf, Failure> {
    match (&args.output, &args.folders[..]) {
        (Some(path), _) => Ok(path.clone()),
        (None, [folder]) => own_page(folder),
        (None, _) => Err(Failure::bad_input("several folders need a file to go to: -o FILE.html")),
    }
}

fn own_page(folder: &Path) -> Result<PathBuf, Failure> {
    if is_study(folder) {
        return Ok(folder.join("report.html"));
    }
    Ok(run_folder::open(folder)?.report_path())
}

fn is_study(folder: &Path) -> bool {
    folder.join(STUDY_FILE).is_file()
}

/// What a page tells of.
enum Subject {
    Run(Box<RunRecord>),
    Study(Box<StudyRecord>),
}

impl Subject {
    fn read(folder: &Path) -> Result<Self, Failure> {
        if is_study(folder) {
            return Ok(Self::Study(Box::new(read_study(folder)?)));
        }
        Ok(Self::Run(Box::new(read(folder)?)))
    }

    /// Why the page is not the whole story, where it is not.
    fn lacks(&self) -> Option<String> {
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

    fn document(&self) -> Document<'_> {
        match self {
            Self::Run(run) => Document::Run(run),
            Self::Study(study) => Document::Study(study),
        }
    }
}

/// Why a run's page ends where it ends.
fn lacks(run: &RunRecord) -> Option<String> {
    let Description { status, config, .. } = &run.description;
    let end = match status.as_str() {
        "finished" => return None,
        "running" => "it goes on, or its process was killed",
        "stopped" | "interrupted" => "it was stopped",
        _ => "it failed",
    };
    let of = config["steps"].as_u64().map_or_else(String::new, |steps| format!(" of {steps}"));
    Some(match run.last_step {
        0 => format!("{end}, and its record has no step yet"),
        step => format!("{end}; its record goes to step {step}{of}"),
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

/// The last samples of a run of a study; a study travels without its runs.
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

/// Whether a path from a file leads nowhere but further down.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Reads the run in a folder.
pub(crate) fn read(path: &Path) -> Result<RunRecord, Failure> {
    let folder = run_folder::open(path)?;
    let description = read_text(&folder.description_path())?;
    // A record may be larger than memory: it is read line by line.
    let record = open_at(&folder.record_path(), 0)?;
    RunRecord::read_lines(&description, record, samples(&folder)?)
        .map_err(|error| Failure::bad_input(format!("{}: {error}", path.display())))
}

fn samples(folder: &RunFolder) -> Result<Vec<Sample>, Failure> {
    let pictures = folder.samples().map_err(Failure::bad_input)?;
    pictures.into_iter().map(|(step, path)| Ok(Sample { step, png: read_bytes(&path)? })).collect()
}

pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    plain_file::read(path, MAX_BYTES).map_err(|error| cannot_read(path, &error))
}

/// Opens a file that may grow at the byte from which on it is new.
pub(crate) fn open_at(path: &Path, offset: u64) -> Result<BufReader<File>, Failure> {
    let open = || -> io::Result<BufReader<File>> {
        let mut file = plain_file::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(BufReader::new(file))
    };
    open().map_err(|error| cannot_read(path, &error))
}

pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::bad_input(format!("cannot read {}: {error}", path.display()))
}

/// Writes to a path that a person has typed, which may be anything; in a run's own folder links are
/// replaced.
fn write_typed<'a>(
    path: &Path,
    documents: impl IntoIterator<Item = Document<'a>>,
) -> Result<(), Failure> {
    let page = osn_report::page(documents);
    output::write(path, page.as_bytes()).map_err(|error| {
        if error.is_bad_path() { Failure::bad_input(error) } else { Failure::failed(error) }
    })
}

fn write<'a>(
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_page_goes_to_a_regular_file_or_nowhere() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |path: &Path| write_typed(path, []);
        symlink("/dev/null", at("null")).unwrap();
        symlink(at("nothing"), at("dangling")).unwrap();
        for refused in [at("null"), at("dangling"), "/dev/stdout".into(), "-".into(), at("no/page")]
        {
            assert!(write(&refused).is_err(), "{}", refused.display());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        fs::write(at("page.html.tmp"), "another's").unwrap();
        fs::write(at("page.html"), "before").unwrap();
        symlink("page.html", at("link")).unwrap();
        write(&at("link")).unwrap();
        assert!(fs::read_to_string(at("page.html")).unwrap().starts_with("<!DOCTYPE html>"));
        assert!(at("link").is_symlink());
        assert_eq!(fs::read_to_string(at("page.html.tmp")).unwrap(), "another's");
    }
}
