//! Runs of several workers, held against the same runs of one: every number of the last checkpoint, the record and the
//! pictures. The workers are threads.

use std::fs;
use std::path::Path;

use osn::workers::{TeamError, Threads, Workers};
use osn_recipes::run::description::RunStatus;
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::{Observer, Silent};
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::summary::RunSummary;
use osn_runs::event::Event;

use crate::resume::{Left, STEPS, request, went_on};
use crate::runs::{StopsAfter, events, train};

/// Each batch is of eight.
const SHARDS: (&str, &str) = ("shards", "4");

/// What each of so many workers comes to; worker 0 has an observer.
fn on<T: Send>(
    workers: usize,
    observer: impl Fn() -> Box<dyn Observer> + Sync,
    work: impl Fn(Box<dyn Workers>, &mut dyn Observer) -> T + Sync,
) -> Vec<T> {
    Threads::run(workers, |workers| match workers.rank() {
        0 => work(Box::new(workers), &mut *observer()),
        _ => work(Box::new(workers), &mut Silent),
    })
}

fn silent() -> Box<dyn Observer> {
    Box::new(Silent)
}

/// The run of so many workers.
fn trained(workers: usize, request: &TrainRequest) -> RunSummary {
    let all = on(workers, silent, |workers, observer| {
        osn_recipes::train_with(workers, request, observer).unwrap()
    });
    assert!(all[1..].iter().all(|other| other.steps == STEPS && other.folder == Path::new("")));
    all.into_iter().next().unwrap()
}

/// Runs of 1 to 4 workers leave the same; and one that is stopped on 3 and goes on on 2.
fn any_number_of_workers_leaves_the_same(
    recipe: &str,
    decide: Option<&str>,
    more: &[(&str, &str)],
) {
    let out = tempfile::tempdir().unwrap();
    let request = request(recipe, decide, &[&[SHARDS], more].concat(), out.path());
    let alone = Left::of(&train(&request).folder);
    for workers in 2..=4 {
        let run = trained(workers, &request);
        Left::of(&run.folder).must_be(&alone, &format!("{recipe} {decide:?}, {workers} workers"));
    }
    let stops = || -> Box<dyn Observer> { Box::new(StopsAfter::steps(3)) };
    let cut = on(3, stops, |workers, observer| {
        osn_recipes::train_with(workers, &request, observer).unwrap()
    });
    // The others hear of it in the step after.
    assert!(cut.iter().all(|it| (it.status, it.steps) == (RunStatus::Stopped, 4)), "{cut:?}");
    let resumed = on(2, silent, |workers, observer| {
        went_on(osn_recipes::resume_with(workers, &cut[0].folder, observer).unwrap()).steps
    });
    assert_eq!(resumed, [STEPS; 2]);
    Left::of(&cut[0].folder).must_be(&alone, &format!("{recipe} {decide:?}, cut on 3, on on 2"));
}

#[test]
fn classify_leaves_the_same() {
    let drawn = [("label_noise", "0.3"), ("mirror_chance", "0.5")];
    let decide = Some("auto:task=classify,interval=2");
    any_number_of_workers_leaves_the_same("classify", decide, &drawn);
    let mlp = [&drawn[..], &[("network", "mlp")]].concat();
    any_number_of_workers_leaves_the_same("classify", Some("learned:interval=3"), &mlp);
    any_number_of_workers_leaves_the_same(
        "classify",
        Some("plateau:metric=accuracy,interval=4"),
        &[],
    );
}

#[test]
fn gan_leaves_the_same() {
    let more = [("n_dis", "2"), ("ema", "0.9"), ("hold_generator", "true")];
    any_number_of_workers_leaves_the_same("gan", Some("cap:interval=1"), &more);
    any_number_of_workers_leaves_the_same("gan", Some("auto:interval=2"), &[]);
    any_number_of_workers_leaves_the_same("gan", Some("pay:interval=1,rate=0.05,dwell=2"), &[]);
}

#[test]
fn cgan_leaves_the_same() {
    any_number_of_workers_leaves_the_same("cgan", Some("auto:interval=2"), &[("ema", "0.5")]);
}

#[test]
fn translate_leaves_the_same() {
    let more = [("hold_generator", "true"), ("objective", "least_squares")];
    let decide = Some("auto:task=translate,interval=3");
    any_number_of_workers_leaves_the_same("translate", decide, &more);
}

#[test]
fn nmt_leaves_the_same() {
    any_number_of_workers_leaves_the_same("nmt", Some("cap:interval=2"), &[("dropout", "0.3")]);
    any_number_of_workers_leaves_the_same("nmt", Some("learned:interval=3"), &[]);
}

