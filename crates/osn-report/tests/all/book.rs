//! What the book and the pages of results show is what the committed records say.

#[path = "../../examples/book/chart.rs"]
mod chart;
#[path = "../../examples/book/files.rs"]
mod files;
#[path = "../../examples/book/records.rs"]
#[expect(dead_code, reason = "the example takes new records, too")]
mod records;
#[path = "../../examples/book/results.rs"]
mod results;
#[path = "../../examples/book/rules.rs"]
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

const MADE_BY: &str = "made by `cargo run -p osn-report --example book`";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn every_table_and_picture_is_what_the_records_say() {
    let made = files::files(&docs()).unwrap();
    for (file, text) in &made {
        let there = fs::read_to_string(file).unwrap_or_default();
        assert!(there == *text, "{} is not what is {MADE_BY}", file.display());
    }
    for folder in ["results", "book/figures"] {
        let names = fs::read_dir(docs().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for path in names {
            let is_made = made.iter().any(|(file, _)| file.file_name() == path.file_name());
            assert!(is_made, "{} is not {MADE_BY}", path.display());
        }
    }
}

#[test]
fn the_command_of_a_study_names_a_file_that_is_there() {
    let mut n_files = 0;
    for (_, page) in results::pages(&results::studies(&docs().join("studies")).unwrap()) {
        for word in page.split("--regime ").skip(1) {
            let file = word.split(['`', ' ']).next().unwrap();
            assert!(docs().join("..").join(file).exists(), "{file}");
            n_files += 1;
        }
        assert!(!page.contains("--seeds 101 "), "a number alone is a count of seeds");
    }
    assert!(n_files > 10, "{n_files}");
}

#[test]
fn what_the_readme_says_of_studies_is_what_they_say() {
    let readme = fs::read_to_string(docs().join("../README.md")).unwrap();
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    for claim in results::claims(&results::studies(&docs().join("studies")).unwrap()).unwrap() {
        assert!(readme.contains(&claim), "the studies say: {claim}");
    }
}

#[test]
fn a_number_that_was_changed_by_hand_is_found() {
    let studies = results::studies(&docs().join("studies")).unwrap();
    let page = fs::read_to_string(docs().join("results.md")).unwrap();
    let changed = page.replacen("0.603", "0.703", 1);
    assert_ne!(changed, page);
    assert_eq!(results::filled(&changed, &studies).unwrap(), page);
    let unknown = "<!-- table: nothing -->\n<!-- end of table -->";
    assert!(results::filled(unknown, &studies).unwrap_err().to_string().contains("nothing"));
}
