//! `osn inspect`: the spectra of checkpoints.

use std::cmp::Reverse;
use std::process::ExitCode;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use console::{Term, style};
use osn_checkpoint::{Checkpoint, Inspection, MeasureParams, Measured};
use osn_report::{counted, short};

use crate::args::{Column, InspectArgs};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::stdout;
use crate::weights::{self, Progress};

/// A σ this many times the median's is marked.
const FAR_ABOVE: f64 = 3.0;
/// At most so many weights are marked.
const MAX_MARKED: usize = 5;
const MARK: &str = "▲";

/// Measures every selected tensor and prints what was found.
pub(crate) fn run(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let params = MeasureParams { leading: args.top, ..weights::params(&args.weights)? };
    let inspection = inspect(args, &params)?;
    if args.json {
        stdout::print(&json(&inspection)?)?;
    } else {
        stdout::print(&for_people(&inspection, args))?;
    }
    match inspection.first_bad() {
        None => Ok(ExitCode::SUCCESS),
        Some(bad) => {
            Err(Failure::bad_input(format!("{}: tensor {}: {}", bad.file, bad.name, bad.reason)))
        }
    }
}

fn inspect(args: &InspectArgs, params: &MeasureParams) -> Result<Inspection, Failure> {
    let select = weights::select(&args.weights)?;
    let checkpoints: Vec<_> = args
        .files
        .iter()
        .map(Checkpoint::open)
        .collect::<Result<_, _>>()
        .map_err(Failure::bad_input)?;
    let mut progress = Progress::over(&checkpoints);
    let mut inspection = Inspection::default();
    for checkpoint in &checkpoints {
        inspection.add(checkpoint, &select, params, |tensor| progress.next(tensor));
    }
    Ok(inspection)
}

fn json(inspection: &Inspection) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(inspection).map_err(Failure::failed)?;
    Ok(format!("{text}\n"))
}

/// The table, what is held of spectral normalization, what was skipped, and the totals.
fn for_people(inspection: &Inspection, args: &InspectArgs) -> String {
    if inspection.tensors.is_empty() {
        return format!("no tensor was measured\n{}", skipped(inspection));
    }
    let mut parts = vec![table(inspection, args).to_string()];
    parts.extend(stored(inspection));
    parts.push(skipped(inspection));
    parts.push(totals(inspection));
    parts.retain(|part| !part.is_empty());
    format!("{}\n", parts.join("\n\n"))
}

