//! What the command says, in one place: a better word changes `snapshots/` and nothing else. What the words
//! are about, exit codes, files and numbers, the other tests assert.
//!
//! To accept new words, run with `INSTA_UPDATE=always` and read the difference.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::inputs::{checkpoint, emoji_package, write_tensor};
use crate::processes::{begun, done, ends_with, files_in, osn, refused, set, signalled};

/// What is another one on every machine and in every run.
const FILTERS: [(&str, &str); 8] = [
    (r"was abacus and is [^,);]+", "was abacus and is [build]"),
    (r"\b(\d+ h \d\d min|\d+ min \d\d s|\d+(\.\d+)? (ms|s))\b", "[time]"),
    (r"process \d+( on \S+)?;", "process [pid];"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    (r"-?\d+\.\d+(e-?\d+)?", "[number]"),
    (r"\S*/(debug|release)/osn\b", "osn"),
    (r"stopped after \d+", "stopped after [n]"),
    (r"ends at step \d+", "ends at step [n]"),
];

/// Settings of a run of `control` that is over at once.
const SHORT: &str =
    "--set steps=4 --set eval_episodes=2 --set final_episodes=2 --set random_actions=50";

/// Each line as it is typed in a folder, with what it answers on both outputs; `DIR` stands for the folder.
fn transcript(folder: &Path, code: i32, lines: &[&str]) -> String {
    let dir = folder.to_str().unwrap();
    let answer = |line: &&str| {
        let line = line.replace("DIR", dir);
        // Lines of one width.
        let ended = ends_with(code, osn(&line).current_dir(folder).env("COLUMNS", "100"));
        format!("$ osn {line}\n{}{}\n", ended.stdout, ended.stderr).replace(dir, "DIR")
    };
    lines.iter().map(answer).collect()
}

/// The same of lines that are refused: each in one line, with nothing on standard output and no file
/// changed.
fn refusals(folder: &Path, lines: &[&str]) -> String {
    let before = files_in(folder);
    let text = transcript(folder, 2, lines);
    for answer in text.split_terminator("\n\n") {
        let (line, said) = answer.split_once('\n').unwrap();
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{line}: {said}");
    }
    assert!(files_in(folder) == before, "{:?}", files_in(folder).keys());
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

/// A folder with these files.
fn folder_of(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    folder
}

#[test]
fn help() {
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
    snapshot("help", &transcript(folder_of(&[]).path(), 0, &commands));
}

#[test]
fn usage() {
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
        "compare --seeds 0",
        "compare --seeds 1001",
        "compare --jobs 0",
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
    snapshot("usage", &refusals(folder_of(&[]).path(), &lines));
}

#[test]
fn training_that_cannot_be() {
    let folder = folder_of(&[
        ("wrong.toml", "# mine\n[[rule]]\nrule = \"cap\"\ntaget = 2\n"),
        ("idle.toml", "[[rule]]\nrule = \"cap\"\nselect.positions = [40]\n"),
    ]);
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
        "decide check wrong.toml",
        "decide check missing.toml",
        "settings gann",
        "settings gan --preset slow",
    ];
    snapshot("training_that_cannot_be", &refusals(folder.path(), &lines));
}

#[test]
fn studies_that_cannot_be() {
    let folder = folder_of(&[
        ("regimes.toml", "[[regime]]\nname = \"a\"\nset = { stepz = 1 }\n"),
        ("steps.toml", "regime = [{name = \"a\", set.steps = 2}, {name = \"b\", set.steps = 3}]"),
        ("damaged/study.json", "{\"schema\": 1, \"asked\""),
    ]);
    let lines = [
        "compare control --decide never",
        "compare control --decide never,perhaps",
        "compare control --decide never,always,never",
        "compare control --decide cap,cap:target=1",
        "compare control --set stepz=3",
        "compare control --regime nowhere.toml",
        "compare control --regime regimes.toml",
        "compare control --regime steps.toml --set steps=4",
        "compare control --data images",
        "compare gan --data nowhere",
        "compare control --out damaged",
        "report damaged",
    ];
    snapshot("studies_that_cannot_be", &refusals(folder.path(), &lines));
}

#[test]
fn checkpoints() {
    let folder = folder_of(&[
        ("empty.pt", ""),
        ("gone.index.json", r#"{"weight_map":{"a":"gone.safetensors"}}"#),
    ]);
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("two")).unwrap();
    fs::rename(checkpoint(folder.path()), at("a.safetensors")).unwrap();
    for name in ["two/a.safetensors", "two/b.safetensors"] {
        fs::copy(at("a.safetensors"), at(name)).unwrap();
    }
    write_tensor(&at("zero.safetensors"), "net.fc.weight", &[2, 2], &[0.0; 4]);
    write_tensor(&at("infinite.safetensors"), "fc", &[2, 2], &[1.0, 2.0, f32::INFINITY, 4.0]);
    let refused = [
        "inspect empty",
        "inspect empty.pt",
        "inspect gone.index.json",
        "inspect two",
        "inspect -",
        "inspect *.nothing",
        "inspect missing.pt",
        "inspect a.safetensors --view sideways",
        "inspect a.safetensors --view operator",
        "inspect a.safetensors --input-size 8,8",
        "inspect a.safetensors --select a.[b",
        "inspect a.safetensors --view=operator --input-size=8 --output-axis=1",
        "normalize a.safetensors a.safetensors --target 1",
        "normalize two two/a.safetensors --target 1",
        "normalize a.safetensors - --target=1",
        "normalize a.safetensors none/out --target=1",
        "normalize a.safetensors out --target=1e-320",
        "normalize a.safetensors out --target=1 --select=**.b --select=**",
        "normalize a.safetensors out --target=1 --output-axis=7",
        "normalize infinite.safetensors out --target=1",
    ];
    let refused_after_data = [
        "inspect infinite.safetensors",
        "inspect zero.safetensors --select *.weight",
        "inspect a.safetensors --output-axis 7",
    ];
    let done = [
        "inspect a.safetensors a.safetensors",
        "inspect zero.safetensors",
        "normalize a.safetensors out.pt --target 1",
    ];
    let text = refusals(folder.path(), &refused)
        + &transcript(folder.path(), 2, &refused_after_data)
        + &transcript(folder.path(), 0, &done);
    snapshot("checkpoints", &text);
}

#[test]
fn data() {
    let folder = folder_of(&[]);
    let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
    emoji_package(&whole);
    emoji_package(&broken);
    fs::write(broken.join("color/svg/1F600.svg"), "<svg").unwrap();
    let text = refusals(folder.path(), &["data import openmoji broken --out pairs"]);
    let lines = ["data import openmoji whole --out pairs", "data"];
    snapshot("data", &(text + &transcript(folder.path(), 0, &lines)));
}

#[test]
fn decisions() {
    let decision = |step: u64, network: &str, to: &str| {
        format!(
            "{{\"event\":\"decision\",\"step\":{step},\"network\":\"{network}\",\"path\":\"w\",\
             \"from\":\"off\",\"to\":\"{to}\",\"reason\":\"σ {step}\"}}\n"
        )
    };
    let states = [(0, "off"), (30, "hard cap at 1"), (120, "off")];
    let folder = folder_of(&[
        (
            "run/record.jsonl",
            &states.map(|(step, to)| decision(step, "discriminator", to)).concat(),
        ),
        (
            "forged/record.jsonl",
            &decision(0, r"d\nforged\u202e\u001b]0;owned\u0007", r"off\r\noff"),
        ),
        ("forged.toml", "[[rule]]\nrule = \"never\"\nselect.networks = [\"d\\nrule 2: forged\"]\n"),
    ]);
    let lines = [
        "decide why run",
        // A layer that is held for 90 of 120 steps, in stretches of 30 and 90.
        "decide why run 60",
        "decide like run",
        "decide why forged",
        "decide check forged.toml",
    ];
    snapshot("decisions", &transcript(folder.path(), 0, &lines));
}

#[test]
fn runs() {
    let folder = folder_of(&[("empty/file", "")]);
    let train = format!("train control {SHORT} --out runs --decide");
    let run = "runs/control-never-s1";
    let lines = [
        &*format!("{train} never"),
        &*format!("resume {run}"),
        &*format!("report {run}"),
        &*format!("watch {run}"),
        &*format!("decide like {run}"),
    ];
    let mut text = transcript(folder.path(), 0, &lines);
    let parts = ["runs".to_owned(), format!("{run}/run.json"), format!("{run}/checkpoints")];
    let commands = ["resume", "report", "watch"];
    let refused = commands.map(|command| parts.each_ref().map(|part| format!("{command} {part}")));
    text += &refusals(
        folder.path(),
        &refused.as_flattened().iter().map(|it| &**it).collect::<Vec<_>>(),
    );
    let twice = format!("report {run} {run} -o page.html");
    let refused = [
        "resume missing",
        &*twice,
        "report empty",
        "report empty empty",
        "watch missing",
        "decide why missing",
    ];
    text += &refusals(folder.path(), &refused);
    let diverging =
        ["never", "always:target=3"].map(|rule| format!("{train} {rule} --set learning_rate=1e30"));
    text += &transcript(folder.path(), 1, &[&diverging[0], &diverging[1]]);
    set(&folder.path().join(run).join("run.json"), "/status", "running");
    text += &transcript(folder.path(), 1, &[lines[3]]);
    text += &transcript(folder.path(), 0, &[lines[2]]);
    snapshot("runs", &text);
}

#[test]
fn a_stopped_run() {
    let out = TempDir::new().unwrap();
    let (child, run) =
        begun("control --set steps=100000000 --set eval_episodes=2 --decide never", out.path());
    let [resume, report] = ["resume", "report"].map(|word| format!("{word} control-never-s1"));
    let in_use = refused(osn(&resume).current_dir(out.path()));
    let mut text = format!("$ osn {resume}\n{in_use}\n");
    let stopped = signalled(child, "INT").stderr;
    // How many lines of progress there are is a matter of time.
    let from_the_end = stopped.lines().skip_while(|line| !line.starts_with("stopping"));
    let words: Vec<_> = from_the_end.filter(|line| !line.starts_with("step ")).collect();
    text += &words.join("\n");
    text += "\n\n";
    text += &transcript(out.path(), 0, &[&report]);
    for version in ["burn", "lock"] {
        set(&run.join("run.json"), &format!("/versions/{version}"), "abacus");
    }
    text += &refusals(out.path(), &[&resume]);
    fs::write(run.join("record.jsonl"), "").unwrap();
    text += &transcript(out.path(), 0, &[&report, "decide why control-never-s1"]);
    snapshot("a_stopped_run", &text.replace(out.path().to_str().unwrap(), "DIR"));
}

#[test]
fn a_study() {
    let folder = folder_of(&[("mine.toml", "[[rule]]\nrule = \"cap\"\n")]);
    let study = "--jobs 1 --out study";
    let two = format!("compare control {SHORT} {study} --seeds 1 --decide never,always");
    let three =
        format!("compare control {SHORT} {study} --seeds 2 --decide never,always,mine.toml");
    let mut text = transcript(folder.path(), 0, &[&two, &format!("{two} --explain")]);
    done(osn(&three).current_dir(&folder));
    let others = [
        format!("{three} --set batch_size=8"),
        format!("{three} --set environment=acrobot"),
        two,
        format!("compare gan {study}"),
    ];
    text += &refusals(folder.path(), &others.each_ref().map(|line| &**line));
    fs::write(folder.path().join("mine.toml"), "[[rule]]\nrule = \"cap\"\ntarget = 2\n").unwrap();
    set(&folder.path().join("study/study.json"), "/versions/lock", "abacus");
    text += &refusals(folder.path(), &[&three]);
    snapshot("a_study", &text);
}
