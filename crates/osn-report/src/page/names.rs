//! What arms, regimes, layers and their numbers are called, and the colours that they are told apart by.

use maud::{Markup, html};

use crate::record::run::LayerHistory;
use crate::study::record::StudyRecord;

/// How many colours the style has, as classes `c0` and so on.
pub(super) const N_COLOURS: usize = 10;

/// The class of one of the colours.
pub(super) fn colour(place: usize) -> String {
    format!("c{}", place % N_COLOURS)
}

/// A square of one of the colours, for a legend.
pub(super) fn swatch(place: usize) -> Markup {
    html! { i.(colour(place)) {} }
}

/// An arm's name with its colour, which is that of its place among the arms.
pub(super) fn arm_name(place: usize, name: &str) -> Markup {
    html! { span.arm { (swatch(place)) code { (broken_at_its_parts(name)) } } }
}

/// A rule's text that a line may end in behind its marks, and not within a word.
fn broken_at_its_parts(rule: &str) -> Markup {
    html! {
        @for (place, part) in rule.split_inclusive([':', ',', '=', '@']).enumerate() {
            @if place > 0 { wbr; }
            (part)
        }
    }
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

/// A layer's path and network.
pub(super) fn layer_name(layer: &LayerHistory) -> Markup {
    html! { code { (layer.path) } " " small { (layer.network) } }
}

/// What the field calls the attention of a kind, or that kind's path.
pub(super) fn attention_name(kind: &str) -> String {
    match kind {
        "encoder.*.attention" => "Encoder self-attention",
        "decoder.*.attention" => "Decoder self-attention",
        "decoder.*.cross" => "Decoder cross-attention",
        other => other,
    }
    .to_owned()
}

/// The word, with what it means.
pub(super) fn elasticity() -> Markup {
    html! { abbr title=(ELASTICITY) { "elasticity γ" } ": 0 unconstrained, 1 fully normalized" }
}

/// What the elasticity is.
pub(super) const ELASTICITY: &str = "γ = −d ln s / d ln σ, where s is the factor between the stored and the \
                                     effective weight: 0 leaves the weight unconstrained, 1 keeps its effective \
                                     σ at one value whatever the stored weight does";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::embed::{SCRIPT, STYLE};

    #[test]
    fn style_and_script_agree_on_the_colours() {
        assert!(STYLE.contains(&format!(".c{}{{", N_COLOURS - 1)));
        assert!(!STYLE.contains(&format!(".c{N_COLOURS}{{")));
        assert!(SCRIPT.contains(&format!("const N_COLOURS = {N_COLOURS};")));
    }
}
