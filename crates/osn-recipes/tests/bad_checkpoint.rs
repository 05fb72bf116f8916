//! Run folders and checkpoints that lie: their checksums are right, their contents are not. Each is
//! refused in one line or passed over for the one before; some numbers only a training can find bad, and
//! then it ends with a line. Nothing panics.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod runs;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ciborium::Value;
use osn_recipes::run::{Checkpoints, Parts, Silent, TrainRequest};
use runs::{StopsAfter, TINY_IMAGES, request, train};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

const STEPS: u64 = 4;

const SMALL: [(&str, &str); 3] = [("steps", "4"), ("eval_every", "3"), ("log_every", "2")];
const TINY_CONTROL: [(&str, &str); 6] = [
    ("batch_size", "4"),
    ("hidden_sizes", "4"),
    ("memory", "6"),
    ("random_actions", "4"),
    ("eval_episodes", "1"),
    ("final_episodes", "1"),
];
const TINY_CLASSIFY: [(&str, &str); 6] = [
    ("network", "mlp"),
    ("batch_size", "4"),
    ("hidden_sizes", "4"),
    ("train_images", "40"),
    ("eval_images", "20"),
    ("final_images", "20"),
];

/// A run of four steps with a checkpoint of each, of which the last two are gone.
fn stopped(recipe: &str, decide: &str, out: &Path) -> PathBuf {
    let tiny: &[(&str, &str)] = match recipe {
        "control" => &TINY_CONTROL,
        "classify" => &TINY_CLASSIFY,
        _ => &TINY_IMAGES,
    };
    let more: &[(&str, &str)] = if recipe == "gan" { &[("image_size", "8")] } else { &[] };
    let request = request(recipe, tiny, &[&SMALL, more].concat(), &out.join("runs"));
    let data = (recipe != "control").then(|| few_images(out));
    let checkpoints = Checkpoints { every: Some(1), keep: 100 };
    let decide = Some(decide.to_owned());
    let folder = train(&TrainRequest { decide, data, checkpoints, ..request }).folder;
    (3..=STEPS).for_each(|step| fs::remove_file(checkpoint(&folder, step)).unwrap());
    fs::remove_file(checkpoint(&folder, 1)).unwrap();
    change_description(&folder, |it| it["status"] = json!("running"));
    folder
}

/// A folder with forty images of 8×8 in two classes to train on, and as many to judge by.
fn few_images(out: &Path) -> String {
    let idx = |shape: &[u8], value: fn(usize) -> usize| {
        let sizes = shape.iter().flat_map(|&size| [0, 0, 0, size]);
        let count = shape.iter().map(|&size| usize::from(size)).product::<usize>();
        let values = (0..count).map(|place| value(place).to_le_bytes()[0]);
        [0, 0, 8, u8::try_from(shape.len()).unwrap()]
            .into_iter()
            .chain(sizes)
            .chain(values)
            .collect::<Vec<u8>>()
    };
    for stem in ["train", "t10k"] {
        let images = idx(&[40, 8, 8], |place| place * place % 251);
        fs::write(out.join(format!("{stem}-images-idx3-ubyte")), images).unwrap();
        let labels = idx(&[40], |place| place % 2);
        fs::write(out.join(format!("{stem}-labels-idx1-ubyte")), labels).unwrap();
    }
    out.to_str().unwrap().to_owned()
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
    WentOn,
    Refused(String),
    Panicked,
}

fn go_on(folder: &Path) -> Outcome {
    let resume = || osn_recipes::resume(folder, &mut StopsAfter::steps(STEPS));
    match catch_unwind(AssertUnwindSafe(resume)) {
        Ok(Ok(_)) => Outcome::WentOn,
        Ok(Err(error)) => Outcome::Refused(error.to_string()),
        Err(_) => Outcome::Panicked,
    }
}

