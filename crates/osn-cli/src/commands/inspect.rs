//! `osn inspect`: the spectra of checkpoints.

use std::cmp::Reverse;
use std::path::Path;

use console::style;
use osn_checkpoint::{Checkpoint, Inspection, MeasureParams, Measured, SetTotals, Tensor};
use osn_core::layer::View;
use osn_core::number::median;
use osn_report::{counted, escaped, short};

use crate::command_line::args::{Column, InspectArgs};
use crate::commands::parts;
use crate::failure::{Failure, SUCCESS};
use crate::terminal::stdout;
use crate::terminal::table::{Row, Title, laid_out};
use crate::terminal::text::{columns, wrapped};
use crate::weights::{self, ReadProgress, by_reason, listed, shown};

/// A σ this many times the median's is marked.
const FAR_ABOVE: f64 = 3.0;
/// At most so many weights are marked.
const MAX_MARKED: usize = 5;
const MARK: &str = "▲";
/// A tensor of three axes whose last two are both this long is taken for a stack of matrices, not for a
/// one-dimensional kernel.
const LONG: usize = 32;

/// Measures every selected tensor and prints the results.
pub(crate) fn run(args: &InspectArgs) -> Result<u8, Failure> {
    if args.merge {
        stdout::print(&parts::merged(&args.files)?)?;
        return Ok(SUCCESS);
    }
    let params = MeasureParams { leading: args.top, ..weights::params(&args.weights)? };
    let select = weights::select(&args.weights)?;
    let checkpoints = weights::open_all(&args.files)?;
    let ranges = parts::ranges(&checkpoints, args.part);
    let measured = || checkpoints.iter().zip(ranges.iter().cloned());
    let tensors = measured().flat_map(|(checkpoint, range)| &checkpoint.tensors()[range]);
    let mut progress = ReadProgress::of(tensors);
    let mut inspection = Inspection::default();
    for (checkpoint, range) in measured() {
        let next = |tensor: &Tensor| progress.next(tensor);
        inspection.add_part(checkpoint, range, (&select, &params), next);
    }
    drop(progress);
    if let Some(part) = args.part {
        stdout::print(&parts::labelled(&inspection, part)?)?;
    } else if args.json {
        stdout::print(&json(&inspection)?)?;
    } else {
        stdout::print(&for_people(&inspection, args, &params.view))?;
    }
    exit_code(&inspection, args, &checkpoints)
}

/// Success, or the first tensor that could not be measured.
fn exit_code(
    inspection: &Inspection,
    args: &InspectArgs,
    checkpoints: &[Checkpoint],
) -> Result<u8, Failure> {
    weights::check_select(&args.weights.select, checkpoints)?;
    let choices = || inspection.skipped.iter().filter(|skipped| skipped.why.is_bad_choice());
    let choice = choices().find(|it| !it.why.is_other_rank()).or_else(|| choices().next());
    // The other parts may have what this one lacks.
    let unfit = choice.filter(|_| inspection.tensors.is_empty() && args.part.is_none());
    match inspection.first_bad().or(unfit) {
        None => Ok(SUCCESS),
        Some(bad) => Err(Failure::bad_input(format!(
            "{}: tensor {}: {}",
            bad.file,
            shown(&bad.name),
            escaped(&bad.why.to_string())
        ))),
    }
}

fn json(inspection: &Inspection) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(inspection).map_err(Failure::failed)?;
    Ok(format!("{text}\n"))
}

/// The table, how weights are used, what was skipped, and the totals.
fn for_people(inspection: &Inspection, args: &InspectArgs, view: &View) -> String {
    let width = columns();
    let wrap = |text: String| wrapped(&text, width);
    if inspection.tensors.is_empty() {
        return format!("no tensor was measured\n{}", with_end(wrap(skipped(inspection))));
    }
    let mut parts = vec![table(inspection, args, width)];
    parts.push(wrap(in_use(inspection)));
    parts.push(wrap(hints(inspection, view)));
    parts.push(wrap(skipped(inspection)));
    parts.push(wrap(totals(inspection, view)));
    parts.retain(|part| !part.is_empty());
    with_end(parts.join("\n\n"))
}

