//! `osn inspect` and `osn normalize` as their user runs them.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod processes;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;

use processes::{refused, refused_with_data};

fn osn() -> Command {
    Command::cargo_bin("osn").unwrap()
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../osn-checkpoint/tests/fixtures");
    folder.join(name)
}

/// A safetensors file of one tensor of f32.
fn write(path: &Path, name: &str, shape: &[usize], values: &[f32]) {
    let header = serde_json::json!({
        name: { "dtype": "F32", "shape": shape, "data_offsets": [0, values.len() * 4] }
    });
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

fn inspected(path: &Path) -> Value {
    let output = osn().args(["inspect", "--json"]).arg(path).output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn json_on_standard_output_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write(&path, "fc.weight", &[2, 2], &[3.0, 0.0, 0.0, 4.0]);
    let output = osn().args(["inspect", "--json"]).arg(&path).output().unwrap();
    assert!(output.stderr.is_empty());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tensor = &report["tensors"][0];
    assert_eq!((&report["schema"], &tensor["name"]), (&Value::from(1), &Value::from("fc.weight")));
    let bound = |name: &str| tensor["sigma"][name].as_f64().unwrap();
    assert!(bound("lower") <= 4.0 && 4.0 <= bound("upper"));
    assert!((tensor["stable_rank"].as_f64().unwrap() - 25.0 / 16.0).abs() < 1e-5);
}

#[test]
fn the_table_names_every_weight_and_says_what_was_left_out() {
    let table = osn().arg("inspect").arg(fixture("spectral_hook.pt")).assert().success();
    let text = String::from_utf8(table.get_output().stdout.clone()).unwrap();
    for part in ["conv.weight_orig", "fc.weight_orig"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn selecting_and_views_do_what_they_say() {
    let names = |arguments: &[&str]| -> Vec<(String, String)> {
        let file = fixture("plain.safetensors");
        let output = osn().args(["inspect", "--json"]).args(arguments).arg(file).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let tensors = report["tensors"].as_array().unwrap();
        tensors.iter().map(|tensor| (text(&tensor["name"]), text(&tensor["view"]))).collect()
    };
    let all = names(&[]);
    assert!(!all.is_empty() && all.iter().all(|(_, view)| view == "reshaped"));
    assert!(names(&["--select", "no.such.name"]).is_empty());
    assert_eq!(names(&["--select", &all[0].0]).len(), 1);
    assert!(names(&["--view", "matrix"]).iter().all(|(_, view)| view == "matrix"));
}

#[test]
fn a_normalized_file_is_at_its_target_when_it_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) =
        (folder.path().join("in.safetensors"), folder.path().join("out.safetensors"));
    write(&input, "fc.weight", &[2, 3], &[3.0, 1.0, -2.0, 0.5, 4.0, 1.5]);
    let run = || {
        let mut command = osn();
        command.arg("normalize").args([&input, &output]).args(["--target", "0.5"]);
        command
    };
    run().assert().success().stdout("").stderr(predicate::str::contains("fc.weight"));
    let sigma = inspected(&output)["tensors"][0]["sigma"]["value"].as_f64().unwrap();
    assert!((sigma / 0.5 - 1.0).abs() < 1e-6, "{sigma}");
    osn().arg("normalize").args([&input, &input]).args(["--target", "1"]).assert().code(2);
    osn().arg("normalize").args([&input, &output]).args(["--target", "-1"]).assert().code(2);
}

#[test]
fn what_is_no_checkpoint_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let file = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        refused(&["inspect", path.to_str().unwrap()]);
    };
    file(b"");
    file(b"not a checkpoint at all");
    file(&[u8::MAX >> 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    file(&[0x80, 2, b'.']);
    file(b"PK\x03\x04 no archive");
    let whole = fs::read(fixture("archive.pt")).unwrap();
    file(&whole[..whole.len() / 2]);
    let whole = fs::read(fixture("plain.safetensors")).unwrap();
    file(&whole[..whole.len() - 1]);
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map":{"a":"gone.safetensors"}}"#).unwrap();
    let line = refused(&["inspect", index.to_str().unwrap()]);
    assert!(line.contains("gone.safetensors"), "{line}");
    fs::write(&index, r#"{"weight_map":{"a":"../../etc/passwd"}}"#).unwrap();
    refused(&["inspect", index.to_str().unwrap()]);
}

#[test]
fn a_bad_entry_is_named_and_the_rest_is_still_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write(&path, "fc.weight", &[2, 2], &[1.0, 2.0, f32::INFINITY, 4.0]);
    let output = osn().args(["inspect", "--json"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("fc.weight") && text.contains("entry 2"), "{text}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["skipped"][0]["name"], "fc.weight");
}

#[test]
fn bad_views_are_refused() {
    let file = fixture("plain.safetensors");
    let file = file.to_str().unwrap();
    for words in [
        ["--view", "sideways"],
        ["--view", "operator"],
        ["--input-size", "8,8"],
        ["--tolerance", "2"],
        ["--select", "a.[b"],
    ] {
        refused(&[&["inspect", file], &words[..]].concat());
    }
}

#[test]
fn a_folder_with_one_checkpoint_is_opened_and_others_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = folder.path().to_str().unwrap();
    refused(&["inspect", text]);
    write(&at("a.safetensors"), "fc.weight", &[2, 2], &[3.0, 0.0, 0.0, 4.0]);
    let report = inspected(folder.path());
    assert_eq!(report["tensors"][0]["name"], "fc.weight");
    fs::copy(at("a.safetensors"), at("b.safetensors")).unwrap();
    let several = refused(&["inspect", text]);
    assert!(several.contains("a.safetensors, b.safetensors"), "{several}");
    let index = r#"{"metadata":{},"weight_map":{"fc.weight":"b.safetensors"}}"#;
    fs::write(at("model.safetensors.index.json"), index).unwrap();
    assert_eq!(inspected(folder.path())["tensors"].as_array().unwrap().len(), 1);
    let index = at("model.safetensors.index.json");
    let over = ["normalize", text, index.to_str().unwrap(), "--target=1"];
    refused(&over);
    for no_file in ["-", "/dev/stdin", "*.safetensors"] {
        refused(&["inspect", no_file]);
    }
}

#[test]
fn a_file_that_is_on_the_line_twice_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, again) = (folder.path().join("a.safetensors"), folder.path().join("../"));
    write(&path, "fc.weight", &[2, 2], &[3.0, 0.0, 0.0, 4.0]);
    let again = again.join(folder.path().file_name().unwrap()).join("a.safetensors");
    let output = osn().args(["inspect", "--json"]).args([&path, &again]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["tensors"].as_array().unwrap().len(), 1);
    assert!(String::from_utf8(output.stderr).unwrap().contains("a.safetensors"));
}

