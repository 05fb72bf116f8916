//! What layers and their numbers are called.

use maud::{Markup, html};

use crate::record::run::LayerHistory;

/// A layer's path and network.
pub(super) fn layer_name(layer: &LayerHistory) -> Markup {
    html! { code { (layer.path) } " " small { (layer.network) } }
}

/// The word, with what it means.
pub(super) fn elasticity() -> Markup {
    html! { abbr title=(ELASTICITY) { "elasticity γ" } ": 0 unconstrained, 1 fully normalized" }
}

/// What the elasticity is.
pub(super) const ELASTICITY: &str = "γ = −d ln s / d ln σ, where s is the factor between the stored and the \
                                     effective weight: 0 leaves the weight unconstrained, 1 keeps its effective \
                                     σ at one value whatever the stored weight does";
