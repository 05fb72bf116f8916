//! Which arm is best, and how sure that is: the one sentence that a comparison begins with.

use std::fmt;

use super::analysis::{
    ALPHA, Analysis, ArmOverall, Comparison, MeasureAnalysis, Outcome, chosen_against_others,
};
use super::statistics::ConfidenceInterval;
use super::study_file::Study;
use super::study_run::Completion;
use super::tables::{Part, Sentence, are_too_few, bracketed, hundredths, p_value, shown};
use crate::text::{counted, short};

/// Which arm is best at the last step, over all regimes, and how sure that is.
///
/// The best arm is the one with the best interquartile mean. It is certainly the best where it is
/// [better](Outcome::Better) than each other one. The first arm was named before anybody saw a score, so
/// its p-values are those of [`Overall::comparisons`](super::Overall::comparisons); another arm was chosen
/// for its scores, and its p-values are corrected for all pairs of arms.
///
/// Its text is one sentence with a full stop.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What can be said.
    pub finding: Finding,
    /// Whether runs are missing, so that it may change.
    pub is_preliminary: bool,
}

/// What can be said of the arms.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// No seed has been run with every arm yet.
    NoSeed,
    /// Every run that counts has failed.
    AllFailed,
    /// There is no other arm to compare with.
    OneArm(Leader),
    /// One arm is better than each other one.
    Best {
        /// The best arm.
        leader: Leader,
        /// The comparison that is the least certain of all.
        closest: Comparison,
        /// How many arms it is better than.
        n_others: usize,
    },
    /// One arm has the best interquartile mean, which does not show that it is the best.
    Uncertain {
        /// The arm with the best interquartile mean; the first of those with the same.
        leader: Leader,
        /// The comparison that is the least certain of all.
        closest: Comparison,
        /// Whether the interquartile means of these two are equal.
        is_equal: bool,
        /// How many further arms it is not certainly better than.
        n_more: usize,
    },
}

/// The arm with the best interquartile mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Leader {
    /// Its name.
    pub arm: String,
    /// Its interquartile mean: of one regime in units of the score, of several of scores where 1 is the
    /// best run of its regime and 0 the worst finished one.
    pub iqm: Option<ConfidenceInterval>,
    /// In how many regimes.
    pub n_regimes: usize,
    /// How many runs count.
    pub n_runs: usize,
    /// How many of these failed.
    pub n_failed: usize,
}

impl Verdict {
    /// Finds the best arm; `analysis` is that of the study.
    pub fn of(study: &Study, analysis: &Analysis) -> Self {
        let finding = Finding::of(study, &analysis.measures[0]);
        let is_preliminary = study.runs.iter().any(|run| run.status == Completion::Missing);
        Self { finding, is_preliminary }
    }

    pub(crate) fn in_words(&self) -> Sentence<'_> {
        let so_far = if self.is_preliminary { " so far" } else { "" };
        let words = |words: &str| Sentence(vec![Part::Words(words.to_owned())]);
        match &self.finding {
            Finding::NoSeed => words("No verdict yet: no seed has been run with every arm."),
            Finding::AllFailed => words("No arm is best: every run failed."),
            Finding::OneArm(leader) => one_arm(leader, so_far),
            Finding::Best { leader, closest, n_others } => best(leader, closest, *n_others, so_far),
            Finding::Uncertain { leader, closest, is_equal, n_more } => {
                uncertain(leader, closest, *is_equal, *n_more, so_far)
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_words().fmt(f)
    }
}

impl Finding {
    fn of(study: &Study, last: &MeasureAnalysis) -> Self {
        let arms = &last.overall.arms;
        if last.regimes.is_empty() || arms.is_empty() {
            return Self::NoSeed;
        }
        if arms.iter().all(|arm| arm.n_failed == arm.n_runs) {
            return Self::AllFailed;
        }
        let place = leading(arms);
        let leader = Leader::of(last, place);
        let comparisons = match place {
            0 => last.overall.comparisons.clone(),
            place => chosen_against_others(study, place),
        };
        let n_others = comparisons.len();
        let n_open = comparisons.iter().filter(|it| it.outcome() != Outcome::Better).count();
        let mean_of = |it: &Comparison| {
            arms.iter().find(|arm| arm.arm == it.against).and_then(mean).unwrap_or(f64::NAN)
        };
        let by_doubt = |a: &Comparison, b: &Comparison| {
            a.by_doubt(b).then_with(|| mean_of(a).total_cmp(&mean_of(b)))
        };
        let Some(closest) = comparisons.into_iter().max_by(by_doubt) else {
            return Self::OneArm(leader);
        };
        if n_open == 0 {
            return Self::Best { leader, closest, n_others };
        }
        let is_equal = mean(&arms[place]) == Some(mean_of(&closest));
        Self::Uncertain { leader, closest, is_equal, n_more: n_open - 1 }
    }
}

/// The place of the arm with the best interquartile mean; of equal ones the first.
fn leading(arms: &[ArmOverall]) -> usize {
    let mut best = 0;
    for (place, arm) in arms.iter().enumerate() {
        if mean(arm) > mean(&arms[best]) {
            best = place;
        }
    }
    best
}

fn mean(arm: &ArmOverall) -> Option<f64> {
    arm.iqm.map(|iqm| iqm.value)
}

impl Comparison {
    /// Orders by how little a comparison shows that its first arm is better.
    fn by_doubt(&self, other: &Self) -> std::cmp::Ordering {
        let doubt = |it: &Self| (it.outcome() != Outcome::Better, -it.probability.value, it.p_holm);
        let (a, b) = (doubt(self), doubt(other));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
    }
}

impl Leader {
    fn of(last: &MeasureAnalysis, place: usize) -> Self {
        let ArmOverall { arm, n_runs, n_failed, iqm, .. } = &last.overall.arms[place];
        let iqm = match &last.regimes[..] {
            [only] => only.arms[place].iqm,
            _ => *iqm,
        };
        let n_regimes = last.regimes.len();
        Self { arm: arm.clone(), iqm, n_regimes, n_runs: *n_runs, n_failed: *n_failed }
    }

