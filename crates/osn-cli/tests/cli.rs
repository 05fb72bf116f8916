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
use predicates::str::{contains, diff, starts_with};

use processes::signal;

fn osn(arguments: &[&str]) -> Command {
    let mut command = cargo_bin_cmd!("osn");
    command.args(arguments).env_remove("CLICOLOR_FORCE");
    command
}

/// Bad usage and bad input: exit code 2, nothing on standard output, one line on standard error.
fn refuses(arguments: &[&str], parts: &[&str]) {
    let output = osn(arguments).assert().code(2).stdout("").stderr(starts_with("error: "));
    let line = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    for part in parts {
        assert!(line.contains(part), "'{part}' is missing in: {line}");
    }
}

/// A run of two steps into a fresh folder: that of the run, and what holds it until it is dropped.
fn short_run(arguments: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    let mut all = vec!["train", "--set", "steps=2", "--set", "log_every=1", "--out"];
    all.push(out.path().to_str().unwrap());
    all.extend(arguments);
    let assert = osn(&all).assert().success();
    let stdout = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let folder = PathBuf::from(stdout.strip_suffix('\n').unwrap());
    (out, folder)
}

fn run_json(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap()
}

#[test]
fn help_goes_to_standard_output() {
    osn(&["--help"]).assert().success().stderr("").stdout(
        contains("train").and(contains("report")).and(contains("data")).and(contains("Usage: osn")),
    );
}

