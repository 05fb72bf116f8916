//! Pairs of images to translate one into the other: what is built in, what the user has.

use std::path::Path;

use crate::data::error::DataError;
use crate::data::image_set::ImageSet;
use crate::data::images::{must_fit, unusable, whole_path};
use crate::data::names::{CLDR, EDGES, EMBEDDED, FULL};
use crate::data::pair_set::{PairSplit, Pairs};
use crate::data::{fashion_mnist, pair_folder, sobel};
use crate::run::error::RunError;
use crate::run::request::TrainRequest;

/// Loads pairs by name or folder.
///
/// | `spec` | loads |
/// |---|---|
/// | `None`, `fashion-mnist-edges` | Sobel edges of the embedded Fashion-MNIST, and the images |
/// | a folder with `input` and `target` | PNG and JPEG images of the same name in both; in the order of names, the last of every [`TEST_EVERY`](crate::data::names::TEST_EVERY) pairs is for testing |
/// | a folder with `train` and `test` | the same, with `input` and `target` in each of the two |
///
/// With `I` the image and black outside of it, an edge is
///
/// ```text
/// gₓ[y, x] = Σᵢ wᵢ (I[y+i, x+1] − I[y+i, x−1])    i ∈ {−1, 0, 1}, w = (1, 2, 1)
/// gᵧ[y, x] = Σᵢ wᵢ (I[y+1, x+i] − I[y−1, x+i])
/// E[y, x]  = min(255, round(√(gₓ² + gᵧ²) / 4))
/// ```
///
/// so a straight step from black to white is white. As with every [`ImageSet`],
/// [`ImageSet::batch`] maps the bytes to [−1, 1].
///
/// Names pair up however their accents are written. Pictures of a folder are found, cropped and resized to
/// `size`×`size` as [`folder::load`] does it, and each side is grey if none of its pictures has colour.
/// The built-in pairs keep their 28×28;
/// [`PairSplit::padded`] brings them to another size.
///
/// [`folder::load`]: crate::data::folder::load
///
/// # Errors
///
/// [`DataError`], in one line: what, where, what to do.
///
/// # Panics
///
/// If `size` is zero and `spec` a folder.
pub fn load(spec: Option<&str>, size: usize) -> Result<Pairs, DataError> {
    match spec {
        None | Some(EDGES) => edges(),
        Some(name @ (EMBEDDED | FULL)) => Err(DataError::NoPairs { name: name.to_owned() }),
        Some(CLDR) => Err(DataError::NoPictures { name: CLDR.to_owned() }),
        Some(name) if Path::new(name).is_dir() => pair_folder::load(&whole_path(name), size),
        Some(name) => Err(DataError::UnknownPairs { name: name.to_owned() }),
    }
}

/// The pairs that a recipe asked for, in the middle of squares of `size` pixels.
///
/// # Errors
///
/// [`RunError::Data`] as [`load`]; [`RunError::Config`] where the images are larger than `size`.
pub fn for_recipe(request: &TrainRequest, size: usize) -> Result<Pairs, RunError> {
    let pairs = load(request.data.as_deref(), size);
    let mut pairs = pairs.map_err(|error| unusable(request, EDGES, error))?;
    let sides = [&pairs.train, &pairs.test].map(|split| [&split.inputs, &split.targets]);
    must_fit(sides.as_flattened(), size)?;
    pairs.train = pairs.train.padded(size);
    pairs.test = pairs.test.padded(size);
    Ok(pairs)
}

fn edges() -> Result<Pairs, DataError> {
    let data = fashion_mnist::embedded()?;
    let split = |targets: ImageSet| PairSplit { inputs: sobel::edges(&targets), targets };
    let (train, test) = (split(data.train), split(data.test));
    Ok(Pairs { name: EDGES.to_owned(), train, test, test_every: None })
}
