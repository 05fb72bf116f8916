//! Changing single values of a config by name, as `--set KEY=VALUE` does.

use osn_core::names::hint;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use crate::run::description::as_json;

/// Why a setting was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The config has no such key.
    #[error("unknown setting '{key}'{}; valid settings: {}", hint(.key, .valid.iter().map(String::as_str)), .valid.join(", "))]
    UnknownKey {
        /// What was asked for.
        key: String,
        /// Every valid key.
        valid: Vec<String>,
    },
    /// The value is not of the kind that the key holds.
    #[error("{key} expects {expected}, got '{value}'")]
    BadValue {
        /// The key.
        key: String,
        /// What it expects.
        expected: String,
        /// What it got.
        value: String,
    },
}

/// Returns the config with the settings applied, in their order.
///
/// A key is the name of a field, or of a place in a list: `channels.0`. The value is read as what the field
/// holds now: a whole number, a number, `true` or `false`, or text; a list is written `64,128` or as JSON; an
/// empty optional field takes whatever it can hold, and `none` or `null` empties it again.
///
/// # Errors
///
/// [`SettingError::UnknownKey`] lists the valid keys; [`SettingError::BadValue`] says what the key
/// expects.
pub(crate) fn apply_settings<T>(
    config: &T,
    settings: &[(String, String)],
) -> Result<T, SettingError>
where
    T: Serialize + DeserializeOwned + Clone,
{
    settings.iter().try_fold(config.clone(), |config, (key, value)| set(&config, key, value))
}

fn set<T: Serialize + DeserializeOwned>(
    config: &T,
    key: &str,
    value: &str,
) -> Result<T, SettingError> {
    let mut tree = as_json(config);
    let present = find(&tree, key)?.clone();
    // What a field that may be empty can hold is known only to the config's own type.
    let candidates = readings(&present, value).map_err(|expected| bad(key, expected, value))?;
    let mut refusal = String::new();
    for candidate in candidates {
        *find_mut(&mut tree, key) = candidate;
        match T::deserialize(&tree) {
            Ok(config) => return Ok(config),
            Err(error) => refusal = expectation(&error.to_string()),
        }
    }
    Err(bad(key, &refusal, value))
}

fn bad(key: &str, expected: &str, value: &str) -> SettingError {
    SettingError::BadValue {
        key: key.to_owned(),
        expected: expected.to_owned(),
        value: value.to_owned(),
    }
}

/// The part of serde's message that says what was expected, in words that a user knows.
fn expectation(message: &str) -> String {
    let expected = message.rsplit_once("expected ").map_or(message, |(_, expected)| expected);
    match expected.split(' ').next().unwrap_or_default() {
        "u8" | "u16" | "u32" | "u64" | "usize" | "a" if message.contains("integer `-") => {
            "a whole number of at least 0".to_owned()
        }
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            "a whole number in its range".to_owned()
        }
        "f32" | "f64" => "a number".to_owned(),
        _ => expected.to_owned(),
    }
}

/// The ways to read `text` as a value of the kind of `present`, the likeliest first.
fn readings(present: &Value, text: &str) -> Result<Vec<Value>, &'static str> {
    let one = |value: Option<Value>, expected| value.map(|value| vec![value]).ok_or(expected);
    match present {
        Value::Bool(_) => one(text.parse().ok().map(Value::Bool), "true or false"),
        Value::Number(number) if number.is_f64() => one_or_none(float(text), text, "a number"),
        Value::Number(_) => one_or_none(whole(text), text, "a whole number"),
        Value::Array(_) => one(list(text), "a list such as 64,128"),
        Value::String(_) => Ok(with_none(vec![Value::String(text.to_owned())], text)),
        Value::Null | Value::Object(_) => Ok(anything(text)),
    }
}

fn one_or_none(
    value: Option<Value>,
    text: &str,
    expected: &'static str,
) -> Result<Vec<Value>, &'static str> {
    let readings = with_none(value.into_iter().collect(), text);
    if readings.is_empty() { Err(expected) } else { Ok(readings) }
}

fn with_none(mut readings: Vec<Value>, text: &str) -> Vec<Value> {
    if is_none(text) {
        readings.push(Value::Null);
    }
    readings
}

fn is_none(text: &str) -> bool {
    matches!(text, "none" | "null")
}

fn whole(text: &str) -> Option<Value> {
    text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from)).ok()
}

fn float(text: &str) -> Option<Value> {
    text.parse().ok().and_then(Number::from_f64).map(Value::Number)
}