#[test]
fn the_help_of_train_names_recipes_presets_rules_and_devices() {
    let names = ["gan", "quick", "standard", "never", "always", "flex", "--decide", "KEY=VALUE"];
    let output = osn(&["train", "--help"]).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    for name in names {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let expected = format!("osn {}\n", env!("CARGO_PKG_VERSION"));
    osn(&["--version"]).assert().success().stdout(diff(expected));
}

#[test]
fn bad_usage_is_one_line() {
    refuses(
        &["foo"],
        &[
            "'foo'",
            "train, resume, compare, watch, report, inspect, normalize, decide, settings, data",
            "see 'osn --help'",
        ],
    );
    refuses(&["train", "--sed", "1"], &["'--sed'", "'--seed'"]);
    refuses(&["train", "--seed", "-1"], &["'-1'", "--seed"]);
    refuses(&["train", "--set", "steps"], &["KEY=VALUE", "steps=500"]);
    refuses(&["report"], &["<RUN|STUDY>"]);
}

#[test]
fn bad_usage_ends_in_the_help_of_the_command_that_was_meant() {
    for (words, help) in [
        (&["train", "--sed", "1"][..], "see 'osn train --help'"),
        (&["compare", "--seeds", "x"], "see 'osn compare --help'"),
        (&["decide", "why"], "see 'osn decide why --help'"),
        (&["decide", "chek"], "see 'osn decide --help'"),
        (&["data", "import", "emoji", "x"], "see 'osn data import --help'"),
        (&["foo"], "see 'osn --help'"),
    ] {
        refuses(words, &[help]);
    }
}

#[test]
fn a_number_that_cannot_be_is_told_the_range_in_plain_words() {
    for (words, range) in [
        (&["train", "--seed", "-1"][..], "a seed is a whole number from 0 to 18446744073709551615"),
        (&["train", "--seed", "abc"], "a seed is a whole number"),
        (&["train", "--checkpoint-every", "0"], "a number of steps is a whole number from 1"),
        (
            &["train", "--keep-checkpoints", "-1"],
            "a number of checkpoints is a whole number from 0",
        ),
        (&["compare", "--seeds", "-3"], "a number of seeds is a whole number from 1 to 1000"),
        (&["compare", "--jobs", "-3"], "a number of runs at once is a whole number from 1"),
        (&["inspect", "x", "--top", "-1"], "a number of singular values is a whole number from 0"),
        (&["inspect", "x", "--tolerance", "-1"], "a number between 0 and 1"),
        (&["normalize", "a", "b", "--target", "-1"], "positive number"),
        (&["normalize", "a", "b", "--target", "big"], "a target is a positive number"),
        (&["decide", "why", "RUN", "-1"], "a step is a whole number from 0"),
        (&["decide", "why", "RUN", "end"], "a step is a whole number from 0"),
        (
            &["data", "import", "openmoji", "x", "--size", "-1"],
            "a side is a whole number from 8 to 256",
        ),
    ] {
        let output = osn(words).assert().code(2);
        let line = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(line.contains(range) && line.lines().count() == 1, "{words:?}: {line}");
        assert!(!line.contains("-- -") && !line.contains("digit"), "{words:?}: {line}");
    }
}

#[test]
fn a_setting_without_set_is_told_how_it_is_written() {
    refuses(&["train", "--steps", "5"], &["write --set steps=5"]);
    refuses(&["train", "gan", "--batch-size=8"], &["write --set batch_size=8"]);
    refuses(&["compare", "control", "--memory", "9"], &["write --set memory=9"]);
    refuses(&["train", "gan", "steps=5"], &["write --set steps=5"]);
    refuses(&["train", "steps=5"], &["write --set steps=5"]);
    refuses(&["train", "--hidden-sizes", "9"], &["a setting of control and classify"]);
    refuses(&["resume", "RUN", "--set", "steps=9"], &["a run goes on as it began"]);
    refuses(&["gan"], &["osn train gan"]);
}

#[test]
fn options_that_do_nothing_are_refused() {
    let every = ["train", "--checkpoint-every", "5", "--keep-checkpoints", "0"];
    refuses(&every, &["--checkpoint-every does nothing"]);
    refuses(&["train", "--set", "steps=5", "--set", "steps=6"], &["--set steps=… is there twice"]);
    refuses(&["compare", "--set", "steps=5", "--set", "steps=6"], &["is there twice"]);
    refuses(&["inspect", "x", "--json", "--sort", "file"], &["--sort", "--json"]);
    let operator = ["inspect", "x", "--view", "operator", "--input-size", "8,8"];
    refuses(&[&operator[..], &["--top", "3"]].concat(), &["--top"]);
    refuses(&[&operator[..], &["--tolerance", "1e-3"]].concat(), &["--tolerance does nothing"]);
    refuses(
        &["train", "classify", "--set", "hidden_sizes=9"],
        &["hidden_sizes changes nothing", "network=mlp"],
    );
    refuses(
        &["train", "gan", "--decide", "plateau:metric=acuracy"],
        &["unknown metric", "frechet"],
    );
    refuses(&["train", "control", "--decide", "learned"], &["learned", "control never tells"]);
    refuses(&["train", "control", "--decide", "always@bidirectional"], &["leave it out"]);
    refuses(&["compare", "gan", "--decide", "always,plateau:metric=x"], &["unknown metric 'x'"]);
}

#[test]
fn every_setting_of_a_recipe_is_listed_with_its_defaults_and_what_it_means() {
    let output =
        osn(&["settings", "control"]).assert().success().stderr(contains("osn train control"));
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(
        text.contains("\nsteps  quick 40000, standard 160000\n    a whole number, at least 1"),
        "{text}"
    );
    assert!(
        text.contains("\nbeta_2  0.999\n    a number, from 0 to below 1\n    Adam's β₂"),
        "{text}"
    );
    let output = osn(&["settings", "gan", "--preset", "standard", "--json"]).assert().success();
    let list: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let settings = list["settings"].as_array().unwrap();
    let steps = settings.iter().find(|setting| setting["name"] == "steps").unwrap();
    assert_eq!(steps["defaults"], serde_json::json!({ "standard": "10000" }));
    refuses(&["settings", "gann"], &["unknown recipe 'gann'"]);
    refuses(&["settings", "gan", "--preset", "slow"], &["unknown preset 'slow'", "quick"]);
    osn(&["train", "--help"]).assert().success().stdout(contains("osn settings RECIPE"));
    refuses(&["train", "--set", "stepz=3"], &["did you mean 'steps'?", "'osn settings gan'"]);
}

#[test]
fn unknown_names_list_the_valid_ones() {
    refuses(&["train", "gann"], &["'gann'", "valid: gan"]);
    refuses(&["train", "--preset", "paperr"], &["'paperr'", "quick", "standard"]);
    refuses(&["train", "--device", "abacus"], &["'abacus'", "flex"]);
    refuses(&["train", "--decide", "perhaps"], &["perhaps", "never", "always"]);
    refuses(&["train", "--data", "no-such-data"], &["no-such-data", "fashion-mnist"]);
}

/// The rules file that a newcomer finds first.
fn example() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/rules.toml").to_owned()
}

