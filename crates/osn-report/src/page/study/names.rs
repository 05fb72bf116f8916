//! What arms and regimes are called.

use maud::{Markup, html};

use crate::page::colours::swatch;
use crate::study::record::StudyRecord;

/// An arm's name with its colour, which is that of its place among the arms.
pub(super) fn arm_name(place: usize, name: &str) -> Markup {
    html! { span.arm { (swatch(place)) code { (name) } } }
}

/// Where an arm stands among those that were asked for.
pub(super) fn place_of(record: &StudyRecord, name: &str) -> usize {
    record.study.asked.arms.iter().position(|arm| arm.name == name).unwrap_or(0)
}

/// A regime's name as a title, with its settings.
pub(super) fn regime_title(record: &StudyRecord, name: &str) -> Markup {
    let regimes = record.study.asked.regimes.iter();
    let settings = regimes.filter(|regime| regime.name == name).flat_map(|regime| &regime.settings);
    let settings: Vec<&str> = settings.map(String::as_str).collect();
    html! { h3 { code { (name) } @if !settings.is_empty() { " " small { (settings.join(", ")) } } } }
}
