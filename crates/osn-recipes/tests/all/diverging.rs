//! Training that goes nowhere is noticed, written down, and ends the run; what was good is kept.

use std::fs;
use std::path::{Path, PathBuf};

use osn_recipes::run::checkpoint::contents::CheckpointContents;
use osn_recipes::run::checkpoint::directory::CheckpointDir;
use osn_recipes::run::checkpoint::schedule::Checkpoints;
use osn_recipes::run::description::{RunDescription, RunStatus};
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::Silent;
use osn_recipes::run::request::TrainRequest;
use osn_runs::folder::RunFolder;
use osn_runs::record::read_record;

fn request(recipe: &str, more: &[(&str, &str)], out: &Path) -> TrainRequest {
    let checkpoints = Checkpoints { every: Some(1), keep: 3 };
    TrainRequest {
        checkpoints,
        ..crate::runs::under("never", crate::runs::request(recipe, more, out))
    }
}

/// The only run in a folder of runs.
fn run_in(out: &Path) -> RunFolder {
    let only: Vec<_> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(only.len(), 1);
    RunFolder::open(&only[0]).unwrap()
}

fn checkpoints(folder: &RunFolder) -> Vec<PathBuf> {
    CheckpointDir::of(folder).list().into_iter().map(|(_, file)| file).collect()
}

#[test]
fn a_discriminator_that_has_won_ends_the_run_and_ends_it_again_after_a_resume() {
    let out = tempfile::tempdir().unwrap();
    let unequal = [
        ("learning_rate", "0.01"),
        ("n_dis", "9"),
        ("d_channels", "16"),
        ("steps", "2000"),
        ("eval_every", "2000"),
        ("saturated_after", "3"),
    ];
    let error = osn_recipes::train(&request("gan", &unequal, out.path()), &mut Silent).unwrap_err();
    let RunError::Saturated { since, step, .. } = error else { panic!("{error}") };
    assert!(step == since + 3 && !error.is_bad_input(), "{error}");

    let folder = run_in(out.path());
    let description = folder.description::<RunDescription>().unwrap();
    assert_eq!(
        (description.status, description.error),
        (RunStatus::Failed, Some(error.to_string()))
    );
    let record = read_record(&folder.record_path()).unwrap();
    assert!(format!("{:?}", record.events).contains(&format!("Step {{ step: {step},")), "the last");
    assert_eq!(CheckpointDir::of(&folder).list()[0].0, step - 1);
    let again = osn_recipes::resume(folder.path(), &mut Silent).unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
}

#[test]
fn a_discriminator_that_is_allowed_to_win_trains_on() {
    let out = tempfile::tempdir().unwrap();
    // A limit that one step reaches.
    let soon = [("saturated_after", "0"), ("learning_rate", "0.01"), ("n_dis", "9")];
    let soon = [&soon[..], &[("steps", "400"), ("eval_every", "400")]].concat();
    let error = osn_recipes::train(&request("gan", &soon, out.path()), &mut Silent).unwrap_err();
    let RunError::Saturated { step, .. } = error else { panic!("{error}") };
    let steps = (step + 1).to_string();
    let never = [("saturated_after", "null"), ("steps", &steps), ("eval_every", &steps)];
    let never = [&soon[..], &never].concat();
    let run = crate::runs::train(&request("gan", &never, &out.path().join("on")));
    assert_eq!((run.status, run.steps), (RunStatus::Finished, step + 1));
}

#[test]
fn no_checkpoint_has_a_number_gone_bad_and_those_before_stay() {
    let mut n_kept = 0;
    for (recipe, rate) in [
        ("gan", "1e10"),
        ("cgan", "1e10"),
        ("translate", "1e10"),
        ("control", "1e30"),
        ("classify", "1e30"),
    ] {
        let out = tempfile::tempdir().unwrap();
        // Nobody looks at a loss before the end.
        let wild = [("learning_rate", rate), ("steps", "40"), ("log_every", "40")];
        let network: &[_] = if recipe == "classify" { &[("network", "mlp")] } else { &[] };
        let wild = [&wild[..], &[("eval_every", "40")], network].concat();
        let request = request(recipe, &wild, out.path());
        let error = osn_recipes::train(&request, &mut Silent).unwrap_err();
        let RunError::NonFinite { step, .. } = error else { panic!("{recipe}: {error}") };
        let folder = run_in(out.path());
        assert_eq!(folder.description::<RunDescription>().unwrap().status, RunStatus::Failed);
        let files = checkpoints(&folder);
        assert_eq!(files.len() as u64, (step - 1).min(3), "{recipe}: {error}");
        n_kept += files.len();
        for file in files {
            let parts = CheckpointContents::from_bytes(fs::read(&file).unwrap()).unwrap();
            assert_eq!(parts.non_finite(), None, "{recipe}: {}", file.display());
        }
    }
    assert!(n_kept > 0, "every one ended at once: nothing is tested");
}
