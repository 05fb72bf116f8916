//! The file of regimes: named sets of settings.
//!
//! ```toml
//! [[regime]]
//! name = "fast"
//! set = { learning_rate = 1e-2, hidden_sizes = [64, 64] }
//! ```

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use osn_files::plain_file;
use osn_report::study::Regime;
use serde::Deserialize;
use toml::{Table, Value};

use crate::failure::Failure;

/// The regime of a study without a file of them.
pub(super) const DEFAULT: &str = "default";

/// The most bytes of the file.
const MAX_BYTES: u64 = 1 << 20;

/// The content of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    regime: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    set: Table,
}

/// Reads the file, or gives the one regime that changes nothing.
pub(super) fn read(path: Option<&Path>) -> Result<Vec<Regime>, Failure> {
    let Some(path) = path else {
        return Ok(vec![Regime { name: DEFAULT.to_owned(), settings: Vec::new() }]);
    };
    let wrong = |problem: String| Failure::bad_input(format!("{}: {problem}", path.display()));
    let text = plain_file::read(path, MAX_BYTES)
        .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
        .map_err(|error| wrong(format!("cannot read the regimes: {error}")))?;
    parse(&text).map_err(wrong)
}

fn parse(text: &str) -> Result<Vec<Regime>, String> {
    let file: File = toml::from_str(text).map_err(|error| misread(text, &error))?;
    if file.regime.is_empty() {
        return Err("the file has no regime; write [[regime]] with a name and a set".to_owned());
    }
    let mut names = BTreeSet::new();
    let regimes = file.regime.into_iter().map(|Entry { name, set }| {
        check_name(&name)?;
        if !names.insert(name.clone()) {
            return Err(format!("two regimes are called {name}"));
        }
        let mut settings = Vec::new();
        flatten("", &set, &mut settings).map_err(|problem| format!("regime {name}: {problem}"))?;
        Ok(Regime { name, settings })
    });
    regimes.collect()
}

/// The error of the TOML reader, with the line.
fn misread(text: &str, error: &toml::de::Error) -> String {
    let line = |at: usize| text.get(..at).map_or(1, |before| before.lines().count().max(1));
    let place = error.span().map(|span| format!("line {}: ", line(span.end))).unwrap_or_default();
    format!(
        "{place}{}; a regime is [[regime]] with name = \"…\" and set = {{ … }}",
        error.message()
    )
}

/// A regime's name is also that of a folder.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(format!(
            "the name of a regime consists of letters, digits and - _ . only, not {name:?}"
        ));
    }
    Ok(())
}

/// Each value as `key=value`, as `--set` takes it; tables become dotted keys.
fn flatten(prefix: &str, table: &Table, settings: &mut Vec<String>) -> Result<(), String> {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{key}."), inner, settings)?,
            value => settings.push(format!("{key}={}", word(&key, value)?)),
        }
    }
    Ok(())
}

fn word(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        // Large and small numbers keep their exponent.
        Value::Float(number) => Ok(format!("{number:?}")),
        Value::Boolean(flag) => Ok(flag.to_string()),
        Value::Array(values) => {
            let words: Result<Vec<_>, _> = values.iter().map(|value| word(key, value)).collect();
            Ok(format!("[{}]", words?.join(",")))
        }
        Value::Datetime(_) | Value::Table(_) => {
            Err(format!("{key} must be a number, a text, true, false or a list of these"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_the_words_of_settings() {
        let text = "[[regime]]\nname = \"fast\"\nset = { rate = 1e-30, steps = 5, on = true, \
                    sizes = [64, 32], word = \"a b\", deep.inner = 2.5 }\n[[regime]]\nname = \"as-is\"";
        let regimes = parse(text).unwrap();
        assert_eq!(regimes[0].name, "fast");
        let expected =
            ["deep.inner=2.5", "on=true", "rate=1e-30", "sizes=[64,32]", "steps=5", "word=a b"];
        let mut settings = regimes[0].settings.clone();
        settings.sort();
        assert_eq!(settings, expected);
        assert!(regimes[1].settings.is_empty());
    }

    #[test]
    fn a_wrong_file_says_where_and_what() {
        let problem = |text: &str| parse(text).unwrap_err();
        assert!(problem("[[regime]]\nname = \"a\"\nsets = {}").starts_with("line 3: "));
        assert!(problem("[[regime]]\nname = a").starts_with("line 2: "));
        let regime = |name: &str| format!("[[regime]]\nname = \"{name}\"\n");
        for text in [String::new(), "regime = []".to_owned(), regime("../a"), regime("..")] {
            assert!(parse(&text).is_err(), "{text}");
        }
        assert!(parse(&regime("a").repeat(2)).is_err());
        assert!(problem(&(regime("a") + "set = { day = 1979-05-27 }")).contains("regime a: day "));
    }
}
