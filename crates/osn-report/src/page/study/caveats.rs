//! What the numbers are, and what they are not.

use maud::{Markup, html};

/// The list, in the order in which the page uses it.
pub(super) fn section() -> Markup {
    html! {
        ul.caveats { @for (what, is) in CAVEATS { li { b { (what) } " " (is) } } }
    }
}

const CAVEATS: [(&str, &str); 9] = [
    (
        "Score.",
        "The one at the last step, and never the best one of a run. \"Over the run\" is the mean over its steps, by \
         the trapezoidal rule from the first scoring to the last, all of one sample size: a more thorough score at \
         the last step is none of them, except in runs from before the record had both.",
    ),
    (
        "Equal steps.",
        "All arms get the same number of steps, not the same time: an arm that measures more costs more.",
    ),
    (
        "Interval.",
        "A stratified percentile bootstrap of 10,000 resamples of seeds in each regime and arm. It says what \
         other seeds might have given, and nothing of other data, settings or regimes. With few seeds it is too \
         narrow.",
    ),
    (
        "Interquartile mean.",
        "The mean of the middle half of the runs, so that single runs at either end do not decide.",
    ),
    (
        "Normalised score.",
        "1 is the best run of a regime, 0 the worst finished one. It depends on which arms and seeds were run, \
         and compares with no other study.",
    ),
    (
        "Failed runs.",
        "Each counts as worse than every finished one: as far behind the worst as that is behind the best of its \
         regime. None is left out. A seed that some arm has not run to an end yet counts for no arm.",
    ),
    (
        "Best static arm.",
        "Chosen afterwards, by the same runs that it is judged by. Nobody has it beforehand, and luck makes it \
         look a little better than it is.",
    ),
    (
        "p.",
        "Of the differences between runs of the same seed, by flipping their signs: exact up to 20 pairs. \
         With n pairs it is at least 2/2ⁿ, so few seeds cannot tell anything apart. Corrected after Holm for all \
         that is asked of one kind.",
    ),
    ("Not told apart", "does not mean equal: it means that these runs do not decide it."),
];
