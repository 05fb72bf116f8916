//! The sentences that people read, in one place: `INSTA_UPDATE=always cargo test -p osn-report --test texts`
//! writes them anew, and the difference is for a reader to judge.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod made_up;

use insta::assert_snapshot;
use osn_report::study::{Analysis, Study, Verdict, tables};
use osn_report::tensorboard::RunEvents;
use osn_report::{RunRecord, SCHEMA};

const ARMS: [&str; 3] = ["auto", "never", "always"];

/// Three arms; with `distance` between each and the next, and differences of a tenth between seeds.
fn study(regimes: &[&str], n_seeds: u64, distance: f64) -> Study {
    let mut study = made_up::study(&ARMS, regimes, n_seeds);
    made_up::fill(&mut study, 3, |run| {
        Some(made_up::place(run, &ARMS) as f64 * distance + run.seed as f64 / 10.0)
    });
    study
}

fn say(study: &Study) -> String {
    Verdict::of(study, &Analysis::of(study)).to_string()
}

/// `auto` fails with its first seed, and a run of `never` is missing.
fn with_failures() -> Study {
    let mut study = study(&["easy", "hard"], 8, 10.0);
    made_up::fill(&mut study, 3, |run| {
        let score = made_up::place(run, &ARMS) as f64 + run.seed as f64 / 10.0;
        (run.arm != "auto" || run.seed > 1).then_some(score)
    });
    study.run_mut("never", "hard", 8).unwrap().interrupted("it died: signal: 9 (SIGKILL)");
    study
}

#[test]
fn verdicts() {
    let mut one = made_up::study(&["auto"], &["only"], 4);
    made_up::fill(&mut one, 3, |run| Some(run.seed as f64));
    let mut failed = study(&["only"], 3, 1.0);
    made_up::fill(&mut failed, 3, |_| None);
    let mut two = made_up::study(&["auto", "never"], &["only"], 8);
    made_up::fill(&mut two, 3, |run| Some(if run.arm == "auto" { 1.0 } else { 9.0 }));
    let said = [
        ("two arms", say(&two)),
        ("three arms", say(&study(&["only"], 8, 10.0))),
        ("several regimes", say(&study(&["easy", "hard"], 8, 10.0))),
        ("few seeds", say(&study(&["only"], 3, 10.0))),
        ("a small distance", say(&study(&["only"], 8, 0.01))),
        ("equal arms", say(&study(&["only"], 8, 0.0))),
        ("failed and missing runs", say(&with_failures())),
        ("one arm", say(&one)),
        ("every run failed", say(&failed)),
        ("nothing run", say(&made_up::study(&ARMS, &["only"], 2))),
    ];
    assert_snapshot!(said.map(|(what, said)| format!("{what}: {said}")).join("\n"));
}

#[test]
fn the_tables_of_a_study() {
    let of = |study: &Study| {
        let blocks = tables(study, &Analysis::of(study));
        blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!("tables_of_one_regime", of(&study(&["only"], 3, 10.0)));
    assert_snapshot!("tables_of_two_regimes", of(&with_failures()));
    assert_snapshot!("tables_of_nothing", of(&made_up::study(&ARMS, &["only"], 2)));
}

#[test]
fn errors() {
    let run = |run_json: &str, record: &str| {
        RunRecord::read(run_json, record, Vec::new()).unwrap_err().to_string()
    };
    let newer = format!("{{\"schema\":{}}}", SCHEMA + 1);
    let said = [
        run("[", ""),
        run("{}", "{}\n"),
        run(&newer, ""),
        RunEvents::start(Vec::new(), &newer).unwrap_err().to_string(),
        Study::read(&newer).unwrap_err().to_string(),
        Study::read("{}").unwrap_err().to_string(),
    ];
    assert_snapshot!(said.join("\n"));
}
