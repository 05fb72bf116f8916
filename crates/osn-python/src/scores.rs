//! Scores of runs, compared.

use osn_report::study::Direction;
use osn_report::study::statistics::{
    bootstrap_all, interquartile_mean, paired_wins, probability_of_improvement, sign_flip_p,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::json;

/// Compares two arms' scores, each a list of strata (one for each regime) of scores by seed; as JSON.
#[pyfunction]
pub(crate) fn score_sets(
    first: Vec<Vec<f64>>,
    second: Vec<Vec<f64>>,
    higher_is_better: bool,
) -> PyResult<String> {
    let shapes = [&first, &second].map(|arm| arm.iter().map(Vec::len).collect::<Vec<_>>());
    if shapes[0] != shapes[1] || shapes[0].is_empty() || shapes[0].contains(&0) {
        let message = format!(
            "expected as many scores of one arm as of the other, in the order of the seeds: {shapes:?}"
        );
        return Err(PyValueError::new_err(message));
    }
    if first.iter().chain(&second).flatten().any(|score| !score.is_finite()) {
        return Err(PyValueError::new_err(
            "a score is not finite: leave out both runs of that seed, and say so",
        ));
    }
    let direction = Direction::of(higher_is_better);
    let both = [first.clone(), second.clone()].concat();
    let n_strata = first.len();
    let statistics = bootstrap_all(&both, |drawn| {
        let (first, second) = drawn.split_at(n_strata);
        let (a, b) = (interquartile_mean(first), interquartile_mean(second));
        vec![a, b, a - b, probability_of_improvement(first, second, direction)]
    });
    let [flat, other] = [first.concat(), second.concat()];
    let differences: Vec<f64> = flat.iter().zip(&other).map(|(a, b)| a - b).collect();
    Ok(json!({
        "first": statistics[0],
        "second": statistics[1],
        "difference": statistics[2],
        "probability_of_improvement": statistics[3],
        "wins": paired_wins(&flat, &other, direction),
        "p": sign_flip_p(&differences),
    })
    .to_string())
}
