//! A run as its files tell it, regrouped for showing.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use serde::Deserialize;
use serde_json::Value;

use crate::curves::Curves;
use crate::moments::{Moment, Moments};
use crate::record_lines::{LayerLine, Line, Numbers, RecordLines, SpectrumLine};
use crate::sigma_products::SigmaProducts;

/// Decisions that are held; of the others only the number is.
const MAX_DECISIONS: usize = 200;
/// What stands before the name of a score that rules were told of.
pub(crate) const VALIDATION: &str = "validation_";

/// Why a run's files cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// `run.json` is damaged or of another kind.
    #[error("run.json describes no run: {source}")]
    Description {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The record could not be read to its end.
    #[error("record.jsonl cannot be read: {source}")]
    Io {
        /// What the system said.
        source: io::Error,
    },
    /// A line of the record that is not its last is damaged.
    #[error("line {line} of record.jsonl is no event: {source}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
}

/// One run, in as much memory as its page needs however long its record is.
#[derive(Clone, Debug, Default)]
pub struct RunRecord {
    /// What `run.json` says of the run before its totals.
    pub description: Description,
    /// The losses over the steps, by name.
    pub losses: Curves,
    /// The signals that rules look at over the steps, by name.
    pub signals: Curves,
    /// The scores over the steps, by name.
    pub scores: Vec<Series>,
    /// The last scores of real data against real data, by name.
    pub floor: BTreeMap<String, f64>,
    /// The layers in the order of the record.
    pub layers: Vec<LayerHistory>,
    /// Of each network the product of its layers' effective σ over the steps, as its natural logarithm.
    pub products: SigmaProducts,
    /// The first decisions in the order of the record.
    pub decisions: Vec<Decision>,
    /// How many decisions the record has.
    pub n_decisions: u64,
    /// The last step that the record knows.
    pub last_step: u64,
    /// Whether the record's last line was cut short.
    pub is_cut: bool,
    /// Pictures of samples, by step.
    pub samples: Vec<Sample>,
}

/// The part of `run.json` that is shown; what it lacks is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Description {
    /// The recipe's name.
    pub recipe: String,
    /// The preset that the config started from.
    pub preset: String,
    /// The rule that decided.
    pub decide: String,
    /// The seed.
    pub seed: u64,
    /// Where the data came from.
    pub data: String,
    /// SHA-256 of all that training and scoring see.
    pub data_sha256: Option<String>,
    /// The device.
    pub device: String,
    /// How the run ended.
    pub status: String,
    /// Why it failed.
    pub error: Option<String>,
    /// The rules, with the layers that each is for.
    pub rules: Value,
    /// The whole config.
    pub config: Value,
    /// Versions by name.
    pub versions: Value,
    /// The machine.
    pub machine: Value,
    /// What it came to.
    pub totals: Option<Totals>,
}

/// The part of a run's totals that is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Optimizer steps done.
    pub steps: u64,
    /// Seconds from start to end.
    pub wall_secs: Option<f64>,
}

/// One named number over the steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Step and value, in order; a value that was not finite is NaN. All are of one sample size.
    pub points: Vec<(u64, f64)>,
    /// The value at the end that is of another sample size, where there is one.
    pub end: Option<f64>,
}

/// One layer over the steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerHistory {
    /// The network that holds it.
    pub network: String,
    /// The weight's path.
    pub path: String,
    /// σ of the stored and of the effective weight, and the target.
    pub sigmas: Curves,
    /// The stable rank, where it was logged.
    pub stable_rank: Curves,
    /// What was measured and done at the end.
    pub last: Option<LayerPoint>,
    /// The spectrum at the end, where it was recorded.
    pub spectrum: Option<Spectrum>,
    /// How many decisions changed what is done to it.
    pub n_decisions: u64,
    pub(crate) moments: Moments,
}

