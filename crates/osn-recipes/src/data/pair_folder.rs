//! A folder of paired images: the same name in `input` and in `target` is a pair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};
use rayon::prelude::*;

use crate::data::error::DataError;
use crate::data::folder;
use crate::data::names::TEST_EVERY;
use crate::data::pair_set::{PairSplit, Pairs};

const INPUT: &str = "input";
const TARGET: &str = "target";
const TRAIN: &str = "train";
const TEST: &str = "test";

/// An input and its target, both of `size`×`size`.
type Pair = (RgbImage, RgbImage);

/// Loads pairs from a folder in one of the two layouts of [`pairs::load`](crate::data::pairs::load).
pub(super) fn load(folder: &Path, size: usize) -> Result<Pairs, DataError> {
    assert!(size > 0, "images need at least one pixel");
    if is_split(folder) {
        let (train, test) =
            (some_pairs(&folder.join(TRAIN), size)?, some_pairs(&folder.join(TEST), size)?);
        return Ok(assemble(
            folder,
            [&decode_all(&train, size)?, &decode_all(&test, size)?],
            None,
            size,
        ));
    }
    let pairs = find_pairs(folder, size)?;
    if pairs.len() < TEST_EVERY {
        return Err(DataError::TooFew { folder: folder.join(INPUT), found: pairs.len() });
    }
    let (train, test) = split(decode_all(&pairs, size)?);
    Ok(assemble(folder, [&train, &test], Some(TEST_EVERY), size))
}

/// Whether train and test are folders of their own.
pub(super) fn is_split(folder: &Path) -> bool {
    folder.join(TRAIN).is_dir()
}

fn split(pairs: Vec<Pair>) -> (Vec<Pair>, Vec<Pair>) {
    let is_test = |&(index, _): &(usize, Pair)| index % TEST_EVERY == TEST_EVERY - 1;
    let (test, train): (Vec<_>, Vec<_>) = pairs.into_iter().enumerate().partition(is_test);
    let without_index = |part: Vec<(usize, Pair)>| part.into_iter().map(|(_, pair)| pair).collect();
    (without_index(train), without_index(test))
}

/// A side is grey in train and test alike, or a model for one would not fit the other.
fn assemble(
    folder: &Path,
    [train, test]: [&[Pair]; 2],
    test_every: Option<usize>,
    size: usize,
) -> Pairs {
    let has_colour =
        |side: fn(&Pair) -> &RgbImage| train.iter().chain(test).map(side).any(folder::has_colour);
    let (input_grey, target_grey) = (!has_colour(input), !has_colour(target));
    let how = test_every.map(|every| format!(", the last of every {every} by name"));
    let source = format!(
        "{}: {} pairs, {} to train on and {} to judge by{}",
        folder.display(),
        train.len() + test.len(),
        train.len(),
        test.len(),
        how.unwrap_or_default(),
    );
    let part = |pairs: &[Pair]| PairSplit {
        inputs: folder::image_set(pairs.iter().map(input), input_grey, size, source.clone()),
        targets: folder::image_set(pairs.iter().map(target), target_grey, size, source.clone()),
    };
    let name = folder.display().to_string();
    Pairs { name, train: part(train), test: part(test), test_every }
}

fn input(pair: &Pair) -> &RgbImage {
    &pair.0
}

fn target(pair: &Pair) -> &RgbImage {
    &pair.1
}

/// Two paths that are a pair.
type PairPaths = (PathBuf, PathBuf);

fn decode_all(paths: &[PairPaths], size: usize) -> Result<Vec<Pair>, DataError> {
    let pairs: Vec<_> =
        paths.par_iter().map(|(input, target)| decode(input, target, size)).collect();
    pairs.into_iter().collect()
}

/// The pairs of a folder that must have some.
fn some_pairs(folder: &Path, size: usize) -> Result<Vec<PairPaths>, DataError> {
    let pairs = find_pairs(folder, size)?;
    if pairs.is_empty() { Err(DataError::Empty { folder: folder.join(INPUT) }) } else { Ok(pairs) }
}

/// The paths of all pairs of a folder with `input` and `target`, in the order of their names.
fn find_pairs(folder: &Path, size: usize) -> Result<Vec<PairPaths>, DataError> {
    let (inputs, targets) = (names(&folder.join(INPUT), size)?, names(&folder.join(TARGET), size)?);
    refuse_unpaired(&inputs, &targets, &folder.join(TARGET))?;
    refuse_unpaired(&targets, &inputs, &folder.join(INPUT))?;
    // Now both have the same names, in the same order.
    Ok(inputs.into_values().zip(targets.into_values()).collect())
}

/// The images of one side by their names in it, in which accents are written in one way.
fn names(side: &Path, size: usize) -> Result<BTreeMap<PathBuf, PathBuf>, DataError> {
    if !side.is_dir() {
        return Err(DataError::NoSide { folder: side.to_owned() });
    }
    let mut names = BTreeMap::new();
    for path in folder::find_images(side, size)? {
        let name = folder::composed(path.strip_prefix(side).unwrap_or(&path));
        if let Some(other) = names.insert(name, path.clone()) {
            return Err(DataError::SameName { path, other });
        }
    }
    Ok(names)
}

fn refuse_unpaired(
    names: &BTreeMap<PathBuf, PathBuf>,
    others: &BTreeMap<PathBuf, PathBuf>,
    other_side: &Path,
) -> Result<(), DataError> {
    let Some((name, path)) = names.iter().find(|(name, _)| !others.contains_key(*name)) else {
        return Ok(());
    };
    let similar = others.iter().find(|(other, _)| are_alike(name, other));
    Err(match similar {
        Some((_, other)) => DataError::Misnamed { path: path.clone(), other: other.clone() },
        None => DataError::Unpaired { path: path.clone(), partner: other_side.join(name) },
    })
}

/// Whether two names differ in nothing but their endings and in large and small letters.
fn are_alike(name: &Path, other: &Path) -> bool {
    let plain = |path: &Path| path.with_extension("").to_string_lossy().to_lowercase();
    plain(name) == plain(other)
}

fn decode(input: &Path, target: &Path, size: usize) -> Result<Pair, DataError> {
    let images = (folder::read_image(input)?, folder::read_image(target)?);
    let shape = |image: &DynamicImage| (image.width(), image.height());
    let (input_size, target_size) = (shape(&images.0), shape(&images.1));
    if input_size != target_size {
        let (input, target) = (input.to_owned(), target.to_owned());
        return Err(DataError::PairSize { input, input_size, target, target_size });
    }
    Ok((folder::fit(&images.0, size), folder::fit(&images.1, size)))
}
