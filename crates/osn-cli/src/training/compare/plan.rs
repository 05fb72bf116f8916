//! The grid: which runs, in which order, and what the `run.json` of each says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use osn_recipes::data::need::Need;
use osn_recipes::run::description::RunDescription;
use osn_recipes::run::error::RunError;
use osn_recipes::run::recipe_doc::RecipeDoc;
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::trained_on::TrainedOn;
use osn_recipes::run::versions::Machine;
use osn_report::study::{Arm, Asked, Identity, Regime, RegimeIdentity, SCHEMA, Study, StudyRun};
use osn_runs::folder::must_not_be_in_a_run;
use serde_json::json;

use super::{arms, regimes};
use crate::failure::Failure;
use crate::training::args::{CompareArgs, TrainArgs};
use crate::training::train::request;

/// The most runs of a study: the grid is made before the first of them.
const MAX_RUNS: usize = 10_000;

/// How many threads a process computes with.
pub(super) const THREADS: &str = "RAYON_NUM_THREADS";

/// The folder of studies.
const DEFAULT_OUT: &str = "studies";

/// A study as it is asked for.
pub(super) struct Plan {
    /// The study with every run missing.
    pub(super) study: Study,
    /// Its runs, in the order in which they are run, which is that of the study.
    pub(super) cells: Vec<Cell>,
    /// The study's folder.
    pub(super) out: PathBuf,
    /// Runs at once.
    pub(super) n_jobs: usize,
    /// Threads that a run computes with.
    pub(super) n_threads: usize,
}

/// One run of the grid.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) arm: String,
    pub(super) regime: String,
    /// The arguments of `osn train` for it.
    pub(super) args: TrainArgs,
    /// What its `run.json` says at the start, but for its time.
    pub(super) expected: RunDescription,
}

impl Plan {
    /// Checks all that can be checked before the first run; reads the data for their SHA-256.
    pub(super) fn of(args: &CompareArgs) -> Result<Self, Failure> {
        let recipe = osn_recipes::recipe(&args.recipe)?;
        let out = folder(args);
        must_not_be_in_a_run(&out).map_err(RunError::from)?;
        let read = arms::read(&decide(args, &recipe))?;
        let asked = asked(args, &recipe, read.iter().map(|read| read.arm.clone()).collect())?;
        must_be_few(&asked)?;
        let kinds = kinds(args, &asked, &out)?;
        must_differ(&kinds)?;
        let Some(first) = kinds.first() else {
            return Err(Failure::bad_input("there is no regime to train in"));
        };
        let asked = Asked { data: first.expected.asked_data.clone(), ..asked };
        let arms = read.into_iter().map(|read| (read.arm.name, read.identity)).collect();
        let identity = identity(arms, &kinds);
        let n_jobs = args.jobs.unwrap_or_else(default_jobs);
        let n_threads = threads(args, n_jobs);
        let machine = Machine { threads: n_threads, ..first.expected.machine.clone() };
        let (versions, machine) = (json!(first.expected.versions), json!(machine));
        let cells = cells(&asked.seeds, &kinds);
        let runs = cells.iter().map(|it| StudyRun::missing(&it.arm, &it.regime, it.args.seed));
        let runs = runs.collect();
        let study = Study { schema: SCHEMA, asked, identity, versions, machine, runs };
        Ok(Self { study, cells, out, n_jobs, n_threads })
    }
}

/// The study's folder.
pub(super) fn folder(args: &CompareArgs) -> PathBuf {
    args.out.clone().unwrap_or_else(|| Path::new(DEFAULT_OUT).join(&args.recipe))
}

/// Threads that a run computes with: those that were asked for, else what the environment says, else a share of the
/// cores, since processes that each use every core slow each other down.
fn threads(args: &CompareArgs, n_jobs: usize) -> usize {
    let of_environment = || std::env::var(THREADS).ok()?.parse().ok().filter(|&it| it > 0);
    args.threads.or_else(of_environment).unwrap_or_else(|| (n_cores() / n_jobs).max(1))
}

/// A cell before it has its seed.
type Kind = Cell;

/// A run of each kind with each seed; seed after seed, so that a study that is stopped early has whole
/// pairs.
fn cells(seeds: &[u64], kinds: &[Kind]) -> Vec<Cell> {
    seeds.iter().flat_map(|&seed| kinds.iter().map(move |kind| kind.with(seed))).collect()
}