/// One layer at one step; what was not logged is NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerPoint {
    /// Optimizer steps done.
    pub step: u64,
    /// The stored weight's largest singular value.
    pub sigma: f64,
    /// The estimate's relative residual.
    pub residual: f64,
    /// The stable rank `‖W‖²_F / σ²`.
    pub stable_rank: f64,
    /// The σ that the action aims at.
    pub target: Option<f64>,
    /// The factor between stored and effective weight.
    pub scale: f64,
    /// How strongly it is held, from 0 to 1.
    pub elasticity: f64,
    /// The action's name.
    pub action: String,
    /// Why this action.
    pub reason: String,
}

/// The spectrum of a layer's effective weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// The largest singular values, largest first.
    pub singular_values: Vec<f64>,
    /// How many the weight has.
    pub n_values: u64,
}

/// A decision that changed something.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Decision {
    /// Optimizer steps done.
    pub step: u64,
    /// The network that holds the layer.
    pub network: String,
    /// The weight's path.
    pub path: String,
    /// The action before.
    pub from: String,
    /// The action from then on.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// A picture of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Optimizer steps done.
    pub step: u64,
    /// The bytes of a PNG file.
    pub png: Vec<u8>,
}

impl RunRecord {
    /// Reads a run from the text of its files and its sample pictures.
    ///
    /// Events of unknown kinds are skipped; a cut last line is left out and noted.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when a file is damaged.
    pub fn read(
        run_json: &str,
        record_jsonl: &str,
        samples: Vec<Sample>,
    ) -> Result<Self, ReadError> {
        Self::read_lines(run_json, record_jsonl.as_bytes(), samples)
    }

    /// The same from a record of any length, of which one line at a time is in memory.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when a file is damaged or cannot be read.
    pub fn read_lines(
        run_json: &str,
        record_jsonl: impl BufRead,
        samples: Vec<Sample>,
    ) -> Result<Self, ReadError> {
        let mut reader = RunReader::default();
        reader.take_in(record_jsonl)?;
        reader.finish(run_json, samples)
    }

    /// `gan · always · seed 1`.
    pub fn title(&self) -> String {
        let Description { recipe, decide, seed, .. } = &self.description;
        format!("{recipe} · {decide} · seed {seed}")
    }

    fn add(&mut self, line: Line) {
        match line {
            Line::Step { step, losses, signals, .. } => {
                self.last_step = self.last_step.max(step);
                add_row(&mut self.losses, step, &losses);
                add_row(&mut self.signals, step, &signals);
            }
            Line::Eval { step, metrics, curve, floor, .. } => {
                self.last_step = self.last_step.max(step);
                extend(&mut self.scores, step, metrics, &curve);
                self.scores.sort_by_key(|series| score_rank(&series.name));
                self.floor.extend(floor.into_iter().filter_map(|(name, v)| Some((name, v?))));
            }
            Line::Layer(line) => {
                let (network, path, point) = line.taken_apart();
                self.products.add(&network, &point);
                self.layer(&network, &path).add(point);
            }
            Line::Spectrum(line) => {
                let (network, path, spectrum) = line.taken_apart();
                self.layer(&network, &path).spectrum = Some(spectrum);
            }
            Line::Decision(decision) => self.decide(decision),
            Line::Unknown => {}
        }
    }

    fn decide(&mut self, decision: Decision) {
        self.n_decisions += 1;
        if self.decisions.len() < MAX_DECISIONS {
            self.decisions.push(decision.clone());
        }
        // What is decided at the start is no change of mind.
        let layer = self.layer(&decision.network, &decision.path);
        if decision.step > 0 {
            layer.n_decisions += 1;
            layer.moments.change(decision);
        }
    }

    fn layer(&mut self, network: &str, path: &str) -> &mut LayerHistory {
        let found = self.layers.iter().position(|l| l.network == network && l.path == path);
        let index = found.unwrap_or(self.layers.len());
        if found.is_none() {
            let (network, path) = (network.to_owned(), path.to_owned());
            self.layers.push(LayerHistory { network, path, ..LayerHistory::default() });
        }
        &mut self.layers[index]
    }
}