#[test]
fn what_can_have_no_effect_is_refused_with_what_would_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write(&path, "a.b.weight", &[2, 2], &[3.0, 0.0, 0.0, 4.0]);
    let (path, output) = (path.to_str().unwrap(), folder.path().join("out"));
    let output = output.to_str().unwrap();
    let (_, hint) = refused_with_data(&["inspect", path, "--select", "*.weight", "--json"]);
    assert!(hint.contains("'**.weight'"), "{hint}");
    let hint = refused(&["normalize", path, output, "--target=1", "--select=**.w", "--select=**"]);
    assert!(hint.contains("'**.w'") && hint.contains("a.b.weight"), "{hint}");
    let (_, axis) = refused_with_data(&["inspect", path, "--output-axis", "7"]);
    assert!(axis.contains('7'), "{axis}");
    refused(&["inspect", path, "--view=operator", "--input-size=8", "--output-axis=1"]);
    for words in [
        [path, output, "--target=1", "--output-axis=7"],
        [path, "-", "--target=1", "--mode=cap"],
        [path, output, "--target", "1e-320"],
    ] {
        refused(&[&["normalize"], &words[..]].concat());
    }
    let nowhere = refused(&["normalize", path, "nosuchfolder/out", "--target=1"]);
    assert!(nowhere.contains("nosuchfolder/out") && !nowhere.contains(".osn-"), "{nowhere}");
    assert!(!Path::new(output).exists());
}

#[test]
fn an_image_that_fills_memory_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conv.safetensors");
    write(&path, "conv.weight", &[1, 1, 3, 3], &[1.0; 9]);
    for size in ["100000,100000", "18446744073709551615,2"] {
        let size = format!("--input-size={size}");
        refused_with_data(&["inspect", path.to_str().unwrap(), "--view=operator", &size]);
    }
}

#[test]
fn a_narrow_terminal_gets_whole_numbers_and_short_lines() {
    for columns in ["40", "60"] {
        let mut command = osn();
        command.arg("inspect").arg(fixture("spectral_hook.pt")).env("COLUMNS", columns);
        let output = command.assert().success().get_output().stdout.clone();
        let text = String::from_utf8(output).unwrap();
        let width: usize = columns.parse().unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        let report = inspected(&fixture("spectral_hook.pt"));
        for tensor in report["tensors"].as_array().unwrap() {
            let sigma = format!("σ {:.3}", tensor["sigma"]["value"].as_f64().unwrap());
            assert!(text.contains(&sigma), "{sigma} is not in\n{text}");
        }
    }
}

#[test]
fn a_name_forges_no_row_and_turns_no_text_around() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write(&path, "a\n    forged.weight\u{202e}\u{200b}", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let output = osn().arg("inspect").arg(&path).assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    assert!(text.contains("a\u{fffd}    forged.weight\u{fffd}\u{fffd}"), "{text}");
    assert!(!text.contains(['\u{202e}', '\u{200b}']), "{text}");
    write(&path, "b\nc\u{2066}", &[2, 2], &[1.0, f32::NAN, 3.0, 4.0]);
    let (_, error) = refused_with_data(&["inspect", "--json", path.to_str().unwrap()]);
    assert!(error.contains("b\u{fffd}c\u{fffd}"), "{error}");
    let output = folder.path().join("out");
    let (path, output) = (path.to_str().unwrap(), output.to_str().unwrap());
    let error = refused(&["normalize", path, output, "--target=1"]);
    assert!(error.contains("b\u{fffd}c\u{fffd}"), "{error}");
}

#[test]
fn names_in_a_file_do_not_speak_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (path, output) = (folder.path().join("hostile"), folder.path().join("normalized"));
    write(&path, "w\u{1b}]0;owned\u{7}.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let shown = |arguments: &[&Path]| {
        let output = osn().args(arguments).assert().success().get_output().clone();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains("w\u{fffd}]0;owned\u{fffd}.weight"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text}");
    };
    shown(&["inspect".as_ref(), &path]);
    shown(&["normalize".as_ref(), &path, &output, "--target=1".as_ref()]);
}
