//! Pairs of images to translate one into the other: what is built in, what the user has.

use std::path::Path;

use super::{
    DataEntry, DataError, EMBEDDED, FULL, ImageSet, PAIR_RECIPES, fashion_mnist, must_fit,
    openmoji, pair_folder, sobel, trained_on, unusable, whole_path,
};
use crate::run::{RunError, TrainRequest, TrainedOn};

/// The name of the pairs that are built in, which are also the default.
pub const EDGES: &str = "fashion-mnist-edges";

/// Inputs and what each is to become, in the same order and of the same size.
///
/// Inputs and targets may differ in channels. Where there are classes, both sides hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSplit {
    /// What is given.
    pub inputs: ImageSet,
    /// What is wanted.
    pub targets: ImageSet,
}

/// Pairs to train on and pairs to judge by, which share no pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// The name or the whole path of the folder that they were loaded by.
    pub name: String,
    /// What a model may learn from.
    pub train: PairSplit,
    /// What only judges.
    pub test: PairSplit,
    /// Of how many pairs one is for testing, where nobody else has split them.
    pub test_every: Option<usize>,
}

/// Loads pairs by name or folder.
///
/// | `spec` | loads |
/// |---|---|
/// | `None`, `fashion-mnist-edges` | Sobel edges of the embedded Fashion-MNIST, and the images |
/// | a folder with `input` and `target` | PNG and JPEG images of the same name in both; in the order of names, the last of every [`TEST_EVERY`](super::folder::TEST_EVERY) pairs is for testing |
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
/// `size`×`size` as [`folder::load`] does it, and each side is grey if none of its pictures has colour. The built-in pairs keep their 28×28;
/// [`PairSplit::padded`] brings them to another size.
///
/// [`folder::load`]: super::folder::load
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

/// Lists the pairs that have a name or a command, and whether they can be loaded here now.
pub fn list() -> Vec<DataEntry> {
    vec![
        DataEntry {
            name: EDGES.to_owned(),
            what: "10,000 + 10,000 pairs of grey 28x28 images: Sobel edges and the clothes"
                .to_owned(),
            licence: fashion_mnist::LICENCE.to_owned(),
            origin: "computed from fashion-mnist-10k".to_owned(),
            present: true,
            recipes: PAIR_RECIPES,
        },
        DataEntry {
            name: openmoji::FOLDER.to_owned(),
            what: "about 4,500 pairs of emoji: line art and colour".to_owned(),
            licence: openmoji::LICENCE.to_owned(),
            origin: "npm package openmoji, drawn by osn data import openmoji DIR into this folder"
                .to_owned(),
            present: pair_folder::is_split(Path::new(openmoji::FOLDER)),
            recipes: PAIR_RECIPES,
        },
    ]
}

impl Pairs {
    /// What a run on these pairs learns from.
    pub fn trained_on(&self) -> TrainedOn {
        let sides = [&self.train, &self.test].map(|split| [&split.inputs, &split.targets]);
        trained_on(&self.name, &self.train.targets.source, sides.into_iter().flatten())
    }
}

impl PairSplit {
    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Puts both sides of every pair in the middle of a black square of `size` pixels.
    ///
    /// # Panics
    ///
    /// If `size` is smaller than the images.
    #[must_use]
    pub fn padded(&self, size: usize) -> Self {
        Self { inputs: self.inputs.padded(size), targets: self.targets.padded(size) }
    }

    /// The pairs of these indices, in their order.
    ///
    /// # Panics
    ///
    /// If an index is not below [`PairSplit::len`].
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self { inputs: self.inputs.select(indices), targets: self.targets.select(indices) }
    }
}
