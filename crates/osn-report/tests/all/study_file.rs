//! What a study takes from its runs, and `study.json` as it is written and read.

use osn_report::RunRecord;
use osn_report::study::{Analysis, Completion, Study, StudyError, StudyRun};
use serde_json::json;

fn study() -> Study {
    crate::made_up::study(&["never", "always"], &["default"], 2)
}

/// The run with that description and these scores, a step each.
fn record(run: &str, scores: &[&str]) -> RunRecord {
    let eval = |(place, value): (usize, &&str)| {
        let step = 10 * (place + 1);
        format!("{{\"event\":\"eval\",\"step\":{step},\"metrics\":{{\"frechet\":{value}}}}}\n")
    };
    let lines: String = scores.iter().enumerate().map(eval).collect();
    RunRecord::read(run, &lines, Vec::new()).unwrap()
}

#[test]
fn a_run_without_its_score_has_failed_and_what_came_from_outside_says_nothing_of_the_arm() {
    let nan = "the loss became NaN at step 3";
    let full = "no space left on device";
    for (run, score, status, why) in [
        (json!({"status": "finished"}), "9", Completion::Finished, None),
        (json!({"status": "finished"}), "null", Completion::Failed, Some("`frechet`")),
        (json!({"status": "failed", "error": nan}), "9", Completion::Failed, Some(nan)),
        (json!({"status": "interrupted", "error": full}), "9", Completion::Missing, Some(full)),
        (json!({"status": "stopped"}), "9", Completion::Missing, Some("stopped")),
    ] {
        let mut taken = StudyRun::missing("never", "default", 1);
        taken.take(&record(&run.to_string(), &[score]), "frechet");
        assert_eq!(taken.status, status, "{run}");
        let is_told = why.is_none_or(|why| taken.why.as_ref().unwrap().contains(why));
        assert!(is_told && taken.why.is_some() == why.is_some(), "{taken:?}");
    }
}

#[test]
fn a_study_comes_back_as_it_was_written() {
    let mut study = study();
    let run = study.run_mut("always", "default", 2).unwrap();
    run.take(&record(r#"{"status":"finished"}"#, &["1.5", "null", "2.5"]), "frechet");
    assert_eq!(run.curve, [(10, Some(1.5)), (20, None), (30, Some(2.5))]);
    assert_eq!(run.status, Completion::Finished);
    // An area with a hole in it is none.
    assert_eq!((run.metrics["frechet"], run.area), (Some(2.5), None));
    let text = study.to_json(Some(&Analysis::of(&study)));
    assert!(text.contains("\"measure\": \"area\""));
    assert_eq!(Study::read(&text).unwrap(), study);
}

#[test]
fn a_study_from_before_identities_were_written_is_read() {
    let mut tree = json!(study());
    tree.as_object_mut().unwrap().remove("identity");
    assert_eq!(Study::read(&tree.to_string()).unwrap(), study());
}

#[test]
fn a_file_that_does_not_hang_together_is_refused() {
    let refused = |change: fn(&mut Study)| {
        let mut study = study();
        change(&mut study);
        let error = Study::read(&json!(study).to_string()).unwrap_err();
        assert!(error.to_string().lines().count() == 1, "{error}");
        error
    };
    assert!(matches!(refused(|it| it.schema = 3), StudyError::Schema { found: 3 }));
    let error = refused(|it| it.asked.arms.clear());
    assert!(matches!(error, StudyError::Empty { list: "arms" }));
    let error = refused(|it| it.asked.seeds = vec![1, 1]);
    assert!(matches!(error, StudyError::Twice { list: "seeds" }));
    let error = refused(|it| it.runs[0].curve = vec![(2, None), (2, None)]);
    assert!(matches!(error, StudyError::Curve { .. }));
    let run = |change| match refused(change) {
        StudyError::Runs { run } => run,
        other => panic!("{other}"),
    };
    assert_eq!(run(|it| it.runs[3].seed = 1), r#""always" in "default" with seed 1"#);
    assert!(
        run(|it| it.runs[3].arm = "evil\u{1b}[2J\n".into()).starts_with(r#""evil\u{1b}[2J\n""#)
    );
    assert_eq!(run(|it| drop(it.runs.pop())), "3 in all");
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let text = json!(study()).to_string();
    for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
        assert!(Study::read(&text[..end]).is_err(), "{end}");
    }
    for hostile in ["", "[]", "{}", "null", "{\"schema\":1}", "{\"schema\":-1}"] {
        assert!(Study::read(hostile).is_err(), "{hostile}");
    }
    let deep = "[".repeat(100_000);
    assert!(Study::read(&deep).is_err());
    let huge = text.replacen("\"curve\":[]", "\"curve\":[[1,1e999]]", 1);
    assert!(Study::read(&huge).is_err());
}