#[test]
fn control_leaves_the_same() {
    let memory = [("memory", "16"), ("target_every", "3"), ("random_actions", "10")];
    let decide = Some("auto:task=control,interval=2");
    any_number_of_workers_leaves_the_same("control", decide, &memory);
}

/// The losses of every logged step.
fn losses(run: &RunSummary) -> Vec<f64> {
    let of_step = |event: Event| match event {
        Event::Step { losses, .. } => losses.into_values().collect(),
        _ => Vec::new(),
    };
    events(run).into_iter().flat_map(of_step).collect()
}

#[test]
fn without_batch_normalization_shards_are_the_batch_up_to_rounding() {
    let out = tempfile::tempdir().unwrap();
    for (recipe, more) in [("classify", &[("network", "mlp")][..]), ("control", &[])] {
        let run = |more: &[(&str, &str)]| losses(&train(&request(recipe, None, more, out.path())));
        let (whole, cut) = (run(more), run(&[more, &[SHARDS]].concat()));
        assert_eq!(whole.len(), cut.len());
        for (whole, cut) in whole.iter().zip(&cut) {
            assert!((whole - cut).abs() < 1e-4 * whole.abs(), "{recipe}: {whole} and {cut}");
        }
    }
}

/// The error of each of three workers, of which `change` makes another request of one's own.
fn failed(change: impl Fn(usize, &mut TrainRequest) + Sync) -> Vec<RunError> {
    let out = tempfile::tempdir().unwrap();
    let request = request("control", None, &[SHARDS], out.path());
    let failed = Threads::run(3, |workers| {
        let mut request = request.clone();
        change(workers.rank(), &mut request);
        osn_recipes::train_with(Box::new(workers), &request, &mut Silent).unwrap_err()
    });
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing was begun");
    failed
}

#[test]
fn a_worker_that_was_started_with_another_setting_ends_all_as_bad_input() {
    for error in failed(|rank, request| {
        if rank == 1 {
            request.settings.push(("learning_rate".to_owned(), "0.5".to_owned()));
        }
    }) {
        assert!(error.is_bad_input(), "{error}");
        let RunError::Workers { source: TeamError::Different { worker: 1, what }, .. } = &error
        else {
            panic!("{error}")
        };
        assert_eq!(what, "config");
    }
}

#[test]
fn what_one_worker_cannot_have_ends_all_with_its_words() {
    let all = failed(|rank, request| {
        if rank == 2 {
            request.decide = Some("perhaps".to_owned());
        }
    });
    assert!(all.iter().all(RunError::is_bad_input), "{all:?}");
    assert!(matches!(all[2], RunError::Rule { .. }), "{all:?}");
    for error in &all[..2] {
        let RunError::Workers { source: TeamError::Failed { worker: 2, words, .. }, .. } = error
        else {
            panic!("{error}")
        };
        assert!(words.contains("perhaps"), "{words}");
    }
}

#[test]
fn shards_that_do_not_divide_a_batch_are_refused() {
    let all = failed(|_, request| request.settings.push(("shards".into(), "3".into())));
    assert!(all.iter().all(RunError::is_bad_input), "{all:?}");
    assert!(matches!(&all[0], RunError::Config { key, .. } if key == "shards"), "{all:?}");
}

#[test]
fn training_that_diverges_on_one_worker_ends_all_as_of_the_training() {
    let out = tempfile::tempdir().unwrap();
    let more = [SHARDS, ("network", "mlp"), ("learning_rate", "1e30"), ("batch_size", "8")];
    let request = request("classify", Some("never"), &more, out.path());
    let all = on(2, silent, |workers, observer| {
        osn_recipes::train_with(workers, &request, observer).unwrap_err()
    });
    assert!(all[0].is_of_training() && !all[0].is_bad_input(), "{all:?}");
}

/// A worker 0 whose folder becomes a file.
struct TakesTheFolder;

impl Observer for TakesTheFolder {
    fn started(&mut self, start: &osn_recipes::run::observer::RunStart) {
        fs::remove_dir_all(start.folder).unwrap();
        fs::write(start.folder, "").unwrap();
    }
}

#[test]
fn what_worker_0_cannot_write_ends_all() {
    let out = tempfile::tempdir().unwrap();
    let request = request("control", None, &[SHARDS], out.path());
    let takes = || -> Box<dyn Observer> { Box::new(TakesTheFolder) };
    let all = on(3, takes, |workers, observer| {
        osn_recipes::train_with(workers, &request, observer).unwrap_err()
    });
    assert!(!all[0].is_bad_input() && !all[0].is_of_training(), "{all:?}");
    assert!(all[0].to_string().contains("checkpoint") || all[0].to_string().contains("write"));
    for error in &all[1..] {
        let RunError::Workers { source: TeamError::Failed { worker: 0, .. }, exit_code: 1 } = error
        else {
            panic!("{error}")
        };
    }
}
