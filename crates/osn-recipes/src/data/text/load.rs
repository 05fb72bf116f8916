//! Parallel text by name or folder: what is embedded, what the user has.

use std::path::Path;

use crate::data::images::whole_path;
use crate::data::names::{CLDR, EDGES, EMBEDDED, FULL};
use crate::data::text::error::TextError;
use crate::data::text::language::Language;
use crate::data::text::parallel::ParallelText;
use crate::data::text::{cldr, folder};
use crate::run::error::RunError;
use crate::run::request::TrainRequest;

impl ParallelText {
    /// The embedded names of emoji, languages, territories, units, times and the like; see [`cldr`].
    ///
    /// # Errors
    ///
    /// [`TextError::SameLanguage`]; [`TextError::NoLanguage`] for other languages than en, de, fr and es.
    pub fn embedded(source: &Language, target: &Language) -> Result<Self, TextError> {
        must_differ(source, target)?;
        cldr::load(source, target)
    }

    /// Parallel text as the field stores it, one sentence a line, UTF-8, plain or `.gz`.
    ///
    /// With `source` en and `target` de these are `train.en` and `train.de`, `valid.en` and `valid.de` (or
    /// `val.*`, `dev.*`), `test.en` and `test.de`. The line of one is the translation of the same line of
    /// the other. White space at the ends of lines is dropped, which takes the `\r` of Windows along, and so
    /// is a byte order mark. Other files of the folder are not looked at.
    ///
    /// A line has at most [`MAX_LINE_BYTES`](crate::data::text::error::MAX_LINE_BYTES), a file at most
    /// [`MAX_LINES`](crate::data::text::error::MAX_LINES) lines and
    /// [`MAX_BYTES`](crate::data::text::error::MAX_BYTES) when unpacked.
    ///
    /// # Errors
    ///
    /// [`TextError`], in one line: which file, which line, what to do.
    pub fn folder(folder: &Path, source: &Language, target: &Language) -> Result<Self, TextError> {
        must_differ(source, target)?;
        folder::load(folder, source, target)
    }

    /// Loads parallel text by name or folder.
    ///
    /// | `spec` | loads |
    /// |---|---|
    /// | `None`, `cldr-names` | [`ParallelText::embedded`] |
    /// | a folder | [`ParallelText::folder`] |
    ///
    /// # Errors
    ///
    /// As these two; [`TextError::Unknown`] and [`TextError::NoText`] for other names.
    pub fn load(
        spec: Option<&str>,
        source: &Language,
        target: &Language,
    ) -> Result<Self, TextError> {
        match spec {
            None | Some(CLDR) => Self::embedded(source, target),
            Some(name @ (EDGES | EMBEDDED | FULL)) => {
                Err(TextError::NoText { name: name.to_owned() })
            }
            Some(name) if Path::new(name).is_dir() => {
                Self::folder(&whole_path(name), source, target)
            }
            Some(name) => Err(TextError::Unknown { name: name.to_owned() }),
        }
    }
}

/// The sentences that a recipe asked for.
///
/// # Errors
///
/// [`RunError::Data`] as [`ParallelText::load`].
pub fn for_recipe(
    request: &TrainRequest,
    source: &Language,
    target: &Language,
) -> Result<ParallelText, RunError> {
    let asked = request.data.as_deref();
    ParallelText::load(asked, source, target)
        .map_err(|error| RunError::data(asked.unwrap_or(CLDR), error))
}

fn must_differ(source: &Language, target: &Language) -> Result<(), TextError> {
    if source == target {
        Err(TextError::SameLanguage { language: source.clone() })
    } else {
        Ok(())
    }
}
