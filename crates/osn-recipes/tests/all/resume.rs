//! Runs that were cut and went on, held against the same runs uncut: every number of the last
//! checkpoint, the record and the pictures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::runs::{StopsAfter, on, timeless_in, train};
use osn_recipes::run::checkpoint::contents::{ABOUT, CLOCK, CheckpointContents, RECORD};
use osn_recipes::run::checkpoint::error::CheckpointError;
use osn_recipes::run::checkpoint::schedule::Checkpoints;
use osn_recipes::run::description::{RunDescription, RunStatus, SCHEMA};
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::{Observer, Progress, RunStart, Silent};
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::resume::Resumed;
use osn_recipes::run::summary::RunSummary;
use osn_runs::folder::RunFolder;
use osn_runs::folder_error::FolderError;
use serde_json::{Value, json};

pub(crate) const STEPS: u64 = 8;

/// Eight steps, scored after the third and sixth and at the end.
const SHORT: [(&str, &str); 3] = [("steps", "8"), ("eval_every", "3"), ("log_every", "2")];
pub(crate) fn request(
    recipe: &str,
    decide: Option<&str>,
    more: &[(&str, &str)],
    out: &Path,
) -> TrainRequest {
    let request = crate::runs::request(recipe, &[&SHORT, more].concat(), out);
    let checkpoints = Checkpoints { every: Some(1), keep: 100 };
    TrainRequest { decide: decide.map(str::to_owned), checkpoints, ..request }
}

fn resume(folder: &Path) -> RunSummary {
    went_on(osn_recipes::resume(folder, &mut Silent).unwrap())
}

pub(crate) fn went_on(resumed: Resumed) -> RunSummary {
    match resumed {
        Resumed::Trained(summary) => summary,
        Resumed::AlreadyFinished(_) => panic!("it was finished before"),
    }
}

fn checkpoint(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("checkpoints/step-{step:06}.safetensors"))
}

/// Everything that a run leaves but what a clock says.
#[derive(Debug, PartialEq)]
pub(crate) struct Left {
    record: Vec<String>,
    pictures: BTreeMap<PathBuf, Vec<u8>>,
    parts: BTreeMap<String, Vec<u8>>,
    description: Value,
}

impl Left {
    pub(crate) fn of(folder: &Path) -> Self {
        let pictures = fs::read_dir(folder.join("samples")).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().into(), fs::read(path).unwrap())
        });
        Self {
            record: timeless_in(folder).lines().map(str::to_owned).collect(),
            pictures: pictures.collect(),
            parts: parts(&checkpoint(folder, STEPS)),
            description: timeless_description(folder),
        }
    }

    pub(crate) fn must_be(&self, whole: &Self, what: &str) {
        assert_eq!(self.record, whole.record, "{what}: record");
        assert!(self.pictures == whole.pictures, "{what}: pictures");
        assert_eq!(self.description, whole.description, "{what}: run.json");
        let names = |left: &Self| left.parts.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(whole), "{what}: parts");
        for (name, bytes) in &whole.parts {
            assert!(self.parts[name] == *bytes, "{what}: {name}");
        }
    }
}

/// The bytes of each part that holds no time.
fn parts(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let parts = CheckpointContents::from_bytes(fs::read(file).unwrap()).unwrap();
    let names = parts.names().filter(|name| ![ABOUT, CLOCK, RECORD].contains(name));
    names.map(|name| (name.to_owned(), parts.part(name).unwrap().bytes.clone())).collect()
}

fn described(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap()
}

fn describe(folder: &Path, description: &Value) {
    fs::write(folder.join("run.json"), description.to_string()).unwrap();
}

fn timeless_description(folder: &Path) -> Value {
    let mut description = described(folder);
    description["started_unix_secs"] = Value::Null;
    description["totals"]["wall_secs"] = Value::Null;
    description
}

/// A run as it was when it was killed behind the checkpoint of a step: with what it wrote since, and a
/// line cut short.
fn killed_after(whole: &Path, step: u64, into: &Path) -> PathBuf {
    let folder = into.join(format!("killed-{step}"));
    for inside in ["", "samples", "checkpoints"] {
        fs::create_dir_all(folder.join(inside)).unwrap();
        for entry in fs::read_dir(whole.join(inside)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), folder.join(inside).join(entry.file_name())).unwrap();
            }
        }
    }
    (step + 1..=STEPS).for_each(|step| fs::remove_file(checkpoint(&folder, step)).unwrap());
    let record = folder.join("record.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(record, text + "{\"event\":\"st").unwrap();
    for half_written in [".osn-a1b2c3.tmp", "samples/.osn-d4e5f6.tmp"] {
        fs::write(folder.join(half_written), "half").unwrap();
    }
    let mut description = described(&folder);
    (description["status"], description["totals"]) = (json!("running"), Value::Null);
    describe(&folder, &description);
    folder
}

