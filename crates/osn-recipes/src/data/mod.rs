//! Images to train on and to judge by: what is embedded, what is installed, what the user has.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::metrics::LEAST_SCORED;
use crate::run::checkpoint::hex;
use crate::run::{Observer, RunError, TrainRequest, TrainedOn, ensure};

pub mod fashion_mnist;
pub mod folder;
pub mod idx;
mod need;
pub mod openmoji;
mod pair_folder;
pub mod pairs;
mod picture_faults;
pub mod sampler;
mod sobel;
mod svg;

pub use need::Need;

/// The name of the data that is compiled in, which is also the default.
pub const EMBEDDED: &str = "fashion-mnist-10k";
/// The name of the full Fashion-MNIST, used where it is installed.
pub const FULL: &str = "fashion-mnist";

/// The recipes that train on images, and those that train on pairs of them.
const IMAGE_RECIPES: &[&str] = &["gan", "cgan", "classify"];
const PAIR_RECIPES: &[&str] = &["translate"];
/// The least pictures of a folder that can be split and scored.
pub const LEAST_PICTURES: usize = folder::TEST_EVERY * LEAST_SCORED;
/// Bytes of images that are held at once.
const MAX_BYTES: usize = 4 << 30;

/// Images of one size, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// The values, `[count, channels, height, width]` in row-major order, 0 is black.
    pub pixels: Vec<u8>,
    /// One class for each image, if the data has classes.
    pub labels: Option<Vec<u8>>,
    /// Where the images come from, for people.
    pub source: String,
}

/// Images to train on and images to judge by, which share no image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The name or the whole path of the folder that it was loaded by.
    pub name: String,
    /// What a model may learn from.
    pub train: ImageSet,
    /// What only judges.
    pub test: ImageSet,
    /// Of how many images one is for testing, where nobody else has split them.
    pub test_every: Option<usize>,
}

/// One line of the list of data sets.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DataEntry {
    /// What to pass to `--data`.
    pub name: String,
    /// What it holds.
    pub what: String,
    /// Its licence.
    pub licence: String,
    /// Where it comes from, and how to get it.
    pub origin: String,
    /// Whether it can be loaded on this machine now.
    pub present: bool,
    /// The recipes that take it.
    pub recipes: &'static [&'static str],
}

