//! Facts from a run's or a study's own file, each as a line of text.

use serde_json::Value;

/// Where data came from, and what tells them from others.
pub(super) fn data(source: &str, sha256: Option<&str>) -> String {
    sha256
        .map_or_else(|| source.to_owned(), |sha256| format!("{source}, SHA-256 {}", brief(sha256)))
}

/// Of a digest or a commit as much as tells it from others.
fn brief(text: &str) -> &str {
    let is_digest = text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { &text[..12] } else { text }
}

/// A small JSON object as a line of text.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => brief(text).to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}