fn list(text: &str) -> Option<Value> {
    let json = if text.starts_with('[') { text.to_owned() } else { format!("[{text}]") };
    serde_json::from_str(&json).ok()
}

fn anything(text: &str) -> Vec<Value> {
    let guesses = [
        is_none(text).then_some(Value::Null),
        whole(text),
        float(text),
        text.parse().ok().map(Value::Bool),
        Some(Value::String(text.to_owned())),
    ];
    guesses.into_iter().flatten().collect()
}

fn find<'a>(tree: &'a Value, key: &str) -> Result<&'a Value, SettingError> {
    tree.pointer(&pointer(key)).ok_or_else(|| {
        let valid = keys(tree);
        SettingError::UnknownKey { key: key.to_owned(), valid }
    })
}

fn find_mut<'a>(tree: &'a mut Value, key: &str) -> &'a mut Value {
    tree.pointer_mut(&pointer(key)).expect("the key was found in this tree before")
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1").replace('.', "/"))
}

/// The name of every field.
pub(crate) fn keys(tree: &Value) -> Vec<String> {
    tree.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Hinge,
        Logistic,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Config {
        steps: u32,
        shift: i64,
        ema: bool,
        name: String,
        loss: Kind,
        decay: Option<f64>,
        every: Option<usize>,
        channels: Vec<usize>,
        beta: f32,
    }

    fn config() -> Config {
        Config {
            steps: 100,
            shift: -1,
            ema: false,
            name: "plain".into(),
            loss: Kind::Hinge,
            decay: None,
            every: Some(5),
            channels: vec![1, 2],
            beta: 0.1,
        }
    }

    fn apply(settings: &[(&str, &str)]) -> Result<Config, SettingError> {
        let owned: Vec<_> =
            settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        apply_settings(&config(), &owned)
    }

    #[test]
    fn no_setting_leaves_the_config_alone() {
        assert_eq!(apply(&[]).unwrap(), config());
    }

    #[test]
    fn each_kind_of_value_is_read_as_its_field_holds_it() {
        let changed = apply(&[
            ("steps", "7"),
            ("shift", "-12"),
            ("ema", "true"),
            ("name", "12"),
            ("loss", "logistic"),
            ("decay", "1"),
            ("every", "none"),
            ("channels", "8,16,32"),
            ("channels.1", "5"),
            ("beta", "0"),
        ]);
        let expected = Config {
            steps: 7,
            shift: -12,
            ema: true,
            name: "12".into(),
            loss: Kind::Logistic,
            decay: Some(1.0),
            every: None,
            channels: vec![8, 5, 32],
            beta: 0.0,
        };
        assert_eq!(changed.unwrap(), expected);
    }

    #[test]
    fn the_last_of_two_settings_of_one_key_holds() {
        assert_eq!(apply(&[("steps", "1"), ("steps", "2")]).unwrap().steps, 2);
    }

    #[test]
    fn a_bad_value_names_the_key_and_what_it_expects() {
        for (key, value, expects) in [
            ("steps", "abc", "a whole number"),
            ("steps", "1.5", "a whole number"),
            ("steps", "-3", "a whole number of at least 0"),
            ("steps", "99999999999", "a whole number in its range"),
            ("ema", "yes", "true or false"),
            ("beta", "NaN", "a number"),
            ("channels", "a,b", "a list such as 64,128"),
            ("loss", "huber", "`hinge` or `logistic`"),
            ("decay", "slow", "a number"),
        ] {
            let error = apply(&[(key, value)]).unwrap_err();
            let SettingError::BadValue { key: of, expected, .. } = &error else {
                panic!("{error}")
            };
            assert_eq!((of.as_str(), expected.as_str()), (key, expects));
        }
    }

    #[test]
    fn an_unknown_key_comes_with_the_valid_ones_and_the_closest() {
        let odd = ["", ".", "steps.", "channels.9", "channels.-1", "steps/x", "~", "beta..x"];
        for (key, nearest) in [("stepz", Some("steps")), ("qqqq", None)] {
            let error = apply(&[(key, "1")]).unwrap_err();
            let SettingError::UnknownKey { valid, .. } = error else { panic!("{error}") };
            let closest = osn_core::names::closest(key, valid.iter().map(String::as_str));
            assert_eq!((closest, valid.len()), (nearest, 9), "{key}");
        }
        for key in odd {
            let error = apply(&[(key, "1")]).unwrap_err();
            assert!(matches!(error, SettingError::UnknownKey { .. }), "{key}: {error}");
        }
    }
}
