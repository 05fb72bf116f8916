//! Why sentences cannot be loaded.

use std::path::PathBuf;

use osn_core::names::hint;

use crate::data::names::CLDR;
use crate::data::text::language::Language;

/// The most bytes of a line; the longest lines of WMT's news have a few thousand.
pub const MAX_LINE_BYTES: usize = 1 << 14;
/// The most lines of a file.
pub const MAX_LINES: usize = 10_000_000;
/// The most bytes of a file, unpacked.
pub const MAX_BYTES: u64 = 1 << 30;

/// Why sentences cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The name is neither known text nor a folder.
    #[error(
        "no text or folder is called \"{name}\"{}: use {CLDR} or the path of a folder with train.en, train.de and so on",
        hint(name, [CLDR])
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A data set is of images.
    #[error(
        "{name} is of images; this recipe takes {CLDR} or a folder with train.en, train.de and so on"
    )]
    NoText {
        /// What was asked for.
        name: String,
    },
    /// Both sides are of one language.
    #[error("source and target are both {language}: choose two languages")]
    SameLanguage {
        /// The language.
        language: Language,
    },
    /// There is no text of a language.
    #[error("{place} has no text in the language {language}: {}", those(there))]
    NoLanguage {
        /// The name of the data, or the folder.
        place: String,
        /// The language that was asked for.
        language: Language,
        /// The languages that there are.
        there: Vec<String>,
    },
    /// A part is not there in a language.
    #[error("there is no {0}, nor {0}.gz{1}: add one, its name is fixed", path.display(), other_names(others))]
    Missing {
        /// The file as it would be called.
        path: PathBuf,
        /// Other names by which it would be found.
        others: Vec<String>,
    },
    /// A part is there twice.
    #[error("both {} and {} are there: remove one", path.display(), other.display())]
    Twice {
        /// The one.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A file cannot be read, or its gzip stream is damaged.
    #[error("{} cannot be read{}: {problem}", path.display(), behind(*line))]
    Read {
        /// The file.
        path: PathBuf,
        /// How many lines of it were read.
        line: usize,
        /// What the system or the decoder says.
        problem: std::io::Error,
    },
    /// A file has no line.
    #[error("{} is empty: it needs one sentence a line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line cannot be used.
    #[error("{}, line {line}, {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, the first is 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A file is larger than memory should hold.
    #[error("{} has more than {MAX_LINES} lines or {MAX_BYTES} bytes: take a part of it", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The two files of a part do not have equally many lines.
    #[error(
        "{} has {source_lines} lines, but {} has {target_lines}: each line is the translation of the same line of the other",
        source_path.display(), target_path.display()
    )]
    Unequal {
        /// The file of the language that is given.
        source_path: PathBuf,
        /// Its lines.
        source_lines: usize,
        /// The file of the language that is wanted.
        target_path: PathBuf,
        /// Its lines.
        target_lines: usize,
    },
}

/// What is wrong with a line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// It has nothing but white space.
    #[error("is empty: remove it, and the same line of the other language")]
    Empty,
    /// Its bytes are no UTF-8.
    #[error("is not UTF-8 (byte 0x{0:02x}): convert the file, for example by iconv -t UTF-8")]
    Encoding(
        /// The first byte that is none.
        u8,
    ),
    /// It is longer than any sentence.
    #[error("is longer than {MAX_LINE_BYTES} bytes: one sentence a line is needed")]
    TooLong,
}

/// What to choose from.
fn those(there: &[String]) -> String {
    if there.is_empty() {
        "there is none in any language, in files such as train.en".to_owned()
    } else {
        format!("there are {}", there.join(", "))
    }
}

fn behind(line: usize) -> String {
    if line == 0 { String::new() } else { format!(" behind line {line}") }
}

fn other_names(others: &[String]) -> String {
    others.iter().flat_map(|name| [", nor ", name]).collect()
}
