//! The table: for each row the median of the ratios, and between which two the true one lies.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::networks::Outcome;

/// One row in one round.
#[derive(Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// To the product.
    pub(crate) ratio: f64,
    pub(crate) ms: f64,
}

/// Tab-separated, one line a row. `low` and `high` are the second and the second last of the sorted
/// ratios: of eleven, they enclose the median of all possible rounds 99 times in 100, whatever the
/// distribution (1 − 2·(1 + 11)/2¹¹; David and Nagaraja, Order Statistics, 2003, section 7.1).
pub(crate) fn table(rounds: &[Vec<Measured>]) -> Outcome<String> {
    let mut table = format!("# {}\nrow\tratio\tlow\thigh\tms\n", processor());
    for (at, Measured { name, .. }) in rounds.first().into_iter().flatten().enumerate() {
        let ratios = sorted(rounds, |round| round[at].ratio);
        let ms = sorted(rounds, |round| round[at].ms);
        let (last, middle) = (rounds.len() - 1, rounds.len() / 2);
        let [ratio, low, high] = [ratios[middle], ratios[1], ratios[last - 1]];
        writeln!(table, "{name}\t{ratio:.4}\t{low:.4}\t{high:.4}\t{:.3}", ms[middle])?;
    }
    Ok(table)
}

fn sorted(rounds: &[Vec<Measured>], number: impl Fn(&Vec<Measured>) -> f64) -> Vec<f64> {
    let mut numbers: Vec<f64> = rounds.iter().map(number).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// Ratios carry over between machines of one kind only; the table names its own.
fn processor() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = about.lines().find(|line| line.starts_with("model name"));
    let name = name.and_then(|line| line.split_once(": ")).map(|(_, name)| name.trim());
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}