/// Where a run is killed, each time from its start; and where its user stops it, one time after the
/// other.
const EVERYWHERE: (&[u64], &[&[u64]]) = (&[1, 3, 4, STEPS], &[&[2], &[3, 6], &[5, 7]]);
const TWICE: (&[u64], &[&[u64]]) = (&[4], &[&[3, 5]]);

fn goes_on_to_the_same_bits(recipe: &str, decide: Option<&str>, more: &[(&str, &str)]) {
    goes_on_from(EVERYWHERE, recipe, decide, more);
}

fn goes_on_from(
    (kills, stops): (&[u64], &[&[u64]]),
    recipe: &str,
    decide: Option<&str>,
    more: &[(&str, &str)],
) {
    let out = tempfile::tempdir().unwrap();
    let request = request(recipe, decide, more, out.path());
    let run = train(&request);
    let whole = Left::of(&run.folder);
    let what = |how: &str| format!("{recipe} {decide:?} {more:?} {how}");
    for &step in kills {
        let folder = killed_after(&run.folder, step, out.path());
        assert_eq!(resume(&folder).status, RunStatus::Finished);
        Left::of(&folder).must_be(&whole, &what(&format!("killed at {step}")));
    }
    for stops in stops {
        let stopped = osn_recipes::train(&request, &mut StopsAfter::steps(stops[0])).unwrap();
        assert_eq!((stopped.status, stopped.steps), (RunStatus::Stopped, stops[0]));
        for &step in &stops[1..] {
            let again = osn_recipes::resume(&stopped.folder, &mut StopsAfter::steps(step));
            assert_eq!(went_on(again.unwrap()).steps, step);
        }
        assert_eq!(resume(&stopped.folder).steps, STEPS);
        Left::of(&stopped.folder).must_be(&whole, &what(&format!("stopped at {stops:?}")));
    }
}

#[test]
fn gan_goes_on_to_the_same_bits_with_and_without_an_average() {
    goes_on_to_the_same_bits("gan", None, &[]);
    goes_on_to_the_same_bits("gan", Some("always"), &[("ema", "0.9"), ("n_dis", "2")]);
}

#[test]
fn a_deep_critic_of_few_images_goes_on_to_the_same_bits_over_a_change_of_its_rate() {
    let settings = [
        ("objective", "wasserstein"),
        ("train_images", "40"),
        ("change_at", "3"),
        ("change_factor", "0.1"),
        ("d_extra_layers", "1"),
        ("g_extra_layers", "1"),
        ("hold_generator", "true"),
    ];
    goes_on_to_the_same_bits("gan", Some("cap:interval=1"), &settings);
}

#[test]
fn cgan_goes_on_to_the_same_bits() {
    goes_on_to_the_same_bits("cgan", Some("auto:interval=2"), &[("ema", "0.5")]);
}

#[test]
fn the_networks_of_sn_gan_go_on_to_the_same_bits() {
    for (recipe, network) in [("gan", "cnn"), ("cgan", "resnet")] {
        let settings = [("network", network), ("image_size", "32"), ("hold_generator", "true")];
        goes_on_from(TWICE, recipe, Some("cap:interval=1"), &settings);
    }
}

#[test]
fn translate_goes_on_to_the_same_bits_with_either_generator() {
    goes_on_to_the_same_bits("translate", None, &[]);
    let held = [("hold_generator", "true"), ("objective", "least_squares")];
    goes_on_to_the_same_bits("translate", Some("auto:task=translate,interval=3"), &held);
}

#[test]
fn control_goes_on_to_the_same_bits_in_every_environment() {
    // Sixteen transitions are soon forgotten; a target is copied in the middle of a run.
    let memory = [("memory", "16"), ("target_every", "3"), ("random_actions", "10")];
    for environment in ["cartpole", "acrobot", "mountain_car"] {
        let more = [&memory[..], &[("environment", environment)]].concat();
        goes_on_to_the_same_bits("control", Some("auto:task=control,interval=2"), &more);
    }
    // It receives the scores of the third step after the fifth.
    goes_on_from(TWICE, "control", Some("plateau:metric=return,interval=5"), &memory);
}

