//! Sentences with their translations, in three parts.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::data::error::counted;
use crate::data::images::whole_path;
use crate::data::names::{CLDR, EDGES, EMBEDDED, FULL};
use crate::data::text::error::TextError;
use crate::data::text::language::Language;
use crate::data::text::{cldr, folder};
use crate::run::error::RunError;
use crate::run::request::TrainRequest;
use crate::run::trained_on::{Trainable, TrainedOn};

/// A sentence and its translation, each without white space at its ends and never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// What is given.
    pub source: String,
    /// What is wanted.
    pub target: String,
}

/// Sentences of one language with their translations into another, in three parts, none of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParallelText {
    /// The name or the whole path of the folder that it was loaded by.
    pub name: String,
    /// Where it comes from and how much there is of it, for people.
    pub origin: String,
    /// The language that is given.
    pub source: Language,
    /// The language that is wanted.
    pub target: Language,
    /// What a model may learn from, subwords included.
    pub train: Vec<Pair>,
    /// What rules may see scores of.
    pub validation: Vec<Pair>,
    /// What only the reported scores are of.
    pub test: Vec<Pair>,
}

impl ParallelText {
    /// The embedded names of emoji, languages, scripts, territories, time zones and units; see
    /// [`cldr`].
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
    /// A line has at most [`MAX_LINE_BYTES`](crate::data::text::lines::MAX_LINE_BYTES), a file at most
    /// [`MAX_LINES`](crate::data::text::lines::MAX_LINES) lines and
    /// [`MAX_BYTES`](crate::data::text::lines::MAX_BYTES) when unpacked.
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

/// What `run.json` says of the data.
pub(super) fn origin(
    place: &str,
    [source, target]: [&Language; 2],
    [train, validation, test]: [&[Pair]; 3],
) -> String {
    format!(
        "{place}: {} from {source} to {target} to train on, {} to validate and {} to test with",
        counted(train.len(), "pair"),
        validation.len(),
        test.len(),
    )
}

fn must_differ(source: &Language, target: &Language) -> Result<(), TextError> {
    if source == target {
        Err(TextError::SameLanguage { language: source.clone() })
    } else {
        Ok(())
    }
}

impl Trainable for ParallelText {
    fn trained_on(&self) -> TrainedOn {
        let mut digest = Sha256::new();
        for part in [&self.train, &self.validation, &self.test] {
            add(&mut digest, part);
        }
        TrainedOn {
            source: self.origin.clone(),
            name: Some(self.name.clone()),
            sha256: Some(format!("{:x}", digest.finalize())),
            sound: None,
        }
    }

    fn n_scorable(&self) -> usize {
        self.validation.len().min(self.test.len())
    }
}

/// Adds the pairs of a part so that no other pairs give the same digest.
fn add(digest: &mut Sha256, part: &[Pair]) {
    digest.update((part.len() as u64).to_le_bytes());
    for sentence in part.iter().flat_map(|pair| [&pair.source, &pair.target]) {
        digest.update((sentence.len() as u64).to_le_bytes());
        digest.update(sentence);
    }
}
