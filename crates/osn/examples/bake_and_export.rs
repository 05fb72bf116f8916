//! Baking and exporting: train with osn, bake to ordinary weights, save them as safetensors, and load
//! them where there is no osn.
//!
//! The baked weights are what the layers computed with, so the loaded model gives the same bits. osn
//! leaves nothing in the file.
//!
//! `cargo run -p osn --example bake_and_export` or the same with `-- FILE.safetensors`, which it keeps

#![expect(clippy::print_stdout, reason = "an example shows its result")]

mod classifier;
mod digits;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::{Device, Tensor};
use osn::prelude::*;
use osn::report::Table;
use safetensors::SafeTensors;

use classifier::Classifier;

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let (train, test) = digits::train_and_test(&device)?;
    let plan = Plan::new().select("**.weight").decide(Always { target: 1.0 });
    let (model, mut osn) = plan.attach(Classifier::new(&device))?;
    let (trained, _) = model.fit(&mut osn, &train, 0..600)?;
    println!("{}", Table(&osn.report(&trained)?));

    let baked = trained.clone().valid().materialize();
    let (file, is_kept) = destination();
    baked.save_into(&mut SafetensorsStore::from_file(&file).overwrite(true))?;
    println!("\n{}", file.display());
    show_tensors(&file)?;

    // From here on nothing is osn's: this could be another program.
    let images = test.images.clone().inner();
    let mut loaded = Classifier::new(&Device::flex());
    loaded.load_from(&mut SafetensorsStore::from_file(&file))?;
    let scores = loaded.forward(images);
    if !is_kept {
        fs::remove_file(&file)?;
    }

    let expected = bits(trained.forward(test.images.clone()));
    println!("\ntest accuracy of the loaded model {:.3}", test.accuracy(scores.clone()));
    assert_eq!(bits(scores), expected, "the loaded model computes what the trained one did");
    println!("all {} scores are those of the trained model, to the last bit", expected.len());
    Ok(())
}

/// Where to write, and whether the file is to stay.
fn destination() -> (PathBuf, bool) {
    let name = format!("osn-baked-{}.safetensors", std::process::id());
    match std::env::args().nth(1) {
        Some(path) => (path.into(), true),
        None => (std::env::temp_dir().join(name), false),
    }
}

fn show_tensors(file: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(file)?;
    let mut tensors = SafeTensors::deserialize(&bytes)?.tensors();
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, tensor) in &tensors {
        println!("  {name:13}   {:?}", tensor.shape());
    }
    let names: Vec<_> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["first", "output", "second"].map(|it| [format!("{it}.bias"), format!("{it}.weight")]);
    assert_eq!(names, expected.concat());
    Ok(())
}

fn bits(scores: Tensor<2>) -> Vec<u32> {
    scores.into_data().iter::<f32>().map(f32::to_bits).collect()
}
