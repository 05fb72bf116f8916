//! The `classify` recipe: its labels, its attack and its bounds on small networks, and runs of a few
//! steps.

use crate::runs::{Run, acts, bits, event_counts, events, request};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use osn_recipes::batch;
use osn_recipes::classify::config::ClassifyConfig;
use osn_recipes::classify::examples::{Examples, randomized};
use osn_recipes::classify::learner::Learner;
use osn_recipes::classify::model::{Classifier, Mlp, ResNet};
use osn_recipes::classify::norms::{Stage, ln_lipschitz};
use osn_recipes::classify::run::train_features;
use osn_recipes::classify::scores::{Predictions, fgsm};
use osn_recipes::crew::Crew;
use osn_recipes::data::fashion_mnist;
use osn_recipes::data::image_set::ImageSet;
use osn_recipes::data::sampler::noise;
use osn_recipes::decide::Decide;
use osn_recipes::features::network::FeatureNet;
use osn_recipes::run::description::{RunDescription, RunStatus};
use osn_recipes::run::observer::Silent;
use osn_recipes::run::pending::PendingSignals;
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::summary::RunSummary;
use osn_runs::event::Event;
use osn_runs::folder::RunFolder;

const NETWORKS: [&str; 3] = ["resnet", "mlp", "features"];

#[test]
fn the_same_seed_gives_the_same_record_and_the_same_pictures() {
    for network in NETWORKS {
        let out = tempfile::tempdir().unwrap();
        let noisy = [("network", network), ("label_noise", "0.3"), ("mirror_chance", "0.5")];
        crate::runs::a_seed_decides(request("classify", &noisy, out.path()));
    }
}

#[test]
fn a_finished_run_leaves_a_complete_folder() {
    let run = Run::of("classify", None, &[("network", "mlp")]);
    assert_eq!(run.folder.file_name().unwrap(), "classify-auto-task=classify-s7");
    let description =
        RunFolder::open(&run.folder).unwrap().description::<RunDescription>().unwrap();
    assert_eq!(description.status, RunStatus::Finished);
    assert_eq!(description.config["network"], "mlp");

    let [steps, layers, scorings, _, spectra] = event_counts(&events(&run));
    assert_eq!([steps, layers, scorings, spectra], [6, 6 * 3, 2, 3]);
    let named = [
        "accuracy",
        "ece",
        "fgsm_accuracy",
        "gap",
        "ln_complexity",
        "ln_lipschitz",
        "margin",
        "test_loss",
        "train_accuracy",
    ];
    assert!(named.iter().all(|name| run.metrics[*name].is_finite()), "{:?}", run.metrics);
    let gap = run.metrics["train_accuracy"] - run.metrics["accuracy"];
    assert_eq!(run.metrics["gap"], gap);
}

#[test]
fn every_weight_of_every_network_is_held() {
    let held = |network: &str, more: &[(&str, &str)]| {
        let settings = [&[("network", network), ("steps", "1")], more].concat();
        let run = Run::of("classify", Some("always"), &settings);
        assert!(run.layers.iter().all(|layer| layer.target == Some(1.0)));
        run.layers.iter().map(|layer| layer.path.clone()).collect::<Vec<String>>()
    };
    assert_eq!(held("mlp", &[]), ["layers.0.weight", "layers.1.weight", "layers.2.weight"]);
    let of_features = ["edges", "parts", "shapes", "hidden", "head"];
    assert_eq!(held("features", &[]), of_features.map(|name| format!("{name}.weight")));
    let of_resnet = [
        "stem.conv",
        "blocks.0.first.conv",
        "blocks.0.second.conv",
        "blocks.1.first.conv",
        "blocks.1.second.conv",
        "blocks.1.shortcut.conv",
        "head",
    ];
    for batch_norm in ["true", "false"] {
        let paths = held("resnet", &[("batch_norm", batch_norm)]);
        assert_eq!(paths, of_resnet.map(|name| format!("{name}.weight")));
    }
}

