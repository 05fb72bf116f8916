//! Every setting of every recipe, set to what no one should set it to: refused in one line before
//! anything is done, or trained with.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod runs;

use osn_recipes::run::{RunError, TrainRequest};
use runs::{StopsAfter, TINY_IMAGES, request};
use serde_json::Value;

const RECIPES: [&str; 5] = ["gan", "cgan", "translate", "control", "classify"];

const TINY_CONTROL: [(&str, &str); 6] = [
    ("batch_size", "8"),
    ("hidden_sizes", "8,8"),
    ("random_actions", "10"),
    ("log_every", "1"),
    ("eval_episodes", "2"),
    ("final_episodes", "2"),
];
const TINY_CLASSIFY: [(&str, &str); 5] = [
    ("batch_size", "8"),
    ("stage_channels", "4,4"),
    ("log_every", "1"),
    ("eval_images", "20"),
    ("final_images", "20"),
];

fn tiny(recipe: &str) -> &'static [(&'static str, &'static str)] {
    match recipe {
        "control" => &TINY_CONTROL,
        "classify" => &TINY_CLASSIFY,
        _ => &TINY_IMAGES,
    }
}

/// Every key of a recipe's config, found from the config itself.
fn keys(recipe: &str) -> Vec<String> {
    let plain = TrainRequest { recipe: recipe.to_owned(), ..TrainRequest::default() };
    let mut keys = Vec::new();
    collect(&osn_recipes::describe(&plain).unwrap().config, String::new(), &mut keys);
    assert!(keys.len() > 15, "{keys:?}");
    keys
}

fn collect(value: &Value, path: String, keys: &mut Vec<String>) {
    let inside =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| collect(value, inside(name), keys));
        }
        Value::Array(values) => {
            keys.push(path.clone());
            let places = values.iter().enumerate();
            places.for_each(|(place, value)| collect(value, inside(&place.to_string()), keys));
        }
        _ => keys.push(path),
    }
}

fn bad_values() -> Vec<String> {
    let words = [
        "0",
        "-0",
        "1",
        "2",
        "-1",
        "NaN",
        "inf",
        "-inf",
        "1e308",
        "-1e308",
        "1e39",
        "1e-320",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807",
        "4294967296",
        "",
        " ",
        "none",
        "true",
        "text",
        "ß\u{0}\n",
        "[]",
        "[[1]]",
        "{}",
        "0,0",
        "1,,2",
        "0x10",
        "18446744073709551615,18446744073709551615",
    ];
    let long = ["1,".repeat(100_000) + "1", "[".repeat(100_000), "9".repeat(100_000)];
    words.iter().map(|word| (*word).to_owned()).chain(long).collect()
}

fn with(recipe: &str, key: &str, value: &str, out: &std::path::Path) -> TrainRequest {
    let small: Vec<_> = tiny(recipe).iter().filter(|(of, _)| *of != key).copied().collect();
    request(recipe, &small, &[(key, value)], out)
}

/// Whether a setting is taken; if not it says so in a line, with its name.
fn is_taken(request: &TrainRequest) -> bool {
    let (key, value) = request.settings.last().unwrap();
    match osn_recipes::describe(request) {
        Ok(_) => true,
        Err(error) => {
            let message = error.to_string();
            assert!(error.is_bad_input(), "{key}={value}: {message}");
            let of_setting = matches!(
                error,
                RunError::Setting { .. } | RunError::Config { .. } | RunError::Idle { .. }
            );
            assert!(of_setting, "{message}");
            let name = key.rsplit_once('.').map_or(key.as_str(), |(name, _)| name);
            assert!(message.contains(name), "{name} is missing in {message}");
            let is_odd = value.contains('\n') || value.len() > 1_000;
            assert!(is_odd || !message.contains('\n') && message.len() < 1_000, "{message}");
            false
        }
    }
}

