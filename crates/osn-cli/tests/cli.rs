//! The command as its user meets it: what it prints where, and with which exit code.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod processes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::cargo::{cargo_bin, cargo_bin_cmd};
use predicates::prelude::*;
use predicates::str::{contains, diff};
use serde_json::Value;

use processes::{refused, run_in, signal, wait_for};

fn osn(arguments: &[&str]) -> Command {
    let mut command = cargo_bin_cmd!("osn");
    command.args(arguments).env_remove("CLICOLOR_FORCE");
    command
}

/// A run of two steps into a fresh folder: that of the run, and what holds it until it is dropped.
fn short_run(arguments: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    let mut all = vec!["train", "--set", "steps=2", "--set", "log_every=1", "--out"];
    all.push(out.path().to_str().unwrap());
    all.extend(arguments);
    let folder = PathBuf::from(printed(&all).strip_suffix('\n').unwrap());
    (out, folder)
}

/// What a command that succeeds puts out.
fn printed(arguments: &[&str]) -> String {
    let output = osn(arguments).assert().success();
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}

fn run_json(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap()
}

#[test]
fn help_goes_to_standard_output() {
    for words in [&["--help"][..], &["train", "--help"]] {
        osn(words).assert().success().stderr("").stdout(contains("Usage: osn"));
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let expected = format!("osn {}\n", env!("CARGO_PKG_VERSION"));
    osn(&["--version"]).assert().success().stdout(diff(expected));
}

#[test]
fn what_cannot_be_typed_or_does_nothing_is_refused_in_one_line() {
    for line in [
        "foo",
        "gan",
        "report",
        "decide why",
        "train --sed 1",
        "train --seed -1",
        "train --set steps",
        "train --steps 5",
        "train gan steps=5",
        "train --checkpoint-every 5 --keep-checkpoints 0",
        "train --set steps=5 --set steps=6",
        "compare --seeds 0",
        "inspect x --json --sort file",
        "train classify --set hidden_sizes=9",
        "train gan --decide plateau:metric=acuracy",
        "train control --decide always@bidirectional",
        "train --device abacus",
        "settings gann",
        "settings gan --preset slow",
    ] {
        refused(&line.split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn every_setting_of_a_recipe_is_listed_with_its_defaults_and_what_it_means() {
    let text = printed(&["settings", "control"]);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("\nsteps  quick 40000, standard 160000\n"), "{text}");
    let text = printed(&["settings", "gan", "--preset", "standard", "--json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    let settings = list["settings"].as_array().unwrap();
    let steps = settings.iter().find(|setting| setting["name"] == "steps").unwrap();
    assert_eq!(steps["defaults"], serde_json::json!({ "standard": "10000" }));
}

#[test]
fn an_unknown_name_is_refused_with_the_valid_ones() {
    for (words, valid) in [
        (&["train", "gann"][..], "gan"),
        (&["train", "--preset", "paperr"], "standard"),
        (&["train", "--decide", "perhaps"], "always"),
        (&["train", "--data", "no-such-data"], "fashion-mnist"),
        (&["train", "--set", "stepz=3"], "'steps'"),
    ] {
        let line = refused(words);
        assert!(line.contains(words[words.len() - 1].split('=').next().unwrap()), "{line}");
        assert!(line.contains(valid), "{valid} in {line}");
    }
}

/// The rules file that a newcomer finds first.
fn example() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/rules.toml").to_owned()
}

#[test]
fn the_list_of_rules_is_data_that_fits_a_terminal() {
    let text = printed(&["decide", "list"]);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_eq!(printed(&["decide"]), text);
    let list: Value = serde_json::from_str(&printed(&["decide", "list", "--json"])).unwrap();
    for rule in list["rules"].as_array().unwrap() {
        let name = rule["name"].as_str().unwrap();
        assert!(text.lines().any(|line| line == name), "{name} is missing in {text}");
    }
    let cap = list["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == "cap").unwrap();
    assert_eq!(cap["parameters"][0]["name"], "target");
    assert_eq!(cap["parameters"][0]["default"], "1");
}

#[test]
fn a_checked_file_is_said_in_one_line_a_rule() {
    assert_eq!(printed(&["decide", "check", &example()]).lines().count(), 3);
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    fs::write(&file, "# mine\n[[rule]]\nrule = \"cap\"\ntaget = 2\n").unwrap();
    let path = file.to_str().unwrap();
    for words in [&["decide", "check", path], &["train", "--decide", path]] {
        let line = refused(words);
        assert!(line.contains("wrong.toml, line 4: ") && line.contains("`taget`"), "{line}");
    }
    fs::write(&file, "[[rule]]\nrule = \"cap\"\nselect.positions = [40]\n").unwrap();
    refused(&["train", "--decide", path]);
    refused(&["decide", "check", "missing.toml"]);
}

#[test]
fn a_run_under_a_file_is_named_after_it_and_holds_its_rules() {
    let (_out, folder) = short_run(&["--decide", &example(), "--seed", "5"]);
    assert_eq!(folder.file_name().unwrap(), "gan-rules-s5");
    let description = run_json(&folder);
    assert_eq!(description["decide"], "rules");
    assert_eq!(description["rules"][1]["rule"]["relative_to_init"], 1.5);
    assert_eq!(description["rules"][2]["select"]["positions"][0], "first");
    let record = fs::read_to_string(folder.join("record.jsonl")).unwrap();
    for reason in ["rule 1: ", "rule 2: ", "rule 3: "] {
        assert!(record.contains(&format!("\"reason\":\"{reason}")), "{reason}");
    }
}

#[test]
fn a_refused_run_leaves_no_folder() {
    let out = tempfile::tempdir().unwrap();
    let runs = out.path().join("runs");
    refused(&["train", "--set", "steps=abc", "--out", runs.to_str().unwrap()]);
    assert!(!runs.exists());
}

#[test]
fn data_lists_what_is_there_on_standard_output() {
    let text = printed(&["data"]);
    assert_eq!(printed(&["data", "list"]), text);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for name in ["fashion-mnist-10k", "fashion-mnist-edges"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} in {text}");
    }
}

/// A package of two emoji, one of them blank.
fn emoji_package(folder: &Path) {
    let picture = |shape: &str| {
        format!("<svg viewBox=\"0 0 9 9\" xmlns=\"http://www.w3.org/2000/svg\">{shape}</svg>")
    };
    for side in ["black/svg", "color/svg"] {
        let side = folder.join(side);
        fs::create_dir_all(&side).unwrap();
        fs::write(side.join("1F600.svg"), picture("<circle cx=\"4\" cy=\"4\" r=\"3\"/>")).unwrap();
        fs::write(side.join("2B1C.svg"), picture("")).unwrap();
    }
}

#[test]
fn imported_emoji_are_counted_with_their_licence_and_the_next_command() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("package");
    emoji_package(&package);
    let out = folder.path().join("pairs");
    let arguments =
        ["data", "import", "openmoji", package.to_str().unwrap(), "--size", "16", "--out"];
    let arguments = [&arguments[..], &[out.to_str().unwrap()]].concat();
    let next = format!("osn train translate --data {}", out.display());
    let said = contains("2B1C").and(contains("CC BY-SA 4.0")).and(contains(next));
    osn(&arguments).assert().success().stdout("").stderr(said);
    let picture = fs::read_dir(&out).unwrap().filter_map(|part| {
        let path = part.unwrap().path().join("target/1F600.png");
        fs::read(path).ok()
    });
    // The width in the header of the PNG.
    assert_eq!(picture.map(|png| png[19]).collect::<Vec<_>>(), [16]);
    refused(&arguments);
}

#[test]
fn an_import_that_cannot_be_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    refused(&["data", "import", "openmoji", path]);
    emoji_package(folder.path());
    fs::write(folder.path().join("color/svg/1F600.svg"), "<svg").unwrap();
    let out = folder.path().join("pairs");
    let line = refused(&["data", "import", "openmoji", path, "--out", out.to_str().unwrap()]);
    assert!(line.contains("color/svg/1F600.svg"), "{line}");
    assert!(!out.exists());
}

#[test]
fn a_report_of_no_run_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    refused(&["report", path]);
    refused(&["report", path, path]);
}

#[test]
fn an_event_file_for_tensorboard_is_the_run_and_changes_nothing_of_it() {
    let (_out, folder) = short_run(&["control", "--tensorboard"]);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    let is_events = |path: &&PathBuf| path.to_string_lossy().contains("/events.out.tfevents.");
    let events = fs::read(files.iter().find(is_events).unwrap()).unwrap();
    // The same as of the whole run afterwards, which tests hold against TensorBoard's own writer.
    let mut whole = Vec::new();
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (run, record) = (text("run.json"), text("record.jsonl"));
    osn_report::tensorboard::write_run(&mut whole, &run, record.as_bytes(), Vec::new()).unwrap();
    assert!(events == whole, "{} bytes, not {}", events.len(), whole.len());
    assert!(events.windows(6).any(|bytes| bytes == b"config"));
    let (_plain_out, plain) = short_run(&["control"]);
    let timeless = |record: String| -> Vec<Value> {
        let mut lines: Vec<Value> =
            record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            line.as_object_mut().unwrap().remove("wall_secs");
        }
        lines
    };
    let without = fs::read_to_string(plain.join("record.jsonl")).unwrap();
    assert_eq!(timeless(record), timeless(without));
}

