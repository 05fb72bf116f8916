//! The `gan` recipe, small enough for a test: a few steps of tiny networks on real images.

use crate::runs::{
    Run, StopsAfter, acts, event_counts, events, on, reasons, refused, request, timeless, train,
    under,
};
use osn_core::decide::RuleError;
use osn_recipes::run::description::{RunDescription, RunStatus};
use osn_recipes::run::error::RunError;
use osn_runs::event::Event;
use osn_runs::folder::RunFolder;
use osn_runs::metrics::Metrics;

#[test]
fn the_same_seed_gives_the_same_record_and_the_same_pictures() {
    let out = tempfile::tempdir().unwrap();
    crate::runs::a_seed_decides(request("gan", &[("ema", "0.9"), ("n_dis", "2")], out.path()));
}

#[test]
fn the_networks_of_sn_gan_train_the_same_for_a_seed() {
    let out = tempfile::tempdir().unwrap();
    for (recipe, network) in
        [("gan", "cnn"), ("gan", "resnet"), ("cgan", "cnn"), ("cgan", "resnet")]
    {
        let settings = [("network", network), ("image_size", "32"), ("steps", "3")];
        crate::runs::a_seed_decides(request(recipe, &settings, out.path()));
    }
}

#[test]
fn every_weight_of_sn_gans_discriminators_is_held() {
    let layers = |recipe: &str, network: &str| {
        let settings = [("network", network), ("image_size", "32")];
        let run = Run::of(recipe, Some("always:target=2"), &settings);
        assert!(run.layers.iter().all(|layer| (layer.sigma * layer.scale - 2.0).abs() < 1e-3));
        run.layers.iter().map(|layer| layer.path.clone()).collect::<Vec<_>>()
    };
    let cnn: Vec<String> = (0..7).map(|place| format!("body.layers.{place}.weight")).collect();
    let of_classes = ["logit.weight", "class.weight"].map(str::to_owned);
    assert_eq!(layers("cgan", "cnn"), [&cnn[..], &of_classes].concat());
    let resnet = layers("gan", "resnet");
    // Two in each of four blocks, two shortcuts, and the linear layer.
    assert_eq!((resnet.len(), resnet.last().unwrap().as_str()), (11, "logit.weight"));
    assert_eq!(resnet[2], "body.blocks.0.shortcut.weight");
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

/// The signals of every logged step.
fn signals(run: &Run) -> Vec<Metrics> {
    let signals = |event| match event {
        Event::Step { signals, .. } => Some(signals),
        _ => None,
    };
    events(run).into_iter().filter_map(signals).collect()
}

#[test]
fn every_logged_step_says_how_both_networks_fare() {
    for recipe in ["gan", "cgan", "translate"] {
        let run = Run::of(recipe, None, &[]);
        let signals = signals(&run);
        assert_eq!(signals.len(), 6, "{recipe}");
        for seen in &signals {
            let positive = [
                "generator_gradient_norm",
                "discriminator_gradient_norm",
                "discriminator_gradient_variance",
                "slope",
            ];
            let ratios = ["generator_gradient_ratio", "discriminator_gradient_ratio"];
            let positive = positive.iter().chain(&ratios).all(|&name| seen[name] > 0.0);
            let counts = ["non_finite_gradients", "saturated_logs"].map(|name| seen[name]);
            let shares = ["real", "fake", "held_out"].map(|of| seen[&format!("accuracy_{of}")]);
            assert!(positive && shares.iter().all(|it| (0.0..=1.0).contains(it)), "{seen:?}");
            assert!((-1.0..=1.0).contains(&seen["separation_held_out"]), "{seen:?}");
            assert_eq!(counts, [0.0; 2], "{recipe}");
        }
    }
}

#[test]
fn steps_at_which_the_discriminator_had_won_are_counted() {
    let ahead = [("n_dis", "60"), ("d_channels", "16"), ("learning_rate", "0.01")];
    let counts: Vec<f64> = signals(&Run::of("gan", Some("never"), &ahead))
        .iter()
        .map(|it| it["saturated_logs"])
        .collect();
    assert!(counts.is_sorted() && counts[5] >= 1.0, "{counts:?}");
}

#[test]
fn how_often_a_run_logs_changes_no_bit_of_its_training() {
    for recipe in ["gan", "translate"] {
        let scores = |every: &str| {
            Run::of(recipe, None, &[("log_every", every), ("n_dis", "2")]).metrics.clone()
        };
        assert_eq!(scores("1"), scores("6"), "{recipe}");
    }
}

#[test]
fn scorings_say_how_diverse_images_are_and_what_they_lie_near() {
    let run = Run::of("gan", None, &[]);
    let of_real = |name: &str| run.real_vs_real[name];
    assert!((of_real("class_entropy") - 10_f64.ln()).abs() < 0.1 && of_real("classes_hit") == 10.0);
    assert!(run.metrics["class_entropy"] < of_real("class_entropy"));
    // After six steps there is noise, far from all images; real ones lie as near to those of either part.
    let [near, far] = [&run.real_vs_real, &run.metrics];
    for name in ["nearest_train", "nearest_test"] {
        assert!(near[name] > 0.0 && far[name] > 1.2 * near[name], "{near:?} {far:?}");
    }
    let ratio = of_real("nearest_train") / of_real("nearest_test");
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn extra_layers_are_held_and_so_is_the_generator_by_choice() {
    let deep = [("d_extra_layers", "2"), ("g_extra_layers", "1"), ("hold_generator", "true")];
    for recipe in ["gan", "cgan"] {
        let run = Run::of(recipe, Some("always:target=2"), &deep);
        let of = |network: &str| {
            let layers = run.layers.iter().filter(|layer| layer.network == network);
            layers.map(|layer| layer.path.as_str()).collect::<Vec<_>>()
        };
        let generator = ["project", "up1", "extra.0.conv", "up2"].map(|it| format!("{it}.weight"));
        assert_eq!(of("generator"), generator, "{recipe}");
        assert_eq!(
            of("discriminator")[2..5],
            ["keep", "extra.0", "extra.1"].map(|it| format!("{it}.weight"))
        );
        assert!(run.layers.iter().all(|layer| (layer.sigma * layer.scale - 2.0).abs() < 1e-3));
    }
}

#[test]
fn a_critic_has_no_boundary_and_never_wins() {
    let critic = [("objective", "wasserstein"), ("learning_rate", "0.01"), ("n_dis", "9")];
    let run = Run::of("gan", Some("never"), &critic);
    let mut losses = events(&run).into_iter().filter_map(|event| match event {
        Event::Step { losses, signals, .. } => {
            let distance = signals["logit_fake"] - signals["logit_real"];
            assert!((losses["discriminator"] - distance).abs() < 1e-3 * distance.abs().max(1.0));
            Some(losses["discriminator"])
        }
        _ => None,
    });
    assert!(losses.next_back().unwrap() < -1.0, "nothing holds it");
    assert!(signals(&run).iter().all(|seen| seen["saturated_logs"] == 0.0));
}

#[test]
fn a_rate_that_changes_within_a_run_changes_nothing_before() {
    let changed = [("change_at", "4"), ("change_factor", "10")];
    let [plain, changed] = [&[][..], &changed].map(|more| {
        let run = Run::of("gan", Some("never"), &[more, &[("eval_every", "6")]].concat());
        timeless(&run).lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let step_of = |line: &String| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["step"].as_u64().unwrap()
    };
    let before = |lines: &[String]| -> Vec<String> {
        lines.iter().filter(|line| step_of(line) < 4).cloned().collect()
    };
    assert_eq!(before(&plain), before(&changed));
    assert_ne!(plain.last(), changed.last());
}

#[test]
fn with_few_images_a_run_trains_on_those_alone_and_lies_nearer_to_them() {
    let out = tempfile::tempdir().unwrap();
    let too_many = refused(&request("gan", &[("train_images", "9501")], out.path()));
    assert!(
        matches!(&too_many, RunError::Config { key, .. } if key == "train_images"),
        "{too_many}"
    );
    let few = Run::of("gan", None, &[("train_images", "20")]);
    // Of twenty images the nearest is farther than of a hundred.
    let all = Run::of("gan", None, &[]);
    assert!(few.real_vs_real["nearest_test"] > 1.1 * all.real_vs_real["nearest_test"]);
    assert_ne!(few.metrics, all.metrics);
}

#[test]
fn rules_see_held_out_gradients_of_what_is_asked_for() {
    // The evidence for `pay` begins with the fifth look.
    for rule in ["learned:interval=1", "pay:interval=1,start=0.5"] {
        let decided = |of: &str| {
            let settings = [("held_out", of), ("learning_rate", "0.003"), ("n_dis", "2")];
            reasons(&Run::of("gan", Some(rule), &settings))
        };
        let [loss, separation] = ["loss", "separation"].map(decided);
        assert!(!loss.is_empty() && !separation.is_empty() && loss != separation, "{loss:?}");
    }
}

#[test]
fn growth_of_each_layer_must_pay_in_every_recipe_with_a_discriminator() {
    for recipe in ["gan", "cgan", "translate"] {
        let settings = [("held_out", "separation"), ("n_dis", "3"), ("learning_rate", "0.003")];
        acts(recipe, "pay:interval=1,start=0.5", &settings, "growth of σ has");
    }
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
fn auto_trains_to_the_same_bits_as_always() {
    let losses = |decide| {
        let of_step = |event| match event {
            Event::Step { losses, .. } => Some(losses),
            _ => None,
        };
        let run = Run::of("gan", Some(decide), &[]);
        events(&run).into_iter().filter_map(of_step).collect::<Vec<_>>()
    };
    let always = losses("always");
    assert_eq!(losses("auto:interval=1"), always);
    assert_ne!(losses("never"), always);
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