fn must_be_few(asked: &Asked) -> Result<(), Failure> {
    let counts = [asked.arms.len(), asked.regimes.len(), asked.seeds.len()];
    let n_runs = counts.into_iter().try_fold(1, usize::checked_mul);
    if n_runs.is_some_and(|n_runs| n_runs <= MAX_RUNS) {
        return Ok(());
    }
    let [n_arms, n_regimes, n_seeds] = counts;
    Err(Failure::bad_input(format!(
        "{n_arms} rules, {n_regimes} regimes and {n_seeds} seeds make more than {MAX_RUNS} runs; ask \
         for fewer"
    )))
}

/// Two regimes of one config would be one that is counted twice.
fn must_differ(kinds: &[Kind]) -> Result<(), Failure> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for kind in kinds {
        let first = *seen.entry(kind.expected.config.to_string()).or_insert(&kind.regime);
        if first != kind.regime {
            let later = &kind.regime;
            return Err(Failure::bad_input(format!(
                "the regimes {first} and {later} have the same config; remove one of them"
            )));
        }
    }
    Ok(())
}

fn identity(arms: BTreeMap<String, serde_json::Value>, kinds: &[Kind]) -> Identity {
    let of_regime = |Cell { regime, expected, .. }: &Kind| {
        let RunDescription { config, data, data_sha256, .. } = expected.clone();
        (regime.clone(), RegimeIdentity { config, data, data_sha256 })
    };
    let device = kinds.first().map(|kind| kind.expected.device.clone()).unwrap_or_default();
    Identity { device, arms, regimes: kinds.iter().map(of_regime).collect() }
}

/// Half the cores: a run keeps about two busy.
fn default_jobs() -> usize {
    (n_cores() / 2).max(1)
}

fn n_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The rules of `--decide`, else the recipe's own, `always` and `never`.
fn decide(args: &CompareArgs, recipe: &RecipeDoc) -> Vec<String> {
    if !args.decide.is_empty() {
        return args.decide.clone();
    }
    let own = recipe.decides[0];
    let others = ["always", "never"].into_iter().filter(|rule| *rule != own);
    [own].into_iter().chain(others).map(str::to_owned).collect()
}

fn asked(args: &CompareArgs, recipe: &RecipeDoc, arms: Vec<Arm>) -> Result<Asked, Failure> {
    let regimes = regimes::read(args.regime.as_deref())?;
    must_have_effect(args, &regimes)?;
    Ok(Asked {
        recipe: recipe.name.to_owned(),
        preset: args.preset.clone(),
        data: args.data.clone(),
        device: args.device.clone(),
        settings: args.settings.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        arms,
        regimes,
        seeds: args.seeds.clone().collect(),
        metric: recipe.primary_metric.to_owned(),
        higher_is_better: recipe.higher_is_better,
    })
}

/// A regime overrides `--set`: a setting that every regime has is refused there.
fn must_have_effect(args: &CompareArgs, regimes: &[Regime]) -> Result<(), Failure> {
    let Some(file) = &args.regime else { return Ok(()) };
    let sets = |regime: &Regime, key: &str| {
        regime.settings.iter().any(|it| it.split_once('=').is_some_and(|(name, _)| name == key))
    };
    let is_idle = |key: &str| regimes.iter().all(|regime| sets(regime, key));
    match args.settings.iter().find(|(key, _)| is_idle(key)) {
        None => Ok(()),
        Some((key, _)) => Err(Failure::bad_input(format!(
            "--set {key} has no effect: every regime of the study {} sets {key}; leave it out",
            file.display()
        ))),
    }
}

/// Every arm in every regime.
fn kinds(args: &CompareArgs, asked: &Asked, out: &Path) -> Result<Vec<Kind>, Failure> {
    let mut data = Known::default();
    let mut kinds = Vec::new();
    for regime in &asked.regimes {
        for arm in &asked.arms {
            let kind = kind(args, regime, arm, out, &mut data);
            kinds.push(kind.map_err(|error| match args.regime {
                Some(_) => Failure::from(error).of(format_args!("regime {}", regime.name)),
                None => error.into(),
            })?);
        }
    }
    Ok(kinds)
}

fn kind(
    args: &CompareArgs,
    regime: &Regime,
    arm: &Arm,
    out: &Path,
    data: &mut Known,
) -> Result<Kind, RunError> {
    let of_regime = regime.settings.iter().filter_map(|setting| setting.split_once('='));
    let of_regime = of_regime.map(|(key, value)| (key.to_owned(), value.to_owned()));
    // A regime overrides `--set`.
    let settings: BTreeMap<_, _> = args.settings.iter().cloned().chain(of_regime).collect();
    let mut args = TrainArgs {
        recipe: args.recipe.clone(),
        preset: args.preset.clone(),
        decide: Some(arm.name.clone()),
        data: args.data.clone(),
        settings: settings.into_iter().collect(),
        out: out.join("runs").join(&regime.name),
        device: args.device.clone(),
        ..TrainArgs::default()
    };
    let request = request(&args);
    let data = data.of(&request)?;
    let expected = osn_recipes::describe(&request)?.on(data);
    args.data.clone_from(&data.name);
    let (arm, regime) = (arm.name.clone(), regime.name.clone());
    Ok(Cell { arm, regime, args, expected })
}

