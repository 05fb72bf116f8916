//! Facts from a run's or a study's own file, each as a line of text.

use maud::{Markup, html};
use serde_json::Value;

/// Facts by their names, without those that are empty.
pub(super) fn list(facts: &[(&str, String)]) -> Markup {
    html! {
        dl { @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            div { dt { (name) } dd { (value) } }
        } }
    }
}

/// Where data came from, and what tells them from others.
pub(super) fn data(source: &str, sha256: Option<&str>) -> String {
    let digest = sha256.map(|sha256| format!(", SHA-256 {}", brief(sha256)));
    source.to_owned() + &digest.unwrap_or_default()
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
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                format!("{} {}", name.replace('_', " "), plain(value))
            };
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
