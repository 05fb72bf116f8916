//! The plan of a study as a file: which number stands for which run, for whoever trains them one by one.
//!
//! `cells-ID.jsonl` has one line on all runs and one for each. It is written once, and its ID is a digest of it, so that
//! a number means the same run for ever; runs that are asked for later come into another file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use osn_files::plain_file;
use osn_recipes::run::versions::Machine;
use osn_runs::folder_error::write_whole;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ledger::{Ledger, entries};
use super::plan::{Cell, Plan};
use crate::failure::Failure;

/// The version of the file's meaning.
const SCHEMA: u32 = 1;
/// So many digits of the digest are the ID.
const ID_DIGITS: usize = 12;
/// 10,000 lines of a few hundred bytes, with room for long rules.
const MAX_BYTES: u64 = 64 << 20;

/// A plan: the cells of a study that were missing when it was written.
#[derive(Clone, Debug)]
pub(super) struct CellsFile {
    /// The first digits of its SHA-256.
    pub(super) id: String,
    pub(super) path: PathBuf,
    pub(super) head: Head,
    pub(super) cells: Vec<PlannedCell>,
}

/// What holds for all cells of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    schema: u32,
    /// Threads that each run computes with.
    pub(super) threads: usize,
    /// The processor of the machine that wrote the plan; empty where it is unknown.
    pub(super) processor: String,
}

/// One run: its number is its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlannedCell {
    pub(super) cell: usize,
    pub(super) arm: String,
    pub(super) regime: String,
    pub(super) seed: u64,
    /// SHA-256 of what distinguishes the run from all others: config, rules, seed, data and build.
    pub(super) sha256: String,
}

/// The missing cells of one plan, in the order of their numbers.
pub(super) struct Share {
    pub(super) file: CellsFile,
    pub(super) missing: Vec<usize>,
}

impl CellsFile {
    /// Reads the plan of this ID, or the only one that there is.
    pub(super) fn find(out: &Path, id: Option<&str>) -> Result<Self, Failure> {
        let files = all(out)?;
        let shown = out.display();
        let ids: Vec<_> = files.iter().filter_map(|path| id_of(path)).collect();
        let ids = ids.join(", ");
        if let Some(id) = id {
            let path = files.iter().find(|path| id_of(path) == Some(id));
            let none = || Failure::bad_input(format!("{shown} has no plan {id}; there are: {ids}"));
            return Self::read(path.ok_or_else(none)?);
        }
        match &files[..] {
            [only] => Self::read(only),
            [] => Err(Failure::bad_input(format!(
                "{shown} has no plan of cells; write one with --engine print"
            ))),
            _ => Err(Failure::bad_input(format!(
                "{shown} has several plans; choose one with --plan: {ids}"
            ))),
        }
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |problem: String| Failure::bad_input(format!("{}: {problem}", path.display()));
        let bytes = plain_file::read(path, MAX_BYTES)
            .map_err(|error| wrong(format!("cannot read the plan: {error}")))?;
        let id = id_of(path).unwrap_or_default().to_owned();
        if digest(&bytes)[..ID_DIGITS] != *id {
            return Err(wrong("the plan was changed after it was written; remove it".to_owned()));
        }
        let parsed = |error: serde_json::Error| wrong(format!("no plan of this osn: {error}"));
        let mut lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let head: Head =
            serde_json::from_slice(lines.next().unwrap_or_default()).map_err(parsed)?;
        if head.schema > SCHEMA {
            return Err(wrong(format!("schema {} is of a newer osn", head.schema)));
        }
        let cells = lines.map(serde_json::from_slice).collect::<Result<_, _>>().map_err(parsed)?;
        Ok(Self { id, path: path.to_owned(), head, cells })
    }