#[test]
fn numbers_gone_bad_end_the_run_by_name() {
    crate::runs::diverges("classify", &[("network", "mlp")], tempfile::tempdir().unwrap().path());
}

#[test]
fn the_rules_act_on_held_out_scores() {
    let quick = "interval=1,every=1,patience=1,delta=100";
    for (decide, word) in [
        (&*format!("plateau:metric=accuracy,lower_is_better=false,{quick}"), "accuracy"),
        (&format!("plateau:metric=gap,{quick}"), "gap"),
        ("budget:interval=1,total_relative_to_init=0.5", "share"),
        ("learned:interval=1", "held-out"),
    ] {
        acts("classify", decide, &[("eval_every", "2"), ("network", "mlp")], word);
    }
}

#[test]
fn the_default_rule_holds_a_network_that_memorizes_wrong_labels() {
    let trained = |decide: &str, label_noise: &str| {
        let settings = [
            ("network", "mlp"),
            ("train_images", "200"),
            ("label_noise", label_noise),
            ("hidden_sizes", "32,32"),
            ("steps", "300"),
            ("log_every", "10"),
            ("batch_size", "32"),
        ];
        let run = Run::of("classify", Some(decide), &settings);
        (run.metrics["train_accuracy"], crate::runs::reasons(&run), knows_held_out_loss(&run))
    };
    let (free, _, knows) = trained("never", "1");
    assert!(!knows, "nothing is measured that no rule looks at");
    let (held, reasons, knows) = trained("auto:task=classify", "1");
    assert!(knows && reasons.iter().any(|reason| reason.contains("above 0.4")), "{reasons:?}");
    assert!(free > 0.7 && held < free - 0.2, "{held} of the wrong labels, {free} without");
}

#[test]
fn the_record_has_the_number_that_the_rule_decides_by() {
    let evidence = |rule| {
        let events = events(&Run::of("classify", Some(rule), &[("network", "mlp")]));
        let of_layer = |event| match event {
            Event::Layer { step, evidence, .. } => Some((step, evidence)),
            _ => None,
        };
        events.into_iter().filter_map(of_layer).collect::<Vec<_>>()
    };
    for (step, evidence) in evidence("auto:task=classify,interval=1") {
        let Some(evidence) = evidence.filter(|_| step > 1) else {
            assert_eq!(step, 1, "nothing was seen before");
            continue;
        };
        assert!(evidence.name.contains("gap") && evidence.value.is_finite(), "{evidence:?}");
        assert_eq!(evidence.thresholds, [0.4]);
    }
    assert!(evidence("cap").iter().all(|(_, evidence)| evidence.is_none()));
}

/// Whether the record has the loss on images that the network does not train on.
fn knows_held_out_loss(run: &RunSummary) -> bool {
    events(run).iter().any(|event| {
        matches!(event, Event::Step { signals, .. } if signals.contains_key("held_out_loss"))
    })
}

fn decide(text: &str) -> Decide {
    Decide::named(text).unwrap()
}

fn small() -> ClassifyConfig {
    ClassifyConfig {
        hidden_sizes: vec![16, 8],
        stage_channels: vec![4, 6],
        train_images: Some(400),
        ..ClassifyConfig::quick()
    }
}

fn examples(config: &ClassifyConfig) -> Examples {
    Examples::new(fashion_mnist::embedded().unwrap(), config, 3).unwrap()
}

/// A learner after four updates.
fn trained<N: Classifier>(rule: Option<&str>, looks: bool) -> Learner<N> {
    let (config, device) = (small(), Device::flex());
    let examples = examples(&config);
    let decide = rule.map(decide);
    let mut learner =
        Learner::<N>::new(&config, examples.sizes, decide.as_ref(), 3, &device).unwrap();
    let device = device.autodiff();
    for step in 0..4 {
        let batch = |places: std::ops::Range<usize>| {
            let indices: Vec<usize> = places.collect();
            let labels = examples.train.batch_labels(&indices).unwrap();
            let images = batch::images(&examples.train, &indices, &device);
            (images, batch::classes(&labels, &device))
        };
        if looks {
            let (images, classes) = batch(300..320);
            learner.observe_held_out(images, classes).unwrap();
        }
        let (images, classes) = batch(16 * step..16 * step + 16);
        learner
            .update(&images, classes, 1e-2, &mut PendingSignals::default(), &mut Crew::alone())
            .unwrap();
    }
    learner
}

