//! Every example runs, ends well and says something.

use std::path::{Path, PathBuf};
use std::process::Command;

/// These measure for many minutes in the profile of the tests.
const TOO_LONG: [&str; 1] = ["switch"];

/// The names of the files in `examples/`.
fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sources = paths.filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let mut names: Vec<String> =
        sources.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.retain(|name| !TOO_LONG.contains(&name.as_str()));
    names.sort();
    names
}

/// Where cargo puts them: beside the folder that this test is in.
fn built(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX))
}

#[test]
fn every_example_ends_well() {
    let examples = examples();
    assert!(examples.len() >= 6, "found only {examples:?}");
    for example in examples {
        let run = Command::new(built(&example)).output();
        let run = run.unwrap_or_else(|error| {
            panic!("{example}: {error}; `cargo test --workspace --release` builds the examples")
        });
        let (out, err) =
            (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{example}: {}\n{out}{err}", run.status);
        assert!(!out.trim().is_empty(), "{example} says nothing");
    }
}

#[test]
fn the_page_lists_every_example() {
    let page = include_str!("../../README.md");
    for example in examples() {
        assert!(page.contains(&format!("`examples/{example}.rs`")), "README.md lacks {example}");
    }
}
