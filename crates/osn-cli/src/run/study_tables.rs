//! The result of a study as text: which arm is best in one sentence, then the tables.

use osn_report::study::{Analysis, Block, EXPLANATION, Study, Verdict, tables};

use crate::terminal::table::{Row, Title, laid_out};
use crate::terminal::text::{columns, paragraph, wrapped};

/// The sentence, the tables, and an explanation of their numbers where it is asked for.
pub(crate) fn study_tables(study: &Study, analysis: &Analysis, is_explained: bool) -> String {
    let width = columns();
    let mut parts = vec![wrapped(&Verdict::of(study, analysis).to_string(), width)];
    parts.extend(tables(study, analysis).iter().map(|block| match block {
        Block::Text(text) => wrapped(text, width),
        Block::Table { titles, rows } => table(titles, rows, width),
    }));
    if is_explained {
        let lines = EXPLANATION.lines().map(|line| paragraph("", line));
        parts.push(lines.collect::<String>().trim_end().to_owned());
    }
    parts.join("\n\n") + "\n"
}

fn table(titles: &[String; 5], rows: &[[String; 5]], width: Option<usize>) -> String {
    let [name, at_end, over_run, failed, regret] = titles.each_ref().map(String::as_str);
    let titles = [
        Title::text(name),
        Title::text(at_end),
        Title::text(over_run),
        Title::number(failed),
        Title::text(regret),
    ];
    let rows: Vec<_> = rows.iter().map(|cells| Row { mark: "", cells: cells.to_vec() }).collect();
    laid_out(&titles, &rows, width)
}
