//! A checkpoint whose parts were changed and whose checksum is right: the run goes on, or says why not.

#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{folder_with, is_said, sealed};
use osn_recipes::run::checkpoint::schedule::Checkpoints;
use osn_recipes::run::observer::Silent;
use osn_recipes::run::request::TrainRequest;
use osn_recipes::{resume, train};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

const CHECKPOINT: &str = "checkpoints/step-000001.safetensors";

/// A run of two steps as it was after its first.
static HONEST: LazyLock<Run> = LazyLock::new(Run::new);

struct Run {
    description: Vec<u8>,
    record: Vec<u8>,
    parts: BTreeMap<String, Part>,
}

#[derive(Clone)]
struct Part {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = HONEST.parts.clone();
    // A line each: which part, what is done to it, where, and with which bytes.
    for change in bytes.split(|&byte| byte == b'\n') {
        if let [which, how, place, bytes @ ..] = change {
            apply(&mut parts, usize::from(*which), *how, usize::from(*place), bytes);
        }
    }
    let Some(checkpoint) = file(&parts) else { return };
    let folder = folder_with(&[
        ("run.json", &HONEST.description),
        ("record.jsonl", &HONEST.record),
        (CHECKPOINT, &checkpoint),
        ("samples/none", b""),
    ]);
    if let Err(error) = resume(folder.path(), &mut Silent) {
        is_said(&error);
    }
});

impl Run {
    fn new() -> Self {
        let out = tempfile::tempdir().expect("a folder is made");
        let settings = [
            ("hidden_sizes", "4"),
            ("steps", "2"),
            ("memory", "6"),
            ("random_actions", "5"),
            ("actions_per_step", "1"),
            ("batch_size", "2"),
            ("eval_episodes", "1"),
            ("final_episodes", "1"),
            ("log_every", "1"),
        ];
        let summary = train(
            &TrainRequest {
                recipe: "control".to_owned(),
                decide: Some("auto:task=control".to_owned()),
                settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
                out: out.path().to_owned(),
                checkpoints: Checkpoints { every: Some(1), keep: 2 },
                ..TrainRequest::default()
            },
            &mut Silent,
        );
        let folder = summary.expect("an honest run ends").folder;
        let read = |name: &str| fs::read(folder.join(name)).expect("it was written");
        let description = String::from_utf8(read("run.json")).expect("it is text");
        Self {
            description: description.replace("\"finished\"", "\"stopped\"").into_bytes(),
            record: read("record.jsonl"),
            parts: parts(&read(CHECKPOINT)),
        }
    }
}

fn parts(file: &[u8]) -> BTreeMap<String, Part> {
    let file = SafeTensors::deserialize(file).expect("it was written");
    let part = |view: TensorView| Part {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    file.iter().map(|(name, view)| (name.to_owned(), part(view))).collect()
}

fn apply(parts: &mut BTreeMap<String, Part>, which: usize, how: u8, place: usize, bytes: &[u8]) {
    let names: Vec<String> = parts.keys().cloned().collect();
    let Some(name) = names.get(which % names.len().max(1)) else { return };
    let part = parts.get_mut(name).expect("it has this name");
    match how % 6 {
        0 => {
            let start = place.min(part.bytes.len());
            let end = (start + bytes.len()).min(part.bytes.len());
            part.bytes[start..end].copy_from_slice(&bytes[..end - start]);
        }
        1 => resize(part, bytes.to_vec()),
        2 => resize(part, part.bytes[..place.min(part.bytes.len())].to_vec()),
        3 => resize(part, [&part.bytes, bytes].concat()),
        4 => part.shape.push(1),
        _ => drop(parts.remove(name)),
    }
}

/// All the bytes that make whole numbers, in one row.
fn resize(part: &mut Part, mut bytes: Vec<u8>) {
    let width = part.dtype.bitsize() / 8;
    bytes.truncate(bytes.len() / width * width);
    part.shape = vec![bytes.len() / width];
    part.bytes = bytes;
}

fn file(parts: &BTreeMap<String, Part>) -> Option<Vec<u8>> {
    let views = parts.iter().map(|(name, part)| {
        Some((name, TensorView::new(part.dtype, part.shape.clone(), &part.bytes).ok()?))
    });
    let blank = [("sha256".to_owned(), "0".repeat(64))];
    let views = views.collect::<Option<Vec<_>>>()?;
    Some(sealed(serialize(views, Some(blank.into())).ok()?))
}
