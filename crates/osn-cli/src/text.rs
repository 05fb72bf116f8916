//! Text in lines.

use crate::layout;

/// The most columns that a line may take.
pub(crate) const WIDTH: usize = 80;
/// Text in fewer columns than these is no text.
const LEAST: usize = 24;
const INDENT: &str = "    ";

/// Text in lines that fit the terminal and have at most [`WIDTH`] columns, the first behind `lead` and the
/// others below it.
pub(crate) fn paragraph(lead: &str, text: &str) -> String {
    let width = layout::columns().map_or(WIDTH, |columns| columns.min(WIDTH));
    within(width, lead, text)
}

fn within(width: usize, lead: &str, text: &str) -> String {
    let lead_columns = lead.chars().count();
    // Where there is no room beside the lead the text is below it.
    if lead_columns > INDENT.len() && lead_columns + LEAST > width {
        let lead = lead.trim_end();
        let lead = if lead.is_empty() { String::new() } else { format!("{lead}\n") };
        return lead + &within(width, INDENT, text);
    }
    let room = width.saturating_sub(lead_columns);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let indent = format!("\n{:1$}", "", lead_columns);
    format!("{lead}{}\n", lines.join(&indent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_hangs_under_its_first_line_and_keeps_its_words() {
        let text = "word ".repeat(40);
        let written = within(WIDTH, "    name  ", &text);
        assert!(written.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(written.lines().skip(1).all(|line| line.starts_with("          word")));
        assert_eq!(written.split_whitespace().count(), 41);
        assert_eq!(within(WIDTH, "a ", "b"), "a b\n");
    }

    #[test]
    fn in_a_narrow_terminal_the_text_is_below_its_lead() {
        let text = "some words of a description that is longer than a line";
        let written = within(40, "    a-name  a-default  ", text);
        assert!(written.starts_with("    a-name  a-default\n    some words"), "{written}");
        for width in [30, 40, 60, 80] {
            let written = within(width, "    a-name  a-default  ", text);
            assert!(written.lines().all(|line| line.chars().count() <= width), "{written}");
        }
    }
}