#[test]
fn every_setting_of_every_recipe_is_taken_or_refused_in_a_line() {
    let out = tempfile::tempdir().unwrap();
    for recipe in RECIPES {
        for key in keys(recipe) {
            let taken = bad_values()
                .into_iter()
                .filter(|value| is_taken(&with(recipe, &key, value, out.path())));
            let taken: Vec<String> = taken.collect();
            assert!(taken.len() < 20, "{recipe}: {key} takes anything: {taken:?}");
        }
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing is done");
}

/// Those that make memory, time or a counter no larger.
const UNBOUNDED: [&str; 11] = [
    "log_every",
    "eval_every",
    "target_every",
    "explore_steps",
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
                let is_taken = is_taken(&with(recipe, &key, value, "".as_ref()));
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
        ("translate", &["image_size=512", "g_channels=1024"]),
        ("translate", &["image_size=512", "d_channels=1024", "batch_size=8192"]),
        ("control", &["hidden_sizes=8192,8192,8192,8192,8192,8192,8192,8192"]),
        ("classify", &["stage_channels=1024,1024,1024", "stage_blocks=64"]),
        ("classify", &["stage_channels=1024", "batch_size=8192", "stage_blocks=1"]),
        ("classify", &["network=mlp", "hidden_sizes=8192,8192,8192,8192,8192,8192,8192"]),
    ] {
        let pairs = settings.iter().filter_map(|setting| setting.split_once('='));
        let settings = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let plain = TrainRequest { recipe: recipe.to_owned(), ..TrainRequest::default() };
        let request = TrainRequest { settings, ..plain };
        let error = osn_recipes::describe(&request).unwrap_err();
        let RunError::Config { key, problem } = error else { panic!("{recipe}: {error}") };
        assert!(request.settings.iter().any(|(set, _)| *set == key), "{recipe}: {key}");
        assert!(problem.starts_with("must be smaller: with "), "{problem}");
    }
}

#[test]
fn every_preset_of_every_recipe_is_taken() {
    for doc in osn_recipes::recipes() {
        for preset in doc.presets {
            let plain = TrainRequest { recipe: doc.name.to_owned(), ..TrainRequest::default() };
            let request = TrainRequest { preset: Some((*preset).to_owned()), ..plain };
            osn_recipes::describe(&request).unwrap();
        }
    }
}

#[test]
fn a_setting_that_can_change_nothing_beside_the_others_is_refused_with_the_reason() {
    let message = |recipe: &str, settings: &[(&str, &str)]| {
        let plain = request(recipe, &[], settings, "".as_ref());
        match osn_recipes::describe(&plain) {
            Ok(_) => String::new(),
            Err(error) => {
                assert!(error.is_bad_input() && matches!(error, RunError::Idle { .. }), "{error}");
                error.to_string()
            }
        }
    };
    assert_eq!(
        message("classify", &[("hidden_sizes", "8")]),
        "hidden_sizes changes nothing: it is of network=mlp, and this network is resnet; leave it out"
    );
    assert!(
        message("classify", &[("hidden_sizes.0", "8")])
            .starts_with("hidden_sizes changes nothing: ")
    );
    let (mlp, features) = (("network", "mlp"), ("network", "features"));
    let plain = ("batch_norm", "false");
    let idle: [(&str, &[(&str, &str)]); 12] = [
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
    ];
    for (recipe, settings) in idle {
        let key = settings.last().unwrap().0;
        let message = message(recipe, settings);
        assert!(
            message.starts_with(&format!("{key} changes nothing: ")),
            "{settings:?}: {message}"
        );
    }
    // What the preset has may stand there idle, and so may what is set to the same.
    let acts: [(&str, &[(&str, &str)]); 6] = [
        ("classify", &[mlp, ("hidden_sizes", "8")]),
        ("classify", &[mlp, ("batch_norm", "true")]),
        ("classify", &[plain, ("stage_blocks", "2")]),
        ("control", &[("explore_steps", "0")]),
        ("gan", &[("steps", "500")]),
        ("gan", &[("steps", "20"), ("saturated_after", "10")]),
    ];
    for (recipe, settings) in acts {
        assert_eq!(message(recipe, settings), "", "{recipe} {settings:?}");
    }
}

