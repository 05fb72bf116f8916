//! The same files for every number of processes.

use crate::program::{ended, has, mpirun, program, weights};

#[test]
fn any_number_of_processes_trains_to_the_same_bits() {
    if !has("mpirun.openmpi") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let files = |name: &str| {
        let folder = folder.path().join(name);
        [weights(&folder), std::fs::read(folder.join("osn.json")).unwrap()]
    };
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    ended(std::process::Command::new(program()).args([&at("alone"), "60"])).assert_well();
    for count in 1..=4 {
        let name = count.to_string();
        mpirun(count, &[&at(&name), "60"]).assert_well();
        assert!(files(&name) == files("alone"), "{count} workers");
    }
    // Cut on 3 and resumed on 2.
    mpirun(3, &[&at("cut"), "25"]).assert_well();
    assert!(files("cut") != files("alone"));
    mpirun(2, &[&at("cut"), "60"]).assert_well();
    assert!(files("cut") == files("alone"), "cut on 3, resumed on 2");
}
