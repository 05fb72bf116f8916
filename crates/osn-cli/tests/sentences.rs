//! What the command says, in one place: a better word changes `snapshots/` and nothing else. What the words
//! are about, exit codes, files and numbers, the other tests assert.
//!
//! To accept new words, run with `INSTA_UPDATE=always` and read the difference.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod processes;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use processes::{CONTROL, begun, checkpoint, run_in, said, signal};
use tempfile::TempDir;

/// What is another one on every machine and in every run.
const FILTERS: [(&str, &str); 7] = [
    (r"\b(\d+ h \d\d min|\d+ min \d\d s|\d+(\.\d+)? (ms|s))\b", "[time]"),
    (r"process \d+", "process [pid]"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    (r"-?\d+\.\d+(e-?\d+)?", "[number]"),
    (r"\S*/(debug|release)/osn\b", "osn"),
    (r"cargo run --release --", "osn"),
    (r"stopped after \d+", "stopped after [n]"),
];

/// Each line as it is typed, with what it answers on both outputs; `DIR` stands for the folder.
fn transcript(folder: &Path, code: i32, lines: &[&str]) -> String {
    let dir = folder.to_str().unwrap();
    let answer = |line: &&str| {
        let line = line.replace("DIR", dir);
        let words: Vec<_> = line.split(' ').collect();
        let mut command = Command::new(cargo_bin!("osn"));
        command.args(words).current_dir(folder).stdin(Stdio::null());
        // A browser that opens nothing, and lines of one width.
        command.env("COLUMNS", "100").env("BROWSER", "true");
        command.env_remove("CLICOLOR_FORCE").env_remove("CARGO");
        let output = command.output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {text}");
        format!("$ osn {line}\n{text}\n").replace(dir, "DIR")
    };
    lines.iter().map(answer).collect()
}

/// The same of lines that are refused: each in one line, with nothing on standard output.
fn refusals(folder: &Path, lines: &[&str]) -> String {
    let text = transcript(folder, 2, lines);
    let answers = text.split("\n\n").filter(|it| !it.is_empty());
    for answer in answers {
        let (line, said) = answer.split_once('\n').unwrap();
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{line}: {said}");
    }
    text
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, word) in FILTERS {
        settings.add_filter(pattern, word);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help() {
    let folder = TempDir::new().unwrap();
    let commands = [
        "--help",
        "train --help",
        "resume --help",
        "compare --help",
        "watch --help",
        "report --help",
        "inspect --help",
        "normalize --help",
        "decide --help",
        "settings --help",
        "data --help",
        "data import --help",
    ];
    snapshot("help", &transcript(folder.path(), 0, &commands));
}

#[test]
fn usage() {
    let folder = TempDir::new().unwrap();
    let lines = [
        "foo",
        "gan",
        "report",
        "decide why",
        "decide chek a",
        "data import emoji x",
        "data import openmoji",
        "data import openmoji DIR",
        "data import openmoji DIR --size 4",
        "train --sed 1",
        "train --seed -1",
        "train --seed abc",
        "train --set steps",
        "train --checkpoint-every 0",
        "train --keep-checkpoints -1",
        "train --steps 5",
        "train gan --batch-size=8",
        "train gan steps=5",
        "train --hidden-sizes 9",
        "train --checkpoint-every 5 --keep-checkpoints 0",
        "train --set steps=5 --set steps=6",
        "resume RUN --set steps=9",
        "compare control --memory 9",
        "compare --seeds x",
        "compare --seeds 1001",
        "compare --jobs -3",
        "inspect x --top -1",
        "inspect x --tolerance 2",
        "inspect x --json --sort file",
        "inspect x --view operator --input-size 8,8 --top 3",
        "inspect x --view operator --input-size 8,8 --tolerance 1e-3",
        "normalize a b --target big",
        "normalize a b --target -1",
        "decide why RUN end",
    ];
    snapshot("usage", &refusals(folder.path(), &lines));
}

#[test]
fn training_that_cannot_be() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("wrong.toml"), "[[rule]]\nrule = \"cap\"\ntaget = 2\n").unwrap();
    let idle = "[[rule]]\nrule = \"cap\"\nselect.positions = [40]\n";
    fs::write(folder.path().join("idle.toml"), idle).unwrap();
    let lines = [
        "train gann",
        "train --preset paperr",
        "train --device abacus",
        "train --decide perhaps",
        "train --data no-such-data",
        "train --set steps=abc",
        "train --set stepz=3",
        "train classify --set hidden_sizes=9",
        "train gan --decide plateau:metric=acuracy",
        "train control --decide always@bidirectional",
        "train --decide wrong.toml",
        "train --decide idle.toml",
        "train --decide missing.toml",
        "decide check missing.toml",
        "settings gann",
        "settings gan --preset slow",
    ];
    snapshot("training_that_cannot_be", &refusals(folder.path(), &lines));
}

