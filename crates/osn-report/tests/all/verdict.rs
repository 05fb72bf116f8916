//! Which arm is best, on made-up runs whose outcome can be computed by hand.

use osn_report::study::{Analysis, Comparison, Finding, Leader, Study, StudyRun, Verdict, Wins};

/// Runs with these scores, seed by seed, in each regime; a score that is absent is a failed run. Lower is
/// better.
fn study(regimes: &[&str], arms: &[(&str, &[Option<f64>])]) -> Study {
    let names: Vec<_> = arms.iter().map(|arm| arm.0).collect();
    let mut study = crate::made_up::study(&names, regimes, arms[0].1.len() as u64);
    let score = |run: &StudyRun| {
        let scores = arms[crate::made_up::place(run, &names)].1;
        scores[usize::try_from(run.seed).unwrap() - 1]
    };
    crate::made_up::fill(&mut study, 1, score);
    study
}

fn all(scores: &[f64]) -> Vec<Option<f64>> {
    scores.iter().copied().map(Some).collect()
}

fn verdict(study: &Study) -> Verdict {
    Verdict::of(study, &Analysis::of(study))
}

fn uncertain(study: &Study) -> (Leader, Comparison, bool, usize) {
    match verdict(study).finding {
        Finding::Uncertain { leader, closest, is_equal, n_more } => {
            (leader, closest, is_equal, n_more)
        }
        other => panic!("{other:?}"),
    }
}

fn best(study: &Study) -> (Leader, Comparison, usize) {
    match verdict(study).finding {
        Finding::Best { leader, closest, n_others } => (leader, closest, n_others),
        other => panic!("{other:?}"),
    }
}

const ONE_TO_EIGHT: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];

#[test]
fn of_two_equal_arms_none_is_best() {
    let scores = all(&ONE_TO_EIGHT);
    let (leader, closest, is_equal, _) =
        uncertain(&study(&["only"], &[("auto", &scores), ("never", &scores)]));
    assert_eq!((leader.arm.as_str(), leader.iqm.unwrap().value), ("auto", 4.5));
    assert_eq!(closest.wins, Wins { wins: 0, ties: 8, losses: 0 });
    assert_eq!((closest.probability.value, closest.p, is_equal), (0.5, 1.0, true));
}

#[test]
fn an_arm_that_wins_every_pair_by_far_is_the_best() {
    let far = ONE_TO_EIGHT.map(|score| score + 100.0);
    let of_two = study(&["only"], &[("auto", &all(&ONE_TO_EIGHT)), ("never", &all(&far))]);
    let (leader, closest, n_others) = best(&of_two);
    assert_eq!((leader.iqm.unwrap().value, n_others), (4.5, 1));
    // Of 2⁸ ways to choose the signs two are as far from 0.
    assert_eq!((closest.wins.wins, closest.p_holm), (8, 2.0 / 256.0));
    assert_eq!(closest.probability.value, 1.0);
}

#[test]
fn an_arm_that_was_chosen_for_its_scores_is_corrected_for_all_pairs() {
    let [far, farther] = [100.0, 200.0].map(|by| all(&ONE_TO_EIGHT.map(|score| score + by)));
    let arms: [(_, &[_]); 3] =
        [("auto", &far), ("never", &all(&ONE_TO_EIGHT)), ("always", &farther)];
    let (leader, closest, n_others) = best(&study(&["only"], &arms));
    assert_eq!((leader.arm.as_str(), n_others), ("never", 2));
    // Three pairs of arms, each with the same p.
    assert_eq!((closest.p, closest.p_holm), (2.0 / 256.0, 6.0 / 256.0));
    // The first arm, which was named beforehand, is corrected for its two comparisons.
    let arms = [arms[1], arms[0], arms[2]];
    assert_eq!(best(&study(&["only"], &arms)).1.p_holm, 4.0 / 256.0);
}

#[test]
fn what_few_seeds_cannot_show_is_not_claimed() {
    let [auto, never] = [[1.0, 2.0, 3.0, 10.0], [4.0, 5.0, 6.0, 7.0]].map(|scores| all(&scores));
    let (leader, closest, is_equal, n_more) =
        uncertain(&study(&["only"], &[("never", &never), ("auto", &auto)]));
    // The middle half of 1, 2, 3, 10.
    assert_eq!((leader.arm.as_str(), leader.iqm.unwrap().value), ("auto", 2.5));
    // 1, 2 and 3 are below all of 4 to 7, 10 below none: 12 of 16. Of 16 ways to choose the signs of
    // 3, 3, 3, 3 ten have a sum of 6 or 12.
    assert_eq!((closest.wins.wins, closest.probability.value), (3, 0.75));
    assert_eq!((closest.p_holm, is_equal, n_more), (10.0 / 16.0, false, 0));
}

#[test]
fn all_arms_that_may_be_as_good_are_counted_and_the_closest_is_named() {
    let shifted = |by: f64| all(&ONE_TO_EIGHT.map(|score| score + by));
    let [close, closer, far] = [2.0, 1.0, 100.0].map(shifted);
    let arms: [(_, &[_]); 4] =
        [("auto", &all(&ONE_TO_EIGHT)), ("close", &close), ("closer", &closer), ("far", &far)];
    let (_, closest, _, n_more) = uncertain(&study(&["only"], &arms));
    assert_eq!((closest.against.as_str(), n_more), ("closer", 1));
}

#[test]
fn over_several_regimes_scores_are_normalized_and_all_pairs_count() {
    let far = ONE_TO_EIGHT.map(|score| score + 93.0);
    let arms: [(_, &[_]); 2] = [("auto", &all(&ONE_TO_EIGHT)), ("never", &all(&far))];
    let (leader, closest, _) = best(&study(&["easy", "hard"], &arms));
    // From 1 to 101: the worst is 0, the best 1, and 4.5 is 0.965.
    assert_eq!((leader.n_regimes, leader.n_runs), (2, 16));
    assert!((leader.iqm.unwrap().value - 0.965).abs() < 1e-12, "{leader:?}");
    assert_eq!((closest.wins.wins, closest.p_holm), (16, 2.0 / 65536.0));
}

#[test]
fn failed_runs_are_told_and_may_be_all_there_are() {
    let mut auto = all(&ONE_TO_EIGHT);
    auto[7] = None;
    let far = all(&ONE_TO_EIGHT.map(|score| score + 100.0));
    let (leader, ..) = uncertain(&study(&["only"], &[("auto", &auto), ("never", &far)]));
    assert_eq!((leader.n_failed, leader.n_runs), (1, 8));
    let none: &[_] = &[None; 3];
    let failed = study(&["only"], &[("auto", none), ("never", none)]);
    assert_eq!(verdict(&failed).finding, Finding::AllFailed);
}

#[test]
fn without_anything_to_compare_there_is_no_verdict() {
    let one = verdict(&study(&["only"], &[("auto", &all(&ONE_TO_EIGHT))]));
    assert!(matches!(one.finding, Finding::OneArm(_)) && !one.is_preliminary);
    let not_run = verdict(&crate::made_up::study(&["auto", "never"], &["only"], 2));
    assert_eq!(not_run, Verdict { finding: Finding::NoSeed, is_preliminary: true });
}