/// The part of a checkpoint, as others write it.
#[derive(Clone, Debug)]
struct Part {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn read(file: &Path) -> Vec<Part> {
    let bytes = fs::read(file).unwrap();
    let part = |(name, view): (&str, TensorView)| Part {
        name: name.to_owned(),
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    let mut parts: Vec<Part> = SafeTensors::deserialize(&bytes).unwrap().iter().map(part).collect();
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    parts
}

fn view(part: &Part) -> (String, TensorView<'_>) {
    let view = TensorView::new(part.dtype, part.shape.clone(), &part.bytes);
    (part.name.clone(), view.unwrap_or_else(|error| panic!("{part:?}: {error}")))
}

/// The bytes of a checkpoint with these parts and the checksum that goes with them.
fn bytes_of(parts: &[Part]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let blank = "0".repeat(64);
    let header = std::collections::HashMap::from([("sha256".to_owned(), blank.clone())]);
    let views = parts.iter().map(view);
    let mut bytes = safetensors::serialize(views, Some(header)).unwrap();
    let checksum = format!("{:x}", Sha256::digest(&bytes));
    let place = bytes.windows(64).position(|window| window == blank.as_bytes()).unwrap();
    bytes[place..place + 64].copy_from_slice(checksum.as_bytes());
    bytes
}

/// A part in every other shape and type that has the same or other numbers of bytes.
fn misshapen(part: &Part) -> Vec<Part> {
    let with = |dtype, shape: Vec<usize>, bytes: Vec<u8>| Part {
        dtype,
        shape,
        bytes,
        name: part.name.clone(),
    };
    let Part { dtype, shape, bytes, .. } = part;
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

fn of_value(part: &Part, value: &Value) -> Part {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    Part { shape: vec![bytes.len()], bytes, ..part.clone() }
}

/// Goes on from each changed checkpoint, the folder as it was before each time; returns how many there
/// were, and how many of them were refused.
fn tries(recipe: &str, decide: &str, changes: impl Fn(&Part) -> Vec<Part>) -> (usize, usize) {
    let out = tempfile::tempdir().unwrap();
    let folder = stopped(recipe, decide, out.path());
    let (before, whole) = (files(&folder), read(&checkpoint(&folder, 2)));
    assert!(matches!(go_on(&folder), Outcome::WentOn));
    let (mut tried, mut refused, mut bad) = (0, 0, Vec::new());
    for (place, part) in whole.iter().enumerate() {
        for changed in changes(part) {
            let what = format!("{recipe} {decide} {}: {:?} {:?}", part.name, changed.dtype, {
                as_value(&changed).map_or(format!("{:?}", changed.shape), |it| format!("{it:?}"))
            });
            for (path, bytes) in &before {
                fs::write(path, bytes).unwrap();
            }
            for step in 3..=STEPS {
                let _ = fs::remove_file(checkpoint(&folder, step));
            }
            let mut parts = whole.clone();
            parts[place] = changed;
            fs::write(checkpoint(&folder, 2), bytes_of(&parts)).unwrap();
            tried += 1;
            match go_on(&folder) {
                Outcome::WentOn => {}
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
fn the_checksum_of_this_test_is_that_of_a_checkpoint() {
    let out = tempfile::tempdir().unwrap();
    let folder = stopped("control", "never", out.path());
    let bytes = bytes_of(&read(&checkpoint(&folder, 2)));
    assert!(Parts::from_bytes(bytes).is_ok());
}

#[test]
fn a_part_of_another_shape_or_type_is_refused_in_a_line() {
    let (tried, refused) = tries("control", "auto:task=control,interval=1", misshapen);
    assert!(tried > 300 && refused * 10 > tried * 8, "{refused} of {tried} refused");
    // Networks with four axes, running values and an average take longer.
    for (recipe, decide) in [("gan", "always"), ("classify", "never")] {
        let some = |part: &Part| {
            misshapen(part).into_iter().skip(part.name.len() % 8).step_by(8).collect()
        };
        let (tried, refused) = tries(recipe, decide, some);
        assert!(tried > 50 && refused * 10 > tried * 7, "{recipe}: {refused} of {tried} refused");
    }
}

/// What osn decides from has such a test of its own, beside it.
fn lies(part: &Part) -> Vec<Part> {
    let value = as_value(part).filter(|_| part.name.split('.').next_back() != Some("osn"));
    let values = value.as_ref().map(variants).unwrap_or_default();
    values.iter().map(|value| of_value(part, value)).collect()
}

#[test]
fn a_value_that_lies_is_refused_in_a_line_or_goes_on_without_a_panic() {
    let (tried, refused) = tries("control", "auto:task=control,interval=1", lies);
    assert!(tried > 300 && refused * 2 > tried, "{refused} of {tried} refused");
}

#[test]
fn a_sum_of_signals_that_lies_is_refused_in_a_line_or_goes_on_without_a_panic() {
    let of_watch = |part: &Part| if part.name == "watch" { lies(part) } else { Vec::new() };
    for (recipe, decide) in
        [("gan", "auto:interval=3"), ("classify", "auto:task=classify,interval=3")]
    {
        let some = |part: &Part| of_watch(part).into_iter().step_by(3).collect();
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

fn refused(folder: &Path) -> String {
    let error = osn_recipes::resume(folder, &mut Silent).unwrap_err();
    assert!(error.is_bad_input(), "{error}");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn what_is_no_folder_of_a_run_is_refused_in_a_line() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path();
    assert!(refused(&path.join("none")).contains("is this the folder of a run?"));
    assert!(refused(path).contains("is this the folder of a run?"));
    fs::write(path.join("file"), "text").unwrap();
    assert!(refused(&path.join("file")).contains("is this the folder of a run?"));
    fs::create_dir(path.join("run.json")).unwrap();
    assert!(refused(path).contains("is this the folder of a run?"));
}

#[test]
fn a_description_that_lies_is_refused_in_a_line() {
    let out = tempfile::tempdir().unwrap();
    let folder = stopped("control", "never", out.path());
    let path = folder.join("run.json");
    let before = fs::read(&path).unwrap();
    for text in ["", "{", "[]", "null", "\u{0}", &"[".repeat(100_000), "{\"schema\": 1e999}"] {
        fs::write(&path, text).unwrap();
        assert!(refused(&folder).contains("run.json describes no run"), "{}", refused(&folder));
    }
    let huge = json!(u64::MAX);
    for (change, expected) in [
        (json!({"schema": 99}), "schema"),
        (json!({"seed": u64::MAX}), "seed"),
        (json!({"seed": -1}), "describes no run"),
        (json!({"seed": 1.5}), "describes no run"),
        (json!({"recipe": ""}), "unknown recipe ''"),
        (json!({"recipe": "gan"}), "config"),
        (json!({"config": {}}), "config"),
        (json!({"config": null}), "config"),
        (json!({"rules": {}}), "rules"),
        (json!({"rules": [{"rule": {"rule": "cap", "interval": 0}}]}), "rules"),
        (json!({"view": "sideways"}), "describes no run"),
        (json!({"device": "abacus"}), "unknown device 'abacus'"),
        (json!({"data": huge}), "describes no run"),
        (json!({"status": "perhaps"}), "describes no run"),
        (json!({"versions": null}), "describes no run"),
    ] {
        fs::write(&path, &before).unwrap();
        change_description(&folder, |it| {
            for (key, value) in change.as_object().unwrap() {
                it[key] = value.clone();
            }
        });
        let message = refused(&folder);
        assert!(message.contains(expected), "{change}: {message}");
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
            assert!(refused(&folder).contains(key), "{}", refused(&folder));
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
