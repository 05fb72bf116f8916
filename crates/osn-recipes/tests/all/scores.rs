//! What a score is a score of, in every recipe: of the network that was trained, of images that no rule
//! has seen, of one sample size over a run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::runs::{RECIPES, Run, events, on, picture, refused, timeless, tiny, train, under};
use osn_recipes::run::error::RunError;
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::summary::RunSummary;
use osn_runs::event::Event;
use osn_runs::metrics::Metrics;

const ADVERSARIAL: [&str; 3] = ["gan", "cgan", "translate"];

/// A run of a few steps, each of which is scored.
fn run(recipe: &str, decide: &str, more: &[(&str, &str)]) -> Run {
    Run::of(recipe, Some(decide), &small(recipe, more))
}

fn small<'a>(recipe: &str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let network: &[_] = if recipe == "classify" { &[("network", "mlp")] } else { &[] };
    [&[("eval_every", "1")], network, more].concat()
}

fn request(recipe: &str, decide: &str, more: &[(&str, &str)], out: &Path) -> TrainRequest {
    under(decide, crate::runs::request(recipe, &small(recipe, more), out))
}

/// Each scoring: its scores, and those of the usual size where it is of another.
fn scorings(run: &RunSummary) -> Vec<(Metrics, Metrics)> {
    let scoring = |event| match event {
        Event::Eval { metrics, curve, .. } => Some((metrics, curve)),
        _ => None,
    };
    events(run).into_iter().filter_map(scoring).collect()
}

