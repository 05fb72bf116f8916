//! Any folder of PNG and JPEG images, made into squares of one size.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage, Rgba};
use osn_files::plain_file;
use rayon::prelude::*;
use unicode_normalization::UnicodeNormalization;

use crate::data::error::DataError;
use crate::data::image_set::{Dataset, ImageSet};
use crate::data::names::TEST_EVERY;
use crate::data::picture_faults;

const MAX_FILES: usize = 500_000;
const MAX_RESIZED_BYTES: usize = 4 << 30;
const MAX_DEPTH: usize = 64;
const MAX_SIDE: u32 = 32_768;
const MAX_PACKED_BYTES: u64 = 256 << 20;
const MAX_DECODED_BYTES: u64 = 512 << 20;
/// Channels that differ by no more than this are grey: JPEG adds as much.
const GREY_TOLERANCE: u8 = 8;
/// Folders that systems leave among pictures, for what an archive cannot hold, for small copies and for
/// what was thrown away.
const LEFT_BEHIND: [&str; 5] =
    ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"];

/// Loads every PNG and JPEG image in a folder and the folders below it.
///
/// Each image is turned as its EXIF data says, put on white where it is transparent, cropped to the
/// middle square and resized (Lanczos) to `size`×`size`. If none of them has colour all become
/// grey. In the order of their paths, the last of every [`TEST_EVERY`] images is for testing, so
/// the split depends on nothing but the names. Near-copies with neighbouring names can therefore
/// end up on both sides.
///
/// Other files are skipped, and so is what systems leave beside pictures: hidden files and folders,
/// such as `._01.png`, and folders such as `__MACOSX`. A link to a folder is followed, but no folder is
/// visited twice.
///
/// # Errors
///
/// [`DataError::TooFew`], [`DataError::TooMany`], [`DataError::Walk`], or [`DataError::Image`] for
/// the first image, in the order of paths, that cannot be decoded.
///
/// # Panics
///
/// If `size` is zero.
pub(crate) fn load(folder: &Path, size: usize) -> Result<Dataset, DataError> {
    let paths = find_images(folder, size)?;
    if paths.len() < TEST_EVERY {
        return Err(DataError::TooFew { folder: folder.to_owned(), found: paths.len() });
    }
    let images = decode_all(&paths, size)?;
    let grey = !images.iter().any(has_colour);
    Ok(split(folder, size, &images, grey))
}

fn decode_all(paths: &[PathBuf], size: usize) -> Result<Vec<RgbImage>, DataError> {
    let decoded: Vec<_> = paths.par_iter().map(|path| decode(path, size)).collect();
    decoded.into_iter().collect()
}

fn split(folder: &Path, size: usize, images: &[RgbImage], grey: bool) -> Dataset {
    let is_test = |&(index, _): &(usize, &RgbImage)| index % TEST_EVERY == TEST_EVERY - 1;
    let (test, train): (Vec<_>, Vec<_>) = images.iter().enumerate().partition(is_test);
    let source = format!(
        "{}: {} pictures, {} to train on and {} to judge by, the last of every {TEST_EVERY} by path",
        folder.display(),
        images.len(),
        train.len(),
        test.len(),
    );
    let part = |part: Vec<(usize, &RgbImage)>| {
        image_set(part.into_iter().map(|(_, image)| image), grey, size, source.clone())
    };
    Dataset {
        name: folder.display().to_string(),
        train: part(train),
        test: part(test),
        test_every: Some(TEST_EVERY),
        sound: None,
    }
}

/// Images of `size`×`size` as one set without classes.
pub(super) fn image_set<'a>(
    images: impl Iterator<Item = &'a RgbImage>,
    grey: bool,
    size: usize,
    source: String,
) -> ImageSet {
    ImageSet {
        channels: if grey { 1 } else { 3 },
        height: size,
        width: size,
        pixels: images.flat_map(|image| planes(image, grey)).collect(),
        labels: None,
        source,
    }
}

/// The paths of all images below a folder, sorted; no more than memory holds at `size`×`size`.
pub(super) fn find_images(folder: &Path, size: usize) -> Result<Vec<PathBuf>, DataError> {
    find(folder, is_image_name, "images of this size", most_images(3, size))
}

/// As many images of `size`×`size` as memory holds.
///
/// # Panics
///
/// If `size` is zero.
pub(super) fn most_images(channels: usize, size: usize) -> usize {
    assert!(size > 0, "images need at least one pixel");
    let bytes = size.saturating_mul(size).saturating_mul(channels);
    (MAX_RESIZED_BYTES / bytes).min(MAX_FILES)
}

