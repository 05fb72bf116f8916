//! The page in a real browser: that charts draw, that pointer, keyboard and slider do what they say, and
//! that nothing is logged. Skipped with a note where neither Chromium nor Chrome is installed.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use osn_report::{RunRecord, Sample, page};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const HOSTILE: &str =
    r#"</script><script>document.title="owned"</script><img src=x onerror=alert(1)>"'&"#;
/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// What the tests do in the page.
const HOOK: &str = include_str!("hook.js");

/// What was found in the page of a plain run.
static PLAIN: LazyLock<Option<Value>> = LazyLock::new(|| visit(&page(&[run("cap")])));

#[test]
fn charts_draw_and_answer_the_pointer() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!((&found["charts"], &found["drawn"]), (&json!(7), &json!(7)), "{found:#}");
    assert_eq!(found["legends_before"][0], json!(["–", "–", "–"]));
    // The pointer is at the last step of the first chart, and all others show that step too.
    assert_eq!(found["legends_on_hover"][0], json!(["40", "4", "1"]), "{found:#}");
    let legends = found["legends_on_hover"].as_array().unwrap();
    assert!(legends.iter().all(|legend| legend[0] == "40"), "{found:#}");
}

#[test]
fn dragging_zooms_every_chart_and_the_button_shows_all_again() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!(found["changed_by_drag"], 7, "{found:#}");
    assert_eq!(found["changed_after_all"], 0, "{found:#}");
}

#[test]
fn charts_can_be_read_and_zoomed_by_keyboard() {
    let Some(found) = &*PLAIN else { return };
    let label = "Fréchet distance. Fréchet distance: from 40.00 at step 10 to 4.000 at step 40, \
                 lowest 4.000, highest 40.00. real against real: 1.000.";
    assert_eq!(found["label"], label);
    assert_eq!(found["spoken_at_end"], "Step 40: Fréchet distance 4, real against real 1");
    assert_eq!(found["spoken_before"], "Step 30: Fréchet distance 20, real against real 1");
    assert_eq!(found["changed_by_plus"], 7, "{found:#}");
}

#[test]
fn the_decision_map_tells_reasons_on_hover_and_focus() {
    let Some(found) = &*PLAIN else { return };
    let [hovered, switched] = [
        "a, steps 0 to 20: off, strength 0. a is low at 10.",
        "a, steps 20 to 30: cap, strength 1.000. a is high at 20. \
         At step 20 from off to cap at 1: too large.",
    ];
    assert_eq!(found["readout_on_hover"], hovered);
    assert_eq!(found["readout_on_key"], switched);
    let below = switched.replace("a, steps", "b, steps").replace("a is", "b is");
    assert_eq!(found["readout_below"], below);
    // The Tab key passes the whole map in one step.
    assert_eq!(found["tab_stops"], json!([1, 1]));
}

#[test]
fn the_slider_changes_the_picture() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!(found["pictures_before"], json!(["Samples after step 40"]));
    assert!(found["slider_width"].as_i64() > Some(0), "{found:#}");
    assert_eq!(found["pictures_after"], json!(["Samples after step 20"]));
    assert_eq!(found["slider_says"], json!(["Samples after step 20", "20"]));
}

#[test]
fn a_printed_page_has_every_chart_in_light_colours() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!((&found["printed"], &found["printed_scheme"]), (&json!(7), &json!("light")));
    assert_eq!(found["same_after_print"], true);
}

#[test]
fn hostile_names_are_shown_and_do_nothing() {
    let Some(found) = visit(&page(&[run(HOSTILE)])) else { return };
    assert!(found["document_title"].as_str().unwrap().contains(HOSTILE));
    let titles = found["titles"].as_array().unwrap();
    assert!(titles.iter().any(|title| title == HOSTILE), "{titles:?}");
    assert_eq!(found["drawn"], 7, "{found:#}");
    assert!(found["readout_on_key"].as_str().unwrap().contains(HOSTILE), "{found:#}");
}

#[test]
fn a_page_on_a_phone_is_no_wider_than_the_phone() {
    let Some(found) = visit_at_width(&page(&[run(HOSTILE)]), 400) else { return };
    assert_eq!((&found["width"], &found["drawn"]), (&json!(400), &json!(7)));
    assert!(found["too_wide"].as_i64().unwrap() <= 0, "{found:#}");
}