/// The lines of a record that are of one kind.
fn lines(run: &RunSummary, kind: &str) -> Vec<String> {
    let tag = format!(r#""event":"{kind}""#);
    timeless(run).lines().filter(|line| line.contains(&tag)).map(str::to_owned).collect()
}

// --- The network that is scored ------------------------------------------------------------------

#[test]
fn an_average_that_forgets_all_before_scores_as_none_to_the_bit_whatever_is_held() {
    let settings = |recipe| match recipe {
        "translate" => &[("hold_generator", "true"), ("hold_generator", "false")][..],
        _ => &[("n_dis", "1")][..],
    };
    let rules = |recipe| match recipe {
        "translate" => {
            &["always", "never", "cap:target=0.5,hysteresis=0", "always@bidirectional"][..]
        }
        _ => &["always", "never"][..],
    };
    for recipe in ADVERSARIAL {
        for &decide in rules(recipe) {
            for &setting in settings(recipe) {
                let scored = |ema| {
                    let run = run(recipe, decide, &[("ema", ema), ("eval_every", "6"), setting]);
                    (lines(&run, "step"), lines(&run, "eval"), picture(&run, 6))
                };
                let (average, none) = (scored("0.0"), scored("null"));
                let what = format!("{recipe} {decide} {setting:?}");
                assert_eq!(average.0, none.0, "{what}: losses");
                assert_eq!(average.1, none.1, "{what}: scores");
                assert!(average.2 == none.2, "{what}: samples");
            }
        }
    }
}

#[test]
fn an_average_after_one_step_is_the_network_after_one_step() {
    for recipe in ADVERSARIAL {
        let scored = |ema| lines(&run(recipe, "never", &[("ema", ema), ("steps", "1")]), "eval");
        assert_eq!(scored("0.999"), scored("null"), "nothing of the initial weights is left");
    }
}

// --- What rules see ------------------------------------------------------------------------------

/// Images of noise, 8×8 in two classes, of which one in twenty training images is held out. `salt` makes
/// other test images or other held-out ones.
fn value([of_test, held_out]: [usize; 2], is_test: bool, image: usize, place: usize) -> u8 {
    let salt = match (is_test, image % 20) {
        (true, _) => 7 + of_test,
        (false, 19) => held_out,
        (false, _) => 0,
    };
    let mixed = (image * 64 + place + 100_000 * salt + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // Darker with another salt too, so that what is made of an image differs.
    mixed.to_be_bytes()[0] / u8::try_from(1 + salt % 7).unwrap()
}

const TRAIN: usize = 400;
const TEST: usize = 120;

/// The four files that have labels, or the pairs of `translate`.
fn data(recipe: &str, salts: [usize; 2]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (is_test, count) in [(false, TRAIN), (true, TEST)] {
        let pixels = |image| (0..64).map(move |place| value(salts, is_test, image, place));
        if recipe == "translate" {
            let split = folder.path().join(if is_test { "test" } else { "train" });
            for (side, invert) in [("input", 0), ("target", 255)] {
                fs::create_dir_all(split.join(side)).unwrap();
                for image in 0..count {
                    let bytes = pixels(image).map(|value| value ^ invert).collect();
                    let picture = image::GrayImage::from_raw(8, 8, bytes).unwrap();
                    picture.save(split.join(side).join(format!("{image:04}.png"))).unwrap();
                }
            }
            continue;
        }
        let labels: Vec<u8> = (0..count).map(|image| u8::from(image / 20 % 2 == 1)).collect();
        let pixel = |image, place| value(salts, is_test, image, place);
        let part = if is_test { "t10k" } else { "train" };
        crate::files::write_idx(folder.path(), part, &labels, [8, 8], pixel);
    }
    folder
}

#[test]
fn test_images_reach_no_decision_and_validation_images_do() {
    for (recipe, metric) in
        [("gan", "frechet"), ("cgan", "intra_frechet"), ("translate", "l1"), ("classify", "loss")]
    {
        let size: &[_] = if recipe == "classify" { &[] } else { &[("image_size", "8")] };
        let rule = format!("plateau:metric={metric},interval=1,every=1,patience=1,delta=100");
        let [plain, other_test, other_validation] = [[0, 0], [1, 0], [0, 1]].map(|salts| {
            let (data, out) = (data(recipe, salts), tempfile::tempdir().unwrap());
            let run = train(&on(&data, request(recipe, &rule, size, out.path())));
            (run, out)
        });
        let [(plain, _a), (other_test, _b), (other_validation, _c)] =
            [plain, other_test, other_validation];
        let decided = |run: &RunSummary| lines(run, "decision");
        assert!(decided(&plain).iter().any(|it| it.contains(&format!("{metric} "))), "{recipe}");
        assert_eq!(decided(&plain), decided(&other_test), "{recipe}");
        assert_eq!(lines(&plain, "step"), lines(&other_test, "step"), "{recipe}");
        assert_eq!(lines(&plain, "layer"), lines(&other_test, "layer"), "{recipe}");
        assert_ne!(decided(&plain), decided(&other_validation), "{recipe}");

        let first = |run: &RunSummary| scorings(run).swap_remove(0).0;
        let [plain, other_test, other_validation] =
            [&plain, &other_test, &other_validation].map(first);
        let (test, prefix) = (if metric == "loss" { "test_loss" } else { metric }, "validation_");
        let validated = format!("{prefix}{metric}");
        assert_eq!(plain[&validated], other_test[&validated], "{recipe}");
        assert_ne!(plain[test], other_test[test], "{recipe}");
        assert_ne!(plain[&validated], other_validation[&validated], "{recipe}");
        assert_eq!(plain[test], other_validation[test], "{recipe}");
    }
}

#[test]
fn a_rule_of_control_follows_episodes_that_are_none_of_the_reported_ones() {
    let rule =
        "plateau:metric=return,lower_is_better=false,interval=1,every=1,patience=1,delta=100";
    let watched = |more: &[(&str, &str)]| run("control", rule, more);
    let plain = watched(&[]);
    let scorings = scorings(&plain);
    let pairs = scorings.iter().map(|(it, _)| (it["return"], it["validation_return"]));
    assert!(pairs.clone().any(|(reported, validated)| reported != validated), "{scorings:?}");
    let reasons = crate::runs::reasons(&plain);
    assert!(
        reasons[0].starts_with(&format!("return {}", scorings[0].0["validation_return"])),
        "{reasons:?}"
    );
    // How many episodes are reported at the end is nothing to a rule.
    assert_eq!(lines(&plain, "decision"), lines(&watched(&[("final_episodes", "9")]), "decision"));
}

#[test]
fn the_scores_that_a_recipe_names_are_those_that_rules_receive_and_change_no_other() {
    for recipe in RECIPES {
        let doc = osn_recipes::recipe(recipe).unwrap();
        let named: BTreeSet<String> =
            doc.metrics.iter().map(|name| format!("validation_{name}")).collect();
        let validated = |run: &RunSummary| {
            let names = run.metrics.iter().filter(|(_, value)| value.is_finite());
            let names = names.map(|(name, _)| name.clone());
            names.filter(|name| name.starts_with("validation_")).collect::<BTreeSet<_>>()
        };
        let few = [("eval_every", "6")];
        let watched = run(recipe, "observe:interval=1", &few);
        assert_eq!(validated(&watched), named, "{recipe}");
        let free = run(recipe, "never", &few);
        assert_eq!(validated(&free), BTreeSet::new(), "{recipe}");
        let mut rest = watched.metrics.clone();
        rest.retain(|name, _| !name.starts_with("validation_"));
        assert_eq!(rest, free.metrics, "{recipe}: validating changes no other score");
    }
}

#[test]
fn too_few_held_out_images_to_follow_a_score_are_refused() {
    let (images, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crate::files::fill(images.path(), 100, 8, |index| [index; 3]);
    let asked = |decide| on(&images, request("gan", decide, &[("image_size", "8")], out.path()));
    let error = refused(&asked("plateau"));
    assert!(matches!(error, RunError::Data { .. }), "{error}");
    assert!(error.to_string().contains("are too few, 6 are needed"), "{error}");
    assert_eq!(train(&asked("observe:interval=1")).steps, 6, "it makes do with what there is");
}

// --- One sample size -----------------------------------------------------------------------------

#[test]
fn the_last_scoring_has_the_usual_size_too_where_it_is_more_thorough() {
    for (recipe, metric, last) in [
        ("gan", "frechet", "final_images"),
        ("cgan", "frechet", "final_images"),
        ("translate", "l1", "final_images"),
        ("control", "return", "final_episodes"),
        ("classify", "test_loss", "final_images"),
        ("nmt", "loss", "final_sentences"),
    ] {
        let is_size = |key: &str| ["eval_images", "eval_episodes", "eval_sentences"].contains(&key);
        let usual = tiny(recipe).iter().find(|(key, _)| is_size(key)).unwrap().1;
        let both = scorings(&run(recipe, "never", &[("eval_every", "3")]));
        let alike = scorings(&run(recipe, "never", &[("eval_every", "3"), (last, usual)]));
        assert_eq!((both.len(), alike.len()), (2, 2));
        assert_eq!(both[0], alike[0], "{recipe}");
        assert!(both[0].1.is_empty() && alike[1].1.is_empty(), "{recipe}: one number is enough");
        assert_eq!(both[1].1[metric], alike[1].0[metric], "{recipe}: the same size at the end");
        assert_ne!(both[1].0[metric], both[1].1[metric], "{recipe}: and the thorough one");
    }
}

#[test]
fn the_area_under_the_returns_is_of_evaluations_of_one_size() {
    let run = run("control", "never", &[("steps", "20"), ("eval_every", "5")]);
    let scorings = scorings(&run);
    let usual = scorings.iter().map(|(all, curve)| curve.get("return").unwrap_or(&all["return"]));
    let mean = usual.sum::<f64>() / scorings.len() as f64;
    assert_eq!((scorings.len(), run.metrics["area"]), (4, mean));
}

#[test]
fn what_is_remembered_of_a_run_does_not_grow_with_it() {
    let out = tempfile::tempdir().unwrap();
    let more = [("steps", "60"), ("memory", "16"), ("eval_episodes", "1")];
    let plain = request("control", "never", &more, out.path());
    let checkpoints =
        osn_recipes::run::checkpoint::schedule::Checkpoints { every: Some(1), keep: 100 };
    let run = train(&TrainRequest { checkpoints, ..plain });
    let size = |step: u64, part: &str| {
        let file = run.folder.join(format!("checkpoints/step-{step:06}.safetensors"));
        let bytes = fs::read(file).unwrap();
        safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor(part).unwrap().data().len()
    };
    // A sum and a count, however many evaluations they are of; a hundred returns at most.
    assert!(size(1, "curve").abs_diff(size(60, "curve")) <= 8);
    assert!(size(60, "player/recent") <= 800 && size(60, "pending") <= size(1, "pending") + 64);
}