/// The data that were read before.
#[derive(Default)]
struct Known(Vec<(Need, TrainedOn)>);

impl Known {
    /// The data of a run; read once for all runs of the same data.
    fn of(&mut self, request: &TrainRequest) -> Result<&TrainedOn, RunError> {
        let need = osn_recipes::need(request)?;
        let known = self.0.iter().position(|(known, _)| *known == need);
        let place = known.unwrap_or(self.0.len());
        if known.is_none() {
            let trained_on = need.trained_on(request)?;
            self.0.push((need, trained_on));
        }
        Ok(&self.0[place].1)
    }
}

impl Cell {
    /// The cell with a seed.
    fn with(&self, seed: u64) -> Self {
        let mut cell = self.clone();
        (cell.args.seed, cell.expected.seed) = (seed, seed);
        cell
    }

    /// `auto · fast · seed 3`.
    pub(super) fn label(&self) -> String {
        let seed = format!("seed {}", self.args.seed);
        let regime = (self.regime != regimes::DEFAULT).then_some(self.regime.as_str());
        let parts: Vec<&str> = [self.arm.as_str()].into_iter().chain(regime).collect();
        format!("{} · {seed}", parts.join(" · "))
    }

    /// Whether a run's `run.json` is that of this run: the same config under the same rules and
    /// view with the same seed on the same data, made by the same build.
    pub(super) fn is(&self, found: &RunDescription) -> bool {
        self.key() == key(found)
    }

    /// What distinguishes its run from all others.
    pub(super) fn key(&self) -> String {
        key(&self.expected)
    }
}

