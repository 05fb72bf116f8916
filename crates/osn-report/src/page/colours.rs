//! The colours that arms, layers and actions are told apart by.

use maud::{Markup, html};

/// How many colours the style has, as classes `c0` and so on.
pub(super) const N_COLOURS: usize = 10;

/// A square of one of the colours, for a legend.
pub(super) fn swatch(colour: usize) -> Markup {
    html! { i.(format!("c{}", colour % N_COLOURS)) {} }
}
