//! What is written into the page besides text: scripts, styles, data and pictures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::text::{is_of_a_script, with_escapes};

/// The charting library, see `assets/uplot/README.md`.
const UPLOT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");
pub(super) const SCRIPT: &str = include_str!("page.js");
const LIVE_SCRIPT: &str = include_str!("live.js");
pub(super) const STYLE: &str = include_str!("page.css");

/// Whether a page stays as it is, or follows a run and asks its own server what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Still,
    Live,
}

impl Kind {
    fn scripts(self) -> &'static [&'static str] {
        const SCRIPTS: [&str; 3] = [UPLOT, SCRIPT, LIVE_SCRIPT];
        if self == Self::Live { &SCRIPTS } else { &SCRIPTS[..2] }
    }
}

/// The policy that forbids everything but the page's own scripts and style, pictures that it carries
/// itself and, where it is live, its own server.
pub(super) fn policy(kind: Kind) -> Markup {
    let scripts: Vec<_> = kind.scripts().iter().map(|script| hash(script)).collect();
    let server = if kind == Kind::Live { " connect-src 'self';" } else { "" };
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:;{server} base-uri 'none'; \
         form-action 'none'",
        scripts.join(" "),
        hash(&style_text()),
    );
    html! { meta http-equiv="Content-Security-Policy" content=(policy); }
}

/// The page's style.
pub(super) fn style() -> Markup {
    html! { style { (PreEscaped(style_text())) } }
}

/// The page's scripts, for its end.
pub(super) fn scripts(kind: Kind) -> Markup {
    html! { @for script in kind.scripts() { script { (PreEscaped(script)) } } }
}

/// Data for the scripts. A browser reads it as text up to the first `</script`, so nothing in it may
/// look like markup.
pub(super) fn data(value: &Value) -> Markup {
    let text = value.to_string();
    // These three stand only inside JSON's strings, where an escape means the same.
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    html! { script type="application/json" { (PreEscaped(text)) } }
}

/// Data that hold texts of people: the marks that a script needs become escapes, which the page as a whole leaves alone.
pub(super) fn texts(value: &Value) -> Markup {
    let PreEscaped(script) = data(value);
    PreEscaped(with_escapes(&script, is_of_a_script, |code| format!("\\u{code:04x}")))
}

/// The address of a picture that the page carries itself.
pub(super) fn picture(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64.encode(png))
}

fn style_text() -> String {
    format!("{UPLOT_STYLE}\n{STYLE}")
}

/// A source of a content security policy: the text with this SHA-256.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charting_library_is_the_one_that_its_readme_says() {
        let readme = include_str!("../../assets/uplot/README.md");
        for file in [UPLOT, UPLOT_STYLE] {
            let sum = format!("{:x}", Sha256::digest(file));
            assert!(readme.contains(&format!("`{sum}`")), "{sum}");
        }
        assert!(UPLOT.contains("(v1.6.32)") && readme.contains("# uPlot 1.6.32"));
    }

    #[test]
    fn nothing_that_is_embedded_ends_its_own_element() {
        for script in Kind::Live.scripts() {
            assert!(!script.to_lowercase().contains("</script"));
            assert!(!script.contains("<!--"));
        }
        assert!(!style_text().to_lowercase().contains("</style"));
    }

    #[test]
    fn data_is_the_same_after_its_escapes() {
        let value = serde_json::json!({"</script><!--": "a & b > c \u{2028}", "n": [1, 2.5, null]});
        let markup = data(&value).into_string();
        let text = markup.strip_prefix("<script type=\"application/json\">").unwrap();
        let text = text.strip_suffix("</script>").unwrap();
        assert!(!text.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
    }

    #[test]
    fn the_hash_is_that_of_the_standard() {
        // The example of the specification, Content Security Policy Level 2, section 4.
        let script = "alert('Hello, world.');";
        assert_eq!(hash(script), "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='");
    }
}
