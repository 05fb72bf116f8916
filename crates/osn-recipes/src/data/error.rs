//! Why data cannot be loaded.

use std::path::PathBuf;

use osn_core::names::hint;

use crate::data::idx::IdxError;
use crate::data::names::{
    EDGES, EMBEDDED, FULL, IMAGE_RECIPES, LEAST_PICTURES, PAIR_RECIPES, TEST_EVERY, TEXT_RECIPES,
};
use crate::data::sound::settings::SettingsError;
use crate::data::sound::wav_error::WavError;
use crate::metrics::feature_set::LEAST_SCORED;

/// Why data cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The name is neither a known data set nor a folder.
    #[error(
        "no data set or folder is called \"{name}\"{}: use {EMBEDDED}, {FULL} or the path of a folder of images or recordings",
        hint(name, [EMBEDDED, FULL])
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
        problem: IdxError,
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
        /// Images to score against.
        test: usize,
        /// One in so many images is for testing, where the data come without a split.
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
        IMAGE_RECIPES.join(", "), EDGES
    )]
    NoPairs {
        /// What was asked for.
        name: String,
    },
    /// A data set is of sentences where pictures are taken.
    #[error("{name} is of sentences, which {} takes; this recipe takes pictures", TEXT_RECIPES.join(", "))]
    NoPictures {
        /// What was asked for.
        name: String,
    },
    /// The name is neither known pairs nor a folder.
    #[error(
        "no pairs or folder are called \"{name}\": use {} or the path of a folder that holds input and target",
        EDGES
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
    /// A file with the name of a recording is none.
    #[error("{} {problem}", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: WavError,
    },
    /// The file that says how recordings become images cannot be followed.
    #[error("{} {}", path.display(), one_line(problem))]
    SoundSettings {
        /// The file, which need not be there.
        path: PathBuf,
        /// What is wrong with it.
        problem: SettingsError,
    },
    /// Sound lies in a format that is not read.
    #[error(
        "{} is sound, but no WAV: convert it, for example by ffmpeg -i FILE -c:a pcm_s16le NEW.wav, or remove it",
        path.display()
    )]
    OtherSound {
        /// The file.
        path: PathBuf,
    },
    /// A folder holds pictures and recordings.
    #[error(
        "{} is a picture and {} a recording: pass a folder of the one or of the other",
        picture.display(), recording.display()
    )]
    Mixed {
        /// A picture.
        picture: PathBuf,
        /// A recording.
        recording: PathBuf,
    },
    /// There are folders of classes, and a recording in none of them.
    #[error(
        "{} lies in no class: put it into the folder of one, or remove the folders",
        path.display()
    )]
    OutsideOfClasses {
        /// The recording.
        path: PathBuf,
    },
    /// There are too few recordings to split into train and test.
    #[error(
        "{} holds {}, of which one in {TEST_EVERY} is to judge by: add {} at least, or remove the folder",
        folder.display(), counted(*found, "recording"), TEST_EVERY - found
    )]
    TooFewRecordings {
        /// The folder of a class, or that which was asked for.
        folder: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// A class has recordings in `train` or in `test`, but not in both.
    #[error("{} holds no recording, though its class has some in the other part: add some there, or remove these", folder.display())]
    NoRecordings {
        /// The folder.
        folder: PathBuf,
    },
    /// There is nothing to tell apart.
    #[error(
        "all recordings are of one class, \"{class}\": add folders of others, or train the recipe gan"
    )]
    OneClass {
        /// Its name.
        class: String,
    },
}

/// `1 picture`, `2 pictures`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// How many images a folder must hold, and why.
fn how_many() -> String {
    let (every, scored) = (TEST_EVERY, LEAST_SCORED);
    format!(
        "one of every {every} is to judge by and a score needs {scored} of these, so {LEAST_PICTURES} are needed in all"
    )
}

fn each_needs() -> String {
    format!("a score needs {LEAST_SCORED} of each")
}

/// What a decoder says may have several lines.
fn one_line(problem: &impl std::fmt::Display) -> String {
    problem.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