#[test]
fn classify_goes_on_to_the_same_bits_with_every_network() {
    let noisy = [("label_noise", "0.3"), ("mirror_chance", "0.5")];
    for network in ["resnet", "mlp", "features"] {
        let more = [&noisy[..], &[("network", network)]].concat();
        goes_on_to_the_same_bits("classify", Some("auto:task=classify,interval=3"), &more);
    }
    goes_on_to_the_same_bits("classify", Some("learned:interval=3"), &[("batch_norm", "true")]);
}

#[test]
fn nmt_goes_on_to_the_same_bits_with_all_that_it_draws() {
    let more = [("dropout", "0.3"), ("change_at", "4"), ("change_factor", "0.5")];
    goes_on_to_the_same_bits("nmt", Some("cap:interval=2"), &more);
    goes_on_to_the_same_bits(
        "nmt",
        Some("learned:interval=3"),
        &[("norm", "post"), ("tie", "none")],
    );
    // It receives the scores of the third step after the fifth.
    goes_on_from(TWICE, "nmt", Some("plateau:metric=chrf,interval=5"), &[]);
}

#[test]
fn every_rule_with_a_memory_goes_on_to_the_same_bits() {
    for decide in [
        "auto:interval=3",
        "cap:interval=2",
        "budget:interval=3,total_relative_to_init=0.5",
        "plateau:interval=1,every=1,patience=1,delta=100",
        "learned:interval=3",
        "pay:interval=1,rate=0.05,dwell=2",
        "random:dwell=2,interval=1",
        "schedule:on=3,interval=1",
        "static@bidirectional",
    ] {
        goes_on_from(TWICE, "gan", Some(decide), &[]);
    }
}

#[test]
fn writing_checkpoints_changes_no_bit_of_a_run() {
    let out = tempfile::tempdir().unwrap();
    let often = request("gan", None, &[("ema", "0.9")], out.path());
    let never = Checkpoints { every: None, keep: 0 };
    let (often, never) =
        (train(&often), train(&TrainRequest { checkpoints: never, ..often.clone() }));
    assert_eq!(crate::runs::timeless(&often), crate::runs::timeless(&never));
    assert_eq!(crate::runs::picture(&often, STEPS), crate::runs::picture(&never, STEPS));
    assert!(!never.folder.join("checkpoints").exists());
}