    /// `IQM 0.41 [0.38, 0.44]`, and how many runs failed.
    fn iqm(&self) -> String {
        match self.n_regimes {
            1 => format!("IQM, {}", shown(self.iqm, self.n_runs, short)),
            n => {
                let iqm = shown(self.iqm, self.n_runs, hundredths);
                format!("normalized IQM over {n} regimes, {iqm}")
            }
        }
    }

    /// A failed run counts as the worst, so each verdict says how many there are.
    fn failures(&self) -> String {
        match self.n_failed {
            0 => String::new(),
            n => format!("; {n} of its {} failed", counted(self.n_runs, "run")),
        }
    }

    fn unit(&self) -> &'static str {
        if self.n_regimes == 1 { "seed" } else { "pair" }
    }
}

fn one_arm<'a>(leader: &'a Leader, so_far: &str) -> Sentence<'a> {
    let (iqm, failures) = (leader.iqm(), leader.failures());
    Sentence(vec![
        Part::Words("The only arm ".to_owned()),
        Part::Arm(&leader.arm),
        Part::Words(format!(" has nothing to be compared with{so_far}: {iqm}{failures}.")),
    ])
}

fn best<'a>(
    leader: &Leader,
    closest: &'a Comparison,
    n_others: usize,
    so_far: &str,
) -> Sentence<'a> {
    let (won, pairs) = (closest.wins.wins, counted(leader.n_runs, leader.unit()));
    let (than, in_pairs) = match n_others {
        1 => (", better than ".to_owned(), format!(" in {won} of {pairs}")),
        n => (
            format!(", better than each of the {n} other arms; against the closest of them, "),
            format!(", it won {won} of {pairs}"),
        ),
    };
    let numbers = numbers(closest, &hundredths(closest.probability.value));
    let rest = format!("{in_pairs} ({numbers}){}.", leader.failures());
    Sentence::of(closest, [format!("Best{so_far}: "), than, rest])
}

fn uncertain<'a>(
    leader: &Leader,
    closest: &'a Comparison,
    is_equal: bool,
    n_more: usize,
    so_far: &str,
) -> Sentence<'a> {
    let (iqm, failures) = (leader.iqm(), leader.failures());
    if leader.n_runs == 1 && leader.n_failed == 0 && !is_equal {
        let between = format!(" has the best score, {}, before ", shown(leader.iqm, 1, short));
        let needed = 1 + (1..100).take_while(|&pairs| are_too_few(pairs)).count();
        let rest = format!("; no p is below {ALPHA} with fewer than {needed} seeds.");
        return Sentence::of(
            closest,
            [format!("One seed decides nothing{so_far}: "), between, rest],
        );
    }
    let numbers = numbers(closest, &bracketed(closest.probability, hundredths));
    let numbers = format!("({numbers}{})", closest.doubt(leader.n_runs));
    let more = |before: &str, after: &str| match n_more {
        0 => String::new(),
        n => format!("{before}{}{after}", counted(n, "other arm")),
    };
    let (start, between, rest) = if is_equal {
        let more = more("; ", " may be as good");
        ("No arm is best", " and ".to_owned(), format!(" have the same {iqm} {numbers}{more}"))
    } else {
        let between = format!(" has the best {iqm}, but is not certainly better than ");
        ("No arm is certainly best", between, format!("{} {numbers}", more(" or ", "")))
    };
    Sentence::of(closest, [format!("{start}{so_far}: "), between, format!("{rest}{failures}.")])
}

fn numbers(comparison: &Comparison, probability: &str) -> String {
    format!("P(improvement) {probability}, Holm-adjusted {}", p_value(comparison.p_holm))
}
