//! Who runs the missing runs of a study, if not this machine: a scheduler, one task for each run.

pub(super) mod print;
pub(super) mod slurm;

use super::cells_file::CellsFile;
use crate::command_line::shell::quoted;
use crate::failure::Failure;
use crate::training::args::CompareArgs;
use crate::training::shell::study_words;

/// The line of a shell that trains the cell whose number the shell puts in the place of `number`; none for that of the
/// scheduler's task.
fn cell_line(args: &CompareArgs, file: &CellsFile, number: &str) -> Result<String, Failure> {
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let mut words = vec![quoted(&program.to_string_lossy())];
    words.extend(study_words(args).iter().map(|word| quoted(word)));
    words.push(format!("--plan={}", file.id));
    words.push("--cell".to_owned());
    words.extend((!number.is_empty()).then(|| number.to_owned()));
    Ok(words.join(" "))
}
