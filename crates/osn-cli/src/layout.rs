//! Rows of numbers and sentences, laid out for the width that there is.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width,
    presets,
};
use console::{Term, measure_text_width, style};

/// A name in a table is given at least this many columns, or all lines are stacked.
const MIN_NAME: usize = 24;

/// One row of a table: its first cell is a name, which may be broken, and the others are not.
pub(crate) struct Row {
    pub(crate) mark: &'static str,
    pub(crate) cells: Vec<String>,
}

/// The columns of the terminal, or as `COLUMNS` says; none where there is no end of a line.
pub(crate) fn columns() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok());
    let of_terminal = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    said.or_else(of_terminal).filter(|&columns| columns > 0)
}

/// A table where it fits, with names broken where that helps; else each row on lines of its own.
pub(crate) fn laid_out(titles: &[&str], rows: &[Row], width: Option<usize>) -> String {
    let whole = table(titles, rows);
    let natural = widest_line(&whole.to_string());
    let Some(width) = width.filter(|&width| width < natural) else { return trimmed(&whole) };
    let names = rows.iter().map(|row| measure_text_width(&row.cells[0])).max().unwrap_or(0);
    let others = natural.saturating_sub(names.max(measure_text_width(titles[0])));
    if others + MIN_NAME.min(names) > width {
        return stacked(titles, rows, width);
    }
    let mut table = whole;
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    for (index, column) in table.column_iter_mut().enumerate() {
        let room = u16::try_from(width - others + 2).unwrap_or(u16::MAX);
        column.set_constraint(if index == 1 {
            ColumnConstraint::UpperBoundary(Width::Fixed(room))
        } else {
            ColumnConstraint::ContentWidth
        });
    }
    trimmed(&table)
}

fn table(titles: &[&str], rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    // Bold and colours as everywhere: the table alone looks no further than whether there is a terminal.
    if console::colors_enabled() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let bold = |title: &&str| Cell::new(title).add_attribute(Attribute::Bold);
    table.set_header([""].iter().chain(titles).map(bold));
    for row in rows {
        let cells = [row.mark].into_iter().chain(row.cells.iter().map(String::as_str));
        let colour = |cell: Cell| if row.mark.is_empty() { cell } else { cell.fg(Color::Yellow) };
        table.add_row(cells.map(|text| colour(Cell::new(text))));
    }
    let is_number = |title: &str| matches!(title, "σ" | "stored σ" | "±" | "‖W‖_F" | "stable rank");
    for (column, title) in table.column_iter_mut().skip(1).zip(titles) {
        if is_number(title) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn widest_line(text: &str) -> usize {
    text.lines().map(|line| measure_text_width(line.trim_end())).max().unwrap_or(0)
}

/// Each row as its name and, below it, its cells with their titles.
fn stacked(titles: &[&str], rows: &[Row], width: usize) -> String {
    let mut lines = Vec::new();
    for row in rows {
        let mark = if row.mark.is_empty() { String::new() } else { format!("{} ", row.mark) };
        let name = style(wrapped(&format!("{mark}{}", row.cells[0]), Some(width))).bold();
        lines.push(name.to_string());
        let is_told = |cell: &str| !cell.is_empty() && cell != "–";
        let cells = titles.iter().zip(&row.cells).skip(1).filter(|(_, cell)| is_told(cell));
        let fields = cells.map(|(title, cell)| match *title {
            "shape" | "type" => cell.clone(),
            // A cell of several numbers may be broken between them.
            title if cell.contains(' ') => format!("{title}: {cell}"),
            title => format!("{title} {cell}").replace(' ', "\u{a0}"),
        });
        let room = width.saturating_sub(2);
        let fields = fields.map(|field| {
            // A number stays with its title, where both fit into a line.
            let fits = measure_text_width(&field) <= room;
            if fits { field } else { field.replace('\u{a0}', " ") }
        });
        let fields: Vec<_> = fields.collect();
        let body = wrapped(&fields.join("  "), Some(room));
        lines.extend(body.lines().map(|line| format!("  {}", line.replace('\u{a0}', " "))));
    }
    lines.join("\n")
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
    let mut lines = vec![String::new()];
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let last = lines.last().map_or(0, |line| measure_text_width(line));
        let gap = usize::from(last > 0);
        if last + gap + measure_text_width(word) > width && last > 0 {
            lines.push(String::new());
        }
        for piece in pieces(word, width) {
            let is_full = lines.last().is_some_and(|line| {
                measure_text_width(line) + gap + measure_text_width(&piece) > width
                    && !line.is_empty()
            });
            if is_full {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&piece);
            }
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

    fn rows() -> Vec<Row> {
        let cells = |name: &str| {
            [name, "384×384", "F32", "4.728", "1e-6", "41.90", "46.80"].map(str::to_owned).to_vec()
        };
        let long = "encoder.layer.0.attention.self.query.weight";
        vec![Row { mark: "", cells: cells(long) }, Row { mark: "▲", cells: cells("fc.weight") }]
    }

    const TITLES: [&str; 7] = ["weight", "shape", "type", "σ", "±", "‖W‖_F", "stable rank"];

    #[test]
    fn no_number_is_broken_at_any_width() {
        for width in 16..140 {
            let text = laid_out(&TITLES, &rows(), Some(width));
            for number in ["384×384", "4.728", "41.90", "46.80", "F32"] {
                assert_eq!(text.matches(number).count(), 2, "{number} at {width}:\n{text}");
            }
            let is_narrow = text.lines().all(|line| measure_text_width(line) <= width);
            assert!(is_narrow, "at {width}:\n{text}");
        }
        let text = laid_out(&TITLES, &rows(), None);
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(wrapped("one two three\nfour", Some(8)), "one two\nthree\nfour");
        assert_eq!(wrapped("a.long.name.of.a.weight", Some(8)), "a.long.\nname.of.\na.weight");
        assert_eq!(wrapped("kept as it is", None), "kept as it is");
    }
}
