//! Run folders and checkpoints whose checksums are right and whose contents are not. Each is refused in
//! one line or passed over for the one before; some numbers only a training can find bad, and then it
//! ends with one line. Nothing panics.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::runs::{StopsAfter, on, request, train, under};
use ciborium::Value;
use osn_recipes::run::checkpoint::contents::{CheckpointContents, Part};
use osn_recipes::run::checkpoint::error::CheckpointError;
use osn_recipes::run::checkpoint::schedule::Checkpoints;
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::Silent;
use osn_recipes::run::request::TrainRequest;
use osn_runs::folder_error::FolderError;
use safetensors::tensor::Dtype;
use serde_json::json;

const STEPS: u64 = 4;

/// A run of four steps with a checkpoint of each, of which the last two are gone.
fn stopped(recipe: &str, decide: &str, out: &Path) -> PathBuf {
    let small: &[(&str, &str)] = match recipe {
        "control" => &[("hidden_sizes", "4"), ("memory", "6"), ("random_actions", "4")],
        "classify" => &[("network", "mlp"), ("hidden_sizes", "4"), ("train_images", "40")],
        "gan" => &[("image_size", "8")],
        _ => &[],
    };
    let short = [("steps", "4"), ("log_every", "2")];
    let checkpoints = Checkpoints { every: Some(1), keep: 100 };
    let request = under(decide, request(recipe, &[small, &short].concat(), &out.join("runs")));
    let request = TrainRequest { checkpoints, ..request };
    // Forty images of 8×8 in two classes to train on, and as many to judge by.
    let labels: Vec<u8> = [0, 1].repeat(20);
    for part in ["train", "t10k"] {
        let pixel =
            |image: usize, place: usize| ((64 * image + place).pow(2) % 251).to_le_bytes()[0];
        crate::files::write_idx(out, part, &labels, [8, 8], pixel);
    }
    let request = if recipe == "control" { request } else { on(out, request) };
    let folder = train(&request).folder;
    (3..=STEPS).for_each(|step| fs::remove_file(checkpoint(&folder, step)).unwrap());
    fs::remove_file(checkpoint(&folder, 1)).unwrap();
    change_description(&folder, |it| it["status"] = json!("running"));
    folder
}

fn checkpoint(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("checkpoints/step-{step:06}.safetensors"))
}

fn change_description(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join("run.json");
    let mut description = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut description);
    fs::write(path, description.to_string()).unwrap();
}

/// All files of a folder of one depth more.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let all = inside(folder)
        .into_iter()
        .flat_map(|path| if path.is_dir() { inside(&path) } else { vec![path] });
    all.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// What became of a run that went on from a changed checkpoint.
enum Outcome {
    Trained,
    Refused(String),
    Panicked,
}

fn go_on(folder: &Path) -> Outcome {
    let resume = || osn_recipes::resume(folder, &mut StopsAfter::steps(STEPS));
    match catch_unwind(AssertUnwindSafe(resume)) {
        Ok(Ok(_)) => Outcome::Trained,
        Ok(Err(error)) => Outcome::Refused(error.to_string()),
        Err(_) => Outcome::Panicked,
    }
}

fn read(file: &Path) -> CheckpointContents {
    CheckpointContents::from_bytes(fs::read(file).unwrap()).unwrap()
}