/// Why data cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The name is neither a known data set nor a folder.
    #[error(
        "no data set or folder is called \"{name}\": use {EMBEDDED}, {FULL} or the path of a folder of images"
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The full Fashion-MNIST is not on this machine.
    #[error(
        "the full Fashion-MNIST is not in {}: install the Debian package dataset-fashion-mnist, \
         pass a folder with its four files, or use {EMBEDDED}",
        folder.display()
    )]
    NotInstalled {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// One of the four IDX files is not there.
    #[error("{} has neither {name} nor {name}.gz: add the file, its name is fixed", folder.display())]
    Missing {
        /// Where it was looked for.
        folder: PathBuf,
        /// The file's name without `.gz`.
        name: String,
    },
    /// An IDX file breaks its format.
    #[error("{file} {problem}: fetch the file again")]
    Idx {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: idx::IdxError,
    },
    /// IDX files are well formed but do not fit together.
    #[error("{file} does not fit: {problem}")]
    Layout {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A folder cannot be walked.
    #[error("cannot read {}: {problem}", path.display())]
    Walk {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system says.
        problem: std::io::Error,
    },
    /// A folder holds more files or deeper folders than is sane.
    #[error("{} has more than {limit} {what}: pass a smaller folder", folder.display())]
    TooMany {
        /// The folder that was asked for.
        folder: PathBuf,
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// A folder holds no image.
    #[error("{} holds no PNG or JPEG picture: add pictures or pass another folder", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder holds too few images to split into train and test.
    #[error("{} holds {}: {}", folder.display(), counted(*found, "PNG or JPEG picture"), how_many())]
    TooFew {
        /// The folder that was asked for.
        folder: PathBuf,
        /// How many images there are.
        found: usize,
    },
    /// There are images enough to train on, but too few for a score.
    #[error("there are {} to train on and {} to judge by: {}",
        counted(*train, "picture"), test, test_every.map_or_else(each_needs, |_| how_many()))]
    Unscorable {
        /// Images to train on.
        train: usize,
        /// Images to judge by.
        test: usize,
        /// Of how many images one is for testing, where nobody else has split them.
        test_every: Option<usize>,
    },
    /// A file with the name of an image cannot be decoded.
    #[error("{} cannot be decoded ({}): repair or remove it", path.display(), one_line(problem))]
    Image {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        problem: image::ImageError,
    },
    /// A data set is of pairs where images are taken.
    #[error(
        "{name} is of pairs, which {} takes; this recipe takes {EMBEDDED}, {FULL} or a folder of images",
        PAIR_RECIPES.join(", ")
    )]
    NoImages {
        /// What was asked for.
        name: String,
    },
    /// A data set is of images where pairs are taken.
    #[error(
        "{name} is of images without pairs, which {} take; this recipe takes {} or a folder that holds input and target",
        IMAGE_RECIPES.join(", "), pairs::EDGES
    )]
    NoPairs {
        /// What was asked for.
        name: String,
    },
    /// The name is neither known pairs nor a folder.
    #[error(
        "no pairs or folder are called \"{name}\": use {} or the path of a folder that holds input and target",
        pairs::EDGES
    )]
    UnknownPairs {
        /// What was asked for.
        name: String,
    },
    /// A folder of pairs lacks one of its folders.
    #[error(
        "there is no folder {}: pairs lie in input and target under the same names, or so in train and in test",
        folder.display()
    )]
    NoSide {
        /// The folder that is not there.
        folder: PathBuf,
    },
    /// An image of a pair has no partner.
    #[error("{} has no partner: add {}, or remove it", path.display(), partner.display())]
    Unpaired {
        /// The image.
        path: PathBuf,
        /// Where its partner was looked for.
        partner: PathBuf,
    },
    /// An image has no partner but one of nearly its name.
    #[error("{} has no partner, and neither has {}: give both the same name and ending", path.display(), other.display())]
    Misnamed {
        /// The image.
        path: PathBuf,
        /// What may be meant as its partner.
        other: PathBuf,
    },
    /// Two images of one side have the same name, once its accents are written in one way.
    #[error("{} and {} differ only in how an accent is written: rename or remove one", path.display(), other.display())]
    SameName {
        /// The one.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// The two images of a pair differ in size.
    #[error(
        "{} is {}x{}, but {} is {}x{}: a pair needs one size",
        input.display(), input_size.0, input_size.1, target.display(), target_size.0, target_size.1
    )]
    PairSize {
        /// The image that is given.
        input: PathBuf,
        /// Its width and height.
        input_size: (u32, u32),
        /// The image that is wanted.
        target: PathBuf,
        /// Its width and height.
        target_size: (u32, u32),
    },
}

/// `1 picture`, `2 pictures`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// How many images a folder must hold, and why.
fn how_many() -> String {
    let (every, scored) = (folder::TEST_EVERY, LEAST_SCORED);
    format!(
        "one of every {every} is to judge by and a score needs {scored} of these, so {LEAST_PICTURES} are needed in all"
    )
}

fn each_needs() -> String {
    format!("a score needs {LEAST_SCORED} of each")
}

