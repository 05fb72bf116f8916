//! What `osn inspect` and `osn normalize` share: opening checkpoints, selecting weights, the progress bar.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use osn_checkpoint::{Checkpoint, MeasureParams, Tensor, selectable};
use osn_core::layer::{Globs, View};
use osn_core::measure::bounds::IntervalParams;
use osn_core::names::closest_glob;
use osn_report::escaped;

use crate::command_line::args::WeightArgs;
use crate::failure::Failure;
use crate::terminal::screen::Work;
use crate::terminal::stderr::say;

/// Fewer bytes than these are read too quickly for a progress bar.
const BYTES_WORTH_A_BAR: u64 = 64 << 20;
/// Names that a message gives as examples.
const MAX_EXAMPLES: usize = 4;
/// Endings of the files in a folder that may be checkpoints.
const ENDINGS: [&str; 6] = ["safetensors", "pt", "pth", "bin", "ckpt", "pkl"];

/// How weights are measured, from the command line.
pub(crate) fn params(args: &WeightArgs) -> Result<MeasureParams, Failure> {
    let view = view(args)?;
    if let (View::Operator(convolution), Some(asked)) = (&view, args.output_axis) {
        let its = usize::from(convolution.output_padding.is_some());
        if asked != its {
            return Err(Failure::bad_input(format!(
                "--output-axis {asked} contradicts this operator view, whose output axis is {its}; remove \
                 it, or add transposed=0 to the view of a transposed convolution"
            )));
        }
    }
    let usual = IntervalParams::default();
    let tolerance = args.tolerance.unwrap_or(usual.tolerance);
    let interval = IntervalParams { tolerance, ..usual };
    Ok(MeasureParams { view, output_axis: args.output_axis, leading: 0, interval })
}

/// The globs of `--select`.
pub(crate) fn select(args: &WeightArgs) -> Result<Globs, Failure> {
    Globs::new(args.select.iter().cloned()).map_err(Failure::bad_input)
}

/// Checks that every glob of `--select` matches a name in some checkpoint.
pub(crate) fn check_select(globs: &[String], checkpoints: &[Checkpoint]) -> Result<(), Failure> {
    let names: Vec<_> = checkpoints.iter().flat_map(selectable).collect();
    let matches = |glob: &str| {
        Globs::new([glob]).is_ok_and(|glob| names.iter().any(|it| glob.matching(it).is_some()))
    };
    let Some(glob) = globs.iter().find(|glob| !matches(glob)) else { return Ok(()) };
    let wider = glob.replace("**", "*").replace('*', "**");
    if wider != *glob && matches(&wider) {
        return Err(Failure::bad_input(format!(
            "no tensor matches --select '{glob}': '*' does not match a full stop; try '{wider}'"
        )));
    }
    let all: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if let Some(meant) = closest_glob(glob, &all) {
        let meant = escaped(&short(&meant));
        return Err(Failure::bad_input(format!(
            "no tensor matches --select '{glob}'; did you mean '{meant}'?"
        )));
    }
    let some: Vec<_> = names.iter().take(MAX_EXAMPLES).map(|name| escaped(&short(name))).collect();
    let more = if names.len() > some.len() { ", …" } else { "" };
    Err(Failure::bad_input(format!(
        "no tensor matches --select '{glob}'; the tensors are {}{more}",
        some.join(", ")
    )))
}

/// The beginning of a long name.
fn short(name: &str) -> String {
    const MAX: usize = 80;
    match name.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Opens a checkpoint, or the only one in a folder.
pub(crate) fn open(path: &Path) -> Result<Checkpoint, Failure> {
    Checkpoint::open(found(path)?).map_err(Failure::bad_input)
}

/// The file of a checkpoint: the path itself, or the only checkpoint in a folder.
pub(crate) fn found(path: &Path) -> Result<PathBuf, Failure> {
    if path.is_dir() {
        return only_one_in(path);
    }
    if !path.exists() {
        check_name(path)?;
    }
    if ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].map(Path::new).contains(&path) {
        return Err(Failure::bad_input(NO_STDIN));
    }
    Ok(path.to_owned())
}