/// A part in every other shape and type that has the same or other numbers of bytes.
fn misshapen(part: &Part) -> Vec<Part> {
    let with = |dtype, shape: Vec<usize>, bytes: Vec<u8>| Part { dtype, shape, bytes };
    let Part { dtype, shape, bytes } = part;
    let (size, count) = (bytes.len(), shape.iter().product::<usize>());
    let width = size / count.max(1);
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let mut all = vec![
        with(*dtype, vec![0], Vec::new()),
        with(Dtype::U8, vec![0], Vec::new()),
        with(Dtype::U8, vec![size], bytes.clone()),
        with(*dtype, vec![count, 1], bytes.clone()),
        with(*dtype, vec![1, count], bytes.clone()),
        with(*dtype, reversed, bytes.clone()),
        with(Dtype::U8, vec![], vec![0]),
        with(Dtype::F64, vec![count], vec![0; 8 * count]),
        with(Dtype::F64, shape.clone(), vec![0; 8 * count]),
        with(Dtype::I64, shape.clone(), vec![255; 8 * count]),
        with(Dtype::F32, shape.clone(), f32::NAN.to_le_bytes().repeat(count)),
        with(Dtype::F16, shape.clone(), vec![255; 2 * count]),
        with(Dtype::I32, shape.clone(), i32::MIN.to_le_bytes().repeat(count)),
        with(Dtype::I32, shape.clone(), i32::MAX.to_le_bytes().repeat(count)),
        with(Dtype::BOOL, shape.clone(), vec![1; count]),
        with(Dtype::U64, shape.clone(), vec![255; 8 * count]),
    ];
    if count > 0 {
        all.push(with(*dtype, vec![count - 1], bytes[..size - width].to_vec()));
        all.push(with(*dtype, vec![count + 1], [bytes, &bytes[..width]].concat()));
    }
    all
}

/// What any value may be replaced with.
fn odd_values() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Integer(0.into()),
        Value::Integer(u64::MAX.into()),
        Value::Integer((u64::MAX / 4).into()),
        Value::Integer((-1).into()),
        Value::Float(f64::NAN),
        Value::Float(f64::INFINITY),
        Value::Float(-1e308),
        Value::Float(1e308),
        Value::Bool(true),
        Value::Text(String::new()),
        Value::Array(Vec::new()),
        Value::Map(Vec::new()),
    ]
}

/// Every value that differs from this one in one place: of a list the first, the second and the last, or
/// one more or fewer.
fn variants(value: &Value) -> Vec<Value> {
    let mut all = odd_values();
    match value {
        Value::Array(items) => {
            let places = [0, 1, items.len().wrapping_sub(1)];
            let mut places: Vec<_> = places.into_iter().filter(|&it| it < items.len()).collect();
            places.dedup();
            for place in places {
                let change = |item| {
                    let mut items = items.clone();
                    items[place] = item;
                    Value::Array(items)
                };
                all.extend(variants(&items[place]).into_iter().map(change));
            }
            if let Some(last) = items.last() {
                all.push(Value::Array(items[1..].to_vec()));
                all.push(Value::Array([&items[..], std::slice::from_ref(last)].concat()));
            }
        }
        Value::Map(fields) => {
            for (place, (_, field)) in fields.iter().enumerate() {
                let change = |value| {
                    let mut fields = fields.clone();
                    fields[place].1 = value;
                    Value::Map(fields)
                };
                all.extend(variants(field).into_iter().map(change));
                let mut fewer = fields.clone();
                fewer.remove(place);
                all.push(Value::Map(fewer));
            }
        }
        _ => {}
    }
    all.retain(|other| other != value);
    all
}

fn as_value(part: &Part) -> Option<Value> {
    let is_value = part.dtype == Dtype::U8 && part.shape.len() == 1;
    is_value.then(|| ciborium::from_reader(part.bytes.as_slice()).ok()).flatten()
}

fn of_value(value: &Value) -> Part {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    Part { dtype: Dtype::U8, shape: vec![bytes.len()], bytes }
}