fn with_end(text: String) -> String {
    if text.is_empty() { text } else { format!("{text}\n") }
}

fn table(inspection: &Inspection, args: &InspectArgs, width: Option<usize>) -> String {
    let mut rows: Vec<&Measured> = inspection.tensors.iter().collect();
    sort(&mut rows, args.sort);
    let marked = marked(&rows);
    let has_raw = rows.iter().any(|row| row.raw_sigma.is_some());
    let mut titles = ["weight", "shape", "type"].map(Title::obvious).to_vec();
    titles.push(Title::number("σ"));
    titles.extend(has_raw.then_some(Title::number("stored σ")));
    titles.extend(["±", "‖W‖_F", "stable rank"].map(Title::number));
    titles.extend((args.top > 0).then_some(Title::text("largest singular values")));
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| Row {
            mark: if marked.contains(&name(row)) { MARK } else { "" },
            cells: cells(row, has_raw, args.top > 0),
        })
        .collect();
    laid_out(&titles, &rows, width)
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

/// The weights whose σ is far above the median.
fn marked(rows: &[&Measured]) -> Vec<String> {
    let sigmas: Vec<f64> = rows.iter().map(|row| row.sigma.value).collect();
    let Some(median) = median(&sigmas) else { return Vec::new() };
    let mut far: Vec<_> = rows.iter().filter(|row| row.sigma.value > FAR_ABOVE * median).collect();
    far.sort_by(|a, b| b.sigma.value.total_cmp(&a.sigma.value));
    far.into_iter().take(MAX_MARKED).map(|row| name(row)).collect()
}

fn name(row: &Measured) -> String {
    match row.block {
        Some(block) => format!("{}[{block}]", shown(&row.name)),
        None => shown(&row.name),
    }
}

fn cells(row: &Measured, has_raw: bool, has_leading: bool) -> Vec<String> {
    let shape: Vec<_> = row.shape.iter().map(usize::to_string).collect();
    let leading: Vec<_> = row.leading.iter().map(|&value| short(value)).collect();
    let mut cells = vec![name(row), shape.join("×"), row.dtype.to_owned(), short(row.sigma.value)];
    if has_raw {
        cells.push(row.raw_sigma.map_or("–".to_owned(), |raw| short(raw.value)));
    }
    cells.push(format!("{:.0e}", row.sigma.relative_width()));
    cells.push(short(row.frobenius));
    cells.push(row.stable_rank.map_or("–".to_owned(), short));
    if has_leading {
        cells.push(leading.join(" "));
    }
    cells
}

/// How a model transforms stored weights before it uses them: a line for each whose vectors the checkpoint
/// holds, and one for all of each other kind.
fn in_use(inspection: &Inspection) -> String {
    let mut lines = Vec::new();
    let of_first_blocks = || inspection.tensors.iter().filter(|row| row.block.unwrap_or(0) == 0);
    for row in of_first_blocks() {
        if let Some(stored) = &row.stored {
            let in_use = row.in_use.as_deref().map_or(String::new(), |it| format!("{it}; "));
            let (name, writer) = (shown(&row.name), stored.writer);
            lines.push(format!("{name} ({writer}): {in_use}{}", escaped(&stored.verdict)));
        }
    }
    let others = of_first_blocks().filter(|row| row.stored.is_none());
    let others = others.filter_map(|row| Some((row.name.as_str(), row.in_use.as_deref()?)));
    for (in_use, names) in by_reason(others) {
        lines.push(format!("{}, as used: {}", listed(&names), escaped(in_use)));
    }
    lines.join("\n")
}