/// Reads a record that may still grow.
#[derive(Clone, Debug, Default)]
pub struct RunReader {
    run: RunRecord,
    lines: RecordLines,
}

impl RunReader {
    /// Where in the record the next [`take_in`](Self::take_in) begins, in bytes from its start.
    pub fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// Takes in what there is from [`offset`](Self::offset) on.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when a line with an end is damaged, or the system refuses.
    pub fn take_in(&mut self, record_jsonl: impl BufRead) -> Result<(), ReadError> {
        let Self { run, lines } = self;
        lines.take_in(record_jsonl, |line| {
            run.add(line);
            Ok(())
        })
    }

    /// The run as far as it was taken in, with what its other files say.
    ///
    /// # Errors
    ///
    /// [`ReadError::Description`] when `run.json` is damaged.
    pub fn finish(self, run_json: &str, mut samples: Vec<Sample>) -> Result<RunRecord, ReadError> {
        samples.sort_by_key(|sample| sample.step);
        let Self { mut run, lines } = self;
        match lines.rest() {
            Some(Ok(line)) => run.add(line),
            rest => run.is_cut = rest.is_some(),
        }
        run.layers.iter_mut().for_each(|layer| layer.moments.finish());
        run.products.finish();
        run.description =
            serde_json::from_str(run_json).map_err(|source| ReadError::Description { source })?;
        run.samples = samples;
        Ok(run)
    }
}

impl Decision {
    /// Whether the action is another one, and not the same with other numbers.
    pub fn is_switch(&self) -> bool {
        let words = |action: &str| -> Vec<String> {
            let has_digit = |word: &&str| word.contains(|letter: char| letter.is_ascii_digit());
            action.split_whitespace().filter(|word| !has_digit(word)).map(str::to_owned).collect()
        };
        words(&self.from) != words(&self.to)
    }
}

impl LayerHistory {
    fn add(&mut self, point: LayerPoint) {
        let LayerPoint { step, sigma, scale, .. } = point;
        let target = point.target.map(|target| ("target", target));
        let sigmas = [("effective weight", sigma * scale), ("stored weight", sigma)];
        self.sigmas.push(step, sigmas.into_iter().chain(target));
        if point.stable_rank.is_finite() {
            self.stable_rank.push(step, [("stable rank", point.stable_rank)]);
        }
        self.moments.push(Moment::new(step, point.elasticity, &point.action, &point.reason));
        self.last = Some(point);
    }
}

impl LayerLine {
    /// Its network, its path and what was measured.
    fn taken_apart(self) -> (String, String, LayerPoint) {
        let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
        let point = LayerPoint {
            step: self.step,
            sigma: number(self.sigma),
            residual: number(self.residual),
            stable_rank: number(self.stable_rank),
            target: self.target,
            scale: number(self.scale),
            elasticity: number(self.elasticity),
            action: self.action,
            reason: self.reason,
        };
        (self.network, self.path, point)
    }
}

impl SpectrumLine {
    /// Its network, its path and the spectrum.
    fn taken_apart(self) -> (String, String, Spectrum) {
        let scale = self.scale.unwrap_or(f64::NAN);
        let value = |value: Option<f64>| value.unwrap_or(f64::NAN) * scale;
        let singular_values = self.singular_values.into_iter().map(value).collect();
        (self.network, self.path, Spectrum { singular_values, n_values: self.n_values })
    }
}

fn add_row(curves: &mut Curves, step: u64, numbers: &Numbers) {
    if !numbers.is_empty() {
        let values = numbers.iter().map(|(name, value)| (&name[..], value.unwrap_or(f64::NAN)));
        curves.push(step, values);
    }
}