/// Goes on from each changed checkpoint, the folder as it was before each time; returns how many there
/// were, and how many of them were refused.
fn tries(recipe: &str, decide: &str, changes: impl Fn(&str, &Part) -> Vec<Part>) -> (usize, usize) {
    let out = tempfile::tempdir().unwrap();
    let folder = stopped(recipe, decide, out.path());
    let (before, whole) = (files(&folder), read(&checkpoint(&folder, 2)));
    assert!(matches!(go_on(&folder), Outcome::Trained));
    let (mut tried, mut refused, mut bad) = (0, 0, Vec::new());
    for name in whole.names() {
        for changed in changes(name, whole.part(name).unwrap()) {
            let what = format!("{recipe} {decide} {name}: {:?} {:?}", changed.dtype, {
                as_value(&changed).map_or(format!("{:?}", changed.shape), |it| format!("{it:?}"))
            });
            for (path, bytes) in &before {
                fs::write(path, bytes).unwrap();
            }
            for step in 3..=STEPS {
                let _ = fs::remove_file(checkpoint(&folder, step));
            }
            let mut parts = whole.clone();
            parts.put(name.to_owned(), changed);
            fs::write(checkpoint(&folder, 2), parts.to_bytes().unwrap()).unwrap();
            tried += 1;
            match go_on(&folder) {
                Outcome::Trained => {}
                Outcome::Refused(message) if !message.contains('\n') => refused += 1,
                Outcome::Refused(message) => bad.push(format!("{what}: {message}")),
                Outcome::Panicked => bad.push(format!("{what}: it panics")),
            }
        }
    }
    assert!(bad.is_empty(), "{} of {tried}, such as {:#?}", bad.len(), &bad[..bad.len().min(40)]);
    (tried, refused)
}

#[test]
fn a_part_of_another_shape_or_type_is_refused_in_a_line() {
    let (tried, refused) =
        tries("control", "auto:task=control,interval=1", |_, part| misshapen(part));
    assert!(tried > 300 && refused * 10 > tried * 8, "{refused} of {tried} refused");
    // Networks with four axes, running values and an average take longer.
    for (recipe, decide) in [("gan", "always"), ("classify", "never")] {
        let some = |name: &str, part: &Part| {
            misshapen(part).into_iter().skip(name.len() % 8).step_by(8).collect()
        };
        let (tried, refused) = tries(recipe, decide, some);
        assert!(tried > 50 && refused * 10 > tried * 7, "{recipe}: {refused} of {tried} refused");
    }
}

/// What osn decides from has such a test of its own, beside it.
fn lies(name: &str, part: &Part) -> Vec<Part> {
    let value = as_value(part).filter(|_| name.split('.').next_back() != Some("osn"));
    let values = value.as_ref().map(variants).unwrap_or_default();
    values.iter().map(of_value).collect()
}

#[test]
fn a_value_that_lies_is_refused_in_a_line_or_goes_on_without_a_panic() {
    let (tried, refused) = tries("control", "auto:task=control,interval=1", lies);
    assert!(tried > 300 && refused * 2 > tried, "{refused} of {tried} refused");
}

#[test]
fn a_sum_of_signals_that_lies_is_refused_in_a_line_or_goes_on_without_a_panic() {
    for (recipe, decide) in
        [("gan", "auto:interval=3"), ("classify", "auto:task=classify,interval=3")]
    {
        let some = |name: &str, part: &Part| match name {
            "sums" => lies(name, part).into_iter().step_by(3).collect(),
            _ => Vec::new(),
        };
        let (tried, refused) = tries(recipe, decide, some);
        assert!(tried > 5 && refused > 3, "{recipe}: {refused} of {tried} refused");
    }
}

#[test]
fn a_checkpoint_under_the_name_of_another_step_is_passed_over() {
    let out = tempfile::tempdir().unwrap();
    let folder = stopped("control", "never", out.path());
    for step in [1, 3, STEPS + 5, u64::MAX] {
        fs::copy(checkpoint(&folder, 2), checkpoint(&folder, step)).unwrap();
    }
    let mut observer = StopsAfter::steps(3);
    osn_recipes::resume(&folder, &mut observer).unwrap();
    assert_eq!(observer.noticed.len(), 3, "{:?}", observer.noticed);
    for (words, step) in observer.noticed.iter().zip([u64::MAX, STEPS + 5, 3]) {
        assert!(words.contains(&format!("it is of step 2, not of {step} of 4")), "{words}");
    }
}

// --- Folders ---------------------------------------------------------------------------------

