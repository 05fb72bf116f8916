//! Studies of runs that never were, with an outcome that is plain.

pub(crate) mod translation;

use osn_report::RunRecord;
use osn_report::study::{Identity, SCHEMA, Study, StudyRun};
use serde_json::json;

/// A study whose runs all miss; the first arm decides, the others are static.
pub(crate) fn study(arms: &[&str], regimes: &[&str], n_seeds: u64) -> Study {
    let arm = |(place, name): (usize, &&str)| json!({"name": name, "is_static": place > 0});
    let regime = |name: &&str| json!({"name": name, "settings": [format!("of={name}")]});
    let asked = json!({
        "recipe": "gan", "preset": "tiny", "settings": ["steps=30"],
        "arms": arms.iter().enumerate().map(arm).collect::<Vec<_>>(),
        "regimes": regimes.iter().map(regime).collect::<Vec<_>>(),
        "seeds": (1..=n_seeds).collect::<Vec<_>>(),
        "metric": "frechet", "higher_is_better": false,
    });
    let asked = serde_json::from_value(asked).unwrap();
    let mut runs = Vec::new();
    for seed in 1..=n_seeds {
        for regime in regimes {
            runs.extend(arms.iter().map(|arm| StudyRun::missing(arm, regime, seed)));
        }
    }
    let (identity, versions) = (Identity::default(), json!({"osn": "0"}));
    Study { schema: SCHEMA, asked, identity, versions, machine: json!("one"), runs }
}

/// Gives every run a curve of so many points that ends at the score that the function says; one without
/// a score has failed halfway.
pub(crate) fn fill(study: &mut Study, n_points: u64, score: impl Fn(&StudyRun) -> Option<f64>) {
    let metric = study.asked.metric.clone();
    for run in &mut study.runs {
        let end = score(run);
        let eval = |point: u64| {
            let value = end.unwrap_or(50.0) + (n_points - point) as f64;
            json!({"event": "eval", "step": 10 * point, "metrics": {metric.as_str(): value, "kid": value / 100.0}})
        };
        let n_logged = if end.is_some() { n_points } else { n_points / 2 };
        let lines: Vec<String> = (1..=n_logged).map(|point| eval(point).to_string()).collect();
        let about = json!({
            "status": if end.is_some() { "finished" } else { "failed" },
            "error": end.is_none().then_some("the loss became NaN"),
            "totals": {"wall_secs": 2.0},
        });
        let record = RunRecord::read(&about.to_string(), &lines.join("\n"), Vec::new());
        run.take(&record.unwrap(), &metric);
    }
}

/// The scores of three arms in two regimes are 1 and up, 11 and up and 21 and up with the seeds; the second
/// fails with the first two seeds of `hard`.
pub(crate) fn plain(arms: [&str; 3], n_seeds: u64, n_points: u64) -> Study {
    let mut study = study(&arms, &["easy", "hard"], n_seeds);
    fill(&mut study, n_points, |run| {
        let has_failed = run.regime == "hard" && run.arm == arms[1] && run.seed <= 2;
        let score = 10 * place(run, &arms) as u64 + run.seed;
        (!has_failed).then_some(score as f64)
    });
    study
}

/// The place of a run's arm among those that were asked for.
pub(crate) fn place(run: &StudyRun, arms: &[&str]) -> usize {
    arms.iter().position(|arm| *arm == run.arm).unwrap()
}