#[test]
fn a_run_keeps_the_last_three_of_those_before_each_scoring() {
    let out = tempfile::tempdir().unwrap();
    let request = request("control", None, &[("eval_every", "2")], out.path());
    let run = train(&TrainRequest { checkpoints: Checkpoints::default(), ..request });
    let names = fs::read_dir(run.folder.join("checkpoints")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let expected =
        ["step-000004.safetensors", "step-000006.safetensors", "step-000008.safetensors"];
    assert_eq!(names, expected);
}

#[test]
fn a_finished_run_says_so_and_stays_as_it_is() {
    let out = tempfile::tempdir().unwrap();
    let run = train(&request("control", None, &[], out.path()));
    let before = fs::read(run.folder.join("record.jsonl")).unwrap();
    let again = osn_recipes::resume(&run.folder, &mut Silent).unwrap();
    assert_eq!(again, Resumed::AlreadyFinished(run.clone()));
    assert_eq!(fs::read(run.folder.join("record.jsonl")).unwrap(), before);
}

/// Why a run cannot be resumed.
fn refused(folder: &Path) -> CheckpointError {
    match crate::runs::bad_input(osn_recipes::resume(folder, &mut Silent).unwrap_err()) {
        RunError::Checkpoint(error) => error,
        error => panic!("{error}"),
    }
}

/// A run that was killed at its sixth step, and the same one uncut.
fn killed(out: &Path) -> (PathBuf, Left) {
    let run = train(&request("control", None, &[], out));
    (killed_after(&run.folder, 6, out), Left::of(&run.folder))
}

#[test]
fn a_run_without_a_checkpoint_says_what_to_do() {
    let out = tempfile::tempdir().unwrap();
    let (folder, _) = killed(out.path());
    fs::remove_dir_all(folder.join("checkpoints")).unwrap();
    assert!(matches!(refused(&folder), CheckpointError::None { .. }));
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let out = tempfile::tempdir().unwrap();
    let (folder, whole) = killed(out.path());
    let file = checkpoint(&folder, 6);
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    fs::write(checkpoint(&folder, 5), "").unwrap();
    let mut observer = StopsAfter::steps(STEPS);
    osn_recipes::resume(&folder, &mut observer).unwrap();
    assert_eq!(observer.noticed.len(), 2, "{:?}", observer.noticed);
    let [first, second] = &observer.noticed[..] else { panic!("two are damaged") };
    assert!(first.contains("step-000006.safetensors is damaged: its checksum is wrong; "));
    assert!(second.contains("step-000005.safetensors is no whole checkpoint: "), "{second}");
    Left::of(&folder).must_be(&whole, "from the fourth");
}

#[test]
fn a_checkpoint_without_a_part_is_passed_over_whichever_part_it_is() {
    let out = tempfile::tempdir().unwrap();
    let (folder, whole) = killed(out.path());
    let file = checkpoint(&folder, 6);
    let parts = CheckpointContents::from_bytes(fs::read(&file).unwrap()).unwrap();
    assert!(parts.names().count() > 20);
    for name in parts.names() {
        let folder = killed_after(&folder_of(&whole, out.path()), 6, out.path());
        let mut fewer = parts.clone();
        fewer.remove(name);
        fs::write(checkpoint(&folder, 6), fewer.to_bytes().unwrap()).unwrap();
        let mut observer = StopsAfter::steps(STEPS);
        osn_recipes::resume(&folder, &mut observer).unwrap();
        assert_eq!(observer.noticed.len(), 1, "{name}");
        Left::of(&folder).must_be(&whole, &format!("without {name}"));
    }
}

/// The folder of the uncut run.
fn folder_of(_: &Left, out: &Path) -> PathBuf {
    out.join("control-auto-task=control-s7")
}

#[test]
fn a_record_that_lost_lines_takes_an_older_checkpoint() {
    let out = tempfile::tempdir().unwrap();
    let (folder, whole) = killed(out.path());
    let record = folder.join("record.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    let place = text.find("\"event\":\"step\",\"step\":6").unwrap();
    fs::write(&record, &text[..place]).unwrap();
    let mut observer = StopsAfter::steps(STEPS);
    osn_recipes::resume(&folder, &mut observer).unwrap();
    let noticed = &observer.noticed[0];
    assert!(noticed.starts_with("the record does not begin as it did at"), "{noticed}");
    Left::of(&folder).must_be(&whole, "from the fifth");

    fs::write(&record, "").unwrap();
    let folder = killed_after(&folder, 6, &out.path().join("more"));
    fs::write(folder.join("record.jsonl"), "").unwrap();
    assert!(matches!(refused(&folder), CheckpointError::NoneWhole { .. }));
}

#[test]
fn another_config_rule_or_data_says_what_differs_and_changes_nothing() {
    let out = tempfile::tempdir().unwrap();
    let (folder, _) = killed(out.path());
    let before = described(&folder);
    let resumed = |change: fn(&mut Value)| {
        let mut description = before.clone();
        change(&mut description);
        describe(&folder, &description);
        osn_recipes::resume(&folder, &mut Silent).unwrap_err()
    };
    for (change, key, values) in [
        ((|it| it["config"]["steps"] = json!(9)) as fn(&mut Value), "config.steps", ["8", "9"]),
        (|it| it["seed"] = json!(8), "seed", ["7", "8"]),
        (
            |it| it["rules"][0]["rule"]["interval"] = json!(77),
            "rules.0.rule.interval",
            ["10", "77"],
        ),
    ] {
        let error = resumed(change);
        let RunError::Checkpoint(CheckpointError::Differs { key: of, before, now }) = &error else {
            panic!("{error}")
        };
        assert_eq!((of.as_str(), [before.as_str(), now]), (key, values));
    }
    let error = resumed(|it| it["data"] = json!("elsewhere"));
    let RunError::Checkpoint(CheckpointError::Data { name, before: was, now }) = &error else {
        panic!("{error}")
    };
    assert_eq!([name.as_str(), was, now], ["elsewhere", "elsewhere", "CartPole-v1"]);
    let error = resumed(|it| it["recipe"] = json!("pong"));
    assert!(matches!(&error, RunError::UnknownName { name, .. } if name == "pong"), "{error}");
    describe(&folder, &before);
    assert_eq!(resume(&folder).steps, STEPS);
}

#[test]
fn another_build_or_machine_is_refused_with_each_difference() {
    let out = tempfile::tempdir().unwrap();
    let (folder, whole) = killed(out.path());
    let description = described(&folder);
    let with = |changes: &[(&str, &str, Value)]| {
        let mut description = description.clone();
        for (part, key, value) in changes {
            description[part][key] = value.clone();
        }
        describe(&folder, &description);
    };
    let differences = || match refused(&folder) {
        CheckpointError::Build { differences } => differences,
        error => panic!("{error}"),
    };
    for (part, key, value, expected) in [
        ("versions", "osn", json!("0.0.1"), "osn was 0.0.1 and is "),
        ("versions", "commit", json!("ab".repeat(20)), "commit was abababababab and is "),
        ("versions", "sources", json!("cd".repeat(32)), "sources was cdcdcdcdcdcd and is "),
        ("versions", "lock", json!("ef".repeat(32)), "lock file was efefefefefef and is "),
        ("versions", "burn", json!("0.21.0"), "Burn was 0.21.0 and is 0.22.1"),
        ("versions", "feature_network", json!("12".repeat(32)), "feature network was 121212121212"),
        ("versions", "rustc", json!("1.0.0"), "compiler was 1.0.0 and is 1."),
        ("versions", "target_features", json!(["abacus"]), "target features was abacus and is "),
        ("machine", "arch", json!("abacus"), "processor was abacus and is "),
        ("machine", "features", json!(["beads"]), "processor's features was beads and is "),
    ] {
        with(&[(part, key, value)]);
        assert!(differences().contains(expected), "{}", differences());
    }
    with(&[("versions", "burn", json!("0.21.0")), ("versions", "osn", json!("0.0.1"))]);
    assert!(differences().contains("osn was 0.0.1") && differences().contains("Burn was 0.21.0"));
    // How many cores there are changes no bit.
    with(&[("machine", "n_cores", json!(4096))]);
    assert_eq!(resume(&folder).steps, STEPS);
    assert_eq!(Left::of(&folder).record, whole.record);
}

#[test]
fn a_run_of_another_schema_is_refused_in_one_line() {
    let out = tempfile::tempdir().unwrap();
    let (folder, _) = killed(out.path());
    for schema in [1, SCHEMA + 1] {
        let mut description = described(&folder);
        description["schema"] = json!(schema);
        describe(&folder, &description);
        let error = refused(&folder);
        assert!(
            matches!(error, CheckpointError::Schema { found, .. } if found == schema),
            "{error}"
        );
    }
}

#[test]
fn a_run_of_before_builds_were_written_down_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let (folder, _) = killed(out.path());
    let mut description = described(&folder);
    description["versions"].as_object_mut().unwrap().retain(|key, _| key == "osn" || key == "burn");
    describe(&folder, &description);
    let error = refused(&folder);
    assert!(
        matches!(&error, CheckpointError::Build { differences }
            if differences.contains("commit was unknown and is ")),
        "{error}"
    );
}

