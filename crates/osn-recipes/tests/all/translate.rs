//! The `translate` recipe, small enough for a test: a few steps of tiny networks on real pairs.

use crate::runs::{Run, events, on, picture, refused, request, train, under};
use osn_core::decide::RuleError;
use osn_recipes::run::error::RunError;
use osn_recipes::run::summary::RunSummary;
use osn_runs::event::Event;

#[test]
fn the_same_seed_gives_the_same_record_and_the_same_pictures() {
    let out = tempfile::tempdir().unwrap();
    crate::runs::a_seed_decides(request(
        "translate",
        &[("objective", "least_squares")],
        out.path(),
    ));
}

#[test]
fn a_run_is_judged_by_l1_by_distance_and_by_label() {
    let run = Run::of("translate", None, &[]);
    assert_eq!(run.folder.file_name().unwrap(), "translate-auto-task=translate-s7");
    assert!((0.05..0.6).contains(&run.metrics["l1"]), "{}", run.metrics["l1"]);
    assert!(run.metrics["frechet"] > 3.0 * run.real_vs_real["frechet"]);
    assert!((0.0..=1.0).contains(&run.metrics["label_accuracy"]));
    let losses = events(&run).into_iter().find_map(|event| match event {
        Event::Step { losses, .. } => Some(losses),
        _ => None,
    });
    let names: Vec<String> = losses.unwrap().into_keys().collect();
    assert_eq!(names, ["discriminator", "generator", "l1"]);
    let picture = image::load_from_memory(&picture(&run, 6)).unwrap();
    assert!(picture.width() > picture.height(), "nine images in each of eight rows");
}

#[test]
fn the_generator_is_held_by_choice() {
    let held = |hold: &str| {
        let run = Run::of("translate", Some("always"), &[("hold_generator", hold)]);
        let of = |name| run.layers.iter().filter(|layer| layer.network == name).count();
        (of("discriminator"), of("generator"))
    };
    assert_eq!((held("false"), held("true")), ((3, 0), (3, 6)));
}

/// The targets of a network's layers at the first logged step and at the last.
fn targets(run: &RunSummary, name: &str) -> [Vec<Option<f64>>; 2] {
    let of_step = |wanted: u64| {
        let target = |event| match event {
            Event::Layer { step, network, target, .. } if network == name && step == wanted => {
                Some(target)
            }
            _ => None,
        };
        events(run).into_iter().filter_map(target).collect()
    };
    [of_step(1), of_step(run.steps)]
}

#[test]
fn auto_normalizes_the_discriminator_and_caps_a_generator_at_its_start() {
    let ahead = [("n_dis", "8"), ("learning_rate", "0.005"), ("hold_generator", "true")];
    let ahead = [&ahead[..], &[("steps", "12"), ("eval_every", "12")]].concat();
    let run = Run::of("translate", Some("auto:task=translate,interval=1"), &ahead);
    assert_eq!(targets(&run, "discriminator"), [vec![Some(1.0); 3], vec![Some(1.0); 3]]);
    let [first, last] = targets(&run, "generator");
    assert_eq!((first.len(), &first), (6, &last), "the race is not the generator's");
    assert!(first.iter().all(|target| *target != Some(1.0)), "{first:?}");
}

#[test]
fn a_rule_that_follows_a_score_acts_on_both_networks() {
    let rule = "plateau:metric=l1,interval=1,every=1,patience=1,delta=100";
    let both = [("hold_generator", "true"), ("eval_every", "1"), ("n_dis", "2")];
    let run = Run::of("translate", Some(rule), &both);
    let acts = |name| run.layers.iter().any(|it| it.network == name && it.n_decisions > 0);
    assert!(acts("discriminator") && acts("generator"));
}

#[test]
fn each_network_has_its_own_rule_in_a_file() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("rules.toml");
    let asked = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let request = request("translate", &[("hold_generator", "true")], out.path());
        under(file.to_str().unwrap(), request)
    };
    let schedule = "[[rule]]\nrule = \"schedule\"\non = 3\ninterval = 1\n\
                    select = { networks = \"discriminator\" }\n";
    let refused = refused(&asked(schedule));
    let RunError::Rule { source, .. } = &refused else { panic!("{refused}") };
    assert!(matches!(source, RuleError::NoneForNetwork { .. }), "{refused}");
    let always = "[[rule]]\nrule = \"always\"\nselect = { networks = \"generator\" }\n";
    let run = train(&asked(&format!("{schedule}{always}")));
    let of = |name| run.layers.iter().filter(move |layer| layer.network == name);
    assert!(of("discriminator").any(|layer| layer.n_decisions > 0));
    assert!(of("generator").all(|layer| layer.n_decisions == 0));
}

#[test]
fn any_folder_of_pairs_trains_and_sides_may_differ_in_colour() {
    let (pairs, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crate::files::fill(&pairs.path().join("input"), 240, 20, |shade| [shade; 3]);
    crate::files::fill(&pairs.path().join("target"), 240, 20, |shade| [shade, 255 - shade, 90]);
    let request = on(&pairs, request("translate", &[("image_size", "16")], out.path()));
    let run = train(&request);
    assert!(run.metrics.contains_key("l1") && !run.metrics.contains_key("label_accuracy"));
    let picture = image::load_from_memory(&picture(&run, 6)).unwrap();
    assert!(picture.color().has_color());
}