#[test]
fn the_list_of_rules_is_data_that_fits_a_terminal() {
    let output =
        osn(&["decide", "list"]).assert().success().stderr(contains("--decide rules.toml"));
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for name in ["never", "observe", "cap", "budget", "learned"] {
        assert!(text.lines().any(|line| line == name), "{name} is missing in {text}");
    }
    assert!(text.contains("    relative_to_init    none  the cap as a multiple"), "{text}");
    osn(&["decide"]).assert().success().stdout(diff(text));
}

#[test]
fn the_list_of_rules_as_json_has_every_default() {
    let output = osn(&["decide", "list", "--json"]).assert().success().stderr("");
    let list: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let rules = list["rules"].as_array().unwrap();
    let cap = rules.iter().find(|rule| rule["name"] == "cap").unwrap();
    assert_eq!(cap["parameters"][0]["name"], "target");
    assert_eq!(cap["parameters"][0]["default"], "1");
}

#[test]
fn a_checked_file_is_said_in_one_line_a_rule() {
    let expected = "rule 1: auto for everything\n\
                    rule 2: cap:relative_to_init=1.5 for position last\n\
                    rule 3: never for position first\n";
    osn(&["decide", "check", &example()]).assert().success().stdout(diff(expected));
}

#[test]
fn a_wrong_file_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    fs::write(&file, "# mine\n[[rule]]\nrule = \"cap\"\ntaget = 2\n").unwrap();
    let path = file.to_str().unwrap();
    let parts =
        ["wrong.toml, line 4: rule `cap` has no parameter `taget`", "target, relative_to_init"];
    refuses(&["decide", "check", path], &parts);
    refuses(&["train", "--decide", path], &parts);
    fs::write(&file, "[[rule]]\nrule = \"cap\"\nselect.positions = [40]\n").unwrap();
    refuses(
        &["train", "--decide", path],
        &["rule 1, cap, decides no layer: position 40 holds for"],
    );
    refuses(&["decide", "check", "missing.toml"], &["cannot read the rules in missing.toml"]);
    refuses(&["train", "--decide", "missing.toml"], &["cannot read the rules in missing.toml"]);
    refuses(&["decide", "chek", "a"], &["'chek'", "valid: list, check"]);
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
    for reason in ["rule 1: ", "rule 2: ", "rule 3: never: measured only"] {
        assert!(record.contains(&format!("\"reason\":\"{reason}")), "{reason}");
    }
}

#[test]
fn a_bad_setting_names_the_key_and_what_it_expects() {
    refuses(&["train", "--set", "steps=abc"], &["steps expects a whole number, got 'abc'"]);
    refuses(&["train", "--set", "stepz=3"], &["'stepz'", "did you mean 'steps'?", "learning_rate"]);
}

#[test]
fn a_refused_run_leaves_no_folder() {
    let out = tempfile::tempdir().unwrap();
    let runs = out.path().join("runs");
    refuses(&["train", "--set", "steps=abc", "--out", runs.to_str().unwrap()], &[]);
    assert!(!runs.exists());
}

