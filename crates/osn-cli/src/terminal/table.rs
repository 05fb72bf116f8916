//! Rows of numbers, laid out for the width that there is.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width,
    presets,
};
use console::{measure_text_width, style};

use crate::terminal::text::wrapped;

/// A name in a table is given at least this many columns, or all lines are stacked.
const MIN_NAME: usize = 24;

/// The title of a column.
#[derive(Clone, Copy)]
pub(crate) struct Title<'a> {
    text: &'a str,
    is_right: bool,
    /// Whether a cell needs it where the row is not in a table.
    is_needed: bool,
}

impl<'a> Title<'a> {
    /// Of numbers, which are aligned at the right.
    pub(crate) fn number(text: &'a str) -> Self {
        Self { text, is_right: true, is_needed: true }
    }

    /// Of cells that are unclear without their title.
    pub(crate) fn text(text: &'a str) -> Self {
        Self { text, is_right: false, is_needed: true }
    }

    /// Of cells that are clear without their title.
    pub(crate) fn obvious(text: &'a str) -> Self {
        Self { text, is_right: false, is_needed: false }
    }
}

/// One row of a table: its first cell is a name, which may be broken, and the others are not.
pub(crate) struct Row {
    pub(crate) mark: &'static str,
    pub(crate) cells: Vec<String>,
}

/// A table where it fits, with names broken where that helps; else each row on lines of its own.
pub(crate) fn laid_out(titles: &[Title<'_>], rows: &[Row], width: Option<usize>) -> String {
    let whole = table(titles, rows);
    let natural = widest_line(&whole.to_string());
    let Some(width) = width.filter(|&width| width < natural) else { return trimmed(&whole) };
    let names = rows.iter().map(|row| measure_text_width(&row.cells[0])).max().unwrap_or(0);
    let others = natural.saturating_sub(names.max(measure_text_width(titles[0].text)));
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

fn table(titles: &[Title<'_>], rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    // By itself the table has styles on every terminal, whatever the environment asks for.
    if console::colors_enabled() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let titles_shown = [""].into_iter().chain(titles.iter().map(|title| title.text));
    table.set_header(titles_shown.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for row in rows {
        let cells = [row.mark].into_iter().chain(row.cells.iter().map(String::as_str));
        let colour = |cell: Cell| if row.mark.is_empty() { cell } else { cell.fg(Color::Yellow) };
        table.add_row(cells.map(|text| colour(Cell::new(text))));
    }
    for (column, title) in table.column_iter_mut().skip(1).zip(titles) {
        if title.is_right {
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
fn stacked(titles: &[Title<'_>], rows: &[Row], width: usize) -> String {
    let heading = titles.first().filter(|title| title.is_needed);
    let mut lines: Vec<String> =
        heading.map(|title| wrapped(title.text, Some(width))).into_iter().collect();
    for row in rows {
        let mark = if row.mark.is_empty() { String::new() } else { format!("{} ", row.mark) };
        let name = style(wrapped(&format!("{mark}{}", row.cells[0]), Some(width))).bold();
        lines.push(name.to_string());
        let is_shown = |cell: &str| !cell.is_empty() && cell != "–";
        let cells = titles.iter().zip(&row.cells).skip(1).filter(|(_, cell)| is_shown(cell));
        let room = width.saturating_sub(2);
        let fields = cells.map(|(title, cell)| {
            let colon = if cell.contains(' ') { ":" } else { "" };
            let title =
                if title.is_needed { format!("{}{colon} ", title.text) } else { String::new() };
            let field = title + cell;
            // A cell stays with its title, where both fit into a line.
            if measure_text_width(&field) > room { field } else { field.replace(' ', "\u{a0}") }
        });
        let fields: Vec<_> = fields.collect();
        // Two columns between fields, also where a line is broken.
        let body = wrapped(&fields.join("\u{a0} "), Some(room));
        lines.extend(
            body.lines().map(|line| format!("  {}", line.trim_end().replace('\u{a0}', " "))),
        );
    }
    lines.join("\n")
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

    fn titles() -> Vec<Title<'static>> {
        let obvious = ["weight", "shape", "type"].map(Title::obvious);
        let numbers = ["σ", "±", "‖W‖_F", "stable rank"].map(Title::number);
        [&obvious[..], &numbers].concat()
    }

    #[test]
    fn no_number_is_broken_at_any_width() {
        for width in 16..140 {
            let text = laid_out(&titles(), &rows(), Some(width));
            for number in ["384×384", "4.728", "41.90", "46.80", "F32"] {
                assert_eq!(text.matches(number).count(), 2, "{number} at {width}:\n{text}");
            }
            let is_narrow = text.lines().all(|line| measure_text_width(line) <= width);
            assert!(is_narrow, "at {width}:\n{text}");
        }
        let text = laid_out(&titles(), &rows(), None);
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
