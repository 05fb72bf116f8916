//! A folder of parallel text: `train.en` and `train.de`, and so on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::text::error::TextError;
use crate::data::text::language::Language;
use crate::data::text::lines;
use crate::data::text::parallel::{Pair, ParallelText, origin};

const TRAIN: &[&str] = &["train"];
const VALIDATION: &[&str] = &["valid", "val", "dev"];
const TEST: &[&str] = &["test"];
const PACKED: &str = ".gz";

/// Loads parallel text as [`ParallelText::folder`] says.
pub(super) fn load(
    folder: &Path,
    source: &Language,
    target: &Language,
) -> Result<ParallelText, TextError> {
    let languages = [source, target];
    must_be_there(folder, languages)?;
    // Files are looked for before any is read: a large one takes its time.
    let parts = [TRAIN, VALIDATION, TEST].map(|names| part(folder, names, languages));
    let [train, validation, test] = parts;
    let (train, validation, test) = (train?, validation?, test?);
    let (train, validation, test) = (read(&train)?, read(&validation)?, read(&test)?);
    let name = folder.display().to_string();
    let origin = origin(&name, languages, [&train, &validation, &test]);
    let (source, target) = (source.clone(), target.clone());
    Ok(ParallelText { name, origin, source, target, train, validation, test })
}

/// Refuses a language of which there is nothing to train on, and says which there are.
fn must_be_there(folder: &Path, languages: [&Language; 2]) -> Result<(), TextError> {
    let there = languages_of(folder).map_err(|problem| TextError::Read {
        path: folder.to_owned(),
        line: 0,
        problem,
    })?;
    match languages.into_iter().find(|language| !there.contains(language.as_str())) {
        None => Ok(()),
        Some(language) => Err(TextError::NoLanguage {
            place: folder.display().to_string(),
            language: language.clone(),
            there: there.into_iter().collect(),
        }),
    }
}

fn languages_of(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let name = name.strip_suffix(PACKED).unwrap_or(&name);
        let code = TRAIN.iter().find_map(|train| name.strip_prefix(train)?.strip_prefix('.'));
        if let Some(language) = code.and_then(|code| Language::try_from(code).ok()) {
            there.insert(language.into());
        }
    }
    Ok(there)
}

/// The two files of a part, by the first of its names that either of them has.
fn part(
    folder: &Path,
    names: &[&str],
    languages: [&Language; 2],
) -> Result<[PathBuf; 2], TextError> {
    for name in names {
        let [source, target] = languages.map(|it| find(folder, &format!("{name}.{it}")));
        match (source?, target?) {
            (Some(source), Some(target)) => return Ok([source, target]),
            (None, None) => {}
            (None, Some(_)) => return Err(missing(folder, &[name], languages[0])),
            (Some(_), None) => return Err(missing(folder, &[name], languages[1])),
        }
    }
    Err(missing(folder, names, languages[0]))
}

fn missing(folder: &Path, names: &[&str], language: &Language) -> TextError {
    let mut names = names.iter().map(|name| format!("{name}.{language}"));
    let path = folder.join(names.next().unwrap_or_default());
    TextError::Missing { path, others: names.collect() }
}

/// A file of a name, plain or packed.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>, TextError> {
    let [plain, packed] = ["", PACKED].map(|end| folder.join(format!("{name}{end}")));
    match (plain.exists(), packed.exists()) {
        (true, true) => Err(TextError::Twice { path: plain, other: packed }),
        (true, false) => Ok(Some(plain)),
        (false, true) => Ok(Some(packed)),
        (false, false) => Ok(None),
    }
}

fn read([source_path, target_path]: &[PathBuf; 2]) -> Result<Vec<Pair>, TextError> {
    let (sources, targets) = (lines::read(source_path)?, lines::read(target_path)?);
    if sources.len() != targets.len() {
        return Err(TextError::Unequal {
            source_path: source_path.clone(),
            source_lines: sources.len(),
            target_path: target_path.clone(),
            target_lines: targets.len(),
        });
    }
    let pairs = sources.into_iter().zip(targets);
    Ok(pairs.map(|(source, target)| Pair { source, target }).collect())
}
