//! What a record says went wrong: on collapses that never were, and on runs that went well.

use osn_report::{RunRecord, Warning};
use serde_json::json;

use crate::shown::{page_of, text};

/// A record with one scoring a thousand steps: recall and entropy of classes, of real ones 0.9 and ln 10.
fn scored(recalls: &[f64], entropies: &[f64]) -> String {
    let real = json!({"recall": 0.9, "class_entropy": 10_f64.ln()});
    let scores = recalls.iter().zip(entropies).zip(1..);
    let line = |((recall, entropy), place): ((&f64, &f64), u64)| {
        let metrics = json!({"recall": recall, "class_entropy": entropy});
        json!({"event": "eval", "step": 1_000 * place, "metrics": metrics, "real_vs_real": real})
    };
    scores.map(|scores| line(scores).to_string() + "\n").collect()
}

/// A record with one logged step for each value of a signal.
fn logged(signal: &str, values: impl IntoIterator<Item = f64>) -> String {
    let line = |(value, step): (f64, u64)| json!({"event": "step", "step": step, "losses": {}, "signals": {signal: value}});
    values.into_iter().zip(1..).map(|value| line(value).to_string() + "\n").collect()
}

fn warnings(record: &str) -> Vec<Warning> {
    RunRecord::read("{}", record, Vec::new()).unwrap().warnings()
}

const EVEN: f64 = std::f64::consts::LN_10;

#[test]
fn recall_that_falls_by_half_is_a_collapse() {
    let fallen = warnings(&scored(&[0.045, 0.45, 0.2], &[EVEN; 3]));
    let [Warning::ModeCollapse { measure: "recall", before, now, step: 3_000 }] = fallen[..] else {
        panic!("{fallen:?}")
    };
    assert!((before - 0.5).abs() < 1e-12 && (now - 0.2 / 0.9).abs() < 1e-12, "{fallen:?}");
}

#[test]
fn classes_that_are_lost_are_a_collapse_and_so_is_a_run_that_never_had_more_than_one() {
    // From eight classes alike to three, and all images of one class from the start.
    for entropies in [[8_f64.ln(), 8_f64.ln(), 8_f64.ln(), 3_f64.ln()], [0.0; 4]] {
        let found = warnings(&scored(&[0.3; 4], &entropies));
        let is_of_classes =
            |it: &Warning| matches!(it, Warning::ModeCollapse { measure: "effective classes", .. });
        assert!(found.len() == 1 && is_of_classes(&found[0]), "{entropies:?}: {found:?}");
    }
}

#[test]
fn runs_that_go_well_have_no_warning() {
    let quick = [0.02, 0.12, 0.31, 0.44, 0.57];
    for (recalls, entropies) in [
        // As `quick` goes, with one class at the start.
        (&quick[..], &[0.0, 1.1, 1.9, 2.2, 2.25][..]),
        // The scores of a few images are noise.
        (&[0.04, 0.01], &[EVEN, EVEN]),
        (&[0.5, 0.3], &[EVEN, 0.7 * EVEN]),
        // It recovers.
        (&[0.5, 0.1, 0.4], &[EVEN, 0.5, EVEN]),
        // It has hardly begun.
        (&[0.0; 3], &[0.0; 3]),
        (&[], &[]),
    ] {
        assert_eq!(warnings(&scored(recalls, entropies)), [], "{recalls:?} {entropies:?}");
    }
    let noise = (0..200).map(|step| 2.0 + f64::from(step).sin());
    assert_eq!(warnings(&logged("generator_gradient_norm", noise)), []);
    // It falls by a factor of a hundred, as where a network has learned, or too few steps are logged.
    let learning = (0..200).map(|step| 0.01_f64.powf(f64::from(step) / 200.0));
    assert_eq!(warnings(&logged("gradient_norm", learning)), []);
    assert_eq!(warnings(&logged("gradient_norm", [vec![1.0; 10], vec![0.0; 9]].concat())), []);
    assert_eq!(warnings(&logged("slope", [vec![1.0; 10], vec![0.0; 10]].concat())), []);
}

#[test]
fn gradients_that_are_a_thousandth_of_those_at_the_start_have_vanished() {
    let fading = (0..100).map(|step| 2.0 * 0.9_f64.powi(step));
    let found = warnings(&logged("generator_gradient_ratio", fading));
    let [Warning::VanishingGradients { signal, before, now }] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(signal, "generator_gradient_ratio");
    // The medians of the powers 0 to 9 and 90 to 99.
    let median = |first: i32| 0.9_f64.powi(first + 4) + 0.9_f64.powi(first + 5);
    assert!((before - median(0)).abs() < 1e-12 && (now - median(90)).abs() < 1e-12, "{found:?}");
}

#[test]
fn one_step_without_a_gradient_is_no_vanishing() {
    let values = (0..100).map(|step| if step % 7 == 0 { 0.0 } else { 1.0 });
    assert_eq!(warnings(&logged("discriminator_gradient_norm", values)), []);
}

#[test]
fn the_page_says_what_went_wrong_in_a_line() {
    let record = scored(&[0.5, 0.01], &[EVEN, 1.0]);
    let page = page_of("{}", &record);
    let [warning] = &warnings(&record)[..] else { panic!("one collapse is one warning") };
    assert!(text(&page).contains(&warning.to_string()));
    assert!(!text(&page_of("{}", &scored(&[0.5], &[EVEN]))).contains("mode collapse"));
}