/// What decides about every image, running values of batch normalization among it.
fn outcome<N: Classifier>(rule: Option<&str>, looks: bool) -> (Vec<u32>, Vec<f32>) {
    let network = trained::<N>(rule, looks).trained.network;
    let set = fashion_mnist::embedded().unwrap().test;
    let images = batch::images(&set, &[0, 1, 2], &Device::flex());
    let logits = network.valid().logits(images).into_data().iter().collect();
    (bits(&network), logits)
}

#[test]
fn measuring_alone_changes_no_bit_of_the_training() {
    fn check<N: Classifier>() {
        let plain = outcome::<N>(None, false);
        assert_eq!(plain, outcome::<N>(Some("never"), false));
        assert_eq!(plain, outcome::<N>(Some("observe:interval=1"), true));
        assert_ne!(plain, outcome::<N>(Some("always"), false));
    }
    check::<ResNet>();
    check::<Mlp>();
    check::<FeatureNet>();
}

#[test]
fn one_layer_starts_as_many_times_as_large_as_it_is_scaled_by() {
    let build = |config: &ClassifyConfig| {
        let sizes = examples(config).sizes;
        let network = Mlp::build(config, sizes, 3, &Device::flex()).unwrap();
        network.stages(sizes.side).unwrap()
    };
    let scaled = ClassifyConfig { scaled_layer: Some(2), scaled_by: 5.0, ..small() };
    let norms = |stages: Vec<Stage>| {
        let norm = |stage| match stage {
            Stage::Plain(map) => map.norms.spectral,
            residual @ Stage::Residual { .. } => panic!("{residual:?}"),
        };
        stages.into_iter().map(norm).collect::<Vec<f64>>()
    };
    let pairs = norms(build(&scaled)).into_iter().zip(norms(build(&small())));
    let ratios: Vec<f64> = pairs.map(|(scaled, plain)| scaled / plain).collect();
    assert!(
        ratios.iter().zip([1.0, 5.0, 1.0]).all(|(ratio, one)| (ratio / one - 1.0).abs() < 1e-3),
        "{ratios:?}"
    );
}

#[test]
fn held_out_gradients_reach_every_layer_of_a_network_with_batch_normalization() {
    type Of = fn(&osn::report::LayerReport) -> Option<f64>;
    let learner = trained::<ResNet>(Some("observe:interval=1"), true);
    let report = learner.trained.osn.as_ref().unwrap().report(&learner.trained.network).unwrap();
    let sensitivity: Of = |layer| layer.gradient?.held_out_sensitivity;
    let growth: Of = |layer| Some(layer.gradient?.growth?.mean);
    for found in [sensitivity, growth] {
        let moved = report.iter().filter(|layer| found(layer).is_some_and(|it| it != 0.0));
        assert_eq!((moved.count(), report.len()), (7, 7));
    }
}

#[test]
fn the_two_losses_that_a_rule_compares_are_of_one_mode() {
    fn check<N: Classifier>() {
        let (config, device) = (small(), Device::flex());
        let examples = examples(&config);
        let rule = decide("auto:task=classify,interval=1");
        let mut learner =
            Learner::<N>::new(&config, examples.sizes, Some(&rule), 3, &device).unwrap();
        let device = device.autodiff();
        let indices: Vec<usize> = (0..32).collect();
        let labels = examples.train.batch_labels(&indices).unwrap();
        for _ in 0..3 {
            let batch = || batch::images(&examples.train, &indices, &device);
            let classes = || batch::classes(&labels, &device);
            // One batch as both: there is no generalization gap to measure.
            learner.observe_held_out(batch(), classes()).unwrap();
            learner
                .update(
                    &batch(),
                    classes(),
                    1e-2,
                    &mut PendingSignals::default(),
                    &mut Crew::alone(),
                )
                .unwrap();
            let losses = learner.generalization().unwrap();
            let apart = (losses.train_loss - losses.held_out_loss).abs();
            assert!(apart < 1e-5, "{losses:?}");
        }
    }
    check::<ResNet>();
    check::<Mlp>();
    check::<FeatureNet>();
}

