//! Trains the small network whose features judge generated images, and writes its weights.
//!
//! ```text
//! cargo run --release -p osn-recipes --example train_features [-- DIR]
//! ```
//!
//! This is the recipe `classify` with its preset `features`, nothing held, and seed 0; the run's folder
//! is under `runs`. `DIR` holds the four IDX files of the whole Fashion-MNIST (60,000 training images),
//! gzip or not; without it they are read from where the Debian package `dataset-fashion-mnist` puts
//! them. The same seed gives the same weights on the same machine and build.
#![expect(clippy::print_stderr, reason = "this program reports its progress")]

use std::error::Error;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use osn_recipes::classify::config::ClassifyConfig;
use osn_recipes::classify::run::train_features;
use osn_recipes::data::{images, names};
use osn_recipes::features::input::IMAGE_SIZE;
use osn_recipes::features::network::FeatureNet;
use osn_recipes::run::observer::{Evaluation, Observer, RunStart};
use osn_recipes::run::request::TrainRequest;

const SEED: u64 = 0;

const OUTPUT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/assets/features/fashion_mnist.safetensors");

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| names::FULL.to_owned());
    let (_, network) = train_features(&request(&folder), &mut Lines)?;
    let stored = FeatureNet::load(&network.to_bytes()?, &Device::flex())?;
    let test = images::load(Some(&folder), IMAGE_SIZE)?.test;
    let accuracy = stored.accuracy(&test).ok_or("the test images have no labels")?;
    eprintln!("test accuracy as stored: {:.2} %", 100.0 * accuracy);
    network.save(Path::new(OUTPUT), &notes(accuracy))?;
    eprintln!("wrote {OUTPUT}");
    Ok(())
}

fn request(folder: &str) -> TrainRequest {
    TrainRequest {
        recipe: "classify".to_owned(),
        preset: Some("features".to_owned()),
        decide: Some("never".to_owned()),
        data: Some(folder.to_owned()),
        seed: SEED,
        out: PathBuf::from("runs"),
        ..TrainRequest::default()
    }
}

/// What a reader of the file should know about it.
fn notes(accuracy: f64) -> [(&'static str, String); 5] {
    let ClassifyConfig { beta_1, beta_2, epsilon, learning_rate, .. } = ClassifyConfig::features();
    let ClassifyConfig { batch_size, steps, mirror_chance, .. } = ClassifyConfig::features();
    let training = format!(
        "Adam beta_1={beta_1} beta_2={beta_2} epsilon={epsilon:e}; learning rate {learning_rate}, \
         to 0 along half a cosine; cross-entropy; batch {batch_size}; {steps} steps; mirrored with \
         chance {mirror_chance}; one training image in twenty held out"
    );
    [
        ("dataset", "Fashion-MNIST, 60,000 training images (Zalando SE, MIT licence)".into()),
        ("command", "cargo run --release -p osn-recipes --example train_features".into()),
        ("training", training),
        ("seed", SEED.to_string()),
        ("test_accuracy", format!("{accuracy:.4}")),
    ]
}

/// A line at each scoring.
struct Lines;

impl Observer for Lines {
    fn started(&mut self, start: &RunStart) {
        eprintln!("{} steps → {}", start.steps, start.folder.display());
    }
    fn evaluated(&mut self, evaluation: &Evaluation) {
        let Evaluation { step, metrics, .. } = evaluation;
        eprintln!("step {step}: {:.2} % of the test images", 100.0 * metrics["accuracy"]);
    }
}
