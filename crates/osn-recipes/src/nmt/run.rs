//! The `run` of the recipe.

use osn_core::decide::Needs;

use crate::crew::Crew;
use crate::data::text::load;
use crate::data::text::parallel::{Pair, ParallelText};
use crate::data::text::subwords::Subwords;
use crate::metrics::{bleu, chrf};
use crate::nmt::config::NmtConfig;
use crate::nmt::examples::Example;
use crate::nmt::learner::Learner;
use crate::nmt::train::{Parts, Trainer};
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::summary::RunSummary;
use crate::run::train_loop::{RunSetup, train};
use crate::run::trained_on::Trainable;

/// What the recipe says of itself.
pub(crate) const DOC: RecipeDoc = RecipeDoc {
    name: "nmt",
    about: "translation of sentences by a Transformer; rules decide by attention head",
    presets: &["quick", "deep"],
    decides: &[
        "auto:task=sequence",
        "never",
        "static:kind=attention",
        "cap",
        "always",
        "schedule",
        "lr_over_sigma",
        "pay",
    ],
    primary_metric: "chrf",
    higher_is_better: true,
    metrics: &["chrf", "bleu", "exact_match", "loss"],
    signatures: &[("bleu", bleu::SIGNATURE), ("chrf", chrf::SIGNATURE)],
    offers: Needs { separation: false, input_gradient_norm: false, ..Needs::ALL },
};

/// Every pair is too long.
#[derive(Debug, thiserror::Error)]
#[error(
    "none of its {part} pairs has at most max_length={most} subwords on either side: set max_length higher"
)]
struct TooLong {
    part: &'static str,
    most: usize,
}

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub(crate) fn run(
    request: &TrainRequest,
    crew: &mut Crew,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let config = NmtConfig::resolve(request, &DOC)?;
    let (decide, device) = (request.resolve_decide(&DOC)?, request.resolve_device()?);
    let text = load::for_recipe(request, &config.source, &config.target)?;
    let trained_on = text.trained_on();
    let subwords = subwords(&text, config.vocabulary)?;
    let (seed, count) = (request.seed, subwords.len());
    let parts = Parts {
        train: within(&text.train, "training", &subwords, &config, &text.name)?,
        validation: within(&text.validation, "validation", &subwords, &config, &text.name)?,
        learner: Learner::new(&config, count, Some(&decide), seed, &device)?,
        text,
        subwords,
    };
    notice_left_out(&parts, observer);
    let mut trainer = Trainer::new(&config, parts, seed, device)?;
    let (decide, config, data) = (&decide, &config, &trained_on);
    train(&RunSetup { request, doc: &DOC, decide, config, data }, &mut trainer, crew, observer)
}

/// The subwords of both sides of the training pairs.
fn subwords(text: &ParallelText, most: usize) -> Result<Subwords, RunError> {
    let sides = text.train.iter().flat_map(|pair| [pair.source.as_str(), pair.target.as_str()]);
    let sentences: Vec<&str> = sides.collect();
    Subwords::train(sentences.into_iter(), most)
        .map_err(|source| RunError::data(&text.name, source))
}

/// The pairs of a part that are not too long.
fn within(
    pairs: &[Pair],
    part: &'static str,
    subwords: &Subwords,
    config: &NmtConfig,
    name: &str,
) -> Result<Vec<Example>, RunError> {
    let most = config.max_length;
    let examples = pairs.iter().map(|pair| Example::new(pair, subwords));
    let examples: Vec<Example> = examples.filter(|example| example.length() <= most).collect();
    if examples.is_empty() {
        Err(RunError::data(name, TooLong { part, most }))
    } else {
        Ok(examples)
    }
}

fn notice_left_out(parts: &Parts, observer: &mut dyn Observer) {
    let (all, kept) = (parts.text.train.len(), parts.train.len());
    if kept < all {
        observer.noticed(&format!(
            "{} of {all} training pairs are longer than max_length and left out",
            all - kept
        ));
    }
}
