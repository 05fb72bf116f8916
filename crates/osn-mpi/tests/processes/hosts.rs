//! Three hosts on one machine: network namespaces, where this process may make them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::osn_train::{Left, WORDS};
use crate::program::{Ended, ended, has, mpirun, mpirun_of, osn, program, weights};

/// Three hosts that end with this.
struct Hosts;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts").join(name)
}

impl Hosts {
    /// Nothing where they cannot be made.
    fn up() -> Option<Self> {
        if !has("mpirun.openmpi") || !has("ip") || !has("nsenter") {
            return None;
        }
        let up = Command::new(script("hosts.sh")).args(["up", "3"]).output().unwrap();
        let hosts = Self;
        if !up.status.success() {
            eprintln!("skipped: no hosts: {}", String::from_utf8_lossy(&up.stderr));
            return None;
        }
        Some(hosts)
    }

    fn command(words: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["100"]).arg(script("on_host.sh")).args(["h1", words]);
        command
    }

    /// Runs the example with one worker on each host.
    fn mpirun(words: &str) -> Ended {
        Self::mpirun_of(&program(), words)
    }

    /// The same of another program.
    fn mpirun_of(program: &Path, words: &str) -> Ended {
        let agent = script("on_host.sh");
        let net = "10.77.0.0/24";
        ended(&mut Self::command(&format!(
            "OSN_WAIT_SECS=3 mpirun.openmpi --mca plm_rsh_agent {} --host h1:1,h2:1,h3:1 -n 3 \
             --mca btl tcp,self --mca btl_tcp_if_include {net} --mca oob_tcp_if_include {net} \
             --mca mpi_yield_when_idle 1 --bind-to none -x OSN_WAIT_SECS -x RAYON_NUM_THREADS {} {words}",
            agent.display(),
            program.display()
        )))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = Command::new(script("hosts.sh")).args(["down", "3"]).output();
    }
}

#[test]
fn three_hosts_train_to_the_bits_of_one_and_end_where_one_stands_still() {
    let Some(_hosts) = Hosts::up() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    mpirun(2, &[&at("one"), "40"]).assert_well();
    Hosts::mpirun(&format!("{} 40", at("three"))).assert_well();
    assert!(weights(&folder.path().join("three")) == weights(&folder.path().join("one")));

    let stopped = Hosts::mpirun(&format!("{} 40 stop@2:7", at("stopped")));
    assert_eq!(stopped.code, Some(75), "{}", stopped.err);
    assert!(stopped.said()[0].contains("waited 3 s"), "{}", stopped.err);

    // The command `osn`: only the first host has the run's folder.
    let words = |name: &str| [WORDS, &["--out", &at(name)]].concat().join(" ");
    Hosts::mpirun_of(&osn(), &words("osn-three")).assert_well();
    let alone = words("osn-one");
    mpirun_of(&osn(), 1, &alone.split(' ').collect::<Vec<_>>()).assert_well();
    let left = |name: &str| Left::of(&folder.path().join(name));
    left("osn-three").must_be(&left("osn-one"), "three hosts");
}
