//! `osn report`: runs and studies as one page.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use osn_files::output;
use osn_report::{Document, escaped};

use crate::command_line::args::ReportArgs;
use crate::failure::Failure;
use crate::run::page::{Subject, own_page, write};
use crate::terminal::stderr::say;

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

fn output(args: &ReportArgs) -> Result<PathBuf, Failure> {
    match (&args.output, &args.folders[..]) {
        (Some(path), _) => Ok(path.clone()),
        (None, [folder]) => own_page(folder),
        (None, _) => Err(Failure::bad_input("several folders need -o FILE.html")),
    }
}

/// Writes to a path from the command line, which may be anything; only a run's own folder has links
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
