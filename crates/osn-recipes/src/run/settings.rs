//! Changing single values of a config by name, as `--set KEY=VALUE` does.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

/// How alike two names must be for one to be offered in place of the other, from 0 to 1.
const ALIKE: f64 = 0.75;

/// Why a setting was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The config has no such key.
    #[error("unknown setting '{key}'{}; valid settings: {}", hint(.closest.as_deref()), .valid.join(", "))]
    UnknownKey {
        /// What was asked for.
        key: String,
        /// The valid key that looks most like it.
        closest: Option<String>,
        /// Every valid key.
        valid: Vec<String>,
    },
    /// The key names a group of values.
    #[error("'{key}' is a group of settings; set one of: {}", .valid.join(", "))]
    Group {
        /// What was asked for.
        key: String,
        /// The keys inside the group.
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
    /// The config itself cannot be written as JSON, a mistake in the program.
    #[error("the config cannot be changed by name: {source}")]
    Config {
        /// What serde said.
        source: serde_json::Error,
    },
}

fn hint(closest: Option<&str>) -> String {
    closest.map(|key| format!(", did you mean '{key}'?")).unwrap_or_default()
}

/// Returns the config with the settings applied, in their order.
///
/// A key is the path of a field, its parts joined by dots: `optimizer.beta_1`, `channels.0`. The
/// value is read as what the field holds now: a whole number, a number, `true` or `false`, or text; a
/// list is written `64,128` or as JSON; an empty optional field takes whatever it can hold, and
/// `none` or `null` empties it again.
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
    let mut tree =
        serde_json::to_value(config).map_err(|source| SettingError::Config { source })?;
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
    match tree.pointer(&pointer(key)) {
        Some(Value::Object(fields)) if !fields.is_empty() => Err(group(tree, key)),
        Some(value) => Ok(value),
        None => Err(unknown_key(tree, key)),
    }
}

fn find_mut<'a>(tree: &'a mut Value, key: &str) -> &'a mut Value {
    tree.pointer_mut(&pointer(key)).expect("the key was found in this tree before")
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1").replace('.', "/"))
}

fn group(tree: &Value, key: &str) -> SettingError {
    let prefix = format!("{key}.");
    let valid = keys(tree).into_iter().filter(|valid| valid.starts_with(&prefix)).collect();
    SettingError::Group { key: key.to_owned(), valid }
}

fn unknown_key(tree: &Value, key: &str) -> SettingError {
    let valid = keys(tree);
    SettingError::UnknownKey { key: key.to_owned(), closest: closest(key, &valid), valid }
}

/// Every dotted key that holds one value.
pub(crate) fn keys(tree: &Value) -> Vec<String> {
    let Value::Object(fields) = tree else { return Vec::new() };
    let with_children = |(name, value): (&String, &Value)| {
        let children = keys(value);
        if children.is_empty() {
            vec![name.clone()]
        } else {
            children.iter().map(|child| format!("{name}.{child}")).collect()
        }
    };
    fields.iter().flat_map(with_children).collect()
}

/// The valid name most like a mistyped one, where one is alike enough.
fn closest(name: &str, valid: &[String]) -> Option<String> {
    // A user may know the field but not the group it is in.
    let in_group = |key: &&String| key.rsplit('.').next() == Some(name);
    let likeness = |key: &str| strsim::jaro_winkler(name, key);
    valid.iter().find(in_group).cloned().or_else(|| {
        let best = valid.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        (likeness(best) >= ALIKE).then(|| best.clone())
    })
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
    struct Optimizer {
        learning_rate: f64,
        beta: f32,
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
        optimizer: Optimizer,
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
            optimizer: Optimizer { learning_rate: 2e-4, beta: 0.1 },
        }
    }

    fn apply(settings: &[(&str, &str)]) -> Result<Config, SettingError> {
        let owned: Vec<_> =
            settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        apply_settings(&config(), &owned)
    }

    fn message(key: &str, value: &str) -> String {
        apply(&[(key, value)]).unwrap_err().to_string()
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
            ("optimizer.learning_rate", "1e-3"),
            ("optimizer.beta", "0"),
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
            optimizer: Optimizer { learning_rate: 1e-3, beta: 0.0 },
        };
        assert_eq!(changed.unwrap(), expected);
    }

    #[test]
    fn the_last_of_two_settings_of_one_key_holds() {
        assert_eq!(apply(&[("steps", "1"), ("steps", "2")]).unwrap().steps, 2);
    }

    #[test]
    fn a_bad_value_names_the_key_and_what_it_expects() {
        assert_eq!(message("steps", "abc"), "steps expects a whole number, got 'abc'");
        assert_eq!(message("steps", "1.5"), "steps expects a whole number, got '1.5'");
        assert_eq!(message("steps", "-3"), "steps expects a whole number of at least 0, got '-3'");
        assert_eq!(
            message("steps", "99999999999"),
            "steps expects a whole number in its range, got '99999999999'"
        );
        assert_eq!(message("ema", "yes"), "ema expects true or false, got 'yes'");
        let rate = message("optimizer.learning_rate", "fast");
        assert_eq!(rate, "optimizer.learning_rate expects a number, got 'fast'");
        assert_eq!(message("optimizer.beta", "NaN"), "optimizer.beta expects a number, got 'NaN'");
        assert_eq!(message("channels", "a,b"), "channels expects a list such as 64,128, got 'a,b'");
        assert_eq!(message("loss", "huber"), "loss expects `hinge` or `logistic`, got 'huber'");
        assert_eq!(message("decay", "slow"), "decay expects a number, got 'slow'");
    }

    #[test]
    fn an_unknown_key_lists_the_valid_ones_and_the_closest() {
        let message = message("stepz", "1");
        assert!(message.starts_with("unknown setting 'stepz', did you mean 'steps'?"), "{message}");
        for key in ["shift", "optimizer.learning_rate", "optimizer.beta", "decay"] {
            assert!(message.contains(key), "{key} is missing in {message}");
        }
    }

    #[test]
    fn a_field_named_without_its_group_is_recognised() {
        let message = message("learning_rate", "1");
        assert!(message.contains("did you mean 'optimizer.learning_rate'?"), "{message}");
    }

    #[test]
    fn a_name_like_no_other_gets_no_suggestion() {
        assert!(!message("qqqq", "1").contains("did you mean"));
    }

    #[test]
    fn a_group_is_not_a_value() {
        let message = message("optimizer", "adam");
        assert!(message.starts_with("'optimizer' is a group of settings"), "{message}");
        assert!(message.ends_with("optimizer.beta, optimizer.learning_rate"), "{message}");
    }

    #[test]
    fn odd_keys_are_unknown_not_a_panic() {
        for key in
            ["", ".", "steps.", "channels.9", "channels.-1", "steps/x", "~", "optimizer..beta"]
        {
            let error = apply(&[(key, "1")]).unwrap_err();
            assert!(matches!(error, SettingError::UnknownKey { .. }), "{key}: {error}");
        }
    }
}
