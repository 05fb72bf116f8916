//! Text in lines that fit the terminal.

use console::{Term, measure_text_width};

/// The most columns that a line may take.
pub(crate) const WIDTH: usize = 80;
/// Text in fewer columns than these cannot be read.
const LEAST: usize = 24;
const INDENT: &str = "    ";

/// The columns of the terminal, or those in `COLUMNS`; none where lines have no limit.
pub(crate) fn columns() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok());
    let of_terminal = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    said.or_else(of_terminal).filter(|&columns| columns > 0)
}

/// Text in lines that fit the terminal and have at most [`WIDTH`] columns, the first behind `lead` and the
/// others below it.
pub(crate) fn paragraph(lead: &str, text: &str) -> String {
    let width = columns().map_or(WIDTH, |columns| columns.min(WIDTH));
    hanging(width, lead, text)
}

fn hanging(width: usize, lead: &str, text: &str) -> String {
    let lead_columns = measure_text_width(lead);
    // Where there is no room beside the lead the text is below it.
    if lead_columns > INDENT.len() && lead_columns + LEAST > width {
        let lead = lead.trim_end();
        let lead = if lead.is_empty() { String::new() } else { format!("{lead}\n") };
        return lead + &hanging(width, INDENT, text);
    }
    let lines = wrapped(text, Some(width.saturating_sub(lead_columns).max(1)));
    let indent = format!("\n{:1$}", "", lead_columns);
    format!("{lead}{}\n", lines.replace('\n', &indent))
}

/// A message in lines of at most `width`; what is indented, as commands and paths are, stays whole, so that
/// it can be copied.
pub(crate) fn message(text: &str, width: Option<usize>) -> String {
    let line = |line: &str| {
        if line.starts_with(' ') { line.to_owned() } else { wrapped(line, width) }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The text with lines of at most `width`, broken between words; a word that is longer is broken where
/// it must be, behind a mark where it has one.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|&width| width > 0) else { return text.to_owned() };
    text.lines().map(|line| wrapped_line(line, width)).collect::<Vec<_>>().join("\n")
}

fn wrapped_line(line: &str, width: usize) -> String {
    if measure_text_width(line) <= width {
        return line.to_owned();
    }
    let words = line.split(' ').filter(|word| !word.is_empty());
    let mut lines: Vec<String> = Vec::new();
    for piece in words.flat_map(|word| pieces(word, width)) {
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + 1 + measure_text_width(&piece) <= width => {
                line.push(' ');
                line.push_str(&piece);
            }
            _ => lines.push(piece),
        }
    }
    lines.join("\n")
}

/// A word in pieces that fit.
fn pieces(word: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![];
    let mut rest = word;
    while measure_text_width(rest) > width {
        let mut ends = rest.char_indices().map(|(at, character)| at + character.len_utf8());
        let end = ends.by_ref().take_while(|&end| measure_text_width(&rest[..end]) <= width).last();
        let end = end.unwrap_or(rest.chars().next().map_or(1, char::len_utf8));
        let end = rest[..end].rfind(['.', '/', '_']).map_or(end, |stop| stop + 1);
        pieces.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    pieces.push(rest.to_owned());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_hangs_under_its_first_line_and_keeps_its_words() {
        let text = "word ".repeat(40);
        let written = hanging(WIDTH, "    name  ", &text);
        assert!(written.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(written.lines().skip(1).all(|line| line.starts_with("          word")));
        assert_eq!(written.split_whitespace().count(), 41);
        assert_eq!(hanging(WIDTH, "a ", "b"), "a b\n");
    }

    #[test]
    fn in_a_narrow_terminal_the_text_is_below_its_lead() {
        let text = "some words of a description that is longer than a line";
        let written = hanging(40, "    a-name  a-default  ", text);
        assert!(written.starts_with("    a-name  a-default\n    some words"), "{written}");
        for width in [30, 40, 60, 80] {
            let written = hanging(width, "    a-name  a-default  ", text);
            assert!(written.lines().all(|line| line.chars().count() <= width), "{written}");
        }
    }

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrapped("one two three\nfour", Some(8)), "one two\nthree\nfour");
        assert_eq!(wrapped("a.long.name.of.a.weight", Some(8)), "a.long.\nname.of.\na.weight");
        assert_eq!(wrapped("kept as it is", None), "kept as it is");
        assert_eq!(
            message("to copy:\n  osn resume RUN\n", Some(5)),
            "to\ncopy:\n  osn resume RUN\n"
        );
    }
}