/// A folder of pictures that training takes.
fn pictures(folder: &Path) {
    crate::files::fill(folder, 60, 28, |index| [9, index, 200]);
}

fn draw(folder: &Path, index: u8, red: u8) {
    let picture = image::RgbImage::from_pixel(28, 28, image::Rgb([red, index, 200]));
    crate::files::save(folder, &format!("{index:03}.png"), &picture);
}

/// A run on a folder of pictures.
fn trained_on(images: &Path, out: &Path) -> RunSummary {
    train(&on(images, request("gan", None, &[], out)))
}

/// A path as it is typed from here.
#[cfg(unix)]
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    up.join(path.strip_prefix("/").unwrap())
}

#[test]
fn other_pictures_in_the_folder_are_refused_wherever_they_are_used() {
    let (images, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    pictures(images.path());
    let run = trained_on(images.path(), out.path());
    let again = |step| killed_after(&run.folder, step, out.path());
    assert_eq!(resume(&again(6)).steps, STEPS);
    // Every sixth picture only tests.
    for index in [7, 5] {
        draw(images.path(), index, 10);
        assert!(matches!(refused(&again(4)), CheckpointError::Data { .. }));
        draw(images.path(), index, 9);
    }
    fs::rename(images.path().join("003.png"), images.path().join("003b.png")).unwrap();
    assert_eq!(resume(&again(5)).steps, STEPS, "the same pictures in the same order");
    fs::rename(images.path().join("003b.png"), images.path().join("099.png")).unwrap();
    assert!(matches!(refused(&again(4)), CheckpointError::Data { .. }), "in another order");
}

#[cfg(unix)]
#[test]
fn however_a_folder_is_spelled_it_is_the_same_data_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let images = place.path().join("photos");
    pictures(&images);
    let (link, copy) = (place.path().join("link"), place.path().join("copy"));
    std::os::unix::fs::symlink(&images, &link).unwrap();
    pictures(&copy);
    let spellings = [
        images.clone(),
        relative(&images),
        place.path().join("./copy/../photos/"),
        link.clone(),
        copy,
    ];
    let mut found = Vec::new();
    for spelling in spellings {
        let run = trained_on(&spelling, place.path());
        let description = described(&run.folder);
        found.push((description["asked_data"].clone(), description["data_sha256"].clone()));
        assert_eq!(resume(&killed_after(&run.folder, 6, place.path())).steps, STEPS);
    }
    let whole = fs::canonicalize(&images).unwrap();
    assert!(found[..4].iter().all(|(name, _)| *name == json!(whole)), "{found:?}");
    assert!(found.iter().all(|(_, sha256)| *sha256 == found[0].1), "{found:?}");
}

