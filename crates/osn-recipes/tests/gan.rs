//! The `gan` recipe, small enough for a test: a few steps of tiny networks on real images.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod runs;

use std::path::Path;

use burn::tensor::{Device, Tensor};
use osn_recipes::decide::Decide;
use osn_recipes::gan::config::GanConfig;
use osn_recipes::gan::game;
use osn_recipes::gan::model::Discriminator;
use osn_recipes::run::description::RunStatus;
use osn_recipes::run::error::{NonFinite, RunError};
use osn_recipes::run::event::Event;
use osn_recipes::run::folder::RunFolder;
use osn_recipes::run::observer::Silent;
use osn_recipes::run::pending::PendingSignals;
use osn_recipes::run::request::TrainRequest;
use runs::{StopsAfter, bits_of_both, events, normal, refused, timeless, train};

fn request(out: &Path, more: &[(&str, &str)]) -> TrainRequest {
    runs::request("gan", &runs::TINY_IMAGES, more, out)
}

#[test]
fn the_same_seed_gives_the_same_record_and_the_same_pictures() {
    let out = tempfile::tempdir().unwrap();
    runs::a_seed_decides(request(out.path(), &[("ema", "0.9"), ("n_dis", "2")]));
}

#[test]
fn a_finished_run_leaves_a_complete_folder() {
    let out = tempfile::tempdir().unwrap();
    let mut request = request(out.path(), &[]);
    request.decide = Some("always:target=2".into());
    let summary = train(&request);
    assert_eq!(summary.folder.file_name().unwrap(), "gan-always-target=2-s7");
    let description = RunFolder::open(&summary.folder).unwrap().description().unwrap();
    assert_eq!(description.status, RunStatus::Finished);
    assert_eq!(description.config["steps"], 6);

    let events = events(&summary);
    let count = |wanted: fn(&&Event) -> bool| events.iter().filter(wanted).count();
    assert_eq!(count(|event| matches!(event, Event::Step { .. })), 6);
    assert_eq!(count(|event| matches!(event, Event::Layer { .. })), 6 * 4);
    assert_eq!(count(|event| matches!(event, Event::Eval { .. })), 2);
    assert_eq!(count(|event| matches!(event, Event::Decision { .. })), 4);
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
    let summary = osn_recipes::train(&request(out.path(), &[]), &mut observer).unwrap();
    assert_eq!((summary.status, summary.steps), (RunStatus::Stopped, 4));
    let events = events(&summary);
    assert!(events.iter().any(|event| matches!(event, Event::Eval { step: 4, .. })));
    assert!(matches!(events.last(), Some(Event::Spectrum { step: 4, .. })));
}

#[test]
fn numbers_gone_bad_end_the_run_by_name() {
    let out = tempfile::tempdir().unwrap();
    let request = request(out.path(), &[("learning_rate", "1e30")]);
    let error = osn_recipes::train(&request, &mut Silent).unwrap_err();
    let RunError::NonFinite { what, step, .. } = &error else { panic!("{error}") };
    assert!(matches!(what, NonFinite::Loss(_) | NonFinite::Layer(_)));
    assert!(*step <= 3, "{error}");
    assert!(!error.is_bad_input());
    let folder = RunFolder::open(&out.path().join("gan-auto-s7")).unwrap();
    let description = folder.description().unwrap();
    assert_eq!(description.status, RunStatus::Failed);
    assert_eq!(description.error, Some(error.to_string()));
}