#[test]
fn labels_are_replaced_at_their_share_and_evenly() {
    let labels: Vec<u8> = (0..20_000).map(|index| u8::try_from(index % 10).unwrap()).collect();
    let noisy = randomized(&labels, 0.4, 10, 1);
    let changed = |noisy: &[u8]| labels.iter().zip(noisy).filter(|(a, b)| a != b).count() as f64;
    // One in ten is replaced by itself: 0.4·0.9·20,000 = 7,200, with a deviation of 68.
    assert!((changed(&noisy) - 7_200.0).abs() < 4.0 * 68.0, "{}", changed(&noisy));
    for class in 0..10 {
        let of_class = labels.iter().zip(&noisy).filter(|(a, b)| a != b && **b == class).count();
        assert!((of_class as f64 - 720.0).abs() < 4.0 * 26.4, "class {class}: {of_class}");
    }
    assert_eq!(randomized(&labels, 0.0, 10, 1), labels);
    assert_ne!(randomized(&labels, 0.4, 10, 2), noisy);
    let fewer = randomized(&labels, 0.2, 10, 1);
    let is_kept = |index: usize| fewer[index] == labels[index] || fewer[index] == noisy[index];
    assert!((0..labels.len()).all(is_kept), "what 0.2 replaces, 0.4 replaces by the same");
}

#[test]
fn noise_touches_no_test_label_and_held_out_images_are_not_trained_on() {
    let clean = examples(&small());
    let noisy = examples(&ClassifyConfig { label_noise: 0.5, ..small() });
    assert_eq!(clean.test, noisy.test);
    assert_eq!(clean.train.pixels, noisy.train.pixels);
    assert_ne!(clean.train.labels, noisy.train.labels);
    assert_eq!((noisy.trained_on.len(), noisy.held_out.len()), (380, 20));
    assert!(noisy.held_out.iter().all(|index| !noisy.trained_on.contains(index)));
}

/// The network of a seed, untrained, with ordinary weights.
fn fresh<N: Classifier>(config: &ClassifyConfig) -> N {
    N::build(config, examples(config).sizes, 5, &Device::flex()).unwrap()
}

fn test_images(count: usize) -> (ImageSet, Vec<usize>) {
    (fashion_mnist::embedded().unwrap().test, (0..count).collect())
}

#[test]
fn the_attack_moves_every_pixel_by_epsilon_at_most_and_raises_the_loss() {
    fn check<N: Classifier>() {
        let (set, indices) = test_images(50);
        let images = batch::images(&set, &indices, &Device::flex());
        let labels = set.batch_labels(&indices).unwrap();
        let classes = batch::classes(&labels, &Device::flex());
        let network = trained::<N>(Some("never"), false).trained.network.valid().materialize();
        let moved = fgsm(&network, images.clone(), classes, 0.05);
        let change = (moved.clone() - images.clone()).abs();
        assert!(change.clone().max().into_scalar::<f32>() < 0.05 + 1e-6);
        // Half of the pixels are black, and pushed below black for half of those.
        let share = change.greater_elem(0.049).float().mean().into_scalar::<f32>();
        assert!(share > 0.4, "{share}");
        assert!(moved.abs().max().into_scalar::<f32>() <= 1.0);
        let loss = |images: Tensor<4>| {
            let logits = network.logits(images).into_data().iter().collect();
            Predictions { logits, labels: labels.clone() }.cross_entropy()
        };
        let moved = fgsm(&network, images.clone(), batch::classes(&labels, &Device::flex()), 0.05);
        assert!(loss(moved) > loss(images.clone()) + 1e-3);
    }
    check::<ResNet>();
    check::<Mlp>();
    check::<FeatureNet>();
}