/// Runs a step of what is taken of the worst.
fn trains_with_what_it_takes(recipe: &str) {
    let out = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for key in keys(recipe) {
        for value in ["0", "1", "1e308", "1e-320", "18446744073709551615", "none", "[]"] {
            let request = with(recipe, &key, value, out.path());
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
fn classify_trains_with_every_setting_that_it_takes() {
    trains_with_what_it_takes("classify");
}

#[test]
fn seeds_and_checkpoint_paces_of_any_size_train() {
    let out = tempfile::tempdir().unwrap();
    for (seed, every, keep) in [(u64::MAX, Some(0), usize::MAX), (0, Some(u64::MAX), 0)] {
        let plain = request("control", &TINY_CONTROL, &[("steps", "2")], out.path());
        let checkpoints = osn_recipes::run::Checkpoints { every, keep };
        runs::train(&TrainRequest { seed, checkpoints, ..plain });
    }
}

// --- Rules -----------------------------------------------------------------------------------

fn describe(recipe: &str, decide: &str) -> Result<(), RunError> {
    let plain = TrainRequest { recipe: recipe.to_owned(), ..TrainRequest::default() };
    let request = TrainRequest { decide: Some(decide.to_owned()), ..plain };
    osn_recipes::describe(&request).map(drop)
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
        ("control", "auto"),
        ("control", "auto:task=classify"),
        ("classify", "auto"),
        ("gan", "auto:task=classify"),
    ] {
        let refused = describe(recipe, decide);
        let Err(RunError::Deaf { recipe: of, others, .. }) = &refused else {
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
fn a_view_of_kernels_is_refused_where_there_are_none() {
    let out = tempfile::tempdir().unwrap();
    for view in ["matrix", "reshaped", "bidirectional"] {
        let plain = request("control", &TINY_CONTROL, &[("steps", "2")], out.path());
        let decide = Some(format!("always@{view}"));
        let message = runs::refused(&TrainRequest { decide, ..plain });
        assert!(message.contains(view), "{message}");
    }
    // Nor is what does not go with the weights a failure of the run.
    let plain = request("gan", &TINY_IMAGES, &[], out.path());
    for (view, part) in [("matrix", "down1.weight"), ("blocks:axis=0,count=7", "7 equal blocks")] {
        let decide = Some(format!("always@{view}"));
        let message = runs::refused(&TrainRequest { decide, ..plain.clone() });
        assert!(message.contains(part) && message.contains(view), "{message}");
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing is done");
    let plain = request("classify", &TINY_CLASSIFY, &[("steps", "1")], out.path());
    runs::train(&TrainRequest { decide: Some("always@bidirectional".to_owned()), ..plain });
}

/// What is said of rules in a file that holds this.
fn rules_refused(bytes: &[u8]) -> String {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("rules.toml");
    std::fs::write(&file, bytes).unwrap();
    refused_by_name(file.to_str().unwrap())
}

fn refused_by_name(decide: &str) -> String {
    let plain = TrainRequest { recipe: "gan".to_owned(), ..TrainRequest::default() };
    let request = TrainRequest { decide: Some(decide.to_owned()), ..plain };
    let error = osn_recipes::describe(&request).unwrap_err();
    assert!(error.is_bad_input(), "{error}");
    let message = error.to_string();
    assert!(!message.contains('\n') && message.len() < 2_000, "{message}");
    message
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
        let message = rules_refused(text.as_bytes());
        assert!(message.contains("rules.toml"), "{message}");
    }
    let message = rules_refused(b"[[rule]]\nrule = \"\xff\"");
    assert!(message.contains("rules.toml") && message.contains("utf-8"), "{message}");
}

#[test]
fn a_file_of_rules_is_a_file_and_no_larger_than_rules_are() {
    let out = tempfile::tempdir().unwrap();
    let huge = out.path().join("huge.toml");
    std::fs::File::create(&huge).unwrap().set_len(100 << 20).unwrap();
    let message = refused_by_name(huge.to_str().unwrap());
    assert!(message.contains("huge.toml") && message.contains("larger than"), "{message}");
    let folder = out.path().join("folder.toml");
    std::fs::create_dir(&folder).unwrap();
    assert!(refused_by_name(folder.to_str().unwrap()).contains("no regular file"));
    #[cfg(unix)]
    for device in ["/dev/zero", "/dev/tty"] {
        let link = out.path().join("device.toml");
        std::os::unix::fs::symlink(device, &link).unwrap();
        assert!(refused_by_name(link.to_str().unwrap()).contains("device.toml"));
        std::fs::remove_file(link).unwrap();
    }
}
