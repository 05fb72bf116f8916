//! The commands but for those that have a file of their own: data, and what a run leaves.

use std::fs;
use std::path::{Path, PathBuf};

use osn_report::tensorboard::write_run;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::inputs::emoji_package;
use crate::processes::{
    Ended, Left, description, done, ends_with, osn, osn_on, record, refused, run_in, status,
};

/// A run of two steps into a fresh folder: that of the run, and what holds it until it is dropped.
fn short_run(words: &str) -> (TempDir, PathBuf) {
    let out = TempDir::new().unwrap();
    let line = format!("train {words} --set steps=2 --set log_every=1 --out");
    let folder = done(osn_on(&line, out.path())).stdout;
    (out, folder.strip_suffix('\n').unwrap().into())
}

/// What a command that succeeds puts out.
fn printed(line: &str) -> String {
    done(osn(line)).stdout
}

fn printed_json(line: &str) -> Value {
    serde_json::from_str(&printed(line)).unwrap()
}

fn must_fit(text: &str) {
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    for line in ["--help", "train --help", "--version"] {
        let Ended { stdout, stderr, .. } = done(osn(line));
        assert!(!stdout.is_empty() && stderr.is_empty(), "{line}: {stderr}");
    }
    assert_eq!(printed("--version"), format!("osn {}\n", env!("CARGO_PKG_VERSION")));
}

/// An array of objects, by their names.
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()
}

#[test]
fn what_a_run_held_can_be_held_by_another() {
    // All layers, or one of three.
    for (rule, n_rules) in [("always", 1), ("static:position=last", 2)] {
        let (out, run) = short_run(&format!("control --decide {rule}"));
        let text = done(osn_on("decide frozen", &run)).stdout;
        assert_eq!(text.matches("[[rule]]").count(), n_rules, "{text}");
        let rules = out.path().join("frozen.toml");
        fs::write(&rules, text).unwrap();
        short_run(&format!("control --decide {}", rules.display()));
    }
}

#[test]
fn every_setting_of_a_recipe_is_listed_with_its_defaults() {
    let text = printed("settings control");
    must_fit(&text);
    let list = printed_json("settings control --json");
    for setting in list["settings"].as_array().unwrap() {
        let name = format!("{}  ", setting["name"].as_str().unwrap());
        assert!(text.lines().any(|line| line.starts_with(&name)), "{name} is missing in {text}");
    }
    let steps = |list: &Value| named(&list["settings"], "steps")["defaults"].clone();
    assert_eq!(steps(&list), json!({ "quick": "40000", "standard": "160000" }));
    let standard = printed_json("settings gan --preset standard --json");
    assert_eq!(steps(&standard), json!({ "standard": "10000" }));
}

/// The rules file that a newcomer finds first.
const EXAMPLE: &str = "../../examples/rules.toml";

#[test]
fn the_list_of_rules_is_data_that_fits_a_terminal() {
    let text = printed("decide list");
    must_fit(&text);
    assert_eq!(printed("decide"), text);
    let rules = &printed_json("decide list --json")["rules"];
    for rule in rules.as_array().unwrap() {
        let name = rule["name"].as_str().unwrap();
        assert!(text.lines().any(|line| line == name), "{name} is missing in {text}");
    }
    let parameter = &named(rules, "cap")["parameters"][0];
    assert_eq!([&parameter["name"], &parameter["default"]], ["target", "1"]);
}

#[test]
fn a_checked_file_is_said_in_one_line_a_rule() {
    assert_eq!(done(osn_on("decide check", EXAMPLE.as_ref())).stdout.lines().count(), 3);
}

#[test]
fn a_run_under_a_file_is_named_after_it_and_holds_its_rules() {
    let (_out, folder) = short_run(&format!("--decide {EXAMPLE} --seed 5"));
    assert_eq!(folder.file_name().unwrap(), "gan-rules-s5");
    let description = description(&folder);
    assert_eq!(description["decide"], "rules");
    assert_eq!(description["rules"][1]["rule"]["relative_to_init"], 1.5);
    assert_eq!(description["rules"][2]["select"]["positions"][0], "first");
    let events = record(&folder);
    let reasons: Vec<_> = events.iter().filter_map(|event| event["reason"].as_str()).collect();
    for rule in ["rule 1: ", "rule 2: ", "rule 3: "] {
        assert!(reasons.iter().any(|reason| reason.starts_with(rule)), "{rule}");
    }
}

