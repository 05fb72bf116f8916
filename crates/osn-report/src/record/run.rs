//! A run as its files tell it, regrouped for showing.

use std::collections::BTreeMap;
use std::io::BufRead;

use osn_core::decide::Evidence;

use super::lines::{Numbers, RecordLine, RecordLines};
use super::score_names;
use super::types::{
    AttentionPoint, Description, LayerPoint, LoggedDecision, ReadError, Sample, SampleContent,
    Series, Spectrum, TextTable, check_schema,
};
use crate::record::gradients::GradientSignals;
use crate::series::min_max::MinMaxSeries;
use crate::series::timeline::{Segment, TimelineSegments};

/// Decisions that are kept; the others are only counted.
const MAX_DECISIONS: usize = 200;
/// Of those at the start, of which each layer has one.
const MAX_AT_START: usize = 32;

/// The names of what is known of a head.
pub(crate) const ENTROPY: &str = "entropy";
pub(crate) const MAX_LOGIT: &str = "max_logit";

/// One run, in as much memory as its page needs however long its record is.
#[derive(Clone, Debug, Default)]
pub struct RunRecord {
    /// What `run.json` says.
    pub description: Description,
    /// The losses over the steps, by name.
    pub losses: MinMaxSeries,
    /// The signals that rules look at over the steps, by name.
    pub signals: MinMaxSeries,
    /// The scores over the steps, by name.
    pub scores: Vec<Series>,
    /// The last scores of real data against real data, by name.
    pub real_vs_real: BTreeMap<String, f64>,
    /// The layers in the order of the record.
    pub layers: Vec<LayerHistory>,
    /// The heads of attention in the order of the record.
    pub heads: Vec<HeadHistory>,
    /// For each network the natural logarithm of the product of its layers' effective σ, over the steps.
    pub products: SigmaProducts,
    /// The first decisions in the order of the record.
    pub decisions: Vec<LoggedDecision>,
    /// How many decisions the record has.
    pub n_decisions: u64,
    /// The last step that the record knows.
    pub last_step: u64,
    /// Whether the record's last line was cut short.
    pub is_cut: bool,
    /// Samples, by step.
    pub samples: Vec<Sample>,
    /// The first and last values of the signals about gradients.
    pub(crate) gradients: GradientSignals,
    /// Where the next layer and the next head are, if they come in the order of before.
    next: (usize, usize),
}

/// One head of attention over the steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadHistory {
    /// The network that holds it.
    pub network: String,
    /// The path of its attention block.
    pub path: String,
    /// Its place in the block, from 0.
    pub head: usize,
    /// `entropy` in nats, and `max_logit`.
    pub values: MinMaxSeries,
    /// What was measured at the end.
    pub last: Option<AttentionPoint>,
}

/// One layer over the steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerHistory {
    /// The network that holds it.
    pub network: String,
    /// The weight's path.
    pub path: String,
    /// σ of the stored and of the effective weight, and the target.
    pub sigmas: MinMaxSeries,
    /// The stable rank, where it was logged.
    pub stable_rank: MinMaxSeries,
    /// The number by which its rule decided, where there was one.
    pub evidence: MinMaxSeries,
    /// What was measured and done at the end.
    pub last: Option<LayerPoint>,
    /// The spectrum at the end, where it was recorded.
    pub spectrum: Option<Spectrum>,
    /// How many decisions changed what is done to it.
    pub n_decisions: u64,
    pub(crate) segments: TimelineSegments,
}

