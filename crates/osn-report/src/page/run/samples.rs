//! The pictures of samples, with a slider through the steps.

use maud::{Markup, html};

use crate::page::chart::spread;
use crate::page::embed;
use crate::record::run::RunRecord;

/// Pictures on one page.
const MAX_PICTURES: usize = 60;

/// The last picture, and a slider to those before it.
pub(super) fn section(run: &RunRecord) -> Markup {
    let shown = spread(run.samples.len(), MAX_PICTURES);
    let n_left_out = run.samples.len() - shown.len();
    html! {
        @if let Some(last) = run.samples.last() {
            section.samples {
                h2 { "Samples" }
                div.pictures {
                    @for index in &shown {
                        @let sample = &run.samples[*index];
                        img src=(embed::picture(&sample.png)) alt=(after(sample.step))
                            data-step=(sample.step) hidden[sample.step != last.step];
                    }
                }
                label.slider hidden {
                    output { (after(last.step)) }
                    input type="range" min="0" max=(shown.len() - 1) value=(shown.len() - 1)
                        step="1" autocomplete="off" aria-label="Samples after step" aria-valuetext=(last.step);
                }
                @if n_left_out > 0 { p.note { "And " (n_left_out) " more pictures in samples/." } }
            }
        }
    }
}

fn after(step: u64) -> String {
    format!("Samples after step {step}")
}