#[test]
fn a_folder_that_is_gone_is_named_and_put_back_it_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let [images, away] = ["photos", "away"].map(|name| place.path().join(name));
    pictures(&images);
    let run = trained_on(&images, place.path());
    let folder = killed_after(&run.folder, 4, place.path());
    fs::rename(&images, &away).unwrap();
    let error = refused(&folder);
    assert!(matches!(&error, CheckpointError::NoData { path } if *path == images), "{error}");
    fs::rename(&away, &images).unwrap();
    assert_eq!(resume(&folder).steps, STEPS);
}

/// Takes the folder for pictures away, as a disk that is gone does.
struct Unplugs(Option<PathBuf>);

impl Observer for Unplugs {
    fn started(&mut self, start: &RunStart) {
        self.0 = Some(start.folder.to_owned());
    }
    fn progress(&mut self, progress: &Progress) {
        if progress.step == 4 {
            fs::remove_dir_all(self.0.as_ref().unwrap().join("samples")).unwrap();
        }
    }
}

#[test]
fn what_a_disk_did_to_a_run_is_no_failure_of_it_and_it_goes_on() {
    let out = tempfile::tempdir().unwrap();
    let request = request("gan", None, &[], out.path());
    let whole = Left::of(&train(&request).folder);
    let mut observer = Unplugs(None);
    let error = osn_recipes::train(&request, &mut observer).unwrap_err();
    assert!(!error.is_of_training(), "{error}");
    let folder = observer.0.unwrap();
    let status =
        || RunFolder::open(&folder).unwrap().description::<RunDescription>().unwrap().status;
    assert_eq!(status(), RunStatus::Interrupted);
    fs::create_dir(folder.join("samples")).unwrap();
    assert_eq!(resume(&folder).steps, STEPS);
    assert_eq!(status(), RunStatus::Finished);
    assert_eq!(Left::of(&folder).record, whole.record);
}

#[test]
fn no_run_is_made_inside_another_and_nothing_is_left_of_the_wish() {
    let out = tempfile::tempdir().unwrap();
    let run = train(&request("control", None, &[], out.path()));
    let count = |path: &Path| fs::read_dir(path).unwrap().count();
    let before = count(&run.folder);
    for inside in ["", "samples", "new"] {
        let error = crate::runs::refused(&request("control", None, &[], &run.folder.join(inside)));
        assert!(matches!(error, RunError::Folder(FolderError::InsideRun { .. })), "{error}");
    }
    assert_eq!((count(&run.folder), count(&run.folder.join("samples"))), (before, 0));
}

#[test]
fn a_run_that_is_being_written_is_refused_with_the_process() {
    let out = tempfile::tempdir().unwrap();
    let (folder, _) = killed(out.path());
    let lock = RunFolder::open(&folder).unwrap().lock().unwrap();
    let error = osn_recipes::resume(&folder, &mut Silent).unwrap_err();
    let RunError::Folder(FolderError::InUse { pid, .. }) = &error else { panic!("{error}") };
    assert_eq!(pid.split(' ').next(), Some(std::process::id().to_string().as_str()), "{pid}");
    drop(lock);
    assert_eq!(resume(&folder).steps, STEPS);
}

#[test]
fn rules_from_a_file_go_on_though_the_file_is_gone() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("mine.toml");
    fs::write(&file, "[[rule]]\nrule = \"cap\"\ninterval = 2\n").unwrap();
    let run = train(&request("gan", file.to_str(), &[], out.path()));
    let folder = killed_after(&run.folder, 4, out.path());
    fs::remove_file(file).unwrap();
    resume(&folder);
    Left::of(&folder).must_be(&Left::of(&run.folder), "without its file");
}
