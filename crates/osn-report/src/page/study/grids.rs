//! The last samples of one run of each arm, side by side.

use maud::{Markup, html};

use crate::page::embed;
use crate::page::names::{arm_name, regime_title};
use crate::study::record::{Grid, StudyRecord};

/// A row of pictures for each regime.
pub(super) fn section(record: &StudyRecord) -> Markup {
    let asked = &record.study.asked;
    html! {
        @if !record.grids.is_empty() {
            p.note { "The last samples of one run of each arm: an illustration, not a measurement." }
            @for regime in &asked.regimes {
                @let of_regime = || record.grids.iter().filter(|grid| grid.regime == regime.name);
                @if of_regime().next().is_some() {
                    (regime_title(record, &regime.name))
                    div.grids { @for (place, arm) in asked.arms.iter().enumerate() {
                        @for grid in of_regime().filter(|grid| grid.arm == arm.name) { (figure(place, grid)) }
                    } }
                }
            }
        }
    }
}

fn figure(place: usize, grid: &Grid) -> Markup {
    let Grid { arm, regime, seed, png } = grid;
    html! {
        figure {
            figcaption { (arm_name(place, arm)) small { "seed " (seed) } }
            img src=(embed::picture(png)) alt=(format!("Samples of {arm} in {regime} with seed {seed}"));
        }
    }
}
