//! Fashion-MNIST: a part that is compiled in, and any folder of IDX files in its layout.
//!
//! The embedded part is the first 1,000 images of each class of the 60,000 training images, in file
//! order, and all 10,000 test images. `assets/fashion-mnist` holds the files, the script that made
//! them and their licence (MIT, Zalando SE).

use std::path::{Path, PathBuf};

use crate::data::error::DataError;
use crate::data::idx::{self, Idx};
use crate::data::image_set::{Dataset, ImageSet};
use crate::data::names::{EMBEDDED, FULL};

/// Where Debian's package `dataset-fashion-mnist` puts the full set.
pub const FULL_SET_FOLDER: &str = "/usr/share/datasets/fashion-mnist";

/// The licence of the images.
pub const LICENCE: &str = "MIT (Zalando SE)";

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// Loads the 10,000 training and 10,000 test images that are compiled in.
///
/// # Errors
///
/// [`DataError::Idx`] if the compiled-in files were damaged.
pub fn embedded() -> Result<Dataset, DataError> {
    let train = image_set(
        parse_embedded(
            TRAIN_IMAGES,
            include_bytes!("../../assets/fashion-mnist/train-images-idx3-ubyte.gz"),
        )?,
        parse_embedded(
            TRAIN_LABELS,
            include_bytes!("../../assets/fashion-mnist/train-labels-idx1-ubyte.gz"),
        )?,
        "Fashion-MNIST, embedded: the first 1,000 of each class",
    )?;
    let test = image_set(
        parse_embedded(
            TEST_IMAGES,
            include_bytes!("../../assets/fashion-mnist/t10k-images-idx3-ubyte.gz"),
        )?,
        parse_embedded(
            TEST_LABELS,
            include_bytes!("../../assets/fashion-mnist/t10k-labels-idx1-ubyte.gz"),
        )?,
        "embedded: all test images",
    )?;
    Ok(Dataset { name: EMBEDDED.to_owned(), train, test, test_every: None, sound: None })
}

/// Loads the full 60,000 + 10,000 images from [`FULL_SET_FOLDER`].
///
/// # Errors
///
/// [`DataError::NotInstalled`] if they are not there, and the errors of [`from_folder`].
pub fn full() -> Result<Dataset, DataError> {
    let folder = Path::new(FULL_SET_FOLDER);
    if !is_idx_folder(folder) {
        return Err(DataError::NotInstalled { folder: folder.to_owned() });
    }
    from_folder(FULL, folder)
}

/// Whether `folder` holds training images in the layout of Fashion-MNIST.
pub(crate) fn is_idx_folder(folder: &Path) -> bool {
    find(folder, TRAIN_IMAGES).is_ok()
}

/// Loads the four IDX files of a folder, each plain or with `.gz` at the end of its name.
///
/// # Errors
///
/// [`DataError::Missing`] if one of the four is not there, [`DataError::Idx`] if one is damaged,
/// [`DataError::Layout`] if images and labels do not fit together, or train and test.
pub fn from_folder(name: &str, folder: &Path) -> Result<Dataset, DataError> {
    let train = read_pair(folder, TRAIN_IMAGES, TRAIN_LABELS)?;
    let test = read_pair(folder, TEST_IMAGES, TEST_LABELS)?;
    if (train.height, train.width) != (test.height, test.width) {
        return Err(layout(&test.source, "the training images have another size"));
    }
    Ok(Dataset { name: name.to_owned(), train, test, test_every: None, sound: None })
}

fn parse_embedded(name: &str, bytes: &[u8]) -> Result<Idx, DataError> {
    idx::parse(bytes)
        .map_err(|problem| DataError::Idx { file: format!("the embedded {name}.gz"), problem })
}

fn read_pair(folder: &Path, images: &str, labels: &str) -> Result<ImageSet, DataError> {
    let images = find(folder, images)?;
    let labels = find(folder, labels)?;
    image_set(read(&images)?, read(&labels)?, &images.display().to_string())
}

fn read(path: &Path) -> Result<Idx, DataError> {
    idx::read(path).map_err(|problem| DataError::Idx { file: path.display().to_string(), problem })
}

fn find(folder: &Path, stem: &str) -> Result<PathBuf, DataError> {
    [folder.join(format!("{stem}.gz")), folder.join(stem)]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| DataError::Missing { folder: folder.to_owned(), name: stem.to_owned() })
}

fn image_set(images: Idx, labels: Idx, source: &str) -> Result<ImageSet, DataError> {
    let [count, height, width] = images.shape[..] else {
        return Err(layout(source, "images need the shape [count, height, width]"));
    };
    if images.values.is_empty() {
        return Err(layout(source, "there are no images in it"));
    }
    if labels.shape != [count] {
        return Err(layout(source, "there is not exactly one label for each image"));
    }
    let source = source.to_owned();
    Ok(ImageSet {
        channels: 1,
        height,
        width,
        pixels: images.values,
        labels: Some(labels.values),
        source,
    })
}

fn layout(file: &str, problem: &'static str) -> DataError {
    DataError::Layout { file: file.to_owned(), problem }
}
