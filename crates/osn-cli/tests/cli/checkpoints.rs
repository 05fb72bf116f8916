//! `osn inspect` and `osn normalize` as their user runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::inputs::{fixture, write_tensor};
use crate::processes::{Ended, done, osn, osn_on, refused, refused_after_data};

/// A folder with a checkpoint of one weight of two rows.
fn tensor(name: &str, values: &[f32]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    write_tensor(&path, name, &[2, values.len() / 2], values);
    (folder, path)
}

fn inspected(path: &Path) -> Value {
    let ended = done(osn_on("inspect --json", path));
    assert_eq!(ended.stderr, "");
    serde_json::from_str(&ended.stdout).unwrap()
}

fn normalize(input: &Path, output: &Path, words: &str) -> Command {
    let mut command = osn(&format!("normalize {words}"));
    command.args([input, output]);
    command
}

#[test]
fn json_holds_the_interval_and_the_stable_rank_of_a_weight() {
    let (_folder, path) = tensor("fc.weight", &[3.0, 0.0, 0.0, 4.0]);
    let report = inspected(&path);
    let tensor = &report["tensors"][0];
    assert_eq!((&report["schema"], &tensor["name"]), (&Value::from(1), &Value::from("fc.weight")));
    let bound = |name: &str| tensor["sigma"][name].as_f64().unwrap();
    assert!(bound("lower") <= 4.0 && 4.0 <= bound("upper"));
    assert!((tensor["stable_rank"].as_f64().unwrap() - 25.0 / 16.0).abs() < 1e-5);
}