#[test]
fn studies_that_cannot_be() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("regimes.toml"),
        "[[regime]]\nname = \"a\"\nset = { stepz = 1 }\n",
    )
    .unwrap();
    fs::create_dir(folder.path().join("damaged")).unwrap();
    fs::write(folder.path().join("damaged/study.json"), "{\"schema\": 1, \"asked\"").unwrap();
    let lines = [
        "compare control --decide never",
        "compare control --decide never,perhaps",
        "compare control --decide never,always,never",
        "compare control --decide cap,cap:target=1",
        "compare control --set stepz=3",
        "compare control --regime nowhere.toml",
        "compare control --regime regimes.toml",
        "compare control --data images",
        "compare gan --data nowhere",
        "compare control --out damaged",
        "report damaged",
    ];
    snapshot("studies_that_cannot_be", &refusals(folder.path(), &lines));
}

/// A safetensors file of one weight that is zero.
fn zero_weight() -> Vec<u8> {
    let header = r#"{"fc.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat()
}

#[test]
fn checkpoints() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::rename(checkpoint(folder.path()), at("a.safetensors")).unwrap();
    fs::write(at("zero.safetensors"), zero_weight()).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("empty.pt"), "").unwrap();
    let refused = [
        "inspect empty",
        "inspect empty.pt",
        "inspect -",
        "inspect *.safetensors",
        "inspect missing.pt",
        "inspect a.safetensors --view sideways",
        "inspect a.safetensors --view operator",
        "inspect a.safetensors --input-size 8,8",
        "inspect a.safetensors --select a.[b",
        "inspect a.safetensors --view=operator --input-size=8 --output-axis=1",
        "normalize a.safetensors a.safetensors --target 1",
        "normalize a.safetensors - --target=1",
        "normalize a.safetensors none/out --target=1",
        "normalize a.safetensors out --target=1e-320",
        "normalize a.safetensors out --target=1 --select=**.b",
        "normalize a.safetensors out --target=1 --output-axis=7",
    ];
    let done = [
        "inspect a.safetensors a.safetensors",
        "inspect zero.safetensors",
        "normalize a.safetensors out.pt --target 1",
    ];
    let text = refusals(folder.path(), &refused) + &transcript(folder.path(), 0, &done);
    snapshot("checkpoints", &text);
}

#[test]
fn runs() {
    let folder = TempDir::new().unwrap();
    let settings =
        "--set steps=4 --set eval_episodes=2 --set final_episodes=2 --set random_actions=50";
    let train = |more: &str| format!("train control {settings} --out DIR/runs {more}");
    let lines = [
        &*train("--decide never"),
        "resume DIR/runs/control-never-s1",
        "report DIR/runs/control-never-s1",
        "watch DIR/runs/control-never-s1",
        "decide like DIR/runs/control-never-s1",
        "data",
    ];
    let mut text = transcript(folder.path(), 0, &lines);
    let refused = [
        "resume DIR/runs",
        "resume DIR/runs/control-never-s1/run.json",
        "resume missing",
        "report DIR/runs/control-never-s1 DIR/runs/control-never-s1 -o page.html",
        "report a b",
        "decide why missing",
    ];
    text += &refusals(folder.path(), &refused);
    let diverging = train("--set learning_rate=1e30");
    let lines =
        [format!("{diverging} --decide never"), format!("{diverging} --decide always:target=3")];
    text += &transcript(folder.path(), 1, &[&lines[0], &lines[1]]);
    snapshot("runs", &text);
}

#[test]
fn a_stopped_run() {
    let out = TempDir::new().unwrap();
    let endless = [&CONTROL[..], &["--set", "steps=100000000", "--decide", "never"]].concat();
    let (child, folder) = begun(&endless, out.path());
    let in_use = refusals(out.path(), &[&format!("resume {}", folder.display())]);
    signal(&child, "-INT");
    let (code, words) = said(child);
    assert_eq!((code, run_in(out.path())), (Some(130), Some(folder)));
    // How many lines of progress there are is a matter of time.
    let from_the_end = words.lines().skip_while(|line| !line.starts_with("stopping"));
    let words: Vec<_> = from_the_end.filter(|line| !line.starts_with("step ")).collect();
    let dir = out.path().to_str().unwrap();
    snapshot("a_stopped_run", &(in_use + &words.join("\n")).replace(dir, "DIR"));
}

#[test]
fn a_study() {
    let folder = TempDir::new().unwrap();
    let settings =
        "--set steps=20 --set eval_episodes=2 --set final_episodes=2 --set random_actions=50";
    let line =
        format!("compare control {settings} --decide never,always --seeds 1 --jobs 1 --out DIR");
    let lines = [&line, &*format!("{line} --explain")];
    let changed = format!("{line} --set batch_size=8");
    let text = transcript(folder.path(), 0, &lines) + &refusals(folder.path(), &[&changed]);
    snapshot("a_study", &text);
}
