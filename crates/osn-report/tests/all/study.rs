//! What a study says of made-up runs whose outcome is plain.

use osn_report::RunRecord;
use osn_report::study::{Analysis, MeasureAnalysis, Outcome, Study, StudyRun, tables};

const ARMS: [&str; 3] = ["auto", "always", "never"];

/// A study of returns, of which more is better, with these scores; a run without one has failed.
fn study(regimes: &[&str], n_seeds: u64, score: impl Fn(&StudyRun) -> Option<f64>) -> Study {
    let mut study = crate::made_up::study(&ARMS, regimes, n_seeds);
    study.asked.higher_is_better = true;
    crate::made_up::fill(&mut study, 2, score);
    study
}

fn last(study: &Study) -> MeasureAnalysis {
    let [last, _] = Analysis::of(study).measures;
    last
}

/// `auto` is at the top with every seed, `never` at the bottom; seeds differ by more than arms.
fn steady(run: &StudyRun) -> f64 {
    let arm = match run.arm.as_str() {
        "auto" => 2.0,
        "always" => 1.0,
        _ => 0.0,
    };
    10.0 * run.seed as f64 + arm
}

#[test]
fn an_arm_that_wins_with_every_seed_is_better_where_the_seeds_suffice() {
    // Between seeds there is more than between arms: only the pairing can see the difference, and the
    // interval, which does not know of pairs, cannot.
    let hidden = study(&["default"], 10, |run| Some(steady(run)));
    let comparison = &last(&hidden).regimes[0].comparisons[0];
    assert_eq!((comparison.wins.wins, comparison.p), (10, 2.0 / 1024.0));
    assert!(comparison.probability.contains(0.5));
    assert_eq!(comparison.outcome(), Outcome::Open);
    // With a tenth of the difference between seeds both see it.
    let plain = study(&["default"], 10, |run| Some(steady(run) - 9.95 * run.seed as f64));
    let comparison = &last(&plain).regimes[0].comparisons[0];
    assert_eq!((comparison.outcome(), comparison.p_holm), (Outcome::Better, 4.0 / 1024.0));
}

#[test]
fn where_lower_is_better_the_same_numbers_say_the_opposite() {
    let mut study = study(&["default"], 10, |run| Some(steady(run) - 9.95 * run.seed as f64));
    study.asked.higher_is_better = false;
    let never = &last(&study).regimes[0].comparisons[1];
    assert_eq!((never.outcome(), never.wins.losses), (Outcome::Worse, 10));
    assert_eq!(never.probability.value, 0.0);
    assert_eq!(last(&study).regimes[0].best_static.as_deref(), Some("never"));
}

#[test]
fn few_seeds_decide_nothing_however_clear_they_look() {
    let study = study(&["default"], 3, |run| Some(steady(run) - 10.0 * run.seed as f64));
    let comparison = &last(&study).regimes[0].comparisons[0];
    assert_eq!((comparison.outcome(), comparison.wins.wins), (Outcome::Open, 3));
    assert_eq!((comparison.probability.lower, comparison.p_holm), (1.0, 0.5));
}

#[test]
fn a_failed_run_counts_as_the_worst() {
    let study = study(&["default"], 8, |run| {
        let is_lost = run.arm == "auto" && run.seed > 2;
        (!is_lost).then(|| 100.0 * f64::from(u8::from(run.arm == "auto")) + run.seed as f64)
    });
    let last = last(&study);
    assert_eq!(last.regimes[0].arms[0].n_failed, 6);
    // Better with two seeds, and worse than everything with six.
    let wins = last.regimes[0].comparisons[0].wins;
    assert_eq!((wins.wins, wins.losses), (2, 6));
    // From 1 to 102 all finished: a failed one has 1 − 101.
    assert_eq!(last.regimes[0].arms[0].iqm.unwrap().lower, -100.0);
}

