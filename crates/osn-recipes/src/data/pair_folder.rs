//! A folder of paired images: the same name in `input` and in `target` is a pair.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};
use rayon::prelude::*;

use super::DataError;
use super::folder::{self, TEST_EVERY};
use super::pairs::{PairSplit, Pairs};

const INPUT: &str = "input";
const TARGET: &str = "target";
const TRAIN: &str = "train";
const TEST: &str = "test";

/// An input and its target, both of `size`×`size`.
type Pair = (RgbImage, RgbImage);

/// Loads pairs from a folder in one of the two layouts of [`super::pairs::load`].
pub(super) fn load(folder: &Path, size: usize) -> Result<Pairs, DataError> {
    assert!(size > 0, "images need at least one pixel");
    if is_split(folder) {
        let train = read(&folder.join(TRAIN), 1, size)?;
        let test = read(&folder.join(TEST), 1, size)?;
        return Ok(assemble(folder, &train, &test, size));
    }
    let (train, test) = split(read(folder, TEST_EVERY, size)?);
    Ok(assemble(folder, &train, &test, size))
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
fn assemble(folder: &Path, train: &[Pair], test: &[Pair], size: usize) -> Pairs {
    let has_colour =
        |side: fn(&Pair) -> &RgbImage| train.iter().chain(test).map(side).any(folder::has_colour);
    let (input_grey, target_grey) = (!has_colour(input), !has_colour(target));
    let part = |pairs: &[Pair], name: &str| {
        let source = |side: &str| format!("{}: {side} of the pairs to {name}", folder.display());
        PairSplit {
            inputs: folder::image_set(pairs.iter().map(input), input_grey, size, source(INPUT)),
            targets: folder::image_set(pairs.iter().map(target), target_grey, size, source(TARGET)),
        }
    };
    Pairs { name: folder.display().to_string(), train: part(train, TRAIN), test: part(test, TEST) }
}

fn input(pair: &Pair) -> &RgbImage {
    &pair.0
}

fn target(pair: &Pair) -> &RgbImage {
    &pair.1
}

/// The pairs of a folder with `input` and `target`, in the order of their names.
fn read(folder: &Path, needed: usize, size: usize) -> Result<Vec<Pair>, DataError> {
    let paths = find_pairs(folder, size)?;
    if paths.len() < needed {
        return Err(DataError::TooFew { folder: folder.join(INPUT), found: paths.len(), needed });
    }
    let pairs: Vec<_> =
        paths.par_iter().map(|(input, target)| decode(input, target, size)).collect();
    pairs.into_iter().collect()
}

/// The paths of all pairs, sorted.
fn find_pairs(folder: &Path, size: usize) -> Result<Vec<(PathBuf, PathBuf)>, DataError> {
    let (input, target) = (folder.join(INPUT), folder.join(TARGET));
    let (inputs, targets) = (names(&input, size)?, names(&target, size)?);
    refuse_unpaired(&input, &inputs, &target, &targets)?;
    refuse_unpaired(&target, &targets, &input, &inputs)?;
    Ok(inputs.iter().map(|name| (input.join(name), target.join(name))).collect())
}

/// The paths of the images of one side, sorted and relative to it.
fn names(side: &Path, size: usize) -> Result<Vec<PathBuf>, DataError> {
    if !side.is_dir() {
        return Err(DataError::NoSide { folder: side.to_owned() });
    }
    let paths = folder::find_images(side, size)?;
    Ok(paths.iter().map(|path| path.strip_prefix(side).unwrap_or(path).to_owned()).collect())
}

fn refuse_unpaired(
    side: &Path,
    names: &[PathBuf],
    other_side: &Path,
    others: &[PathBuf],
) -> Result<(), DataError> {
    let others: HashSet<_> = others.iter().collect();
    match names.iter().find(|name| !others.contains(name)) {
        None => Ok(()),
        Some(name) => {
            Err(DataError::Unpaired { path: side.join(name), partner: other_side.join(name) })
        }
    }
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
