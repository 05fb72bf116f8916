//! The page in a real browser: that charts draw, that pointer, keyboard and slider do what they say, and
//! that nothing is logged. Skipped with a note where neither Chromium nor Chrome is installed.

use std::sync::LazyLock;

use osn_report::{RunRecord, Sample, page};
use serde_json::{Value, json};

use crate::browsing::{HOSTILE, cells, pixel, visit, visit_at_width};

/// What the tests do in the page.
const HOOK: &str = include_str!("../hook.js");

/// What was found in the page of a plain run.
static PLAIN: LazyLock<Option<Value>> = LazyLock::new(|| visit(&page(&[run("cap")]), HOOK));

#[test]
fn charts_draw_and_answer_the_pointer() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!((&found["charts"], &found["drawn"]), (&json!(9), &json!(9)), "{found:#}");
    assert_eq!(found["legends_before"][0], json!(["–", "–", "–"]));
    // The pointer is at the last step of the first chart, and all others over steps show it too.
    assert_eq!(found["legends_on_hover"][0], json!(["40", "4", "1"]), "{found:#}");
    let legends = found["legends_on_hover"].as_array().unwrap();
    assert_eq!(legends.iter().filter(|legend| legend[0] == "40").count(), 8, "{found:#}");
}

#[test]
fn dragging_zooms_every_chart_and_the_button_shows_all_again() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!(found["changed_by_drag"], 8, "{found:#}");
    assert_eq!(found["changed_after_all"], 0, "{found:#}");
}

#[test]
fn charts_can_be_read_and_zoomed_by_keyboard() {
    let Some(found) = &*PLAIN else { return };
    let label = found["label"].as_str().unwrap();
    assert!(label.starts_with("Fréchet distance") && label.contains("40.00"), "{label}");
    assert_eq!(found["spoken_at_end"], "Step 40: Fréchet distance 4, real against real 1");
    assert_eq!(found["spoken_before"], "Step 30: Fréchet distance 20, real against real 1");
    assert_eq!(found["changed_by_plus"], 8, "{found:#}");
}

#[test]
fn the_decision_map_shows_reasons_on_hover_and_focus() {
    let Some(found) = &*PLAIN else { return };
    let page = page(&[run("cap")]);
    let cells = cells(&page);
    let (off, capped, below) = (cells[0], cells[1], cells[cells.len() / 2 + 1]);
    assert!(capped.contains("a is high at 20") && capped.ends_with("too large."), "{capped}");
    assert_eq!(found["readout_on_hover"], off);
    assert_eq!(found["readout_on_key"], capped);
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
    assert_eq!((&found["printed"], &found["printed_scheme"]), (&json!(9), &json!("light")));
    assert_eq!(found["same_after_print"], true);
}

#[test]
fn hostile_names_are_shown_and_do_nothing() {
    let Some(found) = visit(&page(&[run(HOSTILE)]), HOOK) else { return };
    assert!(found["document_title"].as_str().unwrap().contains(HOSTILE));
    let titles = found["titles"].as_array().unwrap();
    assert!(titles.iter().any(|title| title == HOSTILE), "{titles:?}");
    assert_eq!(found["drawn"], 9, "{found:#}");
    assert!(found["readout_on_key"].as_str().unwrap().contains(HOSTILE), "{found:#}");
}

#[test]
fn a_page_on_a_phone_is_no_wider_than_the_phone() {
    let Some(found) = visit_at_width(&page(&[run(HOSTILE)]), HOOK, 400) else { return };
    assert_eq!((&found["width"], &found["drawn"]), (&json!(400), &json!(9)));
    assert!(found["too_wide"].as_i64().unwrap() <= 0, "{found:#}");
}

#[test]
fn a_page_without_samples_layers_and_scores_logs_nothing() {
    let record = r#"{"event":"step","step":1,"losses":{"loss":1.0}}"#;
    let run = RunRecord::read("{}", record, Vec::new()).unwrap();
    let Some(found) = visit(&page(&[run]), HOOK) else { return };
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
    let sample = |step| Sample::picture(step, pixel());
    let samples = vec![sample(20), sample(40)];
    RunRecord::read(&description.to_string(), &record.join("\n"), samples).unwrap()
}

fn step_and_scores(step: i32, name: &str) -> Vec<Value> {
    let distance = if step == 40 { 4 } else { 50 - step };
    vec![
        json!({"event": "step", "step": step, "losses": {name: step, "b": 2.5}, "signals": {name: -step}}),
        json!({"event": "eval", "step": step, "metrics": {"frechet": distance}, "real_vs_real": {"frechet": 1.0}}),
    ]
}

/// A layer that is capped from step 20 on, and the decision to.
fn layer(step: i32, path: &str, name: &str) -> Vec<Value> {
    let (action, elasticity, what) = if step < 20 { ("off", 0, "low") } else { ("cap", 1, "high") };
    let reason = if name == HOSTILE { HOSTILE } else { "too large" };
    let decision = json!({
        "event": "decision", "step": 20, "network": "d", "path": path,
        "from": "off", "to": "cap at 1", "reason": reason,
    });
    let measured = json!({
        "event": "layer", "step": step, "network": "d", "path": path, "sigma": step,
        "stable_rank": 3.5, "target": 1.0, "scale": 0.5, "elasticity": elasticity,
        "action": action, "reason": format!("{path} is {what} at {step}"),
    });
    let spectrum = json!({
        "event": "spectrum", "step": step, "network": "d", "path": path, "scale": 0.5, "n_values": 3,
        "singular_values": [step, 2, 1],
    });
    let decided = (step == 20).then_some(decision);
    let ended = (step == 40).then_some(spectrum);
    decided.into_iter().chain([measured]).chain(ended).collect()
}