/// The paths of all files below a folder that are meant, sorted; at most `limit` of `what` they are.
pub(super) fn find(
    folder: &Path,
    is_meant: fn(&Path) -> bool,
    what: &'static str,
    limit: usize,
) -> Result<Vec<PathBuf>, DataError> {
    let (visited, files) = (HashSet::new(), Vec::new());
    let mut walk = Walk { root: folder, is_meant, what, limit, visited, files };
    walk.enter(folder, 0)?;
    // Systems write accents in two ways, and the order is to be the same on all of them.
    walk.files.sort_by_cached_key(|path| (composed(path), path.clone()));
    Ok(walk.files)
}

/// A path with each accent and its letter as one character, however it was written.
pub(super) fn composed(path: &Path) -> PathBuf {
    path.to_str().map_or_else(|| path.to_owned(), |text| text.nfc().collect::<String>().into())
}

/// Whether a system left this beside what is meant, such as `._01.png` or `__MACOSX`.
pub(super) fn is_left_behind(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".") || LEFT_BEHIND.iter().any(|left| name == *left)
}

struct Walk<'a> {
    root: &'a Path,
    is_meant: fn(&Path) -> bool,
    what: &'static str,
    limit: usize,
    visited: HashSet<PathBuf>,
    files: Vec<PathBuf>,
}

impl Walk<'_> {
    fn enter(&mut self, folder: &Path, depth: usize) -> Result<(), DataError> {
        if depth > MAX_DEPTH {
            return Err(self.too_many("folders inside each other", MAX_DEPTH));
        }
        let real = fs::canonicalize(folder).map_err(|problem| walk_error(folder, problem))?;
        if !self.visited.insert(real) {
            return Ok(());
        }
        for path in sorted_entries(folder)? {
            self.visit(path, depth)?;
        }
        Ok(())
    }

    fn visit(&mut self, path: PathBuf, depth: usize) -> Result<(), DataError> {
        if is_left_behind(&path) {
            return Ok(());
        }
        if path.is_dir() {
            return self.enter(&path, depth + 1);
        }
        if (self.is_meant)(&path) && path.is_file() {
            self.files.push(path);
        }
        if self.files.len() > self.limit {
            return Err(self.too_many(self.what, self.limit));
        }
        Ok(())
    }

    fn too_many(&self, what: &'static str, limit: usize) -> DataError {
        DataError::TooMany { folder: self.root.to_owned(), what, limit }
    }
}

/// Sorted, because the order in which links are followed decides which path a folder is seen by.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    let mut entries: Vec<PathBuf> = entries.map_err(|problem| walk_error(folder, problem))?;
    entries.sort();
    Ok(entries)
}

fn walk_error(path: &Path, problem: std::io::Error) -> DataError {
    DataError::Walk { path: path.to_owned(), problem }
}

fn is_image_name(path: &Path) -> bool {
    has_ending(path, &["png", "jpg", "jpeg"])
}

/// Whether a name ends in one of these, in any case of its letters.
pub(super) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default();
    endings.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn decode(path: &Path, size: usize) -> Result<RgbImage, DataError> {
    Ok(fit(&read_image(path)?, size))
}

/// Reads an image of any size, turned as its EXIF data says.
pub(super) fn read_image(path: &Path) -> Result<DynamicImage, DataError> {
    read_upright(path).map_err(|problem| DataError::Image { path: path.to_owned(), problem })
}

/// The middle square of an image on white, resized to `size`×`size`.
pub(super) fn fit(image: &DynamicImage, size: usize) -> RgbImage {
    square(&on_white(&middle_square(image)), size)
}

fn read_upright(path: &Path) -> Result<DynamicImage, ImageError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    let bytes = plain_file::read(path, MAX_PACKED_BYTES)?;
    if let Some(fault) = picture_faults::fault(&bytes) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, fault).into());
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn middle_square(image: &DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let side = width.min(height);
    image.crop_imm((width - side) / 2, (height - side) / 2, side, side)
}

fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let mut white = image::RgbaImage::from_pixel(image.width(), image.height(), Rgba([255; 4]));
    imageops::overlay(&mut white, &image.to_rgba8(), 0, 0);
    DynamicImage::ImageRgba8(white).to_rgb8()
}

fn square(image: &RgbImage, size: usize) -> RgbImage {
    let side = u32::try_from(size).unwrap_or(u32::MAX);
    if image.width() == side {
        return image.clone();
    }
    imageops::resize(image, side, side, FilterType::Lanczos3)
}

/// Whether an image is more than shades of grey.
pub(super) fn has_colour(image: &RgbImage) -> bool {
    image.pixels().any(|pixel| {
        let [red, green, blue] = pixel.0;
        let spread = red.max(green).max(blue) - red.min(green).min(blue);
        spread > GREY_TOLERANCE
    })
}

/// The values of an image by plane: `[1 or 3, height, width]`.
fn planes(image: &RgbImage, grey: bool) -> Vec<u8> {
    if grey {
        return DynamicImage::ImageRgb8(image.clone()).to_luma8().into_raw();
    }
    (0..3).flat_map(|channel| image.pixels().map(move |pixel| pixel.0[channel])).collect()
}
