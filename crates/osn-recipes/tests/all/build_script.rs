//! What the build script finds out, in folders that look like the workspace, like a package, and like
//! somebody else's repository.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

#[path = "../../build.rs"]
#[expect(dead_code, clippy::print_stdout, reason = "nothing is built here; it speaks to cargo")]
mod script;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use script::{Git, burn_version, digest, inputs, lock_file};

/// The four crates and their lock file, in a few words each; where `osn-recipes` is.
fn workspace(root: &Path) -> PathBuf {
    for name in ["osn-core", "osn", "osn-runs", "osn-recipes"] {
        let folder = root.join("crates").join(name);
        fs::create_dir_all(folder.join("src/deep")).unwrap();
        fs::write(folder.join("Cargo.toml"), name).unwrap();
        fs::write(folder.join("src/lib.rs"), "//! Nothing.").unwrap();
        fs::write(folder.join("src/deep/er.rs"), "").unwrap();
    }
    fs::write(root.join("Cargo.toml"), "[workspace]").unwrap();
    fs::write(root.join("Cargo.lock"), "version = 4").unwrap();
    root.join("crates/osn-recipes")
}

fn sources(here: &Path) -> String {
    digest(&inputs(here)).unwrap()
}

#[test]
fn sources_are_the_same_wherever_they_lie_and_others_with_every_change() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (workspace(one.path()), workspace(other.path()));
    let before = sources(&here);
    assert_eq!(sources(&there), before);
    fs::write(one.path().join("README.md"), "words").unwrap();
    assert_eq!(sources(&here), before, "words compute nothing");
    let lib = one.path().join("crates/osn-core/src/lib.rs");
    fs::write(&lib, "//! Nothing!").unwrap();
    assert_ne!(sources(&here), before, "of another crate");
    fs::write(&lib, "//! Nothing.").unwrap();
    let deep = here.join("src/deep");
    fs::rename(deep.join("er.rs"), deep.join("est.rs")).unwrap();
    assert_ne!(sources(&here), before, "under another name");
    fs::rename(deep.join("est.rs"), deep.join("er.rs")).unwrap();
    assert_eq!(sources(&here), before);
}

#[test]
fn a_packaged_crate_goes_by_what_it_brings_along() {
    let place = tempfile::tempdir().unwrap();
    workspace(place.path());
    let alone = place.path().join("alone/osn-recipes-0.1.0");
    fs::create_dir_all(alone.join("src")).unwrap();
    fs::write(alone.join("Cargo.toml"), "osn-recipes").unwrap();
    fs::write(alone.join("Cargo.lock"), "its own").unwrap();
    fs::write(alone.join("src/lib.rs"), "").unwrap();
    assert_eq!(inputs(&alone), ["src", "Cargo.toml"].map(|part| alone.join(part)));
    assert_eq!(lock_file(&alone), Some(alone.join("Cargo.lock")));
    assert!(Git::of(&alone).is_none(), "there is no repository");
    let before = sources(&alone);
    fs::write(alone.join("src/lib.rs"), "//! Another.").unwrap();
    assert_ne!(sources(&alone), before);
}

#[test]
fn burn_is_what_the_lock_file_says() {
    let package = |name: &str, version: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"a\"\n\n")
    };
    let lock = [package("burn-core", "9.9.9"), package("burn", "0.22.7"), package("c", "1.0.0")];
    assert_eq!(burn_version(&lock.concat()), Some("0.22.7"));
    assert_eq!(burn_version(&lock[0]), None);
}

/// Runs git in a folder; whether there is one.
fn git(folder: &Path, words: &[&str]) -> bool {
    let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(who).args(words);
    git.output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_commit_is_the_last_one_that_changed_what_is_built() {
    let place = tempfile::tempdir().unwrap();
    let here = workspace(place.path());
    let root = place.path();
    if !git(root, &["init", "-q"]) {
        eprintln!("skipped: there is no git");
        return;
    }
    assert!(
        Git::of(&here).is_none(),
        "it only lies in a repository, as a package that was unpacked"
    );
    let commit = || {
        let lock = lock_file(&here);
        Git::of(&here).and_then(|git| git.commit(&inputs(&here), lock.as_deref()))
    };
    let record = |message: &str| {
        assert!(git(root, &["add", "-A"]) && git(root, &["commit", "-q", "-m", message]));
    };
    record("first");
    let first = commit().unwrap();
    assert!(first.len() == 40 && first.chars().all(|c| c.is_ascii_hexdigit()), "{first}");
    fs::write(root.join("README.md"), "words").unwrap();
    assert_eq!(commit().unwrap(), first);
    record("words");
    assert_eq!(commit().unwrap(), first, "words are no other program");

    fs::write(here.join("src/new.rs"), "").unwrap();
    assert_eq!(commit().unwrap(), format!("{first} with changes"));
    record("second");
    let second = commit().unwrap();
    assert!(second != first && second.len() == 40, "{second}");
    fs::write(root.join("Cargo.lock"), "version = 5").unwrap();
    assert_eq!(commit().unwrap(), format!("{second} with changes"));
}
