//! The head of a study: what was asked, and how far it is.

use maud::{Markup, html};

use crate::page::facts::{self, plain};
use crate::page::names::arm_name;
use crate::page::score::Score;
use crate::page::table::{table, words};
use crate::study::record::StudyRecord;
use crate::study::study_file::{Asked, Regime, RegimeIdentity, Study};
use crate::study::study_run::Completion;
use crate::text::{counted, duration};

/// Title, facts, arms and regimes.
pub(super) fn heading(record: &StudyRecord) -> Markup {
    html! {
        header {
            h1 { (record.title()) " " (status(record)) }
            (facts::list(&facts(record)))
            p.note {
                "An " b { "arm" } " is what is compared: a rule, or a file of rules. A " b { "regime" } " is a named set "
                "of settings. A " b { "seed" } " fixes everything random in a run. Every arm runs in every regime with "
                "the same seeds."
            }
            (arms(&record.study.asked))
            (regimes(&record.study.asked))
        }
    }
}

fn status(record: &StudyRecord) -> Markup {
    let (n_failed, n_missing) =
        (record.n_runs(Completion::Failed), record.n_runs(Completion::Missing));
    html! {
        @if n_missing > 0 { span.status.open { (counted(n_missing, "run")) " missing" } " " }
        @if n_failed > 0 { span.status.bad { (counted(n_failed, "run")) " failed" } }
        @if n_failed + n_missing == 0 { span.status.good { "finished" } }
    }
}

fn facts(record: &StudyRecord) -> [(&'static str, String); 11] {
    let (study, asked) = (&record.study, &record.study.asked);
    let secs: f64 = study.runs.iter().filter_map(|run| run.wall_secs).sum();
    let given = |name: &Option<String>| name.clone().unwrap_or_default();
    [
        ("Recipe", asked.recipe.clone()),
        ("Score", score(asked)),
        ("Runs", study.runs.len().to_string()),
        ("Seeds", seeds(&asked.seeds)),
        ("Preset", given(&asked.preset)),
        ("Data", data(study)),
        ("Device", asked.device.clone().unwrap_or_else(|| study.identity.device.clone())),
        ("Settings of every run", asked.settings.join(", ")),
        ("Time of all runs", if secs > 0.0 { duration(secs) } else { String::new() }),
        ("Machine", plain(&study.machine)),
        ("Versions", plain(&study.versions)),
    ]
}

/// Where the data came from, by their digests where these differ from regime to regime.
fn data(study: &Study) -> String {
    let of_regime = |it: &RegimeIdentity| facts::data(&it.data, it.data_sha256.as_deref());
    let mut all: Vec<_> = study.identity.regimes.values().map(of_regime).collect();
    all.sort();
    all.dedup();
    // An older file says only what was asked for.
    if all.is_empty() { study.asked.data.clone().unwrap_or_default() } else { all.join("; ") }
}

fn score(asked: &Asked) -> String {
    let label = Score::of(&asked.metric).label;
    let name = if label == asked.metric { label } else { format!("{label} ({})", asked.metric) };
    format!("{name}, {} is better", if asked.higher_is_better { "higher" } else { "lower" })
}

/// `1–3, 7`: seeds that follow each other as a range.
pub(super) fn seeds(seeds: &[u64]) -> String {
    let mut sorted = seeds.to_vec();
    sorted.sort_unstable();
    let ranges = sorted.chunk_by(|a, b| a.checked_add(1) == Some(*b)).map(|range| match range {
        [first, .., last] if range.len() > 2 => format!("{first}–{last}"),
        few => few.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    });
    ranges.collect::<Vec<_>>().join(", ")
}

fn arms(asked: &Asked) -> Markup {
    html! {
        ul.legend aria-label="Arms" {
            @for (place, arm) in asked.arms.iter().enumerate() {
                li {
                    @let is_compared = place == 0 && asked.arms.len() > 1;
                    @let notes = [(arm.is_static, "static"), (is_compared, "compared with each other arm")];
                    @let notes: Vec<_> = notes.iter().filter(|(holds, _)| *holds).map(|(_, note)| *note).collect();
                    (arm_name(place, &arm.name))
                    @if !notes.is_empty() { " (" (notes.join(", ")) ")" }
                }
            }
        }
    }
}

/// Where there is one regime without settings of its own, it has nothing to tell.
fn regimes(asked: &Asked) -> Markup {
    let has_settings = asked.regimes.iter().any(|regime| !regime.settings.is_empty());
    let rows = asked.regimes.iter().map(|Regime { name, settings }| {
        html! {
            th scope="row" { code { (name) } }
            td { @if settings.is_empty() { "–" } @else { (settings.join(", ")) } }
        }
    });
    html! {
        @if has_settings || asked.regimes.len() > 1 {
            details.asked {
                summary { (counted(asked.regimes.len(), "regime")) }
                (table(&words(["Regime", "Its settings"]), rows))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_follow_each_other_are_a_range() {
        assert_eq!(seeds(&[3, 1, 2, 7, 9, 10]), "1–3, 7, 9, 10");
        assert_eq!(seeds(&[u64::MAX, u64::MAX - 1, u64::MAX - 2, 0]).matches('–').count(), 1);
        assert_eq!((seeds(&[5]), seeds(&[])), ("5".to_owned(), String::new()));
    }
}
