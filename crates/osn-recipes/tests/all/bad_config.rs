//! Every setting of every recipe, set to what no one should set it to: refused in one line before
//! anything is done, or trained with.

use std::path::Path;

use crate::runs::{RECIPES, Run, StopsAfter, bad_input, request, under};
use osn_core::decide::RuleError;
use osn_recipes::run::error::RunError;
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::settings::SettingError;
use osn_runs::rules_file::RulesError;

/// A run of a recipe as it is, with nothing set.
fn plain(recipe: &str) -> TrainRequest {
    TrainRequest { recipe: recipe.to_owned(), ..TrainRequest::default() }
}

/// The same with settings.
fn set(recipe: &str, settings: &[(&str, &str)]) -> TrainRequest {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    TrainRequest { settings: settings.collect(), ..plain(recipe) }
}

/// Whether a request is taken; if not, it is refused as bad input in one line.
fn described(request: &TrainRequest) -> Result<(), RunError> {
    osn_recipes::describe(request).map(drop).map_err(bad_input)
}

/// Every setting of a recipe, and every place in its lists.
fn keys(recipe: &str) -> Vec<String> {
    let docs = osn_recipes::settings(recipe).unwrap();
    let mut keys: Vec<String> = docs.iter().map(|doc| doc.key.clone()).collect();
    assert!(keys.len() > 15, "{keys:?}");
    for doc in docs.iter().filter(|doc| doc.defaults[0].contains(',')) {
        let places = 0..doc.defaults[0].split(',').count();
        keys.extend(places.map(|place| format!("{}.{place}", doc.key)));
    }
    keys
}

fn bad_values() -> Vec<String> {
    let words = "0 -0 1 2 -1 NaN inf -inf 1e308 -1e308 1e39 1e-320 18446744073709551615 \
                 18446744073709551616 9223372036854775807 4294967296 none true text [] [[1]] {} 0,0 \
                 1,,2 0x10 18446744073709551615,18446744073709551615";
    let odd = ["", " ", "ß\u{0}\n"].map(str::to_owned);
    let long = ["1,".repeat(100_000) + "1", "[".repeat(100_000), "9".repeat(100_000)];
    words.split(' ').map(str::to_owned).chain(odd).chain(long).collect()
}

/// Whether a setting is taken; if not, the error is of that setting and its message is one line.
fn is_taken(request: &TrainRequest) -> bool {
    let (key, value) = request.settings.last().unwrap();
    let Err(error) = osn_recipes::describe(request) else { return true };
    let message = error.to_string();
    assert!(error.is_bad_input(), "{key}={value}: {message}");
    let (RunError::Config { key: of, .. }
    | RunError::Idle { key: of, .. }
    | RunError::Setting {
        source: SettingError::BadValue { key: of, .. } | SettingError::UnknownKey { key: of, .. },
        ..
    }) = error
    else {
        panic!("{message}")
    };
    // The number of a place in a list is no setting, and the product of two may be of either.
    let name = key.split('.').next().unwrap();
    assert!(of.starts_with(name) || message.contains(name), "{name} is missing in {message}");
    let is_odd = value.contains('\n') || value.len() > 1_000;
    assert!(is_odd || !message.contains('\n') && message.len() < 1_000, "{message}");
    false
}

