//! `osn train --workers mpi`: the same run for every number of processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{has, mpirun_of, osn};

/// A small run of `gan`, whose rule acts in both networks.
pub(crate) const WORDS: &[&str] = &[
    "train",
    "gan",
    "--workers",
    "mpi",
    "--decide",
    "cap:interval=1",
    "--set",
    "shards=3",
    "--set",
    "batch_size=6",
    "--set",
    "steps=8",
    "--set",
    "log_every=1",
    "--set",
    "g_channels=4",
    "--set",
    "d_channels=4",
    "--set",
    "eval_images=100",
    "--set",
    "final_images=100",
];

/// What a run leaves, but what a clock says.
#[derive(Debug, PartialEq)]
pub(crate) struct Left {
    record: Vec<Value>,
    samples: BTreeMap<PathBuf, Vec<u8>>,
    /// The parts of the last checkpoint.
    parts: BTreeMap<String, Vec<u8>>,
}

impl Left {
    /// Of the one run in a folder.
    pub(crate) fn of(out: &Path) -> Self {
        let mut runs = files(out);
        let run = runs.pop().unwrap();
        assert!(runs.is_empty(), "one run in {}", out.display());
        let event = |line: &str| {
            let mut event: Value = serde_json::from_str(line).unwrap();
            event.as_object_mut().unwrap().remove("wall_secs");
            event
        };
        let record = fs::read_to_string(run.join("record.jsonl")).unwrap();
        let samples = files(&run.join("samples")).into_iter();
        Self {
            record: record.lines().map(event).collect(),
            samples: samples
                .map(|it| (it.file_name().unwrap().into(), fs::read(it).unwrap()))
                .collect(),
            parts: parts(&fs::read(files(&run.join("checkpoints")).pop().unwrap()).unwrap()),
        }
    }

    pub(crate) fn must_be(&self, other: &Self, what: &str) {
        assert_eq!(self.record, other.record, "{what}: record");
        assert!(self.samples == other.samples, "{what}: samples");
        assert!(self.parts.keys().eq(other.parts.keys()), "{what}: {:?}", self.parts.keys());
        for (name, bytes) in &self.parts {
            assert!(*bytes == other.parts[name], "{what}: {name}");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    files
}

/// The tensors of a safetensors file, but for those that hold times.
fn parts(file: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let (length, rest) = file.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    let has_time = |name: &str| ["__metadata__", "about", "clock", "record"].contains(&name);
    let parts = header.into_iter().filter(|(name, _)| !has_time(name));
    let bytes = |part: Value| {
        let [start, end] = [0, 1].map(|it| part["data_offsets"][it].as_u64().unwrap());
        data[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()].to_vec()
    };
    parts.map(|(name, part)| (name, bytes(part))).collect()
}

/// The words of a run that goes into `out`.
fn into<'a>(words: &[&'a str], out: &'a Path) -> Vec<&'a str> {
    [words, &["--out", out.to_str().unwrap()]].concat()
}

#[test]
fn any_number_of_processes_leaves_the_same_run() {
    if !has("mpirun.openmpi") {
        return;
    }
    let control = [
        "train",
        "control",
        "--workers",
        "mpi",
        "--set",
        "shards=4",
        "--set",
        "batch_size=8",
        "--set",
        "steps=40",
        "--set",
        "log_every=1",
        "--set",
        "eval_every=20",
        "--set",
        "hidden_sizes=8,8",
    ];
    for (recipe, words) in [("gan", WORDS), ("control", &control[..])] {
        let folder = tempfile::tempdir().unwrap();
        let left = |count: usize| {
            let out = folder.path().join(count.to_string());
            mpirun_of(&osn(), count, &into(words, &out)).assert_well();
            Left::of(&out)
        };
        let alone = left(1);
        assert_eq!(alone.samples.is_empty(), recipe == "control", "only images are drawn");
        for count in 2..=3 {
            left(count).must_be(&alone, &format!("{recipe} on {count}"));
        }
    }
}

#[test]
fn a_mistake_is_said_once_and_is_bad_input() {
    if !has("mpirun.openmpi") {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    for (more, says) in [("shards=4", "batch_size"), ("shards=2", "3 workers and 2 shards")] {
        let words = [&into(WORDS, out.path())[..], &["--set", more]].concat();
        // The setting is given twice; the first time it is another.
        let words: Vec<_> = words.into_iter().filter(|word| *word != "shards=3").collect();
        let at = words.iter().position(|word| *word == "--set").unwrap();
        let words = [&words[..at], &words[at + 1..]].concat();
        let ended = mpirun_of(&osn(), 3, &words);
        let said: Vec<_> = ended.err.lines().filter(|line| line.starts_with("error:")).collect();
        assert_eq!((ended.code, said.len()), (Some(2), 1), "{}", ended.err);
        assert!(said[0].contains(says), "{}", ended.err);
    }
}