#[test]
fn data_lists_what_is_there_on_standard_output() {
    let text = printed("data");
    must_fit(&text);
    assert_eq!(printed("data list"), text);
    for name in ["fashion-mnist-10k", "fashion-mnist-edges"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} in {text}");
    }
}

#[test]
fn imported_emoji_have_the_size_that_is_asked_for_and_are_not_written_over() {
    let folder = TempDir::new().unwrap();
    emoji_package(&folder.path().join("package"));
    let mut import = osn("data import openmoji package --size 16 --out pairs");
    import.current_dir(&folder);
    assert_eq!(done(&mut import).stdout, "");
    let parts = fs::read_dir(folder.path().join("pairs")).unwrap();
    let picture = |part: PathBuf| fs::read(part.join("target/1F600.png")).ok();
    let pictures: Vec<_> = parts.filter_map(|part| picture(part.unwrap().path())).collect();
    // The width in the header of the PNG.
    assert_eq!(pictures.iter().map(|png| png[19]).collect::<Vec<_>>(), [16]);
    refused(import);
}

/// The event files of a run, as TensorBoard reads them after each other.
pub(crate) fn event_files(folder: &Path) -> Vec<Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_events = |path: &PathBuf| path.to_string_lossy().contains("/events.out.tfevents.");
    let mut paths: Vec<_> = paths.filter(is_events).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn an_event_file_for_tensorboard_is_the_run_and_changes_nothing_of_it() {
    let (_out, folder) = short_run("control --tensorboard");
    // The same as of the whole run afterwards, which tests hold against TensorBoard's own writer.
    let mut whole = Vec::new();
    let [run, record] =
        ["run.json", "record.jsonl"].map(|name| fs::read_to_string(folder.join(name)).unwrap());
    write_run(&mut whole, &run, record.as_bytes(), Vec::new()).unwrap();
    let events = event_files(&folder).remove(0);
    assert!(events == whole, "{} bytes, not {}", events.len(), whole.len());
    assert!(events.windows(6).any(|bytes| bytes == b"config"));
    let (_plain_out, plain) = short_run("control");
    Left::of(&folder).must_be(&Left::of(&plain), "with an event file");
}

#[test]
fn a_run_leaves_a_whole_folder_that_can_be_reported_again() {
    let (_out, folder) = short_run("--seed 7");
    let description = description(&folder);
    assert_eq!(description["status"], "finished");
    assert_eq!(description["seed"], 7);
    assert_eq!(description["config"]["steps"], 2);
    assert_eq!(description["totals"]["steps"], 2);
    let events = record(&folder);
    for kind in ["step", "layer", "eval"] {
        assert!(events.iter().any(|event| event["event"] == kind), "{kind}");
    }
    assert!(folder.join("samples/step-000002.png").exists());
    let page = fs::read(folder.join("report.html")).unwrap();
    fs::remove_file(folder.join("report.html")).unwrap();
    assert_eq!(done(osn_on("report", &folder)).stdout, "");
    assert!(fs::read(folder.join("report.html")).unwrap() == page, "the same files, another page");
}

#[test]
fn a_number_gone_bad_ends_the_run_with_one_line_and_a_whole_record() {
    let out = TempDir::new().unwrap();
    let line =
        "train --decide never --set steps=50 --set log_every=1 --set learning_rate=1e30 --out";
    let ended = ends_with(1, osn_on(line, out.path()));
    assert_eq!((ended.stdout.as_str(), ended.errors().len()), ("", 1), "{ended:?}");
    let folder = run_in(out.path()).unwrap();
    assert_eq!(status(&folder), "failed");
    assert!(fs::read_to_string(folder.join("record.jsonl")).unwrap().ends_with("}\n"));
}
