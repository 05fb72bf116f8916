//! Text of the form `key=value,key=value`, as the parameters of rules and views are written.

use crate::names::hint;

/// The pairs of a text whose keys are known.
///
/// Pairs are separated by commas, except those between braces or square brackets; blanks around keys and
/// values do not count, and an empty part is left out.
///
/// ```
/// use osn_core::key_values::{KeyValueError, KeyValues};
///
/// let pairs = KeyValues::read("target=2, path=a.{b,c}", &["target", "path"], |_| false)?;
/// assert_eq!((pairs.one("target"), pairs.one("path")), (Some("2"), Some("a.{b,c}")));
/// let error = KeyValues::read("taget=2", &["target", "path"], |_| false).unwrap_err();
/// assert_eq!(error.to_string(), "no parameter `taget` (did you mean 'target'?): expected one of target, path");
/// # Ok::<(), KeyValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValues<'a> {
    pairs: Vec<(&'static str, &'a str)>,
}

/// Why a text is not one of known keys and values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyValueError {
    /// A part without `=`.
    #[error("`{text}` in place of key=value")]
    NotAPair {
        /// The part.
        text: String,
    },
    /// A key that is not known.
    #[error("no parameter `{key}`{}: expected {valid}", hint_of(key, valid))]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys there are, in words.
        valid: String,
    },
    /// A key that may be given once is given twice.
    #[error("`{key}` twice")]
    Repeated {
        /// The key.
        key: &'static str,
    },
}

/// The key that may have been meant, out of the words that list them.
fn hint_of(key: &str, valid: &str) -> String {
    hint(key, valid.trim_start_matches("one of ").split(", "))
}

impl<'a> KeyValues<'a> {
    /// Reads the pairs of a text; a key for which `may_repeat` holds may be given more than once.
    ///
    /// # Errors
    ///
    /// [`KeyValueError`], about the first part that is wrong.
    pub fn read(
        text: &'a str,
        keys: &[&'static str],
        may_repeat: impl Fn(&str) -> bool,
    ) -> Result<Self, KeyValueError> {
        let mut read = Self { pairs: Vec::new() };
        for part in split_outside_brackets(text).into_iter().map(str::trim) {
            if part.is_empty() {
                continue;
            }
            let pair = part.split_once('=');
            let (key, value) =
                pair.ok_or_else(|| KeyValueError::NotAPair { text: part.to_owned() })?;
            let (key, value) = (key.trim(), value.trim());
            let known = keys.iter().find(|known| **known == key);
            let &key = known.ok_or_else(|| unknown_key(key, keys))?;
            if read.one(key).is_some() && !may_repeat(key) {
                return Err(KeyValueError::Repeated { key });
            }
            read.pairs.push((key, value));
        }
        Ok(read)
    }

    /// All values of a key, in their order.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// The first value of a key, if there is one.
    pub fn one(&self, key: &str) -> Option<&'a str> {
        self.all(key).next()
    }
}

impl<'a> FromIterator<(&'static str, &'a str)> for KeyValues<'a> {
    fn from_iter<T: IntoIterator<Item = (&'static str, &'a str)>>(pairs: T) -> Self {
        Self { pairs: pairs.into_iter().collect() }
    }
}

/// The error about a key that is none of these.
pub(crate) fn unknown_key(key: &str, keys: &[&str]) -> KeyValueError {
    let valid = match keys {
        [] => "none, as it takes no parameters".to_owned(),
        _ => format!("one of {}", keys.join(", ")),
    };
    KeyValueError::UnknownKey { key: key.to_owned(), valid }
}

/// Splits text at its commas, except those between braces or square brackets.
pub fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|character| {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        character == ',' && depth <= 0
    })
    .collect()
}
