//! The recipe `gan` as one of the pilot's tasks.

use std::error::Error;
use std::time::Instant;

use osn_recipes::run::observer::{Evaluation, Observer};
use osn_recipes::run::request::TrainRequest;

use crate::results::Outcome;

/// Collects the scores.
#[derive(Default)]
struct Scores(Vec<f64>);

impl Observer for Scores {
    fn evaluated(&mut self, evaluation: &Evaluation) {
        self.0.extend(evaluation.metrics.get("frechet"));
    }
}

/// Trains one arm with one seed.
pub(crate) fn train(
    settings: &[(&'static str, &'static str)],
    arm: &str,
    seed: u64,
) -> Result<Outcome, Box<dyn Error>> {
    let start = Instant::now();
    let out = tempfile::tempdir()?;
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let request = TrainRequest {
        recipe: "gan".to_owned(),
        decide: Some(arm.to_owned()),
        seed,
        settings: settings.iter().map(owned).collect(),
        out: out.path().to_owned(),
        ..TrainRequest::default()
    };
    let mut scores = Scores::default();
    osn_recipes::train(&request, &mut scores)?;
    Ok(Outcome::new(scores.0, std::collections::BTreeMap::default(), start.elapsed().as_secs_f64()))
}