const NO_STDIN: &str =
    "a checkpoint cannot be read from standard input, because it is not read in order; pass a file";

/// Explains names that no file has.
fn check_name(path: &Path) -> Result<(), Failure> {
    let name = path.to_string_lossy();
    if name == "-" {
        return Err(Failure::bad_input(NO_STDIN));
    }
    if name.contains(['*', '?', '[']) {
        return Err(Failure::bad_input(format!(
            "there is no file '{name}', and no file that this pattern matches"
        )));
    }
    Ok(())
}

/// The index in a folder or, where there is none, the checkpoint.
fn only_one_in(folder: &Path) -> Result<PathBuf, Failure> {
    let fail = |error| Failure::bad_input(format!("cannot read {}: {error}", folder.display()));
    let entries = fs::read_dir(folder).map_err(fail)?;
    let paths: Result<BTreeSet<_>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let paths = paths.map_err(fail)?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_visible = |path: &&PathBuf| path.is_file() && !name(path).starts_with('.');
    let is_index = |path: &&PathBuf| name(path).ends_with(".index.json");
    let ending = |path: &Path| path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let is_checkpoint = |path: &&PathBuf| ENDINGS.contains(&&*ending(path));
    let visible: Vec<_> = paths.iter().filter(is_visible).collect();
    let of_kind = |is_kind: &dyn Fn(&&PathBuf) -> bool| -> Vec<&PathBuf> {
        visible.iter().copied().filter(|path| is_kind(path)).collect()
    };
    let mut found = of_kind(&is_index);
    if found.is_empty() {
        found = of_kind(&is_checkpoint);
    }
    match found[..] {
        [one] => Ok(one.clone()),
        [] => match snapshot(folder)? {
            Some(snapshot) => only_one_in(&snapshot),
            None => Err(Failure::bad_input(format!("{} holds no checkpoint", folder.display()))),
        },
        [..] => {
            let names: Vec<_> =
                found.iter().take(MAX_EXAMPLES).map(|path| escaped(&name(path))).collect();
            let more = if found.len() > names.len() { ", …" } else { "" };
            Err(Failure::bad_input(format!(
                "{} holds {} checkpoints; pass one or more of them: {}{more}",
                folder.display(),
                found.len(),
                names.join(", ")
            )))
        }
    }
}

/// The folder of a model's files in the cache of Hugging Face's hub: that of the revision `main`, else the only one.
fn snapshot(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    let is_snapshots = folder.file_name().is_some_and(|name| name == "snapshots");
    let (model, snapshots) = if is_snapshots {
        (folder.parent().unwrap_or(folder).to_owned(), folder.to_owned())
    } else {
        (folder.to_owned(), folder.join("snapshots"))
    };
    let entries = fs::read_dir(&snapshots).into_iter().flatten().flatten();
    let folders: BTreeSet<_> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    let main = fs::read_to_string(model.join("refs/main")).unwrap_or_default();
    let main = folders.iter().find(|path| path.ends_with(main.trim()) && !main.trim().is_empty());
    match (main, folders.len()) {
        (Some(main), _) => Ok(Some(main.clone())),
        (None, 0 | 1) => Ok(folders.into_iter().next()),
        (None, count) => {
            let names = folders.iter().take(MAX_EXAMPLES).map(|path| path.display().to_string());
            let names: Vec<_> = names.collect();
            let more = if count > names.len() { ", …" } else { "" };
            Err(Failure::bad_input(format!(
                "{} holds {count} revisions; pass one of them: {}{more}",
                folder.display(),
                names.join(", ")
            )))
        }
    }
}

/// Opens checkpoints, each file once even where the command line names it several times.
pub(crate) fn open_all(paths: &[PathBuf]) -> Result<Vec<Checkpoint>, Failure> {
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    let mut opened = Vec::new();
    for path in &expanded(paths) {
        let checkpoint = open(path)?;
        let files = files(path, &checkpoint);
        let common = files.iter().filter(|file| seen.contains(*file)).count();
        if common > 0 && common == files.len() {
            let path = path.to_string_lossy();
            say(format_args!("{} is named twice and measured once", escaped(&path)));
            continue;
        }
        if common > 0 {
            return Err(Failure::bad_input(format!(
                "{} shares files with a checkpoint that is named before it; pass one of them",
                path.display()
            )));
        }
        seen.extend(files);
        opened.push(checkpoint);
    }
    Ok(opened)
}