    /// Writes the plan of these cells.
    fn write(plan: &Plan, missing: &[usize]) -> Result<Self, Failure> {
        let processor = Machine::here().processor;
        let head = Head { schema: SCHEMA, threads: plan.n_threads, processor };
        let planned = |(number, &index): (usize, &usize)| planned(number, &plan.cells[index]);
        let cells: Vec<_> = missing.iter().enumerate().map(planned).collect();
        let mut text = line(&head)?;
        for cell in &cells {
            text += &line(cell)?;
        }
        let id = digest(text.as_bytes())[..ID_DIGITS].to_owned();
        let path = plan.out.join(format!("cells-{id}.jsonl"));
        write_whole(&path, text.as_bytes()).map_err(Failure::failed)?;
        Ok(Self { id, path, head, cells })
    }

    /// The cell of this number.
    pub(super) fn cell(&self, number: usize) -> Result<&PlannedCell, Failure> {
        self.cells.get(number).ok_or_else(|| {
            let (path, last) = (self.path.display(), self.cells.len().saturating_sub(1));
            Failure::bad_input(format!("{path} has the cells 0 to {last}, and no {number}"))
        })
    }
}

impl PlannedCell {
    /// Whether it stands for this run.
    pub(super) fn is(&self, cell: &Cell) -> bool {
        self.sha256 == sha256(cell)
    }
}

/// Divides what is missing among the plans that name it, and writes a new one of the rest.
pub(super) fn shares(plan: &Plan, ledger: &Ledger) -> Result<Vec<Share>, Failure> {
    let missing = (0..plan.cells.len()).filter(|&index| !ledger.has_ended(index));
    let mut left: HashMap<_, _> = missing.map(|it| (sha256(&plan.cells[it]), it)).collect();
    let mut shares = Vec::new();
    for path in all(&plan.out)? {
        let file = CellsFile::read(&path)?;
        let of_file = file.cells.iter().filter(|cell| left.remove(&cell.sha256).is_some());
        let missing: Vec<_> = of_file.map(|cell| cell.cell).collect();
        if !missing.is_empty() {
            shares.push(Share { file, missing });
        }
    }
    if !left.is_empty() {
        let mut rest: Vec<_> = left.into_values().collect();
        rest.sort_unstable();
        let file = CellsFile::write(plan, &rest)?;
        shares.push(Share { missing: (0..rest.len()).collect(), file });
    }
    Ok(shares)
}

/// `[0, 1, 2, 5]` as `0-2,5`.
pub(super) fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|&one, &next| one + 1 == next);
    let shown = runs.map(|run| match run {
        [only] => only.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    shown.collect::<Vec<_>>().join(",")
}

fn planned(number: usize, cell: &Cell) -> PlannedCell {
    PlannedCell {
        cell: number,
        arm: cell.arm.clone(),
        regime: cell.regime.clone(),
        seed: cell.args.seed,
        sha256: sha256(cell),
    }
}

/// The plans of a study, in the order of their IDs.
fn all(out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = entries(out)?;
    files.retain(|path| id_of(path).is_some());
    files.sort();
    Ok(files)
}

/// The ID in the name of a plan.
fn id_of(path: &Path) -> Option<&str> {
    let id = path.file_name()?.to_str()?.strip_prefix("cells-")?.strip_suffix(".jsonl")?;
    let is_id = id.len() == ID_DIGITS && id.bytes().all(|it| it.is_ascii_hexdigit());
    is_id.then_some(id)
}

fn line(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(Failure::failed)?;
    Ok(text + "\n")
}

fn sha256(cell: &Cell) -> String {
    digest(cell.key().as_bytes())
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!((ranges(&[]), ranges(&[4])), (String::new(), "4".to_owned()));
    }

    #[test]
    fn only_a_name_with_a_digest_is_that_of_a_plan() {
        assert_eq!(id_of(Path::new("a/cells-0123456789ab.jsonl")), Some("0123456789ab"));
        for other in ["cells-.jsonl", "cells-0123456789xy.jsonl", "cells-0123456789ab.json"] {
            assert_eq!(id_of(Path::new(other)), None, "{other}");
        }
    }
}
