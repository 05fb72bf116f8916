//! What `osn doctor` says of training.

use std::{env, fs, process};

use osn_recipes::device::DEVICES;
use osn_recipes::run::observer::{LayerStatus, Observer, Progress};
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::versions::Versions;

/// How far a normalized weight's σ may be from its target after four steps.
const NEAR: f64 = 0.02;

/// What was built.
pub(crate) fn facts() -> Vec<(&'static str, String)> {
    let Versions { commit, burn, rustc, .. } = Versions::of_this_build();
    vec![("commit", commit), ("Burn", burn), ("compiler", rustc), ("devices", DEVICES.join(", "))]
}

/// Trains four steps, forward and backward, with every layer normalized, in a folder of its own.
pub(crate) fn four_steps(device: &str) -> Result<String, String> {
    let out = env::temp_dir().join(format!("osn-doctor-{}-{device}", process::id()));
    let settings = [
        ("steps", "4"),
        ("log_every", "1"),
        ("eval_episodes", "2"),
        ("final_episodes", "2"),
        ("random_actions", "50"),
    ];
    let request = TrainRequest {
        recipe: "control".to_owned(),
        decide: Some("always".to_owned()),
        device: Some(device.to_owned()),
        settings: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        out: out.clone(),
        ..TrainRequest::default()
    };
    let mut seen = Seen::default();
    let outcome = osn_recipes::train(&request, &mut seen);
    // A folder that cannot be removed is no fault of the training.
    let _ = fs::remove_dir_all(&out);
    outcome.map_err(|error| error.to_string())?;
    seen.verdict()
}

/// What the last step showed.
#[derive(Default)]
struct Seen {
    steps: u64,
    losses: Vec<f64>,
    /// The σ of each layer's effective weight, over its target.
    ratios: Vec<f64>,
}

impl Observer for Seen {
    fn progress(&mut self, progress: &Progress) {
        self.steps = progress.step;
        self.losses = progress.losses.iter().map(|loss| loss.1).collect();
        let ratio = |layer: &LayerStatus| Some(layer.scale * layer.sigma / layer.target?);
        self.ratios = progress.layers.iter().filter_map(ratio).collect();
    }
}

impl Seen {
    fn verdict(&self) -> Result<String, String> {
        let Self { steps, losses, ratios } = self;
        let furthest = ratios
            .iter()
            .map(|ratio| (ratio - 1.0).abs())
            .reduce(|a, b| if b > a || b.is_nan() { b } else { a });
        if losses.is_empty() || !losses.iter().all(|loss| loss.is_finite()) {
            return Err(format!("the loss after {steps} steps is not finite"));
        }
        let Some(furthest) = furthest else { return Err("no layer was normalized".to_owned()) };
        if furthest > NEAR || furthest.is_nan() {
            return Err(format!("a normalized σ is {furthest:.3} of its target away from it"));
        }
        let n_layers = ratios.len();
        Ok(format!(
            "{steps} steps forward and backward, {n_layers} layers within {furthest:.0e} of their target"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_not_finite_and_a_sigma_off_its_target_are_found() {
        let seen = |loss, ratio| Seen { steps: 4, losses: vec![loss], ratios: vec![1.0, ratio] };
        assert!(seen(0.5, 1.001).verdict().is_ok());
        for wrong in [seen(f64::NAN, 1.0), seen(0.5, 1.1), seen(0.5, f64::NAN), Seen::default()] {
            assert!(wrong.verdict().is_err());
        }
    }
}