/// The paths, with the files that a pattern matches in place of one that the shell was kept from expanding.
fn expanded(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut expanded = Vec::new();
    for path in paths {
        let name = path.to_string_lossy();
        let is_pattern = name.contains(['*', '?', '[']) && !path.exists();
        let found = if is_pattern { glob::glob(&name).ok() } else { None };
        let found: Vec<_> = found.into_iter().flatten().filter_map(Result::ok).collect();
        if found.is_empty() {
            expanded.push(path.clone());
        }
        expanded.extend(found);
    }
    expanded
}

/// The files that a checkpoint's elements are in, without links.
fn files(path: &Path, checkpoint: &Checkpoint) -> BTreeSet<PathBuf> {
    let whole = |file: &Path| file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let files = checkpoint.tensors().iter().map(|tensor| whole(Path::new(tensor.file())));
    let files: BTreeSet<_> = files.collect();
    if files.is_empty() { BTreeSet::from([whole(path)]) } else { files }
}

/// The view, with `--input-size` put into that of the operator.
fn view(args: &WeightArgs) -> Result<View, Failure> {
    let size: Vec<_> = args.input_size.iter().map(usize::to_string).collect();
    let is_operator = args.view == "operator" || args.view.starts_with("operator:");
    let text = match (is_operator, size.is_empty()) {
        (true, false) => {
            let rest = args.view.trim_start_matches("operator").trim_start_matches(':');
            let comma = if rest.is_empty() { "" } else { "," };
            format!("operator:size={}{comma}{rest}", size.join("x"))
        }
        (false, false) => {
            return Err(Failure::bad_input("--input-size needs --view operator"));
        }
        (true, true) if !args.view.contains("size=") => {
            return Err(Failure::bad_input(
                "--view operator needs --input-size, for example 28,28",
            ));
        }
        (_, true) => args.view.clone(),
    };
    text.parse().map_err(Failure::bad_input)
}

/// The name of a tensor as it is shown; a tensor that was saved alone has none.
pub(crate) fn shown(name: &str) -> String {
    if name.is_empty() { "(without a name)".to_owned() } else { escaped(name) }
}

/// Names of tensors in a sentence, the first few of them.
pub(crate) fn listed(names: &[&str]) -> String {
    if let [name] = names {
        return shown(name);
    }
    let some: Vec<_> = names.iter().take(MAX_EXAMPLES).map(|name| shown(name)).collect();
    let more = if names.len() > some.len() { ", …" } else { "" };
    format!("{} tensors ({}{more})", names.len(), some.join(", "))
}

/// Names of tensors by their reason, in the order of the first of each.
pub(crate) fn by_reason<'a>(
    said: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, reason) in said {
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    reasons
}

/// Shows how much of some checkpoints is done, on a terminal and where it takes a while.
#[derive(Debug)]
pub(crate) struct ReadProgress {
    work: Work,
    /// Bytes.
    done: u64,
    all: u64,
    /// Those of the tensor that is being read.
    now: u64,
}

impl ReadProgress {
    pub(crate) fn over<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        Self::of(checkpoints.into_iter().flat_map(Checkpoint::tensors))
    }

    /// The progress over some tensors.
    pub(crate) fn of<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Self {
        let all = tensors.map(bytes).fold(0, u64::saturating_add);
        Self { work: Work::begin(all >= BYTES_WORTH_A_BAR), done: 0, all, now: 0 }
    }

    /// The tensor is next; the one before it is done.
    pub(crate) fn next(&mut self, tensor: &Tensor) {
        self.done = self.done.saturating_add(self.now);
        self.now = bytes(tensor);
        let count = format!("{}/{} MiB", self.done >> 20, self.all >> 20);
        self.work.show((self.done, self.all), count, escaped(tensor.name()));
    }
}

fn bytes(tensor: &Tensor) -> u64 {
    tensor.byte_count() as u64
}