#[test]
fn a_folder_of_colour_images_trains() {
    let (images, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for index in 0..1_500_u32 {
        let colour = image::Rgb([u8::try_from(index % 251).unwrap(), 30, 200]);
        let path = images.path().join(format!("{index:04}.png"));
        image::RgbImage::from_pixel(20, 24, colour).save(path).unwrap();
    }
    let mut request = request(out.path(), &[("image_size", "16")]);
    request.data = Some(images.path().to_str().unwrap().to_owned());
    assert_eq!(train(&request).steps, 6);
}

/// Four steps of tiny networks, without osn or under a rule.
fn trained(rule: Option<&str>) -> Vec<u32> {
    let config = GanConfig { g_channels: 4, d_channels: 4, ..GanConfig::quick() };
    let decide = rule.map(|text| Decide::named(text).unwrap());
    let mut players = game::players(&config, 1, decide.as_ref(), 3, &Device::flex()).unwrap();
    for step in 0..4 {
        let latents = |stream| normal(stream, step, [8, 64]);
        let real = normal(2, step, [8, 1, 28, 28]);
        let fake = players.generator.network.forward(latents(0)).detach();
        let images = Tensor::cat(vec![real, fake], 0);
        let discriminate = |network: &Discriminator| network.forward(images);
        players.train_discriminator(discriminate, &mut PendingSignals::default()).unwrap();
        let images = players.generator.network.forward(latents(1));
        players
            .train_generator(
                images,
                Discriminator::forward,
                |_| None,
                &mut PendingSignals::default(),
            )
            .unwrap();
    }
    bits_of_both(&players)
}

#[test]
fn measuring_alone_changes_no_bit_of_the_training() {
    runs::measuring_changes_no_bit(trained);
}

/// An event without the scores that only rules which ask are told.
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
        let out = tempfile::tempdir().unwrap();
        let request = TrainRequest { decide: Some(decide.into()), ..request(out.path(), &[]) };
        let is_result = |event: &&str| {
            event.contains(r#""event":"step""#) || event.contains(r#""event":"eval""#)
        };
        let record = timeless(&train(&request));
        record.lines().filter(is_result).map(without_validation).collect::<Vec<_>>()
    };
    let plain = seen("never");
    assert!(plain.len() >= 8, "{plain:?}");
    assert_eq!(plain, seen("observe:interval=1"));
}

/// The reasons of the decisions after the start.
fn reasons(decide: &str, more: &[(&str, &str)]) -> Vec<String> {
    let out = tempfile::tempdir().unwrap();
    let request = TrainRequest { decide: Some(decide.into()), ..request(out.path(), more) };
    runs::reasons(&train(&request))
}

#[test]
fn the_rules_act_on_what_the_race_tells_them() {
    let said = |decide: &str, word: &str| {
        let reasons = reasons(decide, &[("eval_every", "2")]);
        assert!(!reasons.is_empty(), "{decide} never acts");
        assert!(reasons.iter().any(|reason| reason.contains(word)), "{decide}: {reasons:?}");
    };
    said("schedule:on=3,interval=1", "step");
    said("random:dwell=1,interval=1", "lot");
    said("plateau:interval=1,every=1,patience=1,delta=100", "frechet");
    said("budget:interval=1,total_relative_to_init=0.5", "share");
    said("learned:interval=1", "held-out");
}

#[test]
fn auto_holds_a_discriminator_that_is_certain() {
    // Eight updates for each of the generator's: it tells all samples apart in a few steps.
    let ahead = [("n_dis", "8"), ("learning_rate", "0.005"), ("steps", "12"), ("eval_every", "12")];
    let reasons = reasons("auto:interval=1", &ahead);
    assert!(reasons.iter().any(|reason| reason.contains("D is saturated")), "{reasons:?}");
}

#[test]
fn rules_in_a_file_act_each_on_its_layers_and_name_the_run() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("my rules.toml");
    let text = "[[rule]]\nrule = \"schedule\"\non = 3\ninterval = 1\n\
                [[rule]]\nrule = \"always\"\ntarget = 3\nselect.positions = \"last\"\n";
    std::fs::write(&file, text).unwrap();
    let decide = Some(file.to_str().unwrap().to_owned());
    let summary = train(&TrainRequest { decide, ..request(out.path(), &[]) });
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
    let decide = Some(file.to_str().unwrap().to_owned());
    let request = TrainRequest { decide, ..request(out.path(), &[]) };
    let message = refused(&request);
    assert!(message.contains("kind attention holds for none of"), "{message}");
}