/// What distinguishes a run from all others: two descriptions with the same key are of the same run.
pub(super) fn key(it: &RunDescription) -> String {
    let RunDescription { schema, recipe, rules, view, seed, device, config, versions, .. } = it;
    let rules = arms::identity(rules, view.as_ref());
    json!([schema, recipe, rules, seed, device, config, versions, it.data_identity()]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> CompareArgs {
        CompareArgs {
            recipe: "control".into(),
            decide: vec!["never,always".into()],
            seeds: 1..=2,
            settings: vec![("steps".into(), "7".into()), ("memory".into(), "9".into())],
            out: Some("out".into()),
            ..CompareArgs::default()
        }
    }

    #[test]
    fn the_grid_goes_seed_after_seed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("regimes.toml");
        let text = "regime = [{name = \"a\"}, {name = \"b\", set = {memory = 5}}]";
        std::fs::write(&file, text).unwrap();
        let plan = Plan::of(&CompareArgs { regime: Some(file), ..args() }).unwrap();
        let labels: Vec<_> = plan.cells.iter().map(Cell::label).collect();
        let expected = [
            "never · a · seed 1",
            "always · a · seed 1",
            "never · b · seed 1",
            "always · b · seed 1",
            "never · a · seed 2",
            "always · a · seed 2",
            "never · b · seed 2",
            "always · b · seed 2",
        ];
        assert_eq!(labels, expected);
        let last = &plan.cells[7];
        assert_eq!(last.args.out, Path::new("out/runs/b"));
        // A regime overrides `--set`.
        assert_eq!(last.expected.config["memory"], 5);
        assert_eq!(last.expected.config["steps"], 7);
        assert_eq!((plan.study.runs[7].arm.as_str(), plan.study.runs[7].seed), ("always", 2));
    }

    #[test]
    fn a_study_without_rules_is_of_the_recipes_own_and_of_always_and_never() {
        let arms = |recipe: &str| {
            let (recipe, decide, settings) = (recipe.to_owned(), Vec::new(), Vec::new());
            let plan = Plan::of(&CompareArgs { recipe, decide, settings, ..args() }).unwrap();
            let names = plan.study.asked.arms.into_iter().map(|arm| arm.name);
            names.collect::<Vec<String>>()
        };
        assert_eq!(arms("gan"), ["auto", "always", "never"]);
        assert_eq!(arms("nmt"), ["auto:task=sequence", "always", "never"]);
    }

    #[test]
    fn the_examples_of_regimes_are_some_for_their_recipes() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let config = |recipe: &str, preset: &str, file: &str, regime: &str| {
            let (recipe, preset) = (recipe.to_owned(), Some(preset.to_owned()));
            let (settings, file) = (Vec::new(), Some(examples.join(file)));
            let args = CompareArgs { recipe, preset, settings, regime: file, ..args() };
            let mut cells = Plan::of(&args).unwrap().cells.into_iter();
            cells.find(|cell| cell.regime == regime).unwrap().expected.config
        };
        assert_eq!(config("gan", "quick", "regimes.toml", "narrow")["d_channels"], 8);
        let f = config("gan", "quick", "gan_regimes.toml", "F");
        assert_eq!((&f["beta_1"], &f["n_dis"]), (&json!(0.9_f32), &json!(5)));
        assert_eq!(config("cgan", "quick", "gan_regimes.toml", "deep")["d_extra_layers"], 4);
        let faster = config("nmt", "deep", "nmt_regimes.toml", "faster");
        assert_eq!((&faster["change_at"], &faster["steps"]), (&json!(151), &json!(300)));
    }

    #[test]
    fn another_setting_rule_view_seed_build_or_data_is_another_run() {
        let cell = &Plan::of(&args()).unwrap().cells[0];
        let same = cell.expected.clone();
        assert!(cell.is(&RunDescription { started_unix_secs: 1, ..same.clone() }));
        let reshaped = Some(osn_core::layer::View::Reshaped);
        assert!(cell.is(&RunDescription { view: reshaped, ..same.clone() }), "as it is without");
        assert!(!cell.is(&RunDescription { data_sha256: Some("ab".into()), ..same.clone() }));
        let mut other = same.clone();
        other.config["steps"] = json!(8);
        assert!(!cell.is(&other));
        assert!(!cell.is(&RunDescription { seed: 2, ..same.clone() }));
        assert!(!cell.is(&RunDescription { rules: json!([]), ..same.clone() }));
        let view = Some(osn_core::layer::View::Bidirectional);
        assert!(!cell.is(&RunDescription { view, ..same.clone() }));
        for change in [
            |it: &mut RunDescription| it.versions.osn = "0.0.0".into(),
            |it: &mut RunDescription| it.versions.commit = "another".into(),
            |it: &mut RunDescription| it.versions.lock = "another".into(),
            |it: &mut RunDescription| it.versions.burn = "0.0.0".into(),
        ] {
            let mut other = same.clone();
            change(&mut other);
            assert!(!cell.is(&other));
        }
    }

    #[test]
    fn the_same_pictures_are_known_however_their_folder_is_called() {
        let images = tempfile::tempdir().unwrap();
        let [here, moved] = ["here", "moved"].map(|name| images.path().join(name));
        for folder in [&here, &moved] {
            std::fs::create_dir(folder).unwrap();
            for place in 0..40_u8 {
                let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([place, 7, 9]));
                picture.save(folder.join(format!("{place:02}.png"))).unwrap();
            }
        }
        let plan = |folder: &Path| {
            let data = Some(folder.to_str().unwrap().to_owned());
            let settings = Vec::new();
            Plan::of(&CompareArgs { recipe: "gan".into(), settings, data, ..args() }).unwrap()
        };
        let (cell, other) = (&plan(&here).cells[0], &plan(&moved).cells[0]);
        assert!(cell.is(&other.expected) && cell.expected.data != other.expected.data);
        let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([255, 7, 9]));
        picture.save(moved.join("05.png")).unwrap();
        assert!(!cell.is(&plan(&moved).cells[0].expected), "one test picture is another");
    }

    #[test]
    fn regimes_of_one_config_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("regimes.toml");
        let text = "regime = [{name = \"a\", set = {memory = 5}}, {name = \"b\"}, \
                    {name = \"c\", set = {memory = 9}}]";
        std::fs::write(&file, text).unwrap();
        let refused = Plan::of(&CompareArgs { regime: Some(file), ..args() }).err();
        let message = refused.map(|failure| failure.one_line()).unwrap_or_default();
        assert!(message.contains("b and c"), "{message}");
    }

    #[test]
    fn more_runs_than_can_be_are_refused_before_they_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("regimes.toml");
        let regimes: Vec<_> =
            (1..=60).map(|at| format!("[[regime]]\nname = \"r{at}\"\n")).collect();
        std::fs::write(&file, regimes.concat()).unwrap();
        let args = CompareArgs { regime: Some(file), seeds: 1..=1000, ..args() };
        assert!(Plan::of(&args).is_err());
    }

    #[test]
    fn no_study_is_made_inside_a_run() {
        let out = tempfile::tempdir().unwrap();
        for file in ["run.json", "record.jsonl"] {
            std::fs::write(out.path().join(file), "").unwrap();
        }
        let args = CompareArgs { out: Some(out.path().join("new")), ..args() };
        assert!(Plan::of(&args).is_err());
    }
}