#[test]
fn a_run_that_scored_well_before_it_failed_has_failed() {
    let mut study = study(&["default"], 1, |_| Some(1.0));
    let lines = "{\"event\":\"eval\",\"step\":1,\"metrics\":{\"frechet\":99}}\n";
    let failed = RunRecord::read(r#"{"status":"failed"}"#, lines, Vec::new()).unwrap();
    study.run_mut("auto", "default", 1).unwrap().take(&failed, "frechet");
    let regime = &last(&study).regimes[0];
    assert_eq!(regime.arms[0].n_failed, 1);
    assert_eq!(regime.comparisons[0].wins.losses, 1);
}

#[test]
fn an_arm_that_never_finishes_has_no_mean_but_loses() {
    let study = study(&["default"], 8, |run| (run.arm != "auto").then_some(run.seed as f64));
    let last = last(&study);
    assert_eq!(last.regimes[0].arms[0].iqm, None);
    assert_eq!(last.regimes[0].comparisons[0].probability.value, 0.0);
    assert_eq!(last.regimes[0].comparisons[0].outcome(), Outcome::Worse);
}

#[test]
fn a_seed_counts_once_every_arm_has_run_it() {
    let none = crate::made_up::study(&ARMS, &["default"], 4);
    assert_eq!(tables(&none, &Analysis::of(&none)), []);
    let mut study = study(&["default"], 4, |run| Some(steady(run)));
    let run = study.run_mut("never", "default", 2).unwrap();
    *run = StudyRun::missing("never", "default", 2);
    let last = last(&study);
    assert_eq!(last.regimes[0].seeds, [1, 3, 4]);
    assert_eq!(last.overall.arms[0].n_runs, 3);
}

#[test]
fn regret_is_measured_from_the_best_static_arm_of_each_regime() {
    // In easy auto is a quarter of the way from the best static arm to the worst, in hard ahead of both.
    let study = study(&["easy", "hard"], 4, |run| {
        let of_arms = if run.regime == "easy" { [7.0, 8.0, 4.0] } else { [30.0, 0.0, 10.0] };
        Some(of_arms[crate::made_up::place(run, &ARMS)])
    });
    let last = last(&study);
    let regret = |regime: usize, arm: usize| last.regimes[regime].arms[arm].regret.unwrap().value;
    assert_eq!([regret(0, 0), regret(0, 1), regret(0, 2)], [0.25, 0.0, 1.0]);
    assert_eq!([regret(1, 0), regret(1, 1), regret(1, 2)], [-2.0, 1.0, 0.0]);
    let best: Vec<_> = last.regimes.iter().map(|it| it.best_static.as_deref().unwrap()).collect();
    assert_eq!(best, ["always", "never"]);
    let worst = last.overall.arms.iter().map(|arm| arm.worst_regret.unwrap().value);
    assert_eq!(worst.collect::<Vec<_>>(), [0.25, 1.0, 1.0]);
}

#[test]
fn p_values_are_corrected_over_arms_and_regimes() {
    let study = study(&["a", "b", "c"], 10, |run| Some(steady(run) - 10.0 * run.seed as f64));
    let last = last(&study);
    let of_regimes: Vec<_> = last.regimes.iter().flat_map(|it| &it.comparisons).collect();
    assert_eq!(of_regimes.len(), 6);
    assert!(of_regimes.iter().all(|it| it.p == 2.0 / 1024.0 && it.p_holm == 12.0 / 1024.0));
    // Thirty pairs are too many to count, and the two comparisons of all regimes are their own family.
    let p = 1.0 / 100_001.0;
    assert!(last.overall.comparisons.iter().all(|it| it.p == p && it.p_holm == 2.0 * p));
}

#[test]
fn a_profile_falls_from_all_runs_to_the_best() {
    let study =
        study(&["default"], 4, |run| (run.arm != "never" || run.seed > 1).then_some(steady(run)));
    for arm in last(&study).overall.arms {
        let shares: Vec<f64> = arm.profile.iter().map(|point| point.1).collect();
        assert!(shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
        assert_eq!((arm.profile[0], shares[0]), ((-1.0, 1.0), 1.0));
        let reached = if arm.arm == "auto" { 0.25 } else { 0.0 };
        assert_eq!(arm.profile.last(), Some(&(1.0, reached)), "{}", arm.arm);
        // A failed run is above no finished one.
        let above_failed = arm.profile[1].1;
        assert_eq!(above_failed, if arm.arm == "never" { 0.75 } else { 1.0 });
    }
}

#[test]
fn numbers_beyond_all_measure_are_no_mistake_of_the_program() {
    let study =
        study(&["default"], 3, |run| Some(if run.seed == 1 { f64::MAX } else { -f64::MAX }));
    let text = study.to_json(None);
    assert_eq!(Study::read(&text).unwrap(), study);
    assert!(!tables(&study, &Analysis::of(&study)).is_empty());
}

#[test]
fn a_run_that_something_outside_ended_counts_for_no_arm() {
    let mut cut = study(&["calm"], 4, |run| Some(steady(run)));
    let run = cut.run_mut("never", "calm", 3).unwrap();
    run.interrupted("it died: signal: 9 (SIGKILL)");
    let calm = &last(&cut).regimes[0];
    assert_eq!(calm.seeds, [1, 2, 4], "its seed counts for no arm");
    assert!(calm.arms.iter().all(|arm| arm.n_failed == 0), "{:?}", calm.arms);
    // Where it was the only seed there is nothing to compare, and it is named all the more.
    let mut alone = study(&["calm"], 1, |_| Some(1.0));
    alone.runs[0].interrupted("no space left on device");
    assert_eq!(tables(&alone, &Analysis::of(&alone)).len(), 1);
}