#[test]
fn no_two_images_are_farther_apart_after_a_network_than_its_bound_allows() {
    fn check<N: Classifier>() {
        let network = trained::<N>(Some("never"), false).trained.network.valid().materialize();
        let (set, indices) = test_images(20);
        let images = batch::images(&set, &indices, &Device::flex());
        let step = noise(1, 0, 0, 20 * 784);
        let step =
            Tensor::<1>::from_data(step.as_slice(), &Device::flex()).reshape([20, 1, 28, 28]);
        let lengths = |x: Tensor<2>| x.square().sum_dim(1).sqrt();
        let before = lengths((step.clone() * 1e-2).flatten(1, 3));
        let apart = network.logits(images.clone() + step * 1e-2) - network.logits(images);
        let largest = (lengths(apart) / before).max().into_scalar::<f32>();
        let bound = ln_lipschitz(&network.stages(28).unwrap()).exp();
        assert!(f64::from(largest) < bound, "{largest} {bound}");
        assert!(f64::from(largest) > bound / 1e4, "{largest} {bound}: a bound that says nothing");
    }
    check::<ResNet>();
    check::<Mlp>();
    check::<FeatureNet>();
}

#[test]
fn held_at_one_a_chain_of_linear_layers_is_nearly_1_lipschitz() {
    let ln_bound = |rule| {
        let network = trained::<Mlp>(Some(rule), false).trained.network.valid().materialize();
        ln_lipschitz(&network.stages(28).unwrap())
    };
    // At this learning rate one power iteration a step lags some per cent behind each of the three.
    let (held, free) = (ln_bound("always"), ln_bound("never"));
    assert!((0.0..0.2).contains(&held) && free > held + 1.0, "{held} {free}");
}

#[test]
fn a_residual_network_without_batch_normalization_has_none() {
    let with = fresh::<ResNet>(&small()).num_params();
    let without = fresh::<ResNet>(&ClassifyConfig { batch_norm: false, ..small() }).num_params();
    // A scale, a shift and two running values for each output of the six convolutions.
    assert_eq!(with - without, 4 * (4 + 4 + 4 + 6 + 6 + 6));
}

#[test]
fn a_short_training_beats_chance_and_noise_costs_accuracy() {
    let scores = |label_noise: &str| {
        let settings = [
            ("network", "mlp"),
            ("hidden_sizes", "64"),
            ("steps", "300"),
            ("batch_size", "32"),
            ("eval_every", "300"),
            ("log_every", "100"),
            ("final_images", "1000"),
            ("label_noise", label_noise),
        ];
        Run::of("classify", None, &settings).metrics.clone()
    };
    let (clean, noisy) = (scores("0"), scores("0.8"));
    assert!(clean["accuracy"] > 0.7, "{clean:?}");
    assert!(noisy["accuracy"] < clean["accuracy"] - 0.03, "{noisy:?}");
    // About 28 in 100 of its labels are right.
    assert!(noisy["train_accuracy"] < 0.5, "{noisy:?}");
    assert!(clean["fgsm_accuracy"] < clean["accuracy"], "{clean:?}");
}

#[test]
fn the_feature_network_comes_out_plain_and_can_be_saved() {
    let out = tempfile::tempdir().unwrap();
    let request = TrainRequest {
        preset: Some("features".to_owned()),
        decide: Some("never".to_owned()),
        ..request("classify", &[("network", "features")], out.path())
    };
    let (run, network) = train_features(&request, &mut Silent).unwrap();
    assert_eq!(network.num_params(), 121_994, "no trace of osn");
    let mut test = fashion_mnist::embedded().unwrap().test;
    // Those that are scored lie evenly among all.
    test = test.select(&(0..120).map(|place| place * 10_000 / 120).collect::<Vec<_>>());
    assert_eq!(network.accuracy(&test), Some(run.metrics["accuracy"]));
    let stored = FeatureNet::load(&network.to_bytes().unwrap(), &Device::flex()).unwrap();
    assert!(stored.accuracy(&test).is_some());
}
