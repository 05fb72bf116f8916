//! What the numbers are, and what they are not.

use maud::{Markup, html};

/// The list, in the order in which the page uses it.
pub(super) fn section() -> Markup {
    html! {
        ul.caveats {
            li { b { "Score." }
                " The score at the last step, never the best one of a run. \"Over the run\" is the mean over the "
                "steps by the trapezoidal rule, from the first scoring to the last. All of these have one sample "
                "size: a final score of more samples is not in the mean, except in old records that have no other." }
            li { b { "Equal steps." }
                " All arms get the same number of steps, not the same time: an arm that measures more costs more." }
            li { b { "Interval." }
                " The 95 % interval of a stratified percentile bootstrap (Agarwal et al. 2021): 10,000 times, the "
                "seeds of each arm and regime are drawn anew with replacement. It covers other seeds, but not other "
                "data, settings or regimes. With few seeds it is too narrow." }
            li { b { "Interquartile mean." }
                " The mean of the middle half of the runs: of n runs the ⌊n/4⌋ best and the ⌊n/4⌋ worst are left "
                "out, so that single runs at either end do not decide." }
            li { b { "Normalised score." }
                " (score − worst) / (best − worst) in each regime: 1 is the best run, 0 the worst finished one. It "
                "depends on which arms and seeds were run, and cannot be compared with that of another study." }
            li { b { "Failed runs." }
                " Each counts as worse than every finished one: as far behind the worst as that is behind the best "
                "of its regime, −1 when normalised. None is left out. A seed counts once every arm has run it to "
                "an end." }
            li { b { "Best static arm." }
                " Chosen in hindsight, by the same runs that it is judged by. Nobody knows it beforehand, and chance "
                "makes it look a little better than it is." }
            li { b { "p." }
                " Two-sided, from the differences between runs of the same seed, by flipping their signs: all 2ⁿ "
                "ways up to 20 pairs, 100,000 random ones above. With n pairs it is at least 2/2ⁿ, so few seeds "
                "cannot show a difference. It is corrected (Holm 1979) for all comparisons of one kind." }
            li { b { "Not told apart" }
                " does not mean equal: it means that these runs do not show which is better." }
        }
    }
}