#[test]
fn the_table_names_every_weight() {
    let text = done(osn_on("inspect", &fixture("spectral_hook.pt"))).stdout;
    for part in ["conv.weight_orig", "fc.weight_orig"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn selecting_and_views_do_what_they_say() {
    let names = |words: &str| -> Vec<(String, String)> {
        let command = osn_on(&format!("inspect --json{words}"), &fixture("plain.safetensors"));
        // No tensor may be an error; what is printed is the same.
        let printed = Ended::of({ command }.spawn().unwrap()).stdout;
        let report: Value = serde_json::from_str(&printed).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let tensors = report["tensors"].as_array().unwrap();
        tensors.iter().map(|tensor| (text(&tensor["name"]), text(&tensor["view"]))).collect()
    };
    let all = names("");
    assert!(!all.is_empty() && all.iter().all(|(_, view)| view == "reshaped"));
    assert!(names(" --select no.such.name").is_empty());
    assert_eq!(names(&format!(" --select {}", all[0].0)).len(), 1);
    assert!(names(" --view matrix").iter().all(|(_, view)| view == "matrix"));
}

#[test]
fn a_normalized_file_is_at_its_target_when_it_is_read_back() {
    let (folder, input) = tensor("fc.weight", &[3.0, 1.0, -2.0, 0.5, 4.0, 1.5]);
    let output = folder.path().join("out.safetensors");
    assert_eq!(done(normalize(&input, &output, "--target 0.5")).stdout, "");
    let sigma = inspected(&output)["tensors"][0]["sigma"]["value"].as_f64().unwrap();
    assert!((sigma / 0.5 - 1.0).abs() < 1e-6, "{sigma}");
}

#[test]
fn what_is_no_checkpoint_is_one_line_and_exit_code_2() {
    let folder = TempDir::new().unwrap();
    let [plain, archive] =
        ["plain.safetensors", "archive.pt"].map(|name| fs::read(fixture(name)).unwrap());
    for (name, bytes) in [
        ("model.safetensors", &b""[..]),
        ("model.safetensors", b"not a checkpoint at all"),
        ("model.safetensors", &[u8::MAX >> 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("model.safetensors", &[0x80, 2, b'.']),
        ("model.safetensors", b"PK\x03\x04 no archive"),
        ("model.safetensors", &archive[..archive.len() / 2]),
        ("model.safetensors", &plain[..plain.len() - 1]),
        ("model.safetensors.index.json", br#"{"weight_map":{"a":"gone.safetensors"}}"#),
        ("model.safetensors.index.json", br#"{"weight_map":{"a":"../../etc/passwd"}}"#),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        refused(osn_on("inspect", &path));
    }
}

#[test]
fn a_weight_with_a_bad_entry_is_skipped_and_the_rest_is_still_printed() {
    let (_folder, path) = tensor("fc.weight", &[1.0, 2.0, f32::INFINITY, 4.0]);
    let printed = refused_after_data(osn_on("inspect --json", &path)).stdout;
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["skipped"][0]["name"], "fc.weight");
}

#[test]
fn a_folder_with_one_checkpoint_is_opened_and_with_several_refused() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    refused(osn_on("inspect", folder.path()));
    write_tensor(&at("a.safetensors"), "fc.weight", &[2, 2], &[3.0, 0.0, 0.0, 4.0]);
    assert_eq!(inspected(folder.path())["tensors"][0]["name"], "fc.weight");
    fs::copy(at("a.safetensors"), at("b.safetensors")).unwrap();
    refused(osn_on("inspect", folder.path()));
    let index = at("model.safetensors.index.json");
    let text = r#"{"metadata":{},"weight_map":{"fc.weight":"b.safetensors"}}"#;
    fs::write(&index, text).unwrap();
    assert_eq!(inspected(folder.path())["tensors"].as_array().unwrap().len(), 1);
    refused(normalize(folder.path(), &index, "--target=1"));
    refused(osn("inspect /dev/stdin"));
}

#[test]
fn a_file_that_is_on_the_line_twice_is_counted_once() {
    let (folder, path) = tensor("fc.weight", &[3.0, 0.0, 0.0, 4.0]);
    let again = folder.path().join("..").join(folder.path().file_name().unwrap());
    let again = again.join("model.safetensors");
    let printed = done(osn_on("inspect --json", &path).arg(again)).stdout;
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["tensors"].as_array().unwrap().len(), 1);
}

#[test]
fn an_image_that_fills_memory_is_one_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("conv.safetensors");
    write_tensor(&path, "conv.weight", &[1, 1, 3, 3], &[1.0; 9]);
    for size in ["100000,100000", "18446744073709551615,2"] {
        refused_after_data(osn_on(&format!("inspect --view=operator --input-size={size}"), &path));
    }
}

#[test]
fn a_narrow_terminal_gets_whole_numbers_and_short_lines() {
    for width in [40, 60] {
        let mut command = osn_on("inspect", &fixture("spectral_hook.pt"));
        let text = done(command.env("COLUMNS", width.to_string())).stdout;
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        let report = inspected(&fixture("spectral_hook.pt"));
        for tensor in report["tensors"].as_array().unwrap() {
            let sigma = format!("σ {:.3}", tensor["sigma"]["value"].as_f64().unwrap());
            assert!(text.contains(&sigma), "{sigma} is not in\n{text}");
        }
    }
}

#[test]
fn a_name_forges_no_row_turns_no_text_around_and_sends_no_escape() {
    for (name, shown) in [
        ("a\n    forged.weight\u{202e}\u{200b}", "a\u{fffd}    forged.weight\u{fffd}\u{fffd}"),
        ("w\u{1b}]0;owned\u{7}.weight", "w\u{fffd}]0;owned\u{fffd}.weight"),
    ] {
        let (folder, path) = tensor(name, &[1.0, 2.0, 3.0, 4.0]);
        let (_nan_folder, nan) = tensor(name, &[1.0, f32::NAN, 3.0, 4.0]);
        let output = folder.path().join("normalized");
        for said in [
            done(osn_on("inspect", &path)).stdout,
            done(normalize(&path, &output, "--target=1")).stderr,
            refused_after_data(osn_on("inspect --json", &nan)).stderr,
            refused(normalize(&nan, &output, "--target=1")),
        ] {
            assert!(said.contains(shown), "{said}");
            assert!(!said.contains(['\u{202e}', '\u{200b}', '\u{1b}', '\u{7}']), "{said}");
        }
    }
}
