//! Text in lines.

/// The columns that a line may take.
pub(crate) const WIDTH: usize = 80;

/// Text in lines of at most [`WIDTH`] columns, the first behind `lead` and the others below it.
pub(crate) fn paragraph(lead: &str, text: &str) -> String {
    let room = WIDTH - lead.chars().count();
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
    let indent = format!("\n{:1$}", "", lead.chars().count());
    format!("{lead}{}\n", lines.join(&indent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_hangs_under_its_first_line_and_keeps_its_words() {
        let text = "word ".repeat(40);
        let written = paragraph("    name  ", &text);
        assert!(written.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(written.lines().skip(1).all(|line| line.starts_with("          word")));
        assert_eq!(written.split_whitespace().count(), 41);
        assert_eq!(paragraph("a ", "b"), "a b\n");
    }
}
