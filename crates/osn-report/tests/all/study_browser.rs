//! The page of a study in a real browser: that charts draw, that pointer and keyboard do what they say,
//! that arms are hidden everywhere at once, and that nothing is logged.

use std::sync::LazyLock;

use osn_report::page;
use osn_report::study::{Grid, StudyRecord};
use serde_json::{Value, json};

use crate::browsing::{HOSTILE, pixel, visit, visit_at_width};

/// What the tests do in the page.
const HOOK: &str = include_str!("../study_hook.js");

/// What was found in the page of a plain study.
static PLAIN: LazyLock<Option<Value>> = LazyLock::new(|| visit(&page([&study("auto")]), HOOK));

/// Three arms in two regimes with four seeds, of which `never` fails with two in `hard`.
fn study(name: &str) -> StudyRecord {
    let arms = [name, "never", "always"];
    let mut study = crate::made_up::plain(arms, 4, 4);
    if name == HOSTILE {
        study.asked.regimes[0].settings = vec![HOSTILE.into()];
        let failed = study.runs.iter_mut().filter(|run| run.why.is_some());
        failed.for_each(|run| run.why = Some(HOSTILE.into()));
    }
    let grid = |arm: &str| Grid { arm: arm.into(), regime: "hard".into(), seed: 1, png: pixel() };
    StudyRecord::new(study, arms.map(grid).to_vec())
}

#[test]
fn charts_draw_and_answer_the_pointer() {
    let Some(found) = &*PLAIN else { return };
    // Two profiles, and the curves of two regimes.
    assert_eq!((&found["charts"], &found["drawn"]), (&json!(4), &json!(4)), "{found:#}");
    // The medians at the last step; in hard half of the second arm's runs have failed.
    let expected = json!([["40", "2.5", "12.5", "22.5"], ["40", "2.5", "–", "22.5"]]);
    assert_eq!(found["legends_on_curves"], expected, "{found:#}");
    // At the score 1 there is the best run of each regime, 2 of 8.
    assert_eq!(found["legends_on_profiles"][0], json!(["1", "0.25", "0", "0"]), "{found:#}");
}

#[test]
fn charts_are_read_by_keyboard_and_described() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!(found["spoken_of_curve"], "Step 40: auto 2.5, never 12.5, always 22.5");
    assert_eq!(found["spoken_of_profile"], "Score 1: auto 0.25, never 0, always 0");
    let label = found["label"].as_str().unwrap();
    assert!(label.starts_with("Fréchet distance ↓ in easy") && label.contains("5.500"), "{label}");
}

#[test]
fn an_arm_is_hidden_and_shown_in_all_charts_at_once() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!(found["changed_by_hiding"], 4, "{found:#}");
    assert_eq!(found["changed_after_showing"], 0, "{found:#}");
    let of_all = |pressed: [&str; 3]| json!(vec![pressed; 4]);
    assert_eq!(found["pressed_after_hiding"], of_all(["false", "true", "true"]));
    assert_eq!(found["focused"], true);
    assert_eq!(found["pressed_by_key"], of_all(["true", "false", "true"]));
    // The Tab key passes all names of a chart in one step.
    assert_eq!(found["tab_stops"], 1);
    // Charts that are drawn again for the printer know what is hidden.
    assert_eq!(found["pressed_in_print"], of_all(["false", "true", "true"]));
}

#[test]
fn every_seed_of_a_shown_arm_has_a_thin_curve() {
    let Some(found) = &*PLAIN else { return };
    // Two arms with four seeds in two regimes, the third hidden.
    assert_eq!(found["thin_after_hiding"], 2 * 4 * 2, "{found:#}");
}

#[test]
fn dragging_zooms_the_curves_and_leaves_the_profiles() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!(found["zoomed"], json!([2, 0]), "{found:#}");
}

#[test]
fn bars_are_where_their_numbers_are() {
    let Some(found) = &*PLAIN else { return };
    let bars: Vec<[f64; 3]> = serde_json::from_value(found["bars"].clone()).unwrap();
    // From 1 to 24 with 6 % of air at either end, and 2.5, 12.5 and 22.5 in it.
    for (bar, value) in bars.iter().zip([2.5, 12.5, 22.5]) {
        let place = (value - 1.0 + 0.06 * 23.0) / (1.12 * 23.0);
        assert!((bar[0] - place).abs() < 0.01, "{bars:?}");
        assert!((0.02..0.2).contains(&bar[1]), "{bars:?}");
        assert_eq!(bar[2], 4.0, "a dot for each seed");
    }
    let titles = found["titles"].as_array().unwrap();
    assert!(titles.contains(&json!("seed 3: 3.000")), "{titles:?}");
}

#[test]
fn links_lead_somewhere_and_pictures_are_seen() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!(found["lost_links"], 0);
    let alts =
        ["auto", "never", "always"].map(|arm| format!("Samples of {arm} in hard with seed 1"));
    assert_eq!(found["pictures"], json!(alts));
}

#[test]
fn a_printed_page_has_every_chart() {
    let Some(found) = &*PLAIN else { return };
    assert_eq!(found["printed"], 4);
}

#[test]
fn hostile_names_are_shown_and_do_nothing_on_a_phone() {
    let Some(found) = visit_at_width(&page([&study(HOSTILE)]), HOOK, 400) else { return };
    assert_eq!(found["document_title"], "gan: 3 arms, 2 regimes, 4 seeds");
    assert!(found["said"].as_str().unwrap().contains(HOSTILE), "{found:#}");
    assert!(found["spoken_of_curve"].as_str().unwrap().contains(HOSTILE), "{found:#}");
    assert_eq!((&found["width"], &found["drawn"]), (&json!(400), &json!(4)));
    assert!(found["too_wide"].as_i64().unwrap() <= 0, "{found:#}");
}
