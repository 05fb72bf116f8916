//! The name of a language, as files of text have it behind their dot.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Codes are short: `en`, `pt-BR`, `zh_Hans`, `sr-Latn-RS`.
const MAX_LETTERS: usize = 16;

/// A language's code, such as `en`: what stands behind the dot in `train.en`.
///
/// Letters, digits, `-` and `_`, the first a letter, at most 16 of them. In a config it is a text.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Language(String);

/// A text is no language's code.
#[derive(Debug, thiserror::Error)]
#[error("expected a language's code such as en or pt-BR")]
pub struct NoLanguageCode;

impl Language {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Language {
    type Error = NoLanguageCode;

    fn try_from(code: String) -> Result<Self, NoLanguageCode> {
        let may_follow =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        let is_code = code.len() <= MAX_LETTERS
            && code.starts_with(|first: char| first.is_ascii_alphabetic())
            && code.chars().all(may_follow);
        if is_code { Ok(Self(code)) } else { Err(NoLanguageCode) }
    }
}

impl TryFrom<&str> for Language {
    type Error = NoLanguageCode;

    fn try_from(code: &str) -> Result<Self, NoLanguageCode> {
        code.to_owned().try_into()
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
