//! The text of a rule: reads `key=value,key=value` and writes it.

use std::{fmt, fmt::Display, str::FromStr};

use super::{
    RuleError,
    rule::{ParameterDoc, RuleDoc},
};
use crate::{layer::select::split_outside_brackets, number::exact};

/// The parameters of a rule as they were written, each known to the rule.
pub(crate) struct Text<'a> {
    rule: &'static str,
    pairs: Vec<(&'static str, &'a str)>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(doc: &RuleDoc, text: &'a str) -> Result<Self, RuleError> {
        let mut pairs = Vec::new();
        let parts = split_outside_brackets(text).into_iter().map(str::trim);
        for part in parts.filter(|part| !part.is_empty()) {
            let (parameter, value) = read_pair(doc, part)?;
            let is_known = pairs.iter().any(|(key, _)| *key == parameter.name);
            if is_known && !parameter.may_repeat() {
                return Err(RuleError::Repeated { rule: doc.name, key: parameter.name });
            }
            pairs.push((parameter.name, value));
        }
        Ok(Self { rule: doc.name, pairs })
    }

    /// Parameters that were found to be the rule's, each once.
    pub(crate) fn of_pairs(doc: &RuleDoc, pairs: Vec<(&'static str, &'a str)>) -> Self {
        Self { rule: doc.name, pairs }
    }

    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(name, _)| *name == key).map(|(_, value)| *value)
    }

    pub(crate) fn one(&self, key: &str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// The value of a parameter; `default` where there is none, or the word that stands for it.
    pub(crate) fn value<T: Parameter>(
        &self,
        key: &'static str,
        default_word: &str,
        default: T,
    ) -> Result<T, RuleError> {
        match self.one(key) {
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
        self.all(key).map(read).collect()
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
        impl $crate::decide::text::Parameter for $type {
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
pub(crate) use plain_parameters;

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

fn read_pair<'a>(
    doc: &RuleDoc,
    part: &'a str,
) -> Result<(&'static ParameterDoc, &'a str), RuleError> {
    let not_a_pair = || RuleError::NotAPair { rule: doc.name, text: part.to_owned() };
    let (key, value) = part.split_once('=').ok_or_else(not_a_pair)?;
    let key = key.trim();
    let known = doc.parameters.iter().find(|parameter| parameter.name == key);
    let parameter = known.ok_or_else(|| unknown_parameter(doc, key, doc.parameters.iter()))?;
    Ok((parameter, value.trim()))
}

/// The error about a parameter that is none of those that can be written here.
pub(crate) fn unknown_parameter(
    doc: &RuleDoc,
    key: &str,
    valid: impl Iterator<Item = &'static ParameterDoc>,
) -> RuleError {
    let names: Vec<_> = valid.map(|parameter| parameter.name).collect();
    let valid = if names.is_empty() {
        "none, as it takes no parameters".to_owned()
    } else {
        format!("one of {}", names.join(", "))
    };
    RuleError::UnknownParameter { rule: doc.name, key: key.to_owned(), valid }
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
