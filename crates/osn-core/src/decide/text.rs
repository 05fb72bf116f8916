//! The text of a rule: reads `key=value,key=value` and writes it.

use std::{fmt, fmt::Display, str::FromStr};

use crate::decide::doc::RuleDoc;
use crate::decide::error::RuleError;
use crate::key_values::KeyValues;
use crate::number::exact;

/// The parameters of a rule as they were written, each known to the rule.
pub(crate) struct Text<'a> {
    rule: &'static str,
    pub(crate) pairs: KeyValues<'a>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(doc: &RuleDoc, text: &'a str) -> Result<Self, RuleError> {
        let keys: Vec<_> = doc.parameters.iter().map(|parameter| parameter.name).collect();
        let may_repeat = |key: &str| {
            doc.parameters.iter().any(|parameter| parameter.name == key && parameter.may_repeat())
        };
        let pairs = KeyValues::read(text, &keys, may_repeat)
            .map_err(|source| RuleError::Parameters { rule: doc.name, source })?;
        Ok(Self { rule: doc.name, pairs })
    }

    /// Parameters that were found to be the rule's, each once.
    #[cfg(feature = "rules-file")]
    pub(crate) fn of_pairs(doc: &RuleDoc, pairs: KeyValues<'a>) -> Self {
        Self { rule: doc.name, pairs }
    }

    /// The value of a parameter; `default` where there is none, or the word that stands for it.
    pub(crate) fn value<T: Parameter>(
        &self,
        key: &'static str,
        default_word: &str,
        default: T,
    ) -> Result<T, RuleError> {
        match self.pairs.one(key) {
            None => Ok(default),
            Some(word) if word == default_word => Ok(default),
            Some(word) => T::parse(word).ok_or_else(|| self.bad_value(key, word, T::EXPECTED)),
        }
    }

    pub(crate) fn parse_all<T: FromStr>(
        &self,
        key: &'static str,
        expected: &str,
    ) -> Result<Vec<T>, RuleError> {
        let read = |value: &str| value.parse().map_err(|_| self.bad_value(key, value, expected));
        self.pairs.all(key).map(read).collect()
    }

    pub(crate) fn bad_value(
        &self,
        key: &'static str,
        value: &str,
        expected: impl Display,
    ) -> RuleError {
        RuleError::BadValue {
            rule: self.rule,
            key,
            value: value.to_owned(),
            expected: expected.to_string(),
        }
    }
}

/// A type that a parameter of a rule can have.
pub(crate) trait Parameter: PartialEq + Sized {
    /// What is expected where a word is no such value.
    const EXPECTED: &'static str;

    fn parse(word: &str) -> Option<Self>;

    /// The word that is read back to the same value.
    fn word(&self) -> String;
}

/// Parameters whose word is what `FromStr` reads and `Display` writes.
macro_rules! plain_parameters {
    ($($type:ty = $expected:expr;)*) => {$(
        impl Parameter for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(word: &str) -> Option<Self> {
                word.parse().ok()
            }

            fn word(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

/// Parameters that are an enum without fields: their word is the name of a variant in files.
macro_rules! variants_as_parameters {
    ($type:ty = $expected:expr;) => {
        impl $crate::decide::text::Parameter for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(word: &str) -> Option<Self> {
                serde_json::from_value(word.into()).ok()
            }

            fn word(&self) -> String {
                let name = serde_json::to_value(self).ok();
                name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
            }
        }
    };
}
pub(crate) use variants_as_parameters;

plain_parameters! {
    u64 = "a whole number";
    bool = "true or false";
    String = "a name";
}

impl Parameter for f64 {
    const EXPECTED: &'static str = "a number";

    fn parse(word: &str) -> Option<Self> {
        word.parse().ok()
    }

    fn word(&self) -> String {
        exact(*self)
    }
}

/// Nothing is a default, so it is written with the word of the default, or not at all.
impl<T: Parameter> Parameter for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn parse(word: &str) -> Option<Self> {
        T::parse(word).map(Some)
    }

    fn word(&self) -> String {
        self.as_ref().map(T::word).unwrap_or_default()
    }
}

/// The parameters that are not at their default, as text.
#[derive(Default)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn value<T: Parameter>(&mut self, key: &str, value: &T, default: &T) {
        if value != default {
            self.0.push(format!("{key}={}", value.word()));
        }
    }

    pub(crate) fn list<T: Display>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        self.0.extend(values.into_iter().map(|value| format!("{key}={value}")));
    }
}

impl Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}
