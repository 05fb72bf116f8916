//! A study for a terminal: a table for each regime, and sentences that can be quoted.

use std::fmt;

use super::analysis::{
    ALPHA, Analysis, ArmInRegime, ArmOverall, Comparison, MeasureAnalysis, Outcome, RegimeAnalysis,
};
use super::statistics::{ConfidenceInterval, smallest_p};
use super::study_file::Study;
use super::study_run::{Completion, StudyRun};
use crate::text::{Digits, counted};

/// A p-value below this is not told apart from 0.
const TINY_P: f64 = 0.001;

/// What the numbers of [`tables`] mean, a line each.
pub const EXPLANATION: &str = "\
IQM: the interquartile mean, with its 95 % bootstrap interval.
P: the probability that a run of the first arm is better than one of the second, with its 95 % bootstrap interval.
p: that of the paired differences, by flipping their signs, corrected by Holm.
Two arms differ where the interval of P excludes 0.5 and p is below 0.05.
Regret: how far an arm is behind the static arm that is best in hindsight, as a part of the distance from the best to the worst static arm.
";

/// A part of what a study says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Sentences, a line each.
    Text(String),
    /// A row for each arm, whose name is the first cell.
    Table {
        /// Of the columns.
        titles: [String; 5],
        /// The cells of each row.
        rows: Vec<[String; 5]>,
    },
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Table { titles, rows } => [titles]
                .into_iter()
                .chain(rows)
                .try_for_each(|row| writeln!(f, "{}", row.join("  "))),
        }
    }
}

/// The tables and the sentences; none where nothing can be compared yet.
pub fn tables(study: &Study, analysis: &Analysis) -> Vec<Block> {
    let [last, area] = &analysis.measures;
    let mut blocks = Vec::new();
    if !last.regimes.is_empty() {
        blocks.push(heading(study));
        for (last, area) in last.regimes.iter().zip(&area.regimes) {
            blocks.push(regime_table(last, area));
            blocks.push(sentences("", &last.comparisons, last.seeds.len(), "seed"));
        }
        blocks.extend(together(last, area));
        blocks.push(failures(study));
    }
    blocks.push(interruptions(study));
    blocks.retain(|block| *block != Block::Text(String::new()));
    blocks
}

fn heading(study: &Study) -> Block {
    let word = if study.asked.higher_is_better { "higher" } else { "lower" };
    let (recipe, metric) = (&study.asked.recipe, &study.asked.metric);
    Block::Text(format!("{recipe}: {metric}, {word} is better; IQM [95 % interval]\n"))
}

fn regime_table(last: &RegimeAnalysis, area: &RegimeAnalysis) -> Block {
    let n_seeds = last.seeds.len();
    let digits = [last, area].map(|measure| digits(measure, n_seeds));
    let row = |(last, area): (&ArmInRegime, &ArmInRegime)| {
        let failed = format!("{} of {n_seeds}", last.n_failed);
        let score =
            |arm: &ArmInRegime, digits: Digits| shown(arm.iqm, n_seeds, |it| digits.shown(it));
        let regret = shown(last.regret, n_seeds, hundredths);
        [last.arm.clone(), score(last, digits[0]), score(area, digits[1]), failed, regret]
    };
    let rows = last.arms.iter().zip(&area.arms).map(row);
    let title = format!("{}, {}", last.regime, counted(n_seeds, "seed"));
    table(&title, "regret", rows)
}

/// The digits of the arms' scores in a regime, with those of their intervals where they are shown.
pub(crate) fn digits(measure: &RegimeAnalysis, n_seeds: usize) -> Digits {
    let intervals = measure.arms.iter().filter_map(|arm| arm.iqm);
    Digits::of(intervals.flat_map(|it| {
        let ends = if n_seeds == 1 { [it.value; 2] } else { [it.lower, it.upper] };
        [it.value, ends[0], ends[1]]
    }))
}

/// What all regimes say together, and what the whole runs say.
fn together(last: &MeasureAnalysis, area: &MeasureAnalysis) -> Vec<Block> {
    let n_runs = last.n_runs_of_an_arm();
    let [at_end, over_run] = [last, area].map(|measure| {
        move |lead, unit| sentences(lead, &measure.overall.comparisons, n_runs, unit)
    });
    if last.regimes.len() == 1 {
        return vec![over_run("Over the run, ", "seed")];
    }
    let scale = "1 is the best run of its regime, 0 the worst finished one, -1 a failed one\n";
    vec![
        overall_table(last, area),
        Block::Text(scale.to_owned()),
        at_end("Over all regimes, ", "pair"),
        over_run("Over all regimes and over the run, ", "pair"),
    ]
}

fn overall_table(last: &MeasureAnalysis, area: &MeasureAnalysis) -> Block {
    let row = |(last, area): (&ArmOverall, &ArmOverall)| {
        let failed = format!("{} of {}", last.n_failed, last.n_runs);
        let shown = |interval| shown(interval, last.n_runs, hundredths);
        [last.arm.clone(), shown(last.iqm), shown(area.iqm), failed, shown(last.worst_regret)]
    };
    let rows = last.overall.arms.iter().zip(&area.overall.arms).map(row);
    table(&format!("{} regimes", last.regimes.len()), "worst regret", rows)
}

fn table(title: &str, regret: &str, rows: impl Iterator<Item = [String; 5]>) -> Block {
    let titles = [title, "at the end", "over the run", "failed", regret].map(str::to_owned);
    Block::Table { titles, rows: rows.collect() }
}

