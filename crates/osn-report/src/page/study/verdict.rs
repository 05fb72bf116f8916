//! The first arm against each other one: in words, and in numbers regime by regime.

use maud::{Markup, html};

use super::intervals::{Bar, Row, Scale, table};
use crate::page::names::{arm_name, place_of};
use crate::study::analysis::{Comparison, MeasureAnalysis, Outcome};
use crate::study::record::StudyRecord;
use crate::study::tables::{Part, Sentence, hundredths, p_value, shown};

/// Which arm is best in one sentence, and an item for each arm that the first is compared with.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let [last, area] = &record.analysis.measures;
    html! {
        p.verdict { (sentence(&record.verdict.in_words())) }
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

fn sentence(sentence: &Sentence) -> Markup {
    html! {
        @for part in &sentence.0 {
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
    let n_runs = last.n_runs_of_an_arm();
    let over_run = &area.overall.comparisons[index];
    let (word, class) = named(overall.outcome());
    let (at_end_lead, over_run_lead, unit) = match last.regimes.len() {
        1 => ("", "Over the run, ", "seed"),
        _ => ("Over all regimes, ", "Over all regimes and over the run, ", "pair"),
    };
    html! {
        li.(class) {
            p.answer { b.outcome { (word) } " " (sentence(&overall.in_words(at_end_lead, n_runs, unit))) }
            p { (sentence(&over_run.in_words(over_run_lead, n_runs, unit))) }
            @if last.regimes.len() > 1 { p { "Regime by regime, at the end: " (by_regime(last, index)) } }
        }
    }
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
        @match shown[..] {
            [(Outcome::Open, _)] => "told apart in none",
            [(outcome, _)] => { (named(*outcome).0) " in each" }
            _ => @for (place, (outcome, regimes)) in shown.iter().enumerate() {
                @if place > 0 { "; " }
                (named(*outcome).0) " in " (names(regimes))
            }
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

/// What the first arm is, and the class that gives that its colour.
fn named(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Better => ("better", "better"),
        Outcome::Worse => ("worse", "worse"),
        Outcome::Open => ("not told apart", "even"),
    }
}

/// Where neither of two arms is better.
const EVEN: f64 = 0.5;

/// One chart for each other arm.
pub(super) fn improvement(record: &StudyRecord) -> Markup {
    let [last, area] = &record.analysis.measures;
    let n_others = if last.regimes.is_empty() { 0 } else { last.overall.comparisons.len() };
    html! {
        @if n_others > 0 {
            p.note {
                "The probability that a run of " (arm_name(0, &record.study.asked.arms[0].name)) " is better than "
                "one of the other arm, with its 95 % interval: right of the line in the middle it is better. Beside "
                "it are the pairs of the same seed that it won and lost, and p of the paired differences, corrected "
                "after Holm: over all single regimes as one family, and over all regimes together as another."
            }
            @for index in 0..n_others {
                @let against = &last.overall.comparisons[index].against;
                h3 { "Against " (arm_name(place_of(record, against), against)) }
                (table("Regime", &rows(index, last, area), &[0, 1].map(|_| Some(Scale::of_probabilities()))))
            }
        }
    }
}

/// All regimes together, where there are several, and each regime.
fn rows(index: usize, last: &MeasureAnalysis, area: &MeasureAnalysis) -> Vec<Row> {
    let bars = |comparisons: [&[Comparison]; 2], n_pairs| {
        comparisons.map(|comparisons| bar(&comparisons[index], n_pairs))
    };
    let together = (last.regimes.len() > 1).then(|| Row {
        title: html! { b { "All" } },
        bars: bars([last, area].map(|it| &it.overall.comparisons[..]), last.n_runs_of_an_arm()),
        failed: None,
        is_together: true,
    });
    let regimes = last.regimes.iter().zip(&area.regimes).map(|(last, area)| Row {
        title: html! { code { (last.regime) } },
        bars: bars([last, area].map(|it| &it.comparisons[..]), last.seeds.len()),
        failed: None,
        is_together: false,
    });
    together.into_iter().chain(regimes).collect()
}

fn bar(comparison: &Comparison, n_pairs: usize) -> Bar {
    let ((word, class), wins) = (named(comparison.outcome()), comparison.wins);
    Bar {
        interval: Some(comparison.probability),
        dots: Vec::new(),
        class: class.to_owned(),
        text: shown(Some(comparison.probability), n_pairs, hundredths),
        more: html! {
            small {
                b.(class) { (word) } "; " (wins.wins) " won, "
                @if wins.ties > 0 { (wins.ties) " even, " }
                (wins.losses) " lost; " (p_value(comparison.p_holm))
            }
        },
        level: Some(EVEN),
    }
}