impl RunRecord {
    /// Reads a run from the text of `run.json` and `record.jsonl` and from its sample pictures.
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
        check_schema(run_json)?;
        let mut reader = RunReader::default();
        reader.take_in(record_jsonl)?;
        reader.finish(run_json, samples)
    }

    /// `gan · always · seed 1`.
    pub fn title(&self) -> String {
        let Description { recipe, decide, seed, .. } = &self.description;
        format!("{recipe} · {decide} · seed {seed}")
    }

    fn add(&mut self, line: RecordLine) {
        match line {
            RecordLine::Step { step, losses, signals, .. } => {
                self.last_step = self.last_step.max(step);
                add_row(&mut self.losses, step, &losses);
                add_row(&mut self.signals, step, &signals);
                self.gradients.add(&signals);
            }
            RecordLine::Eval { step, metrics, curve, real_vs_real, .. } => {
                self.last_step = self.last_step.max(step);
                extend(&mut self.scores, step, metrics, &curve);
                self.scores.sort_by_key(|series| score_names::rank(&series.name));
                let known = real_vs_real.into_iter().filter_map(|(name, v)| Some((name, v?)));
                self.real_vs_real.extend(known);
            }
            RecordLine::Layer(point) => {
                self.products.add(&point);
                self.layer(&point.network, &point.path).add(point);
            }
            RecordLine::Attention(point) => self.attend(point),
            RecordLine::Spectrum { network, path, scale, n_values, singular_values } => {
                let scale = scale.unwrap_or(f64::NAN);
                let value = |value: Option<f64>| value.unwrap_or(f64::NAN) * scale;
                let singular_values = singular_values.into_iter().map(value).collect();
                self.layer(&network, &path).spectrum = Some(Spectrum { singular_values, n_values });
            }
            RecordLine::Decision(decision) => self.decide(decision),
            RecordLine::Unknown => {}
        }
    }

    fn decide(&mut self, decision: LoggedDecision) {
        self.n_decisions += 1;
        // The decisions of many layers at the start leave room for those that change something.
        let max = if decision.step == 0 { MAX_AT_START } else { MAX_DECISIONS };
        if self.decisions.len() < max {
            self.decisions.push(decision.clone());
        }
        // The decision at the start replaces no other.
        let layer = self.layer(&decision.network, &decision.path);
        if decision.step > 0 {
            layer.n_decisions += 1;
            layer.segments.change(decision);
        }
    }

    fn layer(&mut self, network: &str, path: &str) -> &mut LayerHistory {
        let is_it = |l: &LayerHistory| l.path == path && l.network == network;
        let index = position(&self.layers, self.next.0, is_it).unwrap_or(self.layers.len());
        if index == self.layers.len() {
            let (network, path) = (network.to_owned(), path.to_owned());
            self.layers.push(LayerHistory { network, path, ..LayerHistory::default() });
        }
        self.next.0 = index + 1;
        &mut self.layers[index]
    }

    fn attend(&mut self, point: AttentionPoint) {
        let AttentionPoint { step, network, path, head, entropy, max_logit } = &point;
        let is_it = |h: &HeadHistory| h.head == *head && h.path == *path && h.network == *network;
        let index = position(&self.heads, self.next.1, is_it).unwrap_or(self.heads.len());
        if index == self.heads.len() {
            let (network, path) = (network.clone(), path.clone());
            self.heads.push(HeadHistory { network, path, head: *head, ..HeadHistory::default() });
        }
        self.next.1 = index + 1;
        let history = &mut self.heads[index];
        history.values.push(*step, [(ENTROPY, *entropy), (MAX_LOGIT, *max_logit)]);
        history.last = Some(point);
    }

    /// The pictures among the samples, by step.
    pub(crate) fn pictures(&self) -> Vec<(u64, &[u8])> {
        let mut pictures = Vec::new();
        for sample in &self.samples {
            if let SampleContent::Picture(png) = &sample.content {
                pictures.push((sample.step, &png[..]));
            }
        }
        pictures
    }

    /// The tables among the samples, by step.
    pub(crate) fn tables(&self) -> Vec<(u64, &TextTable)> {
        let mut tables = Vec::new();
        for sample in &self.samples {
            if let SampleContent::Table(table) = &sample.content {
                tables.push((sample.step, table));
            }
        }
        tables
    }
}

/// The index of an item among those that mostly come one after the other, so that the search begins at `from`.
fn position<T>(items: &[T], from: usize, is_it: impl Fn(&T) -> bool) -> Option<usize> {
    let from = from.min(items.len());
    let (before, behind) = items.split_at(from);
    let found = behind.iter().position(&is_it).map(|index| from + index);
    found.or_else(|| before.iter().position(is_it))
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
    /// [`ReadError::Description`] when `run.json` is damaged, [`ReadError::Schema`] when it is of a newer
    /// version.
    pub fn finish(self, run_json: &str, mut samples: Vec<Sample>) -> Result<RunRecord, ReadError> {
        samples.sort_by_key(|sample| sample.step);
        let Self { mut run, lines } = self;
        match lines.rest() {
            Some(Ok(line)) => run.add(line),
            rest => run.is_cut = rest.is_some(),
        }
        run.layers.iter_mut().for_each(|layer| layer.segments.finish());
        run.products.finish();
        run.description = Description::read(run_json)?;
        run.samples = samples;
        Ok(run)
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
        if let Some(Evidence { name, value, .. }) = &point.evidence {
            self.evidence.push(step, [(name.as_str(), *value)]);
        }
        self.segments.push(Segment::new(step, point.elasticity, &point.action, &point.reason));
        self.last = Some(point);
    }
}

/// Of each network `Σ ln(s·σ)` over its layers, at each logged step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SigmaProducts {
    /// One line for each network.
    pub curves: MinMaxSeries,
    step: u64,
    /// Network by network the sum so far at this step.
    sums: Vec<(String, f64)>,
}

impl SigmaProducts {
    /// Takes in one layer; the layers of a step come one after the other.
    pub(crate) fn add(&mut self, point: &LayerPoint) {
        if point.step != self.step {
            self.finish();
            self.step = point.step;
        }
        let ln_sigma = (point.sigma * point.scale).ln();
        match self.sums.iter_mut().find(|(name, _)| *name == point.network) {
            Some((_, sum)) => *sum += ln_sigma,
            None => self.sums.push((point.network.clone(), ln_sigma)),
        }
    }

    /// Closes the last step.
    pub(crate) fn finish(&mut self) {
        if !self.sums.is_empty() {
            self.curves.push(self.step, self.sums.iter().map(|(name, sum)| (&name[..], *sum)));
            self.sums.clear();
        }
    }
}

fn add_row(curves: &mut MinMaxSeries, step: u64, numbers: &Numbers) {
    if !numbers.is_empty() {
        let values = numbers.iter().map(|(name, value)| (&name[..], value.unwrap_or(f64::NAN)));
        curves.push(step, values);
    }
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
{"event":"eval","step":2,"metrics":{"frechet":9.0},"real_vs_real":{"frechet":1.0},"wall_secs":2}
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
        assert_eq!(run.real_vs_real["frechet"], 1.0);
        assert!(run.is_cut);
        assert_eq!(run.last_step, 2);
    }

    #[test]
    fn other_numbers_are_no_switch() {
        let decision = |from: &str, to: &str| {
            let [from, to] = [from, to].map(str::to_owned);
            let [network, path, reason] = [const { String::new() }; 3];
            LoggedDecision { step: 1, network, path, from, to, reason }
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
        assert!(matches!(error, ReadError::Line { line: 1, .. }), "{error}");
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
