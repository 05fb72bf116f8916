//! How far each arm is from the best static one, as a table in Markdown.

use osn_core::number::median;
use std::collections::{BTreeMap, BTreeSet};

use crate::STATIC_ARMS;
use crate::results::{Key, Outcome};

/// Scores by regime and arm: medians over the seeds.
type Medians = BTreeMap<String, BTreeMap<String, f64>>;

/// One arm beside the best static one of each regime.
struct Row {
    arm: String,
    /// Its score over the best static one's, regime by regime; nothing where it did not run.
    ratios: Vec<Option<f64>>,
    /// The geometric mean of the ratios, and the largest.
    mean: f64,
    worst: f64,
    /// The largest gap to the best static arm, as a part of the spread of the static arms.
    regret: f64,
}

/// A row for each arm, the best mean first, and the best static arm of each regime.
///
/// Only regimes whose name contains one of `parts`, and seeds from the first to the last.
pub(crate) fn markdown(results: &[(Key, Outcome)], parts: &[String], seeds: (u64, u64)) -> String {
    let medians = medians(results, parts, seeds);
    let arms: BTreeSet<&String> = medians.values().flat_map(BTreeMap::keys).collect();
    let mut rows: Vec<Row> = arms.into_iter().map(|arm| row(&medians, arm)).collect();
    rows.sort_by(|a, b| a.mean.total_cmp(&b.mean));
    let names = medians.keys().map(String::as_str).collect::<Vec<_>>().join(" | ");
    let rule = "---|".repeat(medians.len() + 4);
    let lines: String = rows.iter().map(line).collect();
    let best = |arms: &BTreeMap<String, f64>| {
        best(arms).map_or(String::from(" – |"), |(arm, score)| format!(" {arm}: {score:.3} |"))
    };
    let best: String = medians.values().map(best).collect();
    format!("| arm | {names} | mean | worst | regret |\n|{rule}\n{lines}| *best* |{best} | | |\n")
}

fn line(row: &Row) -> String {
    let ratio =
        |ratio: &Option<f64>| ratio.map_or(String::from(" – |"), |it| format!(" {it:.2} |"));
    let ratios: String = row.ratios.iter().map(ratio).collect();
    let Row { arm, mean, worst, regret, .. } = row;
    format!("| `{arm}` |{ratios} {mean:.2} | {worst:.2} | {regret:.2} |\n")
}

fn medians(results: &[(Key, Outcome)], parts: &[String], (first, last): (u64, u64)) -> Medians {
    let mut scores: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    let is_chosen = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part));
    for (key, outcome) in results {
        if is_chosen(&key.regime) && (first..=last).contains(&key.seed) {
            let arms = scores.entry(key.regime.clone()).or_default();
            arms.entry(key.arm.clone()).or_default().push(outcome.score);
        }
    }
    let of_regime = |arms: BTreeMap<String, Vec<f64>>| {
        arms.into_iter().map(|(arm, scores)| (arm, median(&scores).unwrap_or(f64::NAN))).collect()
    };
    scores.into_iter().map(|(regime, arms)| (regime, of_regime(arms))).collect()
}

fn row(medians: &Medians, arm: &str) -> Row {
    let ratio = |arms: &BTreeMap<String, f64>| Some(arms.get(arm)? / best(arms)?.1);
    let ratios: Vec<Option<f64>> = medians.values().map(ratio).collect();
    let known: Vec<f64> = ratios.iter().copied().flatten().collect();
    let mean = (known.iter().map(|it| it.ln()).sum::<f64>() / known.len() as f64).exp();
    let worst = known.iter().copied().fold(f64::NAN, f64::max);
    let regrets = medians.values().filter_map(|arms| regret(arms, arm));
    Row { arm: arm.to_owned(), mean, worst, regret: regrets.fold(f64::NAN, f64::max), ratios }
}

fn regret(arms: &BTreeMap<String, f64>, arm: &str) -> Option<f64> {
    let best = best(arms)?.1;
    let worst = static_scores(arms).map(|(_, score)| score).fold(best, f64::max);
    Some((arms.get(arm)? - best) / (worst - best))
}

fn best(arms: &BTreeMap<String, f64>) -> Option<(&str, f64)> {
    static_scores(arms).min_by(|a, b| a.1.total_cmp(&b.1))
}

fn static_scores(arms: &BTreeMap<String, f64>) -> impl Iterator<Item = (&str, f64)> {
    let is_static = |(arm, _): &(&String, &f64)| STATIC_ARMS.contains(&arm.as_str());
    arms.iter().filter(is_static).map(|(arm, score)| (arm.as_str(), *score))
}
