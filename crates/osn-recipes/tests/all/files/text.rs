//! Languages, and the text that is compiled in.

use osn_recipes::data::text::language::Language;
use osn_recipes::data::text::parallel::ParallelText;

pub(crate) fn language(code: &str) -> Language {
    code.try_into().unwrap()
}

pub(crate) fn embedded(source: &str, target: &str) -> ParallelText {
    ParallelText::embedded(&language(source), &language(target)).unwrap()
}
