//! The grid: what is to be run, in which order, and what each run should say of itself.

use std::path::{Path, PathBuf};

use osn_recipes::run::{RecipeDoc, RunDescription, TrainRequest};
use osn_report::study::{Arm, Asked, Regime, SCHEMA, Study, StudyRun};
use serde_json::json;

use super::{arms, regimes};
use crate::args::{CompareArgs, TrainArgs};
use crate::failure::Failure;

/// Where studies go unless told.
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
}

/// One run of the grid.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) arm: String,
    pub(super) regime: String,
    pub(super) seed: u64,
    /// What `osn train` is asked for.
    pub(super) request: TrainRequest,
    /// What its `run.json` says at the start, but for its data and its time.
    pub(super) expected: RunDescription,
}

impl Plan {
    /// Checks all that can be checked before the first run.
    pub(super) fn of(args: &CompareArgs) -> Result<Self, Failure> {
        let recipe = osn_recipes::recipe(&args.recipe)?;
        let asked = asked(args, &recipe)?;
        let out = args.out.clone().unwrap_or_else(|| Path::new(DEFAULT_OUT).join(recipe.name));
        let cells = cells(args, &asked, &out)?;
        let runs = cells.iter().map(|it| StudyRun::missing(&it.arm, &it.regime, it.seed)).collect();
        let Some(first) = cells.first() else {
            return Err(Failure::bad_input("no seed, no run: --seeds takes a number from 1 up"));
        };
        let (versions, machine) = (json!(first.expected.versions), json!(first.expected.machine));
        let study = Study { schema: SCHEMA, asked, versions, machine, runs };
        Ok(Self { study, cells, out, n_jobs: args.jobs.unwrap_or_else(default_jobs) })
    }
}

/// Half the cores: a run keeps about two busy.
fn default_jobs() -> usize {
    (n_cores() / 2).max(1)
}

pub(super) fn n_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn asked(args: &CompareArgs, recipe: &RecipeDoc) -> Result<Asked, Failure> {
    let default = || vec![recipe.decides[0].to_owned(), "always".to_owned(), "never".to_owned()];
    let decide = if args.decide.is_empty() { default() } else { args.decide.clone() };
    Ok(Asked {
        recipe: recipe.name.to_owned(),
        preset: args.preset.clone(),
        data: args.data.clone(),
        device: args.device.clone(),
        settings: args.settings.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        arms: arms::read(&decide)?,
        regimes: regimes::read(args.regime.as_deref())?,
        seeds: (1..=args.seeds).collect(),
        metric: recipe.headline.to_owned(),
        higher_is_better: recipe.higher_is_better,
    })
}

/// Seed after seed, so that a study that is stopped early has whole pairs.
fn cells(args: &CompareArgs, asked: &Asked, out: &Path) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    for &seed in &asked.seeds {
        for regime in &asked.regimes {
            for arm in &asked.arms {
                cells.push(cell(args, regime, arm, seed, out)?);
            }
        }
    }
    Ok(cells)
}

fn cell(
    args: &CompareArgs,
    regime: &Regime,
    arm: &Arm,
    seed: u64,
    out: &Path,
) -> Result<Cell, Failure> {
    let of_regime = regime.settings.iter().filter_map(|setting| setting.split_once('='));
    let of_regime = of_regime.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let request = TrainRequest {
        recipe: args.recipe.clone(),
        preset: args.preset.clone(),
        decide: Some(arm.name.clone()),
        data: args.data.clone(),
        seed,
        settings: args.settings.iter().cloned().chain(of_regime).collect(),
        out: out.join("runs").join(&regime.name),
        device: args.device.clone(),
        ..TrainRequest::default()
    };
    let expected = osn_recipes::describe(&request).map_err(|error| match args.regime {
        Some(_) => Failure::bad_input(format!("regime {}: {error}", regime.name)),
        None => error.into(),
    })?;
    let (arm, regime) = (arm.name.clone(), regime.name.clone());
    Ok(Cell { arm, regime, seed, request, expected })
}

impl Cell {
    /// `auto · fast · seed 3`.
    pub(super) fn label(&self) -> String {
        let seed = format!("seed {}", self.seed);
        let regime = (self.regime != regimes::DEFAULT).then_some(self.regime.as_str());
        let parts: Vec<&str> = [self.arm.as_str()].into_iter().chain(regime).collect();
        format!("{} · {seed}", parts.join(" · "))
    }

    /// The same run as `osn train` takes it.
    pub(super) fn train_args(&self) -> TrainArgs {
        let TrainRequest { recipe, preset, decide, data, seed, settings, out, device, .. } =
            self.request.clone();
        TrainArgs {
            recipe,
            decide,
            preset,
            data,
            seed,
            settings,
            out,
            device,
            ..TrainArgs::default()
        }
    }

    /// Whether a run's `run.json` is that of this run: the same config under the same rules and
    /// view with the same seed, made by the same version.
    pub(super) fn is(&self, found: &RunDescription) -> bool {
        let key = |it: &RunDescription| {
            let RunDescription {
                schema, recipe, rules, view, seed, device, config, versions, ..
            } = it;
            json!([schema, recipe, rules, view, seed, device, config, versions])
        };
        key(&self.expected) == key(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> CompareArgs {
        CompareArgs {
            recipe: "control".into(),
            decide: vec!["never,always".into()],
            seeds: 2,
            jobs: None,
            preset: None,
            settings: vec![("steps".into(), "7".into()), ("memory".into(), "9".into())],
            data: None,
            device: None,
            regime: None,
            out: Some("out".into()),
            json: false,
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
        assert_eq!(last.request.out, Path::new("out/runs/b"));
        // A regime has the last word.
        assert_eq!(last.expected.config["memory"], 5);
        assert_eq!(last.expected.config["steps"], 7);
        assert_eq!((plan.study.runs[7].arm.as_str(), plan.study.runs[7].seed), ("always", 2));
    }

    #[test]
    fn the_example_of_regimes_is_one_for_gan() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/regimes.toml");
        let recipe = "gan".to_owned();
        let args =
            CompareArgs { recipe, settings: Vec::new(), regime: Some(file.into()), ..args() };
        let plan = Plan::of(&args).unwrap();
        let narrow = plan.cells.iter().find(|cell| cell.regime == "narrow").unwrap();
        assert_eq!(narrow.expected.config["d_channels"], 8);
    }

    #[test]
    fn another_setting_rule_view_seed_or_version_is_another_run() {
        let cell = &Plan::of(&args()).unwrap().cells[0];
        let same = cell.expected.clone();
        assert!(cell.is(&RunDescription {
            data: "any".into(),
            started_unix_secs: 1,
            ..same.clone()
        }));
        let mut other = same.clone();
        other.config["steps"] = json!(8);
        assert!(!cell.is(&other));
        assert!(!cell.is(&RunDescription { seed: 2, ..same.clone() }));
        assert!(!cell.is(&RunDescription { rules: json!([]), ..same.clone() }));
        let view = Some(osn_core::View::Bidirectional);
        assert!(!cell.is(&RunDescription { view, ..same.clone() }));
        let mut other = same;
        other.versions.osn = "0.0.0".into();
        assert!(!cell.is(&other));
    }
}
