//! The example `cluster` and the command `osn` as several processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a launch said, and its exit code.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) err: String,
}

/// Where cargo puts the example.
pub(crate) fn program() -> PathBuf {
    built("examples/cluster")
}

/// Where cargo puts the command `osn`.
pub(crate) fn osn() -> PathBuf {
    built("osn")
}

/// Beside the folder that this test is in.
fn built(what: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join(what)
}

/// Whether a command is there.
pub(crate) fn has(command: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {command}")]).output();
    let is_there = found.is_ok_and(|it| it.status.success());
    if !is_there {
        eprintln!("skipped: there is no {command}");
    }
    is_there
}

/// Runs the example on so many workers of Open MPI; each ends within two minutes, whatever happens to it.
pub(crate) fn mpirun(count: usize, words: &[&str]) -> Ended {
    mpirun_of(&program(), count, words)
}

/// The same of another program.
pub(crate) fn mpirun_of(program: &Path, count: usize, words: &[&str]) -> Ended {
    let mut command = Command::new("timeout");
    command.args(["120", "mpirun.openmpi", "-n", &count.to_string()]);
    // A worker that waits must not take the core from the one that it waits for.
    command.args(["--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]);
    ended(command.arg(program).args(words).env("OSN_WAIT_SECS", "3"))
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    for name in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
        command.env(name, "1");
    }
    command.env("RAYON_NUM_THREADS", "1");
    let Output { status, stderr, .. } = command.output().unwrap();
    Ended { code: status.code(), err: String::from_utf8_lossy(&stderr).into_owned() }
}

impl Ended {
    /// The lines of ours among those of the launcher.
    pub(crate) fn said(&self) -> Vec<&str> {
        self.err.lines().filter(|line| line.starts_with("error: worker")).collect()
    }

    pub(crate) fn assert_well(&self) {
        assert_eq!(self.code, Some(0), "{}", self.err);
    }
}

/// What a training wrote.
pub(crate) fn weights(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("weights.safetensors")).unwrap()
}
