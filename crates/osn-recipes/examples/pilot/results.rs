//! What a run came to, as lines of a file.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use osn::rules::Adversarial;
use serde::{Deserialize, Serialize};

/// What tells runs apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) regime: String,
    pub(crate) arm: String,
    pub(crate) seed: u64,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} seed {}", self.regime, self.arm, self.seed)
    }
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The mean of the scores over the run, the area under the curve; lower is better.
    pub(crate) score: f64,
    /// The scores in their order.
    pub(crate) curve: Vec<f64>,
    /// Means over the run of what was seen.
    pub(crate) seen: BTreeMap<String, f64>,
    pub(crate) seconds: f64,
}

impl Outcome {
    pub(crate) fn new(curve: Vec<f64>, seen: BTreeMap<String, f64>, seconds: f64) -> Self {
        let score = curve.iter().sum::<f64>() / curve.len() as f64;
        Self { score, curve, seen, seconds }
    }
}

/// Sums of what was seen.
#[derive(Default)]
pub(crate) struct Trace(BTreeMap<&'static str, (f64, f64)>);

impl Trace {
    pub(crate) fn add(&mut self, seen: Adversarial) {
        self.put("separation", seen.separation);
        self.put("slope", seen.input_gradient_norm);
    }

    pub(crate) fn target(&mut self, target: f64) {
        self.put("ln_target", Some(target.ln()));
    }

    fn put(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            let (sum, count) = self.0.entry(name).or_default();
            *sum += value;
            *count += 1.0;
        }
    }

    pub(crate) fn mean(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(name, (sum, count))| ((*name).to_owned(), sum / count)).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    outcome: Outcome,
}

/// The runs in a file.
pub(crate) fn read(path: &Path) -> Result<Vec<(Key, Outcome)>, Box<dyn Error>> {
    let parse = |line: &str| serde_json::from_str(line).map(|line: Line| (line.key, line.outcome));
    Ok(std::fs::read_to_string(path)?.lines().map(parse).collect::<Result<_, _>>()?)
}

/// Appends a run to a file.
pub(crate) fn append(file: &mut File, key: &Key, outcome: &Outcome) -> Result<(), Box<dyn Error>> {
    let line = Line { key: key.clone(), outcome: outcome.clone() };
    Ok(writeln!(file, "{}", serde_json::to_string(&line)?)?)
}
