//! The losses and the signals of a training over its steps.

use maud::{Markup, html};

use crate::page::chart::{Chart, MAX_POINTS};
use crate::page::names::N_COLOURS;
use crate::record::run::RunRecord;
use crate::series::min_max::{Drawing, DrawnLine};

/// Signals of one quantity, which share a chart.
struct Quantity {
    title: &'static str,
    /// Each signal, and what its number is of.
    signals: &'static [(&'static str, &'static str)],
}

const QUANTITIES: [Quantity; 7] = [
    Quantity {
        title: "Loss",
        signals: &[("train_loss", "training data"), ("held_out_loss", "held-out data")],
    },
    Quantity {
        title: "Accuracy of the discriminator",
        signals: &[
            ("accuracy_real", "training images"),
            ("accuracy_held_out", "held-out images"),
            ("accuracy_fake", "generated images"),
        ],
    },
    Quantity {
        title: "Separation of generated images from real ones",
        signals: &[("separation", "training images"), ("separation_held_out", "held-out images")],
    },
    Quantity {
        title: "Mean logit",
        signals: &[
            ("logit_real", "training images"),
            ("logit_held_out", "held-out images"),
            ("logit_fake", "generated images"),
        ],
    },
    Quantity {
        title: "Length of the gradient",
        signals: &[
            ("discriminator_gradient_norm", "discriminator"),
            ("generator_gradient_norm", "generator"),
        ],
    },
    Quantity {
        title: "Gradient of the first weight, over that of the last",
        signals: &[
            ("discriminator_gradient_ratio", "discriminator"),
            ("generator_gradient_ratio", "generator"),
        ],
    },
    Quantity {
        title: "Counts",
        signals: &[
            ("non_finite_gradients", "gradient entries that are not finite"),
            ("saturated_logs", "logged steps at which the discriminator had won"),
        ],
    },
];

/// What single signals are called.
const TITLES: [(&str, &str); 16] = [
    ("slope", "Slope of the discriminator between generated and real images"),
    ("discriminator_gradient_variance", "Variance of the discriminator's gradient over batches"),
    ("discriminator_gradient_norm", "Length of the discriminator's gradient"),
    ("generator_gradient_norm", "Length of the generator's gradient"),
    ("non_finite_gradients", "Gradient entries that are not finite"),
    ("saturated_logs", "Logged steps at which the discriminator had won"),
    ("separation", "Separation of generated images from training images"),
    ("separation_held_out", "Separation of generated images from held-out images"),
    ("input_gradient_norm", "Slope of the discriminator at generated images"),
    ("batch_accuracy", "Accuracy on the batches of training"),
    ("learning_rate", "Learning rate"),
    ("td_variance", "Variance of the temporal-difference error"),
    ("value", "Mean value of the actions taken"),
    ("explore", "Share of actions at random"),
    ("episodes", "Episodes played"),
    ("gradient_norm", "Length of the gradient"),
];

/// A signal's name in words; a name of somebody's own as it is.
fn in_words(signal: &str) -> &str {
    TITLES.iter().find(|title| title.0 == signal).map_or(signal, |title| title.1)
}

/// The losses in one chart, signals of one quantity in one, each other in one of its own, as they have no unit in
/// common, and those of parts of a network together.
pub(super) fn section(run: &RunRecord) -> Markup {
    let drawing = run.signals.drawing(MAX_POINTS);
    let losses =
        (!run.losses.is_empty()).then(|| ("Losses".to_owned(), run.losses.drawing(MAX_POINTS)));
    let charts = losses.into_iter().chain(quantities(&drawing)).chain(singles(&drawing));
    let charts: Vec<_> = charts.chain(parts(&drawing)).collect();
    html! {
        @if !charts.is_empty() {
            section {
                h2 { "Training" }
                div.grid { @for (title, drawing) in charts { (Chart::new(title, drawing, run.last_step).figure()) } }
            }
        }
    }
}

impl Quantity {
    /// Its lines, named by what they are of, where several were logged.
    fn lines(&self, drawing: &Drawing) -> Option<Vec<DrawnLine>> {
        let line = |&(signal, of): &(&str, &str)| {
            let line = drawing.lines.iter().find(|line| line.name == signal)?;
            Some(DrawnLine { name: of.to_owned(), ..line.clone() })
        };
        let lines: Vec<_> = self.signals.iter().filter_map(line).collect();
        (lines.len() > 1).then_some(lines)
    }
}

fn quantities(drawing: &Drawing) -> impl Iterator<Item = (String, Drawing)> {
    QUANTITIES.iter().filter_map(|quantity| {
        let lines = quantity.lines(drawing)?;
        Some((quantity.title.to_owned(), Drawing { lines, ..drawing.clone() }))
    })
}

/// Signals that share no chart.
fn singles(drawing: &Drawing) -> impl Iterator<Item = (String, Drawing)> {
    let shared = QUANTITIES.iter().filter(|quantity| quantity.lines(drawing).is_some());
    let shared: Vec<&str> =
        shared.flat_map(|quantity| quantity.signals).map(|(name, _)| *name).collect();
    let is_single = move |name: &str| part_of(name).is_none() && !shared.contains(&name);
    let lines = drawing.lines.iter().enumerate();
    let singles = lines.filter(move |(_, line)| is_single(&line.name));
    singles.map(|(index, line)| (in_words(&line.name).to_owned(), drawing.only(index)))
}

/// Signals of parts, `gradient_norm/encoder.0`, by what they begin with: as many lines as can be told apart.
fn parts(drawing: &Drawing) -> Vec<(String, Drawing)> {
    let mut charts: Vec<(String, Vec<DrawnLine>)> = Vec::new();
    for line in &drawing.lines {
        let Some((whole, part)) = part_of(&line.name) else { continue };
        let whole = in_words(whole);
        let title = match part.split_once('.') {
            Some((start, _)) => format!("{whole} of {start}"),
            None => format!("{whole} of other parts"),
        };
        let line = DrawnLine { name: part.to_owned(), ..line.clone() };
        match charts.iter_mut().find(|chart| chart.0 == title && chart.1.len() < N_COLOURS) {
            Some((_, lines)) => lines.push(line),
            None => charts.push((title, vec![line])),
        }
    }
    let chart = |(title, lines)| (title, Drawing { lines, ..drawing.clone() });
    charts.into_iter().map(chart).collect()
}

/// What a name is of, and which part of it: `gradient_norm` and `encoder.0`.
fn part_of(name: &str) -> Option<(&str, &str)> {
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
    };
    name.split_once('/').filter(|(whole, _)| is_word(whole))
}
