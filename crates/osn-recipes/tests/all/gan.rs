//! The `gan` recipe, small enough for a test: a few steps of tiny networks on real images.

use crate::runs::{
    Run, StopsAfter, acts, event_counts, events, on, refused, request, timeless, train, under,
};
use osn_core::decide::RuleError;
use osn_recipes::run::description::{RunDescription, RunStatus};
use osn_recipes::run::error::RunError;
use osn_runs::event::Event;
use osn_runs::folder::RunFolder;

#[test]
fn the_same_seed_gives_the_same_record_and_the_same_pictures() {
    let out = tempfile::tempdir().unwrap();
    crate::runs::a_seed_decides(request("gan", &[("ema", "0.9"), ("n_dis", "2")], out.path()));
}

#[test]
fn a_finished_run_leaves_a_complete_folder() {
    let summary = Run::of("gan", Some("always:target=2"), &[]);
    assert_eq!(summary.folder.file_name().unwrap(), "gan-always-target=2-s7");
    let description =
        RunFolder::open(&summary.folder).unwrap().description::<RunDescription>().unwrap();
    assert_eq!(description.status, RunStatus::Finished);
    assert_eq!(description.config["steps"], 6);

    let events = events(&summary);
    assert_eq!(event_counts(&events), [6, 6 * 4, 2, 4, 4]);
    for event in &events {
        if let Event::Layer { sigma, scale, elasticity, reason, .. } = event {
            assert!((sigma * scale - 2.0).abs() < 1e-4, "every layer is held at 2");
            assert_eq!(*elasticity, 1.0);
            assert!(!reason.is_empty());
        }
    }
}

#[test]
fn a_stopped_run_is_complete_up_to_there() {
    let out = tempfile::tempdir().unwrap();
    let mut observer = StopsAfter::steps(4);
    let summary = osn_recipes::train(&request("gan", &[], out.path()), &mut observer).unwrap();
    assert_eq!((summary.status, summary.steps), (RunStatus::Stopped, 4));
    let events = events(&summary);
    assert!(events.iter().any(|event| matches!(event, Event::Eval { step: 4, .. })));
    assert!(matches!(events.last(), Some(Event::Spectrum { step: 4, .. })));
}

#[test]
fn numbers_gone_bad_end_the_run_by_name() {
    let out = tempfile::tempdir().unwrap();
    let error = crate::runs::diverges("gan", &[], out.path());
    let folder = RunFolder::open(&out.path().join("gan-auto-s7")).unwrap();
    let description = folder.description::<RunDescription>().unwrap();
    assert_eq!(description.status, RunStatus::Failed);
    assert_eq!(description.error, Some(error.to_string()));
}

#[test]
fn a_folder_of_colour_images_trains() {
    let (images, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crate::files::fill(images.path(), 240, 24, |index| [index, 30, 200]);
    let request = on(&images, request("gan", &[("image_size", "16")], out.path()));
    assert_eq!(train(&request).steps, 6);
}

/// An event without the scores that only rules which follow one receive.
fn without_validation(line: &str) -> String {
    let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
    if let Some(metrics) = event.get_mut("metrics").and_then(|it| it.as_object_mut()) {
        metrics.retain(|name, _| !name.starts_with("validation_"));
    }
    event.to_string()
}

#[test]
fn a_run_that_measures_everything_has_the_losses_and_scores_of_one_that_measures_nothing() {
    let seen = |decide: &str| {
        let is_result = |event: &&str| {
            event.contains(r#""event":"step""#) || event.contains(r#""event":"eval""#)
        };
        let record = timeless(&Run::of("gan", Some(decide), &[]));
        record.lines().filter(is_result).map(without_validation).collect::<Vec<_>>()
    };
    let plain = seen("never");
    assert!(plain.len() >= 8, "{plain:?}");
    assert_eq!(plain, seen("observe:interval=1"));
}

#[test]
fn the_rules_act_on_the_signals_of_training() {
    for (decide, word) in [
        ("schedule:on=3,interval=1", "step"),
        ("random:dwell=1,interval=1", "draw"),
        ("plateau:interval=1,every=1,patience=1,delta=100", "frechet"),
        ("budget:interval=1,total_relative_to_init=0.5", "share"),
        ("learned:interval=1", "held-out"),
    ] {
        acts("gan", decide, &[("eval_every", "2")], word);
    }
}

#[test]
fn auto_holds_a_discriminator_that_is_certain() {
    // Eight updates for each of the generator's: it tells all samples apart in a few steps.
    let ahead = [("n_dis", "8"), ("learning_rate", "0.005"), ("steps", "12"), ("eval_every", "12")];
    acts("gan", "auto:interval=1", &ahead, "D is saturated");
}

#[test]
fn rules_in_a_file_act_each_on_its_layers_and_name_the_run() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("my rules.toml");
    let text = "[[rule]]\nrule = \"schedule\"\non = 3\ninterval = 1\n\
                [[rule]]\nrule = \"always\"\ntarget = 3\nselect.positions = \"last\"\n";
    std::fs::write(&file, text).unwrap();
    let summary = train(&under(file.to_str().unwrap(), request("gan", &[], out.path())));
    let name = summary.folder.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("gan-my_rules-s"), "{name}");
    let last = summary.layers.last().unwrap();
    assert_eq!((last.target, last.n_decisions), (Some(3.0), 0));
    assert!(summary.layers[0].n_decisions > 0, "schedule never acts");
    let description = std::fs::read_to_string(summary.folder.join("run.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&description).unwrap();
    assert_eq!(description["decide"], "my rules");
    let rules: osn_core::decide::Rules =
        serde_json::from_value(description["rules"].clone()).unwrap();
    assert_eq!(Ok(rules), osn_core::decide::Rules::from_toml(text));
}

#[test]
fn a_rule_without_a_layer_in_the_network_is_bad_input() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("rules.toml");
    std::fs::write(&file, "[[rule]]\nrule = \"cap\"\nselect.kinds = \"attention\"").unwrap();
    let error = refused(&under(file.to_str().unwrap(), request("gan", &[], out.path())));
    let RunError::Rule { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(source, RuleError::Idle { .. }), "{error}");
}
