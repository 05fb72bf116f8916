//! Words from files, made fit to stand among others.

/// The text with a mark in place of every character that is no visible part of it.
///
/// Names and reasons come from files that anybody may have written. They must not speak to a
/// terminal (control characters), forge a line (line breaks), turn the text around them (marks of
/// direction) or hide in it (characters without a width). To be called on each field by itself,
/// before it is put among other words.
pub fn escaped(text: &str) -> String {
    text.replace(is_unfit, "\u{fffd}")
}

/// The same of text whose lines are its own: a page, or several fields below each other.
pub(crate) fn escaped_lines(text: &str) -> String {
    text.replace(|c: char| !matches!(c, '\n' | '\t') && is_unfit(c), "\u{fffd}")
}

fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Of no width, or seen as nothing.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            // Of direction.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
            // Ends of a line and of a paragraph.
            | '\u{2028}' | '\u{2029}'
            // Annotations, tags and variation selectors.
            | '\u{fff9}'..='\u{fffb}' | '\u{fe00}'..='\u{fe0f}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_speaks_to_no_terminal_forges_no_line_and_turns_no_text_around() {
        let shown = escaped("σ of '\u{1b}]0;owned\u{7}\u{9b}31m'\r\nis 2");
        assert_eq!(shown, "σ of '\u{fffd}]0;owned\u{fffd}\u{fffd}31m'\u{fffd}\u{fffd}is 2");
        let unfit = "\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}\u{200b}\
                     \u{200d}\u{feff}\u{85}\u{e0041}\t\r\n";
        assert!(escaped(unfit).chars().all(|shown| shown == '\u{fffd}'), "{:?}", escaped(unfit));
        let honest = "blocks.0.ключ.重み.Wᵀ–é.weight";
        assert_eq!(escaped(honest), honest);
        assert_eq!(escaped_lines("a\n\tb\u{202e}"), "a\n\tb\u{fffd}");
    }
}
