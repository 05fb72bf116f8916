//! The answer in words: the first arm against each other one, and where it is not so.

use maud::{Markup, html};

use crate::study::{Comparison, MeasureAnalysis, Outcome, Part, Sentence, StudyRecord, Verdict};

/// Which arm is best in one sentence, and an item for each arm that the first is compared with.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let [last, area] = &record.analysis.measures[..] else { return html! {} };
    html! {
        p.verdict { (in_one_sentence(&record.verdict)) }
        @if !last.regimes.is_empty() && !last.overall.comparisons.is_empty() {
            ul.answers {
                @for (index, comparison) in last.overall.comparisons.iter().enumerate() {
                    (answer(comparison, index, last, area))
                }
            }
            p.note {
                "P is the probability that a run of the first arm is better than one of the second, with its "
                "95 % bootstrap interval; p is corrected after Holm. Arms are told apart where the interval "
                "leaves out 0.5 and p is below 0.05."
            }
        }
    }
}

fn in_one_sentence(verdict: &Verdict) -> Markup {
    html! {
        @for part in verdict.parts() {
            @match part { Part::Words(words) => (words), Part::Arm(name) => code { (name) } }
        }
    }
}

/// With one regime its own sentence, with several the one of all and what each says.
fn answer(
    overall: &Comparison,
    index: usize,
    last: &MeasureAnalysis,
    area: &MeasureAnalysis,
) -> Markup {
    let n_runs = last.overall.arms.first().map_or(0, |arm| arm.n_runs);
    let over_run = &area.overall.comparisons[index];
    let outcome = overall.outcome();
    let (at_end_lead, over_run_lead, unit) = match last.regimes.len() {
        1 => ("", "Over the run, ", "seed"),
        _ => ("Over all regimes, ", "Over all regimes and over the run, ", "pair"),
    };
    html! {
        li.(class_of(outcome)) {
            p.answer { b.outcome { (word(outcome)) } " " (sentence(at_end_lead, overall, n_runs, unit)) }
            p { (sentence(over_run_lead, over_run, n_runs, unit)) }
            @if last.regimes.len() > 1 { p { "Regime by regime, at the end: " (by_regime(last, index)) } }
        }
    }
}

fn sentence(lead: &str, comparison: &Comparison, n_pairs: usize, unit: &str) -> Markup {
    let Sentence { arm, between, against, rest } = Sentence::of(comparison, n_pairs, unit);
    html! { (lead) code { (arm) } (between) code { (against) } (rest) "." }
}

/// In which regimes it is better, and in which it is not.
fn by_regime(last: &MeasureAnalysis, index: usize) -> Markup {
    let groups = [Outcome::Better, Outcome::Worse, Outcome::Open].map(|outcome| {
        let regimes = last.regimes.iter();
        let regimes = regimes.filter(|regime| regime.comparisons[index].outcome() == outcome);
        (outcome, regimes.map(|regime| regime.regime.as_str()).collect::<Vec<_>>())
    });
    let shown: Vec<_> = groups.iter().filter(|(_, regimes)| !regimes.is_empty()).collect();
    html! {
        @for (place, (outcome, regimes)) in shown.iter().enumerate() {
            @if place > 0 { "; " }
            (word(*outcome)) " in "
            @if shown.len() == 1 { "each" } @else { (names(regimes)) }
        }
        "."
    }
}

fn names(regimes: &[&str]) -> Markup {
    html! {
        @for (place, regime) in regimes.iter().enumerate() {
            @if place > 0 { ", " }
            code { (regime) }
        }
    }
}

/// What the first arm is.
pub(super) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Better => "better",
        Outcome::Worse => "worse",
        Outcome::Open => "not told apart",
    }
}

/// The class that gives an outcome its colour.
pub(super) fn class_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Better => "better",
        Outcome::Worse => "worse",
        Outcome::Open => "even",
    }
}