#[test]
fn every_setting_of_every_recipe_is_taken_or_refused_in_a_line() {
    let out = tempfile::tempdir().unwrap();
    for recipe in RECIPES {
        for key in keys(recipe) {
            let taken = bad_values()
                .into_iter()
                .filter(|value| is_taken(&request(recipe, &[(&key, value)], out.path())));
            let taken: Vec<String> = taken.collect();
            assert!(taken.len() < 20, "{recipe}: {key} takes anything: {taken:?}");
        }
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing is done");
}

/// Those that make memory, time or a counter no larger.
const UNBOUNDED: [&str; 12] = [
    "log_every",
    "eval_every",
    "target_every",
    "explore_steps",
    "warmup_steps",
    "learning_rate",
    "epsilon",
    "batch_norm_epsilon",
    "huber_delta",
    "l1_weight",
    "fgsm_epsilon",
    "saturated_after",
];

#[test]
fn no_setting_that_costs_memory_or_time_takes_any_number() {
    for recipe in RECIPES {
        for key in keys(recipe).into_iter().filter(|key| !UNBOUNDED.contains(&key.as_str())) {
            for value in ["18446744073709551615", "4294967296", "1e308"] {
                // A trillion steps can be stopped after each.
                let is_taken = is_taken(&request(recipe, &[(&key, value)], Path::new("")));
                assert!(!is_taken || key == "steps", "{recipe}: {key}={value}");
            }
        }
    }
}

#[test]
fn sizes_that_each_could_be_are_refused_where_their_product_could_not() {
    for (recipe, settings) in [
        ("gan", &["image_size=512", "batch_size=8192"][..]),
        ("gan", &["image_size=512", "latent_size=8192", "g_channels=1024"]),
        ("gan", &["image_size=512", "g_channels=1024"]),
        ("cgan", &["image_size=512", "d_channels=1024", "batch_size=512"]),
        ("gan", &["d_channels=1024", "d_extra_layers=64"]),
        ("gan", &["network=cnn", "image_size=32", "g_channels=1024"]),
        ("cgan", &["network=resnet", "image_size=512", "batch_size=1024", "d_channels=1024"]),
        ("translate", &["image_size=512", "g_channels=1024"]),
        ("translate", &["image_size=512", "d_channels=1024", "batch_size=8192"]),
        ("control", &["hidden_sizes=8192,8192,8192,8192,8192,8192,8192,8192"]),
        ("classify", &["stage_channels=1024,1024,1024", "stage_blocks=64"]),
        ("classify", &["stage_channels=1024", "batch_size=8192", "stage_blocks=1"]),
        ("nmt", &["width=8192", "heads=1", "encoder_layers=256"]),
        ("nmt", &["batch_size=8192", "max_length=4096"]),
        ("nmt", &["vocabulary=131072", "width=1024"]),
        ("classify", &["network=mlp", "hidden_sizes=8192,8192,8192,8192,8192,8192,8192"]),
    ] {
        let settings: Vec<_> = settings.iter().filter_map(|it| it.split_once('=')).collect();
        let refused = described(&set(recipe, &settings));
        let Err(RunError::Config { key, .. }) = refused else { panic!("{recipe}: {refused:?}") };
        assert!(settings.iter().any(|(set, _)| *set == key), "{recipe}: {key}");
    }
}

#[test]
fn every_preset_of_every_recipe_is_taken() {
    for doc in osn_recipes::recipes() {
        for preset in doc.presets {
            let preset = Some((*preset).to_owned());
            described(&TrainRequest { preset, ..plain(doc.name) }).unwrap();
        }
    }
}

#[test]
fn the_networks_of_sn_gan_halve_images_three_times() {
    for network in ["cnn", "resnet"] {
        let of = |size: &str| described(&set("gan", &[("network", network), ("image_size", size)]));
        let refused = of("28");
        let key =
            |error: &RunError| matches!(error, RunError::Config { key, .. } if key == "image_size");
        assert!(refused.as_ref().is_err_and(key), "{refused:?}");
        assert!(of("64").is_ok());
    }
}

#[test]
fn a_setting_that_can_change_nothing_beside_the_others_is_refused_with_the_reason() {
    let idle_key = |recipe: &str, settings: &[(&str, &str)]| match described(&set(recipe, settings))
    {
        Ok(()) => None,
        Err(RunError::Idle { key, .. }) => Some(key),
        Err(error) => panic!("{error}"),
    };
    let (mlp, features) = (("network", "mlp"), ("network", "features"));
    let plain = ("batch_norm", "false");
    let (cnn, resnet, side) = (("network", "cnn"), ("network", "resnet"), ("image_size", "32"));
    let idle: [(&str, &[(&str, &str)]); 23] = [
        ("gan", &[side, cnn, ("d_extra_layers", "1")]),
        ("cgan", &[side, resnet, ("g_extra_layers", "1")]),
        ("cgan", &[side, resnet, ("leaky_slope", "0.2")]),
        ("classify", &[("hidden_sizes", "8")]),
        ("classify", &[("hidden_sizes.0", "8")]),
        ("classify", &[mlp, ("stage_channels", "8")]),
        ("classify", &[mlp, ("stage_blocks", "2")]),
        ("classify", &[mlp, plain]),
        ("classify", &[mlp, ("batch_norm_momentum", "0.5")]),
        ("classify", &[features, ("hidden_sizes", "8")]),
        ("classify", &[features, ("batch_norm_epsilon", "0.5")]),
        ("classify", &[plain, ("batch_norm_momentum", "0.5")]),
        ("control", &[("explore_steps", "0"), ("explore_start", "0.5")]),
        ("control", &[("explore_start", "0.05"), ("explore_steps", "7")]),
        ("gan", &[("steps", "500"), ("saturated_after", "2000")]),
        ("cgan", &[("log_every", "9000"), ("saturated_after", "10")]),
        ("translate", &[("steps", "20"), ("saturated_after", "11")]),
        ("gan", &[("objective", "wasserstein"), ("saturated_after", "10")]),
        ("cgan", &[("change_factor", "2")]),
        ("translate", &[("change_at", "9")]),
        ("nmt", &[("change_factor", "2")]),
        ("nmt", &[("change_at", "9")]),
        ("nmt", &[("beam", "1"), ("length_penalty", "1")]),
    ];
    for (recipe, settings) in idle {
        let key = settings.last().unwrap().0.trim_end_matches(".0");
        assert_eq!(idle_key(recipe, settings).as_deref(), Some(key), "{settings:?}");
    }
    // What the preset has may stand there idle, and so may what is set to the same.
    let acts: [(&str, &[(&str, &str)]); 7] = [
        ("gan", &[side, cnn, ("leaky_slope", "0.2")]),
        ("classify", &[mlp, ("hidden_sizes", "8")]),
        ("classify", &[mlp, ("batch_norm", "true")]),
        ("classify", &[plain, ("stage_blocks", "2")]),
        ("control", &[("explore_steps", "0")]),
        ("gan", &[("steps", "500")]),
        ("gan", &[("steps", "20"), ("saturated_after", "10")]),
    ];
    for (recipe, settings) in acts {
        assert_eq!(idle_key(recipe, settings), None, "{recipe} {settings:?}");
    }
}

#[test]
fn a_value_out_of_its_range_or_of_another_kind_is_refused_by_the_name_of_its_setting() {
    for (recipe, key, value) in [
        ("classify", "network", "vgg"),
        ("classify", "label_noise", "1.5"),
        ("classify", "train_images", "5"),
        ("classify", "train_images", "10001"),
        ("classify", "stage_channels", "[]"),
        ("classify", "hidden_sizes", "8,0"),
        ("classify", "fgsm_epsilon", "-1"),
        ("control", "environment", "pong"),
        ("control", "memory", "0"),
        ("translate", "objective", "cross_entropy"),
        ("gan", "train_images", "1"),
        ("gan", "change_at", "7"),
        ("gan", "change_factor", "0"),
        ("gan", "network", "vgg"),
        ("cgan", "d_extra_layers", "65"),
        ("translate", "l1_weight", "-1"),
        ("nmt", "norm", "middle"),
        ("nmt", "heads", "3"),
        ("nmt", "vocabulary", "258"),
        ("nmt", "target", "en"),
        ("nmt", "target", "e n"),
        ("nmt", "dropout", "1"),
        ("nmt", "change_at", "7"),
    ] {
        crate::runs::refused_setting(&request(recipe, &[(key, value)], Path::new("")), key);
    }
}

/// Runs a step of what is taken of the worst.
fn trains_with_what_it_takes(recipe: &str) {
    let out = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for key in keys(recipe) {
        for value in ["0", "1", "1e308", "1e-320", "18446744073709551615", "none", "[]"] {
            let request = request(recipe, &[(&key, value)], out.path());
            if !is_taken(&request) {
                continue;
            }
            tried += 1;
            if let Err(error) = osn_recipes::train(&request, &mut StopsAfter::steps(1)) {
                let message = error.to_string();
                assert!(!message.contains('\n'), "{key}={value}: {message}");
            }
        }
    }
    assert!(tried > 10, "{recipe}: only {tried} settings were taken");
}

#[test]
fn gan_trains_with_every_setting_that_it_takes() {
    trains_with_what_it_takes("gan");
}

#[test]
fn control_trains_with_every_setting_that_it_takes() {
    trains_with_what_it_takes("control");
}

#[test]
fn nmt_trains_with_every_setting_that_it_takes() {
    trains_with_what_it_takes("nmt");
}

#[test]
fn classify_trains_with_every_setting_that_it_takes() {
    trains_with_what_it_takes("classify");
}

#[test]
fn seeds_and_checkpoint_paces_of_any_size_train() {
    let out = tempfile::tempdir().unwrap();
    for (seed, every, keep) in [(u64::MAX, Some(0), usize::MAX), (0, Some(u64::MAX), 0)] {
        let plain = request("control", &[("steps", "2")], out.path());
        let checkpoints = osn_recipes::run::checkpoint::schedule::Checkpoints { every, keep };
        crate::runs::train(&TrainRequest { seed, checkpoints, ..plain });
    }
}

// --- Rules -----------------------------------------------------------------------------------

fn describe(recipe: &str, decide: &str) -> Result<(), RunError> {
    described(&under(decide, plain(recipe)))
}

#[test]
fn a_rule_that_follows_a_score_nobody_tells_is_refused_with_those_that_are_told() {
    for (recipe, decide) in [
        ("gan", "plateau:metric=frechett"),
        ("gan", "plateau:metric=accuracy"),
        ("control", "plateau"),
        ("classify", "plateau:metric=frechet"),
    ] {
        let Err(RunError::UnknownName { kind, name, valid }) = describe(recipe, decide) else {
            panic!("{recipe} takes {decide}")
        };
        assert_eq!(kind, "metric");
        assert!(!valid.contains(&name) && valid.len() > 1, "{name} {valid:?}");
    }
    assert!(describe("gan", "plateau:metric=kid").is_ok());
    assert!(describe("control", "plateau:metric=return").is_ok());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let text = "[[rule]]\nrule = \"cap\"\n[[rule]]\nrule = \"plateau\"\nmetric = \"accuracy\"\n\
                select.positions = [\"last\"]\n";
    std::fs::write(&file, text).unwrap();
    let refused = describe("gan", file.to_str().unwrap());
    assert!(matches!(refused, Err(RunError::UnknownName { kind: "metric", .. })), "{refused:?}");
}

#[test]
fn a_rule_that_waits_for_what_the_recipe_never_tells_is_refused() {
    for (recipe, decide) in [
        ("control", "learned"),
        ("control", "pay"),
        ("control", "auto"),
        ("control", "auto:task=classify"),
        ("classify", "auto"),
        ("gan", "auto:task=classify"),
    ] {
        let refused = describe(recipe, decide);
        let Err(RunError::UnmetNeed { recipe: of, others, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(*of, recipe);
        for other in *others {
            assert!(describe(recipe, other).is_ok(), "{recipe} offers {other}");
        }
    }
    for doc in osn_recipes::recipes() {
        for decide in ["observe", "never", "budget"] {
            assert!(describe(doc.name, decide).is_ok(), "{}: {decide}", doc.name);
        }
    }
}

#[test]
fn a_rule_that_can_have_no_effect_in_so_many_steps_is_refused() {
    let short = set("classify", &[("steps", "100"), ("eval_every", "50")]);
    let described = |decide: &str| described(&under(decide, short.clone()));
    for decide in [
        "schedule:on=100",
        "schedule:on=95",
        "schedule:on=81,off=90",
        "schedule:on=5,period=10",
        "plateau:metric=accuracy,interval=100",
    ] {
        let refused = described(decide);
        let rule = decide.split(':').next().unwrap();
        let is_out_of_reach = |source: &RuleError| matches!(source, RuleError::OutOfReach { rule: of, .. } if of.starts_with(rule));
        assert!(
            matches!(&refused, Err(RunError::Rule { source, .. }) if is_out_of_reach(source)),
            "{refused:?}"
        );
    }
    for decide in ["schedule:on=90", "plateau:metric=accuracy", "observe:interval=1000", "cap"] {
        assert!(described(decide).is_ok(), "{decide}");
    }
}

#[test]
fn a_view_of_kernels_is_refused_where_there_are_none() {
    let out = tempfile::tempdir().unwrap();
    let refused = |recipe: &str, view: &str| {
        let decide = format!("always@{view}");
        crate::runs::refused(&under(&decide, request(recipe, &[("steps", "2")], out.path())))
    };
    for view in ["matrix", "reshaped", "bidirectional"] {
        let error = refused("control", view);
        assert!(matches!(error, RunError::ViewWithoutEffect { .. }), "{error}");
    }
    // A view that does not fit the weights is a mistake in what was asked, too.
    for (view, part) in [("matrix", "down1.weight"), ("blocks:axis=0,count=7", "7 equal blocks")] {
        let error = refused("gan", view);
        let RunError::ViewMisfit { text, problem } = &error else { panic!("{error}") };
        assert!(text.ends_with(view) && problem.contains(part), "{error}");
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing is done");
    Run::of("classify", Some("always@bidirectional"), &[("steps", "1")]);
}

/// The error of rules in a file that holds this.
fn rules_refused(bytes: &[u8]) -> RunError {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("rules.toml");
    std::fs::write(&file, bytes).unwrap();
    describe("gan", file.to_str().unwrap()).unwrap_err()
}

#[test]
fn rules_that_are_no_rules_are_refused_in_a_line() {
    let start = "[[rule]]\nrule = \"cap\"\n";
    let texts = [
        String::new(),
        "\u{0}".to_owned(),
        "rule = 1".to_owned(),
        "[[rule]]".to_owned(),
        format!("{start}targett = 2"),
        format!("{start}target = nan"),
        format!("{start}target = -inf"),
        format!("{start}target = 1e400"),
        format!("{start}target = 0"),
        format!("{start}interval = 0"),
        format!("{start}interval = -1"),
        format!("{start}interval = 99999999999999999999"),
        format!("{start}target = []"),
        format!("{start}target = {{ a = 1 }}"),
        format!("{start}layers = [\"[\"]"),
        format!("{start}target = {}1{}", "[".repeat(50_000), "]".repeat(50_000)),
        format!("{}x = 1", "a.".repeat(50_000)),
        format!("x = {}", "{ a = ".repeat(50_000)),
        format!("{start}network = \"{}\"", "x".repeat(100_000)) + "\nwhat = 1",
    ];
    for text in texts {
        let error = rules_refused(text.as_bytes());
        assert!(matches!(error, RunError::RulesFile(RulesError::Content { .. })), "{error}");
    }
    let error = rules_refused(b"[[rule]]\nrule = \"\xff\"");
    assert!(matches!(error, RunError::RulesFile(RulesError::Unreadable { .. })), "{error}");
}

#[test]
fn a_file_of_rules_is_a_file_and_no_larger_than_rules_are() {
    let out = tempfile::tempdir().unwrap();
    let must_be_unreadable = |name: &str| {
        let refused = describe("gan", out.path().join(name).to_str().unwrap());
        let Err(RunError::RulesFile(RulesError::Unreadable { path, .. })) = &refused else {
            panic!("{refused:?}")
        };
        assert!(path.ends_with(name), "{refused:?}");
    };
    let huge = std::fs::File::create(out.path().join("huge.toml")).unwrap();
    huge.set_len(100 << 20).unwrap();
    must_be_unreadable("huge.toml");
    std::fs::create_dir(out.path().join("folder.toml")).unwrap();
    must_be_unreadable("folder.toml");
    #[cfg(unix)]
    for device in ["/dev/zero", "/dev/tty"] {
        let link = out.path().join("device.toml");
        std::os::unix::fs::symlink(device, &link).unwrap();
        must_be_unreadable("device.toml");
        std::fs::remove_file(link).unwrap();
    }
}