#[test]
fn a_page_without_samples_layers_and_scores_logs_nothing() {
    let record = r#"{"event":"step","step":1,"losses":{"loss":1.0}}"#;
    let run = RunRecord::read("{}", record, Vec::new()).unwrap();
    let Some(found) = visit(&page(&[run])) else { return };
    assert_eq!((&found["charts"], &found["drawn"]), (&json!(1), &json!(1)));
}

/// A run of four logged steps with two layers; `name` stands wherever a file may name something.
fn run(name: &str) -> RunRecord {
    let description = json!({"recipe": name, "decide": name, "seed": 1, "status": "finished"});
    let record: Vec<String> = [10, 20, 30, 40]
        .into_iter()
        .flat_map(|step| {
            let layers = ["a", "b"].into_iter().flat_map(move |path| layer(step, path, name));
            [step_and_scores(step, name), layers.collect()].concat()
        })
        .map(|event| event.to_string())
        .collect();
    let sample = |step| Sample { step, png: BASE64.decode(PIXEL).unwrap() };
    let samples = vec![sample(20), sample(40)];
    RunRecord::read(&description.to_string(), &record.join("\n"), samples).unwrap()
}

fn step_and_scores(step: i32, name: &str) -> Vec<Value> {
    let distance = if step == 40 { 4 } else { 50 - step };
    vec![
        json!({"event": "step", "step": step, "losses": {name: step, "b": 2.5}, "signals": {name: -step}}),
        json!({"event": "eval", "step": step, "metrics": {"frechet": distance}, "floor": {"frechet": 1.0}}),
    ]
}

/// A layer that is capped from step 20 on, and the decision to.
fn layer(step: i32, path: &str, name: &str) -> Vec<Value> {
    let (action, strength, what) = if step < 20 { ("off", 0, "low") } else { ("cap", 1, "high") };
    let reason = if name == HOSTILE { HOSTILE } else { "too large" };
    let decision = json!({
        "event": "decision", "step": 20, "network": "d", "path": path,
        "from": "off", "to": "cap at 1", "reason": reason,
    });
    let measured = json!({
        "event": "layer", "step": step, "network": "d", "path": path, "sigma": step,
        "stable_rank": 3.5, "target": 1.0, "scale": 0.5, "strength": strength,
        "action": action, "reason": format!("{path} is {what} at {step}"),
    });
    let decided = (step == 20).then_some(decision);
    decided.into_iter().chain([measured]).collect()
}

/// Opens the page with the hook and returns what that found; `None` where there is no browser.
fn visit(page: &str) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    fs::write(&file, with_hook(page)).unwrap();
    report_of(folder.path(), &file)
}

/// The same in a frame of that many pixels: no window of the browser is as narrow as a phone.
fn visit_at_width(page: &str, width: u32) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.html"), with_hook(page)).unwrap();
    let file = folder.path().join("frame.html");
    let frame = format!("<iframe src=page.html style='width:{width}px;height:900px;border:0'>");
    fs::write(&file, format!("<body>{frame}</iframe><script>{HOOK}</script></body>")).unwrap();
    report_of(folder.path(), &file)
}

/// The policy would refuse the hook, as it refuses every script that is not the page's own.
fn with_hook(page: &str) -> String {
    let hash = BASE64.encode(Sha256::digest(HOOK));
    let allowed = page.replacen("script-src ", &format!("script-src 'sha256-{hash}' "), 1);
    allowed.replacen("</body>", &format!("<script>{HOOK}</script></body>"), 1)
}

fn report_of(folder: &Path, file: &Path) -> Option<Value> {
    let Some(browser) = browser() else {
        eprintln!("skipped: neither chromium nor google-chrome is installed");
        return None;
    };
    let output = open(&browser, folder, file);
    let log = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(said.is_empty(), "the console says: {said:?}");
    let html = String::from_utf8_lossy(&output.stdout);
    let report =
        html.split("<pre id=\"report\">").nth(1).unwrap_or_else(|| panic!("no report: {log}"));
    let report = report.split("</pre>").next().unwrap();
    let report = report.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Some(serde_json::from_str(&report).unwrap())
}

fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// Without its sandbox, which does not start for the super-user and in most containers.
fn open(browser: &Path, folder: &Path, file: &Path) -> Output {
    Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=8000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg("--window-size=1200,900")
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap()
}