/// The place of a score among the others: the known ones first, as people quote them, and what rules
/// were told behind what they were not.
fn score_rank(name: &str) -> (bool, usize, String) {
    let told = name.strip_prefix(VALIDATION);
    let (rank, name) = rank_of(told.unwrap_or(name));
    (told.is_some(), rank, name)
}

fn rank_of(name: &str) -> (usize, String) {
    const KNOWN: [&str; 25] = [
        "frechet",
        "kid",
        "kid_error",
        "precision",
        "recall",
        "density",
        "coverage",
        "intra_frechet",
        "label_accuracy",
        "l1",
        "return",
        "recent_return",
        "worst_return",
        "area",
        "accuracy",
        "test_loss",
        "gap",
        "train_accuracy",
        "ece",
        "fgsm_accuracy",
        "margin",
        "ln_lipschitz",
        "ln_complexity",
        "ln_margin_bound",
        "ln_pac_bayes",
    ];
    let rank = KNOWN.iter().position(|known| *known == name).unwrap_or(KNOWN.len());
    (rank, name.to_owned())
}

/// Adds a scoring: to the curves what has their sample size, which is in `curve` where `metrics` has
/// another.
fn extend(series: &mut Vec<Series>, step: u64, metrics: Numbers, curve: &Numbers) {
    for (name, value) in metrics {
        let value = value.unwrap_or(f64::NAN);
        let on_curve = curve.get(&name).map(|value| value.unwrap_or(f64::NAN));
        let end = on_curve.map(|_| value);
        let point = (step, on_curve.unwrap_or(value));
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => {
                series.points.push(point);
                series.end = end;
            }
            None => series.push(Series { name, points: vec![point], end }),
        }
    }
}

impl Series {
    /// The value at the end, NaN where there is none.
    pub fn last(&self) -> f64 {
        let last = self.points.last().map_or(f64::NAN, |point| point.1);
        self.end.unwrap_or(last)
    }

    /// The mean over the steps by the trapezoidal rule: the area under the curve over its width, from the
    /// first scoring to the last. Every point is of one sample size; the value at the [`end`](Self::end)
    /// of another is none of them.
    ///
    /// With one point, its value; values that are not finite make it NaN.
    pub fn mean_over_steps(&self) -> f64 {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return f64::NAN;
        };
        if first.0 == last.0 {
            return last.1;
        }
        let area = |pair: &[(u64, f64)]| {
            (pair[1].0 as f64 - pair[0].0 as f64) * f64::midpoint(pair[0].1, pair[1].1)
        };
        self.points.windows(2).map(area).sum::<f64>() / (last.0 as f64 - first.0 as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"schema":1,"recipe":"gan","decide":"always","seed":3,"new":[]}"#;