#[test]
fn a_run_leaves_a_whole_folder_that_can_be_reported_again() {
    let (_out, folder) = short_run(&["--seed", "7"]);
    let description = run_json(&folder);
    assert_eq!(description["status"], "finished");
    assert_eq!(description["seed"], 7);
    assert_eq!(description["config"]["steps"], 2);
    assert_eq!(description["totals"]["steps"], 2);
    let record = fs::read_to_string(folder.join("record.jsonl")).unwrap();
    for event in ["step", "layer", "eval"] {
        assert!(record.contains(&format!("{{\"event\":\"{event}\"")), "{event}");
    }
    assert!(folder.join("samples/step-000002.png").exists());
    let page = fs::read(folder.join("report.html")).unwrap();
    fs::remove_file(folder.join("report.html")).unwrap();
    osn(&["report", folder.to_str().unwrap()]).assert().success().stdout("");
    assert!(fs::read(folder.join("report.html")).unwrap() == page, "the same files, another page");
}

#[test]
fn a_number_gone_bad_ends_the_run_with_one_line_and_a_whole_record() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().to_str().unwrap();
    let settings = ["--set", "steps=50", "--set", "log_every=1", "--set", "learning_rate=1e30"];
    let arguments = [&["train", "--decide", "never", "--out", path][..], &settings].concat();
    let output = osn(&arguments).timeout(Duration::from_mins(5)).assert().code(1).stdout("");
    let stderr = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    let folder = fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(run_json(&folder)["status"], "failed");
    assert!(fs::read_to_string(folder.join("record.jsonl")).unwrap().ends_with("}\n"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run_with_a_whole_record() {
    let out = tempfile::tempdir().unwrap();
    let mut child = Process::new(cargo_bin!("osn"))
        .args(["train", "--set", "log_every=1", "--out", out.path().to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let has_record = |folder: PathBuf| {
        fs::metadata(folder.join("record.jsonl")).is_ok_and(|file| file.len() > 0)
    };
    wait_for(|| run_in(out.path()).is_some_and(has_record));
    let folder = run_in(out.path()).unwrap();
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let description = run_json(&folder);
    assert_eq!(description["status"], "stopped");
    let record = fs::read_to_string(folder.join("record.jsonl")).unwrap();
    let last = record.lines().last().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["step"], description["totals"]["steps"], "the record goes up to the last step");
    assert!(folder.join("report.html").exists());
}

#[test]
fn a_run_says_what_stood_at_a_step_and_what_random_is_like_it() {
    let folder = tempfile::tempdir().unwrap();
    let decision = |step: u64, to: &str| {
        format!(
            "{{\"event\":\"decision\",\"step\":{step},\"network\":\"discriminator\",\"path\":\"w\",\
             \"from\":\"off\",\"to\":\"{to}\",\"reason\":\"σ {step}\"}}\n"
        )
    };
    let record = [decision(0, "off"), decision(30, "hard cap at 1"), decision(120, "off")].concat();
    std::fs::write(folder.path().join("record.jsonl"), record).unwrap();
    let run = folder.path().to_str().unwrap();
    osn(&["decide", "why", run, "60"])
        .assert()
        .success()
        .stdout(contains("hard cap at 1").and(contains("step 30")).and(contains("σ 30")));
    // Held for 90 of 120 steps, in stretches of 30 and 90.
    osn(&["decide", "like", run]).assert().success().stdout("random:duty=0.750,dwell=60\n");
    refused(&["decide", "why", "nowhere"]);
}

#[test]
fn words_of_a_record_or_of_rules_forge_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let record = "{\"event\":\"decision\",\"step\":0,\"network\":\"d\\nforged\",\"path\":\"w\\u202e\",\
                  \"from\":\"off\",\"to\":\"off\",\"reason\":\"σ\\r\\n0\"}\n";
    fs::write(folder.path().join("record.jsonl"), record).unwrap();
    let expected = "d\u{fffd}forged w\u{fffd}: off since step 0, as σ\u{fffd}\u{fffd}0\n";
    let run = folder.path().to_str().unwrap();
    osn(&["decide", "why", run]).assert().success().stdout(diff(expected));
    let rules = folder.path().join("rules.toml");
    let text = "[[rule]]\nrule = \"never\"\nselect.networks = [\"d\\nrule 2: forged\"]\n";
    fs::write(&rules, text).unwrap();
    let said = printed(&["decide", "check", rules.to_str().unwrap()]);
    assert_eq!(said.lines().count(), 1, "{said}");
}