fn sentences(lead: &str, comparisons: &[Comparison], n_pairs: usize, unit: &str) -> Block {
    if let [first, _, ..] = comparisons
        && are_too_few(n_pairs)
    {
        return Block::Text(wins(lead, &first.arm, comparisons, &counted(n_pairs, unit)));
    }
    let lines = comparisons.iter().map(|it| format!("{}\n", it.in_words(lead, n_pairs, unit)));
    Block::Text(lines.collect())
}

/// Whether no p-value of so many pairs can be below [`ALPHA`].
pub(super) fn are_too_few(n_pairs: usize) -> bool {
    smallest_p(n_pairs) >= ALPHA
}

/// All that so few pairs say of the first arm and the others: in how many it was better.
fn wins(lead: &str, arm: &str, comparisons: &[Comparison], pairs: &str) -> String {
    let win = |it: &Comparison| format!("`{}` in {}", it.against, it.wins.wins);
    let wins = comparisons.iter().map(win).collect::<Vec<_>>().join(", ");
    format!("{lead}`{arm}` was better than {wins} of {pairs}, too few for any p below {ALPHA}.\n")
}

/// A sentence in which an arm's name is told from words without a search for quotation marks.
pub(crate) struct Sentence<'a>(pub(crate) Vec<Part<'a>>);

/// A piece of a sentence.
pub(crate) enum Part<'a> {
    Words(String),
    Arm(&'a str),
}

impl<'a> Sentence<'a> {
    /// About two arms: the words before, between and behind their names.
    pub(super) fn of(it: &'a Comparison, [before, between, behind]: [String; 3]) -> Self {
        use Part::{Arm, Words};
        Self(vec![Words(before), Arm(&it.arm), Words(between), Arm(&it.against), Words(behind)])
    }
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Words(words) => f.write_str(words),
            Part::Arm(name) => write!(f, "`{name}`"),
        })
    }
}

impl Comparison {
    /// What it says, behind `lead`: `` `auto` was better than `always` in 8 of 10 seeds; P = 0.83
    /// [0.71, 0.93], p = 0.02.``
    ///
    /// `n_pairs` pairs of runs were compared, each a `unit`.
    pub(crate) fn in_words(&self, lead: &str, n_pairs: usize, unit: &str) -> Sentence<'_> {
        let (wins, pairs) = (self.wins, counted(n_pairs, unit));
        let numbers =
            format!("P = {}, {}", bracketed(self.probability, hundredths), p_value(self.p_holm));
        let (between, behind) = match self.outcome() {
            Outcome::Better => (" was better than ", format!(" in {} of {pairs}", wins.wins)),
            Outcome::Worse => (" was worse than ", format!(" in {} of {pairs}", wins.losses)),
            Outcome::Open => {
                let even =
                    if wins.ties > 0 { format!(", even in {}", wins.ties) } else { String::new() };
                let better = format!("better in {}{even}", wins.wins);
                (" and ", format!(" cannot be told apart with {pairs} ({better})"))
            }
        };
        let behind = format!("{behind}; {numbers}{}.", self.doubt(n_pairs));
        Sentence::of(self, [lead.to_owned(), between.to_owned(), behind])
    }

    /// Why a comparison whose interval looks clear shows no difference.
    pub(super) fn doubt(&self, n_pairs: usize) -> &'static str {
        let is_too_few = self.leaves_out_even() && are_too_few(n_pairs);
        if is_too_few { ", which is too few for any p below 0.05" } else { "" }
    }
}

/// As a person reads it.
pub(crate) fn p_value(p: f64) -> String {
    if p < TINY_P { format!("p < {TINY_P}") } else { format!("p = {p:.3}") }
}

fn failures(study: &Study) -> Block {
    let note = "A failed run counts as worse than every finished one: as far behind the worst as that is \
                behind the best of its regime.\n";
    runs_of(study, |run| run.status == Completion::Failed, "failed in", note)
}

fn interruptions(study: &Study) -> Block {
    let is_interrupted = |run: &StudyRun| run.status == Completion::Missing && run.why.is_some();
    let note = "An interrupted run counts as nothing; the same command runs it again.\n";
    runs_of(study, is_interrupted, "was interrupted in", note)
}

/// A line for each arm that has such runs, with the first of them, and a note on them.
fn runs_of(study: &Study, which: impl Fn(&StudyRun) -> bool, what: &str, note: &str) -> Block {
    let of_arm = |name: &str| {
        let runs: Vec<_> = study.runs.iter().filter(|run| run.arm == name && which(run)).collect();
        let StudyRun { regime, seed, why, .. } = runs.first()?;
        let (n_runs, why) =
            (counted(runs.len(), "run"), why.as_deref().unwrap_or("no reason is known"));
        Some(format!("`{name}` {what} {n_runs}, first in {regime} with seed {seed}: {why}.\n"))
    };
    let lines: String = study.asked.arms.iter().filter_map(|arm| of_arm(&arm.name)).collect();
    Block::Text(if lines.is_empty() { lines } else { lines + note })
}

/// A number with its interval; a single run has none.
pub(crate) fn shown(
    interval: Option<ConfidenceInterval>,
    n_runs: usize,
    number: impl Fn(f64) -> String,
) -> String {
    match interval {
        None => "–".to_owned(),
        Some(interval) if n_runs == 1 => number(interval.value),
        Some(interval) => bracketed(interval, number),
    }
}

pub(super) fn bracketed(interval: ConfidenceInterval, number: impl Fn(f64) -> String) -> String {
    let ConfidenceInterval { value, lower, upper } = interval;
    format!("{} [{}, {}]", number(value), number(lower), number(upper))
}

/// A number without a unit.
pub(crate) fn hundredths(value: f64) -> String {
    format!("{value:.2}")
}