fn refused(folder: &Path) -> RunError {
    crate::runs::bad_input(osn_recipes::resume(folder, &mut Silent).unwrap_err())
}

#[test]
fn what_is_no_folder_of_a_run_is_refused_in_a_line() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path();
    let must_be_none = |folder: &Path| {
        let error = refused(folder);
        assert!(matches!(error, RunError::Folder(FolderError::Read { .. })), "{error}");
    };
    must_be_none(&path.join("none"));
    must_be_none(path);
    fs::write(path.join("file"), "text").unwrap();
    must_be_none(&path.join("file"));
    fs::create_dir(path.join("run.json")).unwrap();
    must_be_none(path);
}

#[test]
fn a_description_that_lies_is_refused_in_a_line() {
    let out = tempfile::tempdir().unwrap();
    let folder = stopped("control", "never", out.path());
    let path = folder.join("run.json");
    let before = fs::read(&path).unwrap();
    for text in ["", "{", "[]", "null", "\u{0}", &"[".repeat(100_000), "{\"schema\": 1e999}"] {
        fs::write(&path, text).unwrap();
        let error = refused(&folder);
        assert!(matches!(error, RunError::Folder(FolderError::Description { .. })), "{error}");
    }
    let huge = json!(u64::MAX);
    for (change, expected) in [
        (json!({"schema": 99}), "schema"),
        (json!({"seed": u64::MAX}), "seed"),
        (json!({"recipe": ""}), "recipe"),
        (json!({"recipe": "gan"}), "config"),
        (json!({"config": {}}), "config"),
        (json!({"config": null}), "config"),
        (json!({"rules": {}}), "rules"),
        (json!({"rules": [{"rule": {"rule": "cap", "interval": 0}}]}), "rules"),
        (json!({"device": "abacus"}), "device"),
        (json!({"seed": -1}), "no run"),
        (json!({"seed": 1.5}), "no run"),
        (json!({"view": "sideways"}), "no run"),
        (json!({"data": huge}), "no run"),
        (json!({"status": "perhaps"}), "no run"),
        (json!({"versions": null}), "no run"),
    ] {
        fs::write(&path, &before).unwrap();
        change_description(&folder, |it| {
            for (key, value) in change.as_object().unwrap() {
                it[key] = value.clone();
            }
        });
        let found = match refused(&folder) {
            RunError::Checkpoint(CheckpointError::Schema { .. }) => "schema".to_owned(),
            RunError::Checkpoint(CheckpointError::Differs { key, .. }) => key,
            RunError::UnknownName { kind, .. } => kind.to_owned(),
            RunError::Folder(FolderError::Description { .. }) => "no run".to_owned(),
            error => panic!("{change}: {error}"),
        };
        assert_eq!(found.split('.').next(), Some(expected), "{change}");
    }
}

#[test]
fn settings_of_a_description_are_checked_like_any() {
    let out = tempfile::tempdir().unwrap();
    let folder = stopped("control", "never", out.path());
    let path = folder.join("run.json");
    let before = fs::read(&path).unwrap();
    for key in ["steps", "batch_size", "memory", "actions_per_step", "random_actions"] {
        for value in [json!(0), json!(u64::MAX)] {
            fs::write(&path, &before).unwrap();
            change_description(&folder, |it| it["config"][key] = value.clone());
            let error = refused(&folder);
            assert!(matches!(&error, RunError::Config { key: of, .. } if of == key), "{error}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_checkpoint_that_is_a_pipe_or_a_folder_is_passed_over() {
    let out = tempfile::tempdir().unwrap();
    let folder = stopped("control", "never", out.path());
    let file = checkpoint(&folder, 3);
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    fs::create_dir(checkpoint(&folder, 4)).unwrap();
    let mut observer = StopsAfter::steps(3);
    osn_recipes::resume(&folder, &mut observer).unwrap();
    assert_eq!(observer.noticed.len(), 2, "{:?}", observer.noticed);
}
