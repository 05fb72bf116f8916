//! Text of people, in any script, as it is written.

use maud::{Markup, PreEscaped, html};

use crate::text::{is_of_a_script, with_escapes};

/// The text with the marks that its script needs, to be put where it can turn no other text around.
///
/// Joiners shape Persian, Hindi and emoji, and marks of direction stand in Arabic and Hebrew. Elsewhere on the page
/// such characters in names from files are shown as unfit. Here they become references, which the page as a whole
/// leaves alone; control characters and overrides of direction do not.
pub(super) fn verbatim(text: &str) -> Markup {
    let PreEscaped(text) = html! { (text) };
    PreEscaped(with_escapes(&text, is_of_a_script, |code| format!("&#x{code:x};")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::escaped_lines;

    fn shown(text: &str) -> String {
        escaped_lines(&verbatim(text).into_string())
    }

    #[test]
    fn marks_of_a_script_stay_and_overrides_do_not() {
        assert_eq!(shown("می\u{200c}روم"), "می&#x200c;روم");
        assert_eq!(shown("👩\u{200d}🚀 ❤\u{fe0f}"), "👩&#x200d;🚀 ❤&#xfe0f;");
        assert_eq!(shown("a\u{202e}b\u{7}"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(shown("<b a=\"c\">&amp;"), "&lt;b a=&quot;c&quot;&gt;&amp;amp;");
    }
}
