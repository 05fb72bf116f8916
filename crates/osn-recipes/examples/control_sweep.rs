//! Where normalizing helps a DQN: learning rates beside choices of layers, as one table.
//!
//! ```text
//! cargo run --release -p osn-recipes --example control_sweep [-- SEEDS [KEY=VALUE]…]
//! ```
//!
//! Trains the recipe `control` once for each learning rate, arm and seed (3 seeds unless told), with
//! the settings that are named, and leaves the runs in `runs/control-sweep`.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::error::Error;

use osn_core::number::median;
use osn_recipes::run::error::RunError;
use osn_recipes::run::observer::Silent;
use osn_recipes::run::request::TrainRequest;
use osn_runs::metrics::Metrics;

const LEARNING_RATES: [&str; 5] = ["1e-4", "3e-4", "1e-3", "3e-3", "1e-2"];

/// What is held, and the rule that holds it; the last scales updates and holds nothing.
const ARMS: [(&str, &str); 6] = [
    ("nothing", "never"),
    ("first", "static:position=first"),
    ("second to last", "static:position=penultimate"),
    ("the same at 2", "static:position=penultimate,target=2"),
    ("all", "always"),
    ("lr over σ", "lr_over_sigma"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let seeds = words.next().map_or(Ok(3), |word| word.parse::<u64>())?;
    let settings: Vec<(String, String)> = words
        .map(|word| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or("a setting is written KEY=VALUE")?;
    println!("median return at the end, and median area under the curve, of {seeds} seeds\n");
    println!("| learning rate | {} |", ARMS.map(|(name, _)| name).join(" | "));
    println!("|{}", "---|".repeat(ARMS.len() + 1));
    for rate in LEARNING_RATES {
        let cell = |(_, decide)| cell(rate, decide, seeds, &settings);
        let cells: Vec<String> = ARMS.into_iter().map(cell).collect::<Result<_, _>>()?;
        println!("| {rate} | {} |", cells.join(" | "));
    }
    Ok(())
}

fn cell(
    rate: &str,
    decide: &str,
    seeds: u64,
    settings: &[(String, String)],
) -> Result<String, RunError> {
    let mut scores = Vec::new();
    for seed in 1..=seeds {
        let mut request = TrainRequest {
            recipe: "control".into(),
            decide: Some(decide.into()),
            seed,
            settings: settings.to_vec(),
            out: "runs/control-sweep".into(),
            ..TrainRequest::default()
        };
        request.settings.push(("learning_rate".into(), rate.into()));
        scores.push(match osn_recipes::train(&request, &mut Silent) {
            // A run that broke down counts, as worse than all others.
            Err(RunError::NonFinite { .. }) => Metrics::new(),
            ended => ended?.metrics,
        });
    }
    let score = |metrics: &Metrics, name| metrics.get(name).copied().unwrap_or(f64::NEG_INFINITY);
    let of = |name| {
        let scores: Vec<f64> = scores.iter().map(|metrics| score(metrics, name)).collect();
        median(&scores).unwrap_or(f64::NAN)
    };
    Ok(format!("{:.0}, {:.0}", of("return"), of("area")))
}
