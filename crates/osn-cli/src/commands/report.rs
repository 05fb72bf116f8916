//! `osn report`: runs and studies as one page.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use osn_files::output;
use osn_report::study::Analysis;
use osn_report::{Document, escaped};

use crate::command_line::args::ReportArgs;
use crate::failure::{Failure, SUCCESS};
use crate::run::page::{Subject, own_page, write};
use crate::run::study_tables::study_tables;
use crate::terminal::stderr::say;
use crate::terminal::stdout;

/// Writes the page that is asked for, and prints the analysis of studies.
pub(crate) fn run(args: &ReportArgs) -> Result<u8, Failure> {
    let page = page_of(&args.folders, args.output.as_deref())?;
    let subjects = subjects(&args.folders)?;
    write_page(&page, &subjects, args.output.is_some())?;
    for subject in &subjects {
        if let Subject::Study(record) = subject {
            let analysis = Analysis::of(&record.study);
            stdout::print(&study_tables(&record.study, &analysis, args.explain))?;
        }
    }
    say(format_args!("wrote {}", escaped(&page.to_string_lossy())));
    for (folder, subject) in args.folders.iter().zip(&subjects) {
        if let Some(lacks) = subject.lacks() {
            say(escaped(&format!("{}: {lacks}", folder.display())));
        }
    }
    Ok(SUCCESS)
}

/// Reads what a page is to show.
pub(crate) fn subjects(folders: &[PathBuf]) -> Result<Vec<Subject>, Failure> {
    must_differ(folders)?;
    folders.iter().map(|folder| Subject::read(folder)).collect()
}

/// The page to write: the one that is asked for, or that of the one folder.
pub(crate) fn page_of(folders: &[PathBuf], output: Option<&Path>) -> Result<PathBuf, Failure> {
    match (output, folders) {
        (Some(typed), _) => Ok(typed.to_owned()),
        (None, [folder]) => own_page(folder),
        (None, _) => Err(Failure::bad_input("several folders need -o FILE.html")),
    }
}

/// Writes the page; only in a run's own folder, where no path was typed, are links replaced.
pub(crate) fn write_page(page: &Path, subjects: &[Subject], is_typed: bool) -> Result<(), Failure> {
    let documents = subjects.iter().map(Subject::document);
    if is_typed { write_typed(page, documents) } else { write(page, documents) }
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

/// Writes to a path from the command line, which may be anything.
fn write_typed<'a>(
    path: &Path,
    documents: impl IntoIterator<Item = Document<'a>>,
) -> Result<(), Failure> {
    let page = osn_report::page(documents);
    output::write(path, page.as_bytes()).map_err(|error| {
        if error.is_bad_path() { Failure::bad_input(error) } else { Failure::failed(error) }
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