fn table(inspection: &Inspection, args: &InspectArgs) -> Table {
    let mut rows: Vec<&Measured> = inspection.tensors.iter().collect();
    sort(&mut rows, args.sort);
    let has_leading = args.top > 0;
    let marked = marked(&rows);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    style_as_wanted(&mut table);
    let titles = ["", "weight", "shape", "type", "σ", "±", "‖W‖_F", "stable rank"];
    let leading = has_leading.then_some("largest singular values");
    let bold = |title: &str| Cell::new(title).add_attribute(Attribute::Bold);
    table.set_header(titles.into_iter().chain(leading).map(bold));
    for row in rows {
        table.add_row(cells(row, marked.contains(&name(row)), has_leading));
    }
    for column in table.column_iter_mut().skip(4).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Bold and colours as everywhere: the table alone looks no further than whether there is a terminal.
fn style_as_wanted(table: &mut Table) {
    if let Some((_, columns)) = Term::stdout().size_checked() {
        table.set_width(columns);
    }
    if console::colors_enabled() {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
}

fn sort(rows: &mut [&Measured], by: Column) {
    // Of numbers that are not negative, the bits are in the order of the numbers.
    let key = |value: f64| value.max(0.0).to_bits();
    match by {
        Column::Sigma => rows.sort_by_key(|row| Reverse(key(row.sigma.value))),
        Column::Frobenius => rows.sort_by_key(|row| Reverse(key(row.frobenius))),
        Column::StableRank => {
            rows.sort_by_key(|row| key(row.stable_rank.unwrap_or(f64::INFINITY)));
        }
        Column::File => {}
    }
}

/// The weights whose σ stands far out.
fn marked(rows: &[&Measured]) -> Vec<String> {
    let mut sigmas: Vec<f64> = rows.iter().map(|row| row.sigma.value).collect();
    sigmas.sort_by(f64::total_cmp);
    let median = sigmas[sigmas.len() / 2];
    let mut far: Vec<_> = rows.iter().filter(|row| row.sigma.value > FAR_ABOVE * median).collect();
    far.sort_by(|a, b| b.sigma.value.total_cmp(&a.sigma.value));
    far.into_iter().take(MAX_MARKED).map(|row| name(row)).collect()
}

fn name(row: &Measured) -> String {
    match row.block {
        Some(block) => format!("{}[{block}]", harmless(&row.name)),
        None => harmless(&row.name),
    }
}

fn cells(row: &Measured, is_marked: bool, has_leading: bool) -> Vec<Cell> {
    let shape: Vec<_> = row.shape.iter().map(usize::to_string).collect();
    let leading: Vec<_> = row.leading.iter().map(|&value| short(value)).collect();
    let mut cells = vec![
        Cell::new(if is_marked { MARK } else { "" }),
        Cell::new(name(row)),
        Cell::new(shape.join("×")),
        Cell::new(row.dtype),
        Cell::new(short(row.sigma.value)),
        Cell::new(format!("{:.0e}", row.sigma.relative_width())),
        Cell::new(short(row.frobenius)),
        Cell::new(row.stable_rank.map_or("–".to_owned(), short)),
    ];
    if has_leading {
        cells.push(Cell::new(leading.join(" ")));
    }
    if is_marked {
        cells = cells.into_iter().map(|cell| cell.fg(Color::Yellow)).collect();
    }
    cells
}

/// A line for each weight whose spectral normalization the checkpoint holds.
fn stored(inspection: &Inspection) -> Option<String> {
    let line = |row: &Measured| {
        let stored = row.stored.as_ref()?;
        Some(harmless(&format!("{} ({}): {}", row.name, stored.writer, stored.verdict)))
    };
    let lines: Vec<_> = inspection.tensors.iter().filter_map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// How many tensors were skipped for each reason.
fn skipped(inspection: &Inspection) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for skipped in &inspection.skipped {
        match reasons.iter_mut().find(|(reason, _)| *reason == skipped.reason) {
            Some((_, names)) => names.push(&skipped.name),
            None => reasons.push((&skipped.reason, vec![&skipped.name])),
        }
    }
    let line = |(reason, names): (&str, Vec<&str>)| match names[..] {
        [name] => format!("skipped {name}: {reason}"),
        [first, ..] => format!("skipped {} tensors ({first}, …): {reason}", names.len()),
        [] => String::new(),
    };
    harmless(&reasons.into_iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// A count with its digits in threes.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let is_cut = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    let digit =
        |(place, digit)| if is_cut(place) { format!(",{digit}") } else { format!("{digit}") };
    digits.chars().enumerate().map(digit).collect()
}

fn totals(inspection: &Inspection) -> String {
    let totals = inspection.totals();
    let rank = totals
        .median_stable_rank
        .map_or(String::new(), |rank| format!("; median stable rank {}", short(rank)));
    let widest =
        inspection.tensors.iter().map(|row| row.sigma.relative_width()).fold(0.0, f64::max);
    let rows: Vec<_> = inspection.tensors.iter().collect();
    let mark = if marked(&rows).is_empty() {
        String::new()
    } else {
        format!("{MARK} σ is more than {FAR_ABOVE} times the median\n")
    };
    format!(
        "{}, {} parameters{rank}\n{mark}\
         ± relative width of an interval certain to hold σ; the widest is {widest:.0e}\n\
         product of all σ: 10^{:.2}. It bounds the Lipschitz constant of these weights\n\
         as matrices in one chain with 1-Lipschitz activations. A convolution may\n\
         amplify up to √(k₁k₂) times more than its reshaped σ (--view operator);\n\
         residual branches, attention and norms are not covered.",
        style(counted(totals.count, "weight")).bold(),
        grouped(totals.parameters),
        totals.log10_lipschitz_product,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }
}