#[test]
fn data_lists_what_is_there_on_standard_output() {
    for arguments in [&["data"][..], &["data", "list"]] {
        let lists = contains("fashion-mnist-10k")
            .and(contains("MIT"))
            .and(contains("fashion-mnist-edges"))
            .and(contains("for gan, cgan, classify"))
            .and(contains("for translate"))
            .and(contains("osn data import"))
            .and(predicate::function(|text: &str| {
                text.lines().all(|line| line.chars().count() <= 80)
            }));
        osn(arguments).assert().success().stdout(lists).stderr(contains("--data DIR"));
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
    osn(&arguments).assert().success().stdout("").stderr(
        contains("1 pair to train, 0 to test")
            .or(contains("0 pairs to train, 1 to test"))
            .and(contains("blank: 2B1C"))
            .and(contains("CC BY-SA 4.0"))
            .and(contains(format!("osn train translate --data {}", out.display()))),
    );
    let picture = fs::read_dir(&out).unwrap().filter_map(|part| {
        let path = part.unwrap().path().join("target/1F600.png");
        fs::read(path).ok()
    });
    // The width in the header of the PNG.
    assert_eq!(picture.map(|png| png[19]).collect::<Vec<_>>(), [16]);
    refuses(&arguments, &["pairs is there already"]);
}

#[test]
fn an_import_that_cannot_be_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    refuses(&["data", "import", "twemoji", path], &["'twemoji'", "openmoji"]);
    refuses(&["data", "import", "openmoji"], &["<DIR>"]);
    refuses(&["data", "import", "openmoji", path], &["has no black/svg", "npm package openmoji"]);
    refuses(&["data", "import", "openmoji", path, "--size", "4"], &["--size", "from 8 to 256"]);
    emoji_package(folder.path());
    fs::write(folder.path().join("color/svg/1F600.svg"), "<svg").unwrap();
    let out = folder.path().join("pairs");
    refuses(
        &["data", "import", "openmoji", path, "--out", out.to_str().unwrap()],
        &["color/svg/1F600.svg", "no XML"],
    );
    assert!(!out.exists());
}

#[test]
fn a_report_of_no_run_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    refuses(&["report", path], &["run.json", "is this the folder of a run?"]);
    refuses(&["report", path, path], &["-o FILE.html"]);
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
    let timeless = |record: String| -> Vec<serde_json::Value> {
        let mut lines: Vec<serde_json::Value> =
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
    assert!(errors[0].contains("at step ") && errors[0].contains(" became "), "{stderr}");
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
    let folder = wait_for_the_record(out.path());
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let description = run_json(&folder);
    assert_eq!(description["status"], "stopped");
    let record = fs::read_to_string(folder.join("record.jsonl")).unwrap();
    let last = record.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["step"], description["totals"]["steps"], "the record goes up to the last step");
    assert!(folder.join("report.html").exists());
}

/// The run's folder, once its record has something in it.
#[cfg(unix)]
fn wait_for_the_record(out: &Path) -> PathBuf {
    for _ in 0..1200 {
        let folder = fs::read_dir(out).unwrap().next().map(|entry| entry.unwrap().path());
        let is_written = |folder: &PathBuf| {
            fs::metadata(folder.join("record.jsonl")).is_ok_and(|file| file.len() > 0)
        };
        if let Some(folder) = folder.filter(is_written) {
            return folder;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("no record after two minutes");
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
        .stdout("discriminator w: hard cap at 1 since step 30, as σ 30\n");
    // Held for 90 of 120 steps, in stretches of 30 and 90.
    osn(&["decide", "like", run]).assert().success().stdout("random:duty=0.750,dwell=60\n");
    refuses(&["decide", "why", "nowhere"], &["nowhere", "record.jsonl"]);
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
    let output = osn(&["decide", "check", rules.to_str().unwrap()]).assert().success();
    let said = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
}