/// What a decoder says may have several lines.
fn one_line(problem: &image::ImageError) -> String {
    problem.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Loads a data set by name or folder.
///
/// | `spec` | loads |
/// |---|---|
/// | `None`, `fashion-mnist-10k` | the embedded images, the same on every machine |
/// | `fashion-mnist` | the full set, where it is installed |
/// | a folder with IDX files | those |
/// | any other folder | all PNG and JPEG images in it, cropped and resized to `size`×`size` |
///
/// IDX images keep their own size; [`ImageSet::padded`] brings them to another.
///
/// # Errors
///
/// [`DataError`], in one line: what, where, what to do.
pub fn load(spec: Option<&str>, size: usize) -> Result<Dataset, DataError> {
    match spec {
        None | Some(EMBEDDED) => fashion_mnist::embedded(),
        Some(FULL) => fashion_mnist::full(),
        Some(pairs::EDGES) => Err(DataError::NoImages { name: pairs::EDGES.to_owned() }),
        Some(name) => load_folder(name, size),
    }
}

/// The images that a recipe asked for, in the middle of squares of `size` pixels.
///
/// # Errors
///
/// [`RunError::Data`] as [`load`]; [`RunError::Config`] where the images are larger than `size`.
pub fn for_recipe(request: &TrainRequest, size: usize) -> Result<Dataset, RunError> {
    let data = load(request.data.as_deref(), size);
    let mut data = data.map_err(|error| unusable(request, EMBEDDED, error))?;
    must_fit(&[&data.train, &data.test], size)?;
    data.train = data.train.padded(size);
    data.test = data.test.padded(size);
    Ok(data)
}

fn unusable(request: &TrainRequest, default: &str, source: DataError) -> RunError {
    let name = request.data.clone().unwrap_or_else(|| default.to_owned());
    RunError::Data { name, source: Box::new(source) }
}

/// Refuses images that are larger than `size`, and so many that memory does not hold them at that size.
fn must_fit(sets: &[&ImageSet], size: usize) -> Result<(), RunError> {
    let largest = sets.iter().map(|images| images.height.max(images.width)).max().unwrap_or(0);
    ensure("image_size", largest <= size, || {
        format!("must be at least {largest}, the size of the images, not {size}")
    })?;
    let pixels = size.saturating_mul(size);
    let bytes = |images: &&ImageSet| (images.len() * images.channels).saturating_mul(pixels);
    let all = sets.iter().map(bytes).fold(0, usize::saturating_add);
    ensure("image_size", all <= MAX_BYTES, || {
        let count: usize = sets.iter().map(|images| images.len()).sum();
        let most = MAX_BYTES >> 30;
        format!("must be less than {size}, at which the {count} images take more than {most} GiB")
    })
}

/// Says so where fewer images are scored than the settings ask for, as there are no more.
pub fn tell_scored(there: usize, asked: [(&str, usize); 2], observer: &mut dyn Observer) {
    let more = asked.into_iter().filter(|(_, count)| *count > there);
    let more: Vec<_> = more.map(|(key, count)| format!("{key}={count}")).collect();
    if !more.is_empty() {
        let (all, more) = (counted(there, "image"), more.join(" and "));
        observer.noticed(&format!(
            "scores are of {all}, as there are no more to judge by: {more} ask for more"
        ));
    }
}

fn load_folder(name: &str, size: usize) -> Result<Dataset, DataError> {
    if !Path::new(name).is_dir() {
        return Err(DataError::Unknown { name: name.to_owned() });
    }
    let folder = whole_path(name);
    if fashion_mnist::is_idx_folder(&folder) {
        return fashion_mnist::from_folder(&folder.to_string_lossy(), &folder);
    }
    folder::load(&folder, size)
}

/// A folder by its whole path, without links: the same one from anywhere and however it is spelled. One
/// that no text can name stays as it was typed.
fn whole_path(folder: &str) -> PathBuf {
    let whole = std::fs::canonicalize(folder).ok().filter(|path| path.to_str().is_some());
    whole.unwrap_or_else(|| folder.into())
}

/// Lists the data sets that have a name, and whether each is there.
pub fn list() -> Vec<DataEntry> {
    let licence = fashion_mnist::LICENCE;
    let full = Path::new(fashion_mnist::FULL_SET_FOLDER);
    vec![
        DataEntry {
            name: EMBEDDED.to_owned(),
            what: "10,000 + 10,000 grey 28x28 images of clothes, 10 classes".to_owned(),
            licence: licence.to_owned(),
            origin: "compiled in: the first 1,000 training images of each class, all test images"
                .to_owned(),
            present: true,
            recipes: IMAGE_RECIPES,
        },
        DataEntry {
            name: FULL.to_owned(),
            what: "60,000 + 10,000 grey 28x28 images of clothes, 10 classes".to_owned(),
            licence: licence.to_owned(),
            origin: format!("Debian package dataset-fashion-mnist, in {}", full.display()),
            present: fashion_mnist::is_idx_folder(full),
            recipes: IMAGE_RECIPES,
        },
    ]
}

/// What learns from these images, with a mark of every byte of them.
fn trained_on<'a>(
    name: &str,
    source: &str,
    sets: impl IntoIterator<Item = &'a ImageSet>,
) -> TrainedOn {
    let mut digest = Sha256::new();
    sets.into_iter().for_each(|set| set.digest(&mut digest));
    let sha256 = Some(hex(&digest.finalize()));
    TrainedOn { source: source.to_owned(), name: Some(name.to_owned()), sha256 }
}

impl Dataset {
    /// What a run on these images learns from.
    pub fn trained_on(&self) -> TrainedOn {
        trained_on(&self.name, &self.train.source, [&self.train, &self.test])
    }

