//! How each failure ends all workers, and what they say.

use crate::program::{Ended, ended, has, mpirun, program};

/// A training of three workers that a fault ends.
fn failed(fault: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    mpirun(3, &[folder.path().to_str().unwrap(), "40", fault])
}

#[track_caller]
fn assert_ends(fault: &str, code: i32, words: &[&str]) {
    if !has("mpirun.openmpi") {
        return;
    }
    let ended = failed(fault);
    assert_eq!(ended.code, Some(code), "{fault}: {}", ended.err);
    let said = ended.said();
    assert_eq!(said.len(), 1, "{fault}: {}", ended.err);
    for word in words {
        assert!(said[0].contains(word), "{fault}: {said:?} lacks {word}");
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_named() {
    assert_ends("nan@1:9", 1, &["worker 1", "shard 4", "step 9", "not finite", "resume"]);
}

#[test]
fn the_words_of_a_worker_that_fails_are_those_of_all() {
    assert_ends("error@2:5", 1, &["worker 2", "step 5", "the disk is full"]);
}

#[test]
fn another_setting_on_one_worker_is_refused() {
    assert_ends("config@1:0", 2, &["worker 1", "learning rate"]);
}

#[test]
fn a_worker_that_stands_still_ends_the_others_after_the_wait() {
    for worker in [0, 1] {
        assert_ends(&format!("stop@{worker}:7"), 75, &["waited 3 s", "step 7", "resume"]);
    }
}

#[test]
fn a_worker_that_is_killed_ends_all() {
    if has("mpirun.openmpi") {
        let ended = failed("kill@1:7");
        assert_eq!(ended.code, Some(137), "{}", ended.err);
        assert!(ended.err.contains("signal 9"), "{}", ended.err);
    }
}

#[test]
fn a_worker_that_panics_ends_all() {
    if has("mpirun.openmpi") {
        let ended = failed("panic@2:7");
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        assert!(ended.err.contains("this worker panics"), "{}", ended.err);
    }
}

#[test]
fn more_workers_than_shards_are_refused() {
    if has("mpirun.openmpi") {
        let folder = tempfile::tempdir().unwrap();
        let ended = mpirun(13, &[folder.path().to_str().unwrap(), "3"]);
        assert_eq!((ended.code, ended.said().len()), (Some(2), 1), "{}", ended.err);
    }
}

#[test]
fn the_launcher_of_another_mpi_is_refused() {
    if has("mpirun.mpich") {
        let folder = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("timeout");
        command.args(["60", "mpirun.mpich", "-n", "3"]).arg(program());
        let ended = ended(command.arg(folder.path()));
        assert_eq!((ended.code, ended.said().len()), (Some(2), 1), "{}", ended.err);
        assert!(ended.said()[0].contains("started 3 processes and MPI sees 1"), "{}", ended.err);
    }
}