    #[test]
    fn lines_are_grouped_by_what_they_are_about() {
        let record = r#"{"event":"step","step":1,"losses":{"generator":0.5},"wall_secs":1}
{"event":"layer","step":1,"network":"d","path":"a","sigma":2.0,"target":null,"scale":1,"elasticity":0,"action":"off","reason":"x"}
{"event":"layer","step":1,"network":"d","path":"b","sigma":3.0,"target":1.0,"scale":1,"elasticity":1,"action":"cap","reason":"y"}
{"event":"weather","step":1}
{"event":"step","step":2,"losses":{"generator":null},"wall_secs":1}
{"event":"layer","step":2,"network":"d","path":"a","sigma":null,"target":null,"scale":1,"elasticity":0,"action":"off","reason":"z"}
{"event":"eval","step":2,"metrics":{"frechet":9.0},"floor":{"frechet":1.0},"wall_secs":2}
{"event":"eval","st"#;
        let run = RunRecord::read(RUN, record, Vec::new()).unwrap();
        assert_eq!(run.title(), "gan · always · seed 3");
        let losses = run.losses.drawing(100);
        assert_eq!(losses.steps, [1, 2]);
        assert_eq!(losses.lines[0].values[0], Some(0.5));
        assert!(losses.lines[0].values[1].unwrap().is_nan());
        let steps = |layer: &LayerHistory| layer.sigmas.drawing(100).steps.len();
        let paths: Vec<_> = run.layers.iter().map(|l| (l.path.as_str(), steps(l))).collect();
        assert_eq!(paths, [("a", 2), ("b", 1)]);
        assert_eq!(run.layers[0].last.as_ref().unwrap().reason, "z");
        assert_eq!(run.layers[1].sigmas.names(), ["effective weight", "stored weight", "target"]);
        assert!(run.layers[0].stable_rank.is_empty());
        assert_eq!(run.floor["frechet"], 1.0);
        assert!(run.is_cut);
        assert_eq!(run.last_step, 2);
    }

    #[test]
    fn other_numbers_are_no_switch() {
        let decision = |from: &str, to: &str| {
            let [from, to] = [from, to].map(str::to_owned);
            let [network, path, reason] = [const { String::new() }; 3];
            Decision { step: 1, network, path, from, to, reason }
        };
        assert!(decision("off", "hard cap at 1").is_switch());
        assert!(decision("hard cap at 1", "soft cap at 1").is_switch());
        assert!(!decision("normalize to 0.9259", "normalize to 1e-3").is_switch());
    }

    #[test]
    fn a_record_that_grows_gives_the_same_run_wherever_it_is_cut() {
        let step = |step: u64| {
            let reason = r#""action":"cap","reason":"σ""#;
            format!(
                r#"{{"event":"step","step":{step},"losses":{{"a":{step}.5}}}}
{{"event":"layer","step":{step},"network":"d","path":"é","sigma":{step}.0,"scale":1,"elasticity":1,{reason}}}
"#
            )
        };
        let record: String = (1..5).map(step).collect();
        let whole = format!("{:?}", RunRecord::read(RUN, &record, Vec::new()).unwrap());
        for cut in 0..=record.len() {
            let mut reader = RunReader::default();
            reader.take_in(&record.as_bytes()[..cut]).unwrap();
            assert_eq!(reader.offset(), cut as u64);
            let before = reader.clone().finish(RUN, Vec::new()).unwrap();
            assert!(before.last_step <= 4);
            reader.take_in(&record.as_bytes()[cut..]).unwrap();
            assert_eq!(format!("{:?}", reader.finish(RUN, Vec::new()).unwrap()), whole, "{cut}");
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let error = RunRecord::read(RUN, "{}\n", Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("line 1 of record.jsonl"), "{error}");
    }

    #[test]
    fn a_thorough_last_score_is_the_last_and_no_point_of_the_curve() {
        let record = r#"{"event":"eval","step":1,"metrics":{"frechet":9.0,"kid":4.0}}
{"event":"eval","step":2,"metrics":{"frechet":1.0,"kid":3.0,"new":5.0},"curve":{"frechet":7.0,"kid":null}}
"#;
        let run = RunRecord::read(RUN, record, Vec::new()).unwrap();
        let [frechet, kid, new] = &run.scores[..] else { panic!("three scores") };
        assert_eq!((&frechet.points[..], frechet.last()), (&[(1, 9.0), (2, 7.0)][..], 1.0));
        assert_eq!(frechet.mean_over_steps(), 8.0);
        assert!(kid.last() == 3.0 && kid.mean_over_steps().is_nan());
        assert_eq!((new.last(), new.mean_over_steps()), (5.0, 5.0));
    }

    #[test]
    fn the_mean_over_steps_weighs_by_distance() {
        let series = |points: &[(u64, f64)]| {
            let (name, points) = (String::new(), points.into());
            Series { name, points, end: Some(100.0) }
        };
        assert_eq!(series(&[(0, 1.0), (10, 1.0), (30, 4.0)]).mean_over_steps(), 2.0);
        assert_eq!(series(&[(5, 7.0)]).mean_over_steps(), 7.0);
        assert!(series(&[]).mean_over_steps().is_nan());
    }
}
