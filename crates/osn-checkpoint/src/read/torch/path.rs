//! The path of keys, attributes and positions that leads to a value, and the names made of it.

use crate::read::pickle::value::{Pickle, Value};

/// One part of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// The key of a dictionary that is a text.
    Key(&'a str),
    /// A key that is an integer, or a position in a list.
    Number(i128),
    /// A key that is a truth value.
    Truth(bool),
    /// Where a dictionary's entry stands whose key is something else.
    Entry(usize),
    /// An attribute of an object.
    Attribute(&'a str),
}

impl<'a> Part<'a> {
    /// The key of the entry at `position` of a dictionary.
    pub(crate) fn of_key(pickle: &'a Pickle, key: Value, position: usize) -> Self {
        match key {
            Value::Int(number) => Self::Number(number.into()),
            Value::Bool(truth) => Self::Truth(truth),
            key => pickle.text(key).map_or(Self::Entry(position), Self::Key),
        }
    }

    /// The part as names have it.
    fn plain(self) -> String {
        match self {
            Self::Key(text) | Self::Attribute(text) => text.to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::Entry(position) => position.to_string(),
        }
    }

    /// The part as no other part has it.
    fn exact(self) -> String {
        match self {
            Self::Key(text) if !is_word(text) => format!("{text:?}"),
            Self::Entry(position) => format!("#{position}"),
            Self::Attribute(text) => format!("@{text:?}"),
            part => part.plain(),
        }
    }
}

/// Whether a text without quotes can be taken for nothing else: no number, no truth value.
fn is_word(text: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic() || c == '_';
    text.starts_with(is_letter)
        && text.chars().all(|c| is_letter(c) || c.is_ascii_digit())
        && !["true", "false"].contains(&text)
}

/// A path, as its two names.
#[derive(Debug)]
pub(crate) struct Path {
    /// The parts joined by full stops. Two paths may have one plain name: `a` then `b`, and `a.b`.
    pub(crate) plain: String,
    /// The same with quotes around every text that could be something else: no two paths have one.
    pub(crate) exact: String,
}

impl Path {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { plain: prefix.to_owned(), exact: prefix.to_owned() }
    }

    /// Goes a part further; gives what [`Path::leave`] takes to come back.
    pub(crate) fn enter(&mut self, part: Part) -> (usize, usize) {
        let lengths = (self.plain.len(), self.exact.len());
        for (name, part) in [(&mut self.plain, part.plain()), (&mut self.exact, part.exact())] {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&part);
        }
        lengths
    }

    pub(crate) fn leave(&mut self, (plain, exact): (usize, usize)) {
        self.plain.truncate(plain);
        self.exact.truncate(exact);
    }
}
