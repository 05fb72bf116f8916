//! A study: what was asked, the answer in words, and what it rests on.

mod asked;
mod caveats;
mod curves;
mod failures;
mod grids;
mod intervals;
mod metrics;
mod profiles;
mod regret;
mod scores;
mod verdict;

use maud::{Markup, html};

use crate::study::record::StudyRecord;

/// One study, which is at that place on the page.
pub(super) fn article(record: &StudyRecord, place: usize) -> Markup {
    let sections = [
        ("verdict", "What the study says", verdict::section(record)),
        ("overall", "All regimes together", scores::overall(record)),
        ("regimes", "Each regime", scores::regimes(record)),
        ("profiles", "Performance profiles", profiles::section(record)),
        ("curves", "Curves", curves::section(record)),
        ("regret", "Regret", regret::section(record)),
        ("improvement", "Probability of improvement", verdict::improvement(record)),
        ("metrics", "Other scores at the end", metrics::section(record)),
        ("samples", "Samples", grids::section(record)),
        ("failures", "Failed and missing runs", failures::section(record)),
        ("caveats", "How to read this page", caveats::section()),
    ];
    let shown: Vec<_> = sections.iter().filter(|(_, _, content)| !content.0.is_empty()).collect();
    let id = |name: &str| format!("d{place}-{name}");
    html! {
        article.study aria-label=(record.title()) {
            (asked::heading(record))
            nav aria-label="Sections of the study" {
                @for (name, title, _) in &shown { a href=(format!("#{}", id(name))) { (title) } " " }
            }
            @for (name, title, content) in &shown {
                section.(format!("study-{name}")) id=(id(name)) { h2 { (title) } (content) }
            }
        }
    }
}
