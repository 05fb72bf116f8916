//! What must be as it was for a run to go on to the same bits.

use serde_json::Value;

use crate::run::checkpoint::error::CheckpointError;
use crate::run::error::RunError;

pub(crate) fn differs(key: &str, before: String, now: String) -> CheckpointError {
    CheckpointError::Differs { key: key.to_owned(), before, now }
}

/// Names the first value that is not the same.
pub(crate) fn must_be_same(key: &str, before: &Value, now: &Value) -> Result<(), RunError> {
    if let (Value::Object(before), Value::Object(now)) = (before, now) {
        let keys = before.keys().chain(now.keys());
        return keys.map(String::as_str).try_for_each(|name| {
            let value =
                |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
            must_be_same(&format!("{key}.{name}"), &value(before), &value(now))
        });
    }
    if let (Value::Array(before), Value::Array(now)) = (before, now)
        && before.len() == now.len()
    {
        let pairs = before.iter().zip(now).enumerate();
        return pairs
            .map(|(index, (before, now))| (format!("{key}.{index}"), before, now))
            .try_for_each(|(key, before, now)| must_be_same(&key, before, now));
    }
    let is_same = before == now;
    if is_same { Ok(()) } else { Err(differs(key, before.to_string(), now.to_string()).into()) }
}