    /// Refuses images of which there are too few for a score.
    ///
    /// # Errors
    ///
    /// [`DataError::Unscorable`].
    pub fn must_be_scorable(&self) -> Result<(), DataError> {
        let (train, test) = (self.train.len(), self.test.len());
        if train.min(test) < LEAST_SCORED {
            return Err(DataError::Unscorable { train, test, test_every: self.test_every });
        }
        Ok(())
    }

    /// How many classes there are, one more than the largest label; none where a part has no labels.
    pub fn class_count(&self) -> Option<usize> {
        let largest = |set: &ImageSet| set.labels.as_ref()?.iter().max().copied();
        Some(usize::from(largest(&self.train)?.max(largest(&self.test)?)) + 1)
    }
}

impl ImageSet {
    fn digest(&self, digest: &mut Sha256) {
        let labels = self.labels.as_deref().unwrap_or_default();
        for length in [self.channels, self.height, self.width, self.pixels.len(), labels.len()] {
            digest.update((length as u64).to_le_bytes());
        }
        digest.update(&self.pixels);
        digest.update(labels);
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.image_len().max(1)
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// How many values one image has: channels × height × width.
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Puts every image in the middle of a black square of `size` pixels.
    ///
    /// Where the border cannot be equal, the right and the lower side get the odd pixel.
    ///
    /// # Panics
    ///
    /// If `size` is smaller than the images.
    #[must_use]
    pub fn padded(&self, size: usize) -> Self {
        let (height, width) = (self.height, self.width);
        assert!(size >= height && size >= width, "cannot pad {height}x{width} images to {size}");
        let first = (size - height) / 2 * size + (size - width) / 2;
        let mut pixels = vec![0; self.len() * self.channels * size * size];
        let planes = self.pixels.chunks_exact(height * width);
        for (plane, target) in planes.zip(pixels.chunks_exact_mut(size * size)) {
            for (row, line) in plane.chunks_exact(width).enumerate() {
                let start = first + row * size;
                target[start..start + width].copy_from_slice(line);
            }
        }
        Self { height: size, width: size, pixels, ..self.without_pixels() }
    }

    /// The images of these indices, in their order.
    ///
    /// # Panics
    ///
    /// If an index is not below [`ImageSet::len`].
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let size = self.image_len();
        let images = indices.iter().map(|&index| &self.pixels[index * size..(index + 1) * size]);
        Self {
            pixels: images.flatten().copied().collect(),
            labels: self.batch_labels(indices),
            ..self.without_pixels()
        }
    }

    /// Gathers images as numbers in [−1, 1], `[indices, channels, height, width]`.
    ///
    /// # Panics
    ///
    /// If an index is not below [`ImageSet::len`].
    pub fn batch(&self, indices: &[usize]) -> Vec<f32> {
        let size = self.image_len();
        let images = indices.iter().map(|&index| &self.pixels[index * size..(index + 1) * size]);
        images.flatten().map(|&pixel| signed_unit(pixel)).collect()
    }

    /// Gathers the labels of images, or nothing where the data has no classes.
    ///
    /// # Panics
    ///
    /// If an index is not below [`ImageSet::len`].
    pub fn batch_labels(&self, indices: &[usize]) -> Option<Vec<u8>> {
        let labels = self.labels.as_ref()?;
        Some(indices.iter().map(|&index| labels[index]).collect())
    }

    fn without_pixels(&self) -> Self {
        Self {
            pixels: Vec::new(),
            labels: self.labels.clone(),
            source: self.source.clone(),
            channels: self.channels,
            height: self.height,
            width: self.width,
        }
    }
}

/// Maps a byte to [−1, 1]: `pixel / 127.5 − 1`, so black is −1 and white is 1.
pub fn signed_unit(pixel: u8) -> f32 {
    f32::from(pixel) / 127.5 - 1.0
}

/// Maps a number to the nearest byte, the inverse of [`signed_unit`]; what lies outside [−1, 1] is
/// clamped and NaN becomes black.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest byte, saturating, as intended"
)]
pub fn pixel(value: f32) -> u8 {
    ((value + 1.0) * 127.5).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_would_fill_the_memory_when_padded_are_refused_before() {
        let pixels = vec![0; 70_000];
        let source = String::new();
        let images = ImageSet { channels: 1, height: 1, width: 1, pixels, labels: None, source };
        assert!(must_fit(&[&images], 28).is_ok());
        let message = must_fit(&[&images], 512).unwrap_err().to_string();
        assert!(message.starts_with("image_size must be less than 512, at which the 70000 images"));
        assert!(must_fit(&[&images], usize::MAX).is_err());
    }
}