/// How to measure the matrices of a stack.
fn hints(inspection: &Inspection, view: &View) -> String {
    if !matches!(view, View::Matrix | View::Reshaped) {
        return String::new();
    }
    let is_stack = |row: &&Measured| {
        let name = row.name.to_lowercase();
        let has_long = row.shape.len() == 3 && row.shape[1..].iter().all(|&side| side >= LONG);
        let is_called = ["expert", "moe", "stack"].iter().any(|word| name.contains(word));
        row.shape.len() == 3 && row.shape[0] > 1 && (is_called || has_long)
    };
    let mut lines: Vec<String> = Vec::new();
    for row in inspection.tensors.iter().filter(is_stack) {
        let &[count, height, width] = &row.shape[..] else { continue };
        let flag = format!("--view blocks:axis=0,count={count}");
        if !lines.iter().any(|line| line.contains(&flag)) {
            lines.push(format!(
                "{} was measured as one {count}×{} matrix; if it is a stack of {count} matrices of \
                 {height}×{width}, {flag} measures each",
                shown(&row.name),
                height * width
            ));
        }
    }
    lines.join("\n")
}

/// How many tensors were skipped for each reason.
fn skipped(inspection: &Inspection) -> String {
    let reasons: Vec<_> = inspection.skipped.iter().map(|it| it.why.to_string()).collect();
    let names = inspection.skipped.iter().map(|it| it.name.as_str());
    let lines: Vec<_> = by_reason(names.zip(reasons.iter().map(String::as_str)))
        .into_iter()
        .map(|(reason, names)| format!("skipped {}: {}", listed(&names), escaped(reason)))
        .collect();
    lines.join("\n")
}

/// A count with its digits in threes.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let is_cut = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    let digit =
        |(place, digit)| if is_cut(place) { format!(",{digit}") } else { format!("{digit}") };
    digits.chars().enumerate().map(digit).collect()
}

fn totals(inspection: &Inspection, view: &View) -> String {
    let all = inspection.totals();
    let lines: Vec<_> = all.iter().map(|totals| of_set(totals, all.len() > 1)).collect();
    let widest =
        inspection.tensors.iter().map(|row| row.sigma.relative_width()).fold(0.0, f64::max);
    let rows: Vec<_> = inspection.tensors.iter().collect();
    let mark = if marked(&rows).is_empty() {
        String::new()
    } else {
        format!("{MARK} σ is more than {FAR_ABOVE} times the median\n")
    };
    format!(
        "{}\n{mark}± relative width of the interval, which certainly contains σ; at most {widest:.0e}\n{}",
        lines.join("\n"),
        about_product(view)
    )
}

/// What the product of all σ bounds.
fn about_product(view: &View) -> &'static str {
    match view {
        View::Operator(_) => {
            "The product bounds the Lipschitz constant of these convolutions in one chain with \
             1-Lipschitz activations, at this input size; residual branches, attention and norms are \
             not covered."
        }
        View::Bidirectional => {
            "The product is of means of two reshapings, and bounds no Lipschitz constant."
        }
        _ => {
            "The product bounds the Lipschitz constant of these weights as matrices in one chain with \
             1-Lipschitz activations. A convolution may amplify up to √(k₁k₂) times more than its \
             reshaped σ (--view operator); residual branches, attention and norms are not covered."
        }
    }
}

fn of_set(totals: &SetTotals, is_one_of_several: bool) -> String {
    let rank = totals
        .median_stable_rank
        .map_or(String::new(), |rank| format!("; median stable rank {}", short(rank)));
    let log10 = totals.log10_lipschitz_product;
    let product = match &totals.zero {
        Some(zero) => format!("0, since {} is zero", shown(zero)),
        None if log10.is_infinite() => "too large for a number".to_owned(),
        None => format!("10^{log10:.2}"),
    };
    let parameters = grouped(totals.parameters);
    let noun = if totals.parameters == 1 { "parameter" } else { "parameters" };
    let weights = style(counted(totals.count, "weight")).bold();
    let file = Path::new(&totals.file).file_name().unwrap_or_default().to_string_lossy();
    let set = match &totals.set {
        Some(set) => format!("{} in {}: ", escaped(set), escaped(&file)),
        None if is_one_of_several => format!("{}: ", escaped(&file)),
        None => String::new(),
    };
    let end = if is_one_of_several { "; " } else { "\n" };
    format!("{set}{weights}, {parameters} {noun}{rank}{end}product of all σ: {product}")
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
