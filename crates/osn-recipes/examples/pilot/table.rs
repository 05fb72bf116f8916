//! How far each arm is from the best static one.

use std::collections::BTreeMap;
use std::error::Error;

use crate::STATIC_ARMS;
use crate::results::Results;

/// The median score of each arm in each regime.
type Medians = BTreeMap<String, BTreeMap<String, f64>>;

/// Prints for each arm and regime the ratio of its median score to the best static arm's, the
/// geometric mean and the worst over the regimes, and the worst regret: the gap as a part of the
/// spread of the static arms.
pub(crate) fn print(
    results: &Results,
    parts: &[String],
    seeds: (u64, u64),
) -> Result<(), Box<dyn Error>> {
    let medians = medians(results, parts, seeds);
    let regimes: Vec<&String> = medians.keys().collect();
    print!("{:78}", "arm");
    regimes.iter().for_each(|regime| print!(" {:>9.9}", regime.replace('/', " ")));
    println!(" {:>7} {:>7} {:>7}", "mean", "worst", "regret");
    let mut rows: Vec<(f64, String)> =
        arms(&medians).into_iter().filter_map(|arm| row(&medians, &arm)).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.iter().for_each(|(_, row)| println!("{row}"));
    print!("{:78}", "best static score");
    medians.values().for_each(|arms| print!(" {:>9.3}", best(arms)));
    println!();
    print!("{:78}", "its arm");
    medians.values().for_each(|arms| print!(" {:>9}", short(&best_arm(arms))));
    println!();
    Ok(())
}

fn short(arm: &str) -> String {
    arm.replace("always:target=", "a")
        .replace("static:position=", "")
        .replace("target=", "")
        .replace("always", "a1")
}

fn medians(results: &Results, parts: &[String], (first, last): (u64, u64)) -> Medians {
    let mut scores: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    let is_chosen = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part));
    for (key, outcome) in &results.runs {
        if is_chosen(&key.regime) && (first..=last).contains(&key.seed) {
            let arms = scores.entry(key.regime.clone()).or_default();
            arms.entry(key.arm.clone()).or_default().push(outcome.score);
        }
    }
    let median_of = |arms: BTreeMap<String, Vec<f64>>| {
        arms.into_iter().map(|(arm, scores)| (arm, median(scores))).collect()
    };
    scores.into_iter().map(|(regime, arms)| (regime, median_of(arms))).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

fn arms(medians: &Medians) -> Vec<String> {
    let all: std::collections::BTreeSet<String> =
        medians.values().flat_map(|arms| arms.keys().cloned()).collect();
    all.into_iter().collect()
}

fn static_scores(arms: &BTreeMap<String, f64>) -> impl Iterator<Item = (&String, f64)> {
    let is_static = |arm: &&String| STATIC_ARMS.contains(&arm.as_str());
    arms.keys().filter(is_static).map(|arm| (arm, arms[arm]))
}

fn best(arms: &BTreeMap<String, f64>) -> f64 {
    static_scores(arms)
        .map(|(_, score)| score)
        .filter(|it| it.is_finite())
        .fold(f64::INFINITY, f64::min)
}

fn best_arm(arms: &BTreeMap<String, f64>) -> String {
    static_scores(arms)
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(arm, _)| arm.clone())
        .unwrap_or_default()
}

fn worst(arms: &BTreeMap<String, f64>) -> f64 {
    static_scores(arms).map(|(_, score)| score).filter(|it| it.is_finite()).fold(0.0, f64::max)
}

/// One arm's row, with what rows are sorted by.
fn row(medians: &Medians, arm: &str) -> Option<(f64, String)> {
    let mut text = format!("{arm:78.78}");
    let (mut logs, mut regrets) = (Vec::new(), Vec::new());
    for arms in medians.values() {
        match arms.get(arm) {
            Some(score) => {
                let ratio = score / best(arms);
                logs.push(ratio.ln());
                regrets.push((score - best(arms)) / (worst(arms) - best(arms)));
                text += &format!(" {ratio:>9.2}");
            }
            None => text += &format!(" {:>9}", "-"),
        }
    }
    let mean = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
    let largest = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    text += &format!(" {mean:>7.2} {:>7.2} {:>7.2}", largest(&logs).exp(), largest(&regrets));
    Some((mean, text))
}
