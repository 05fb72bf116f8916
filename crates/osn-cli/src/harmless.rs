//! Words of a file, made fit for a terminal.

/// The text with a mark in place of every control character but the end of a line: names and reasons
/// come from files that anybody may have written, and must not speak to the terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_file_do_not_speak_to_the_terminal() {
        let shown = harmless("σ of '\u{1b}]0;owned\u{7}\u{9b}31m'\r\nis 2");
        assert_eq!(shown, "σ of '\u{fffd}]0;owned\u{fffd}\u{fffd}31m'\u{fffd}\nis 2");
    }
}
