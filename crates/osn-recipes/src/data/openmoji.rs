//! Draws the emoji of the npm package `openmoji` as pairs of images: line art and colour.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::hash::Hash;
use std::io::{self, Cursor, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{ImageFormat, RgbImage};
use osn_files::{atomic, plain_file};
use rayon::prelude::*;

use crate::data::folder::is_left_behind;
use crate::data::svg::{self, SvgError};

/// The folder that the pairs are written to unless another is asked for.
pub const FOLDER: &str = "openmoji";
/// The licence of the emoji and of all that is made of them.
pub const LICENCE: &str = "CC BY-SA 4.0 (OpenMoji, https://openmoji.org)";
/// One in so many groups of emoji is for testing, on average.
pub(crate) const TEST_ONE_IN: u64 = 10;

const LINE_ART: &str = "black/svg";
const COLOUR: &str = "color/svg";
const LICENCE_FILE: &str = "LICENCE.txt";
/// The largest file of the package has 35 kB.
const MAX_SVG_BYTES: u64 = 1 << 20;
const MAX_PAIRS: usize = 100_000;
/// Bytes of drawings, which are all held until the last is drawn.
const MAX_DRAWN_BYTES: u64 = 4 << 30;
/// So many emoji share no drawing but the frame of the flags, which says nothing of their colours.
const MAX_SHARING: usize = 100;
/// The code points that only vary an emoji: five skin tones, the signs of woman and man, what joins
/// them to it, and what asks for colour and gives way to a skin tone.
const VARIATIONS: [&str; 9] =
    ["1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF", "2640", "2642", "200D", "FE0F"];

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Pairs to train on.
    pub train: usize,
    /// Pairs to test with.
    pub test: usize,
    /// The names of the emoji that were left out, as one of their sides is all white.
    pub blank: Vec<String>,
}

/// Why the emoji were not imported; nothing is then written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The folder is not the package.
    #[error(
        "{} has no {folder} with SVG files: pass the unpacked npm package openmoji, the folder that holds black and color",
        package.display()
    )]
    NotThePackage {
        /// The folder that was given.
        package: PathBuf,
        /// What it lacks.
        folder: &'static str,
    },
    /// There is line art without colour, or the reverse.
    #[error("{} has no partner {}: unpack the package again", path.display(), partner.display())]
    Unpaired {
        /// The picture.
        path: PathBuf,
        /// Where its partner was looked for.
        partner: PathBuf,
    },
    /// There are more emoji than is sane.
    #[error("{} holds more than {MAX_PAIRS} pictures: is it the package openmoji?", folder.display())]
    TooMany {
        /// Where they lie.
        folder: PathBuf,
    },
    /// So many emoji of this size are more than memory holds.
    #[error("{count} pairs of {size}x{size} pixels take more than 4 GiB: draw them smaller")]
    TooLarge {
        /// How many there are.
        count: usize,
        /// Their width and height.
        size: u32,
    },
    /// A picture cannot be drawn.
    #[error("{} {problem}: repair the file, or remove it and its partner", path.display())]
    Svg {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: SvgError,
    },
    /// There is something where the pairs are to be written.
    #[error("{} is there already: remove it or name another folder", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The disk refuses.
    #[error("cannot write {}: {problem}", path.display())]
    Write {
        /// The folder of the pairs.
        path: PathBuf,
        /// What the operating system says.
        problem: io::Error,
    },
}

/// An emoji, drawn twice.
struct Emoji {
    /// Its code points in hexadecimal with hyphens between, the name of its files.
    name: String,
    line_art: RgbImage,
    colour: RgbImage,
}

/// Draws every emoji of a package at `size`×`size` on white and writes the pairs as a folder that
/// [`pairs::load`](crate::data::pairs::load) reads, with line art as inputs and colour as targets.
///
/// `progress` is called with the number of emoji drawn and of all, from several threads.
///
/// Emoji that are the same but for skin tone or sex are all for training or all for testing, and so
/// are those with the same line art: a man and a person may differ in nothing but their name. (The
/// empty frame that all flags share joins nothing.) A hash of the first name in such a group
/// decides, so the split of a package at a size is always the same. An emoji with a blank side is
/// left out.
///
/// The folder appears under its name when it is complete.
///
/// # Errors
///
/// [`ImportError`], in one line: what, where, what to do.
///
/// # Panics
///
/// If `size` is zero.
pub fn import(
    package: &Path,
    out: &Path,
    size: u32,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Imported, ImportError> {
    assert!(size > 0, "images need at least one pixel");
    refuse_to_replace(out)?;
    let names = find_names(package)?;
    refuse_too_large(names.len(), size)?;
    let emoji = draw_all(package, &names, size, progress)?;
    let (drawn, blank): (Vec<_>, Vec<_>) = emoji.into_iter().partition(Emoji::has_both_sides);
    let is_test = choose_tests(&drawn);
    write(out, &drawn, &is_test)
        .map_err(|problem| ImportError::Write { path: out.to_owned(), problem })?;
    let test = is_test.iter().filter(|&&is_test| is_test).count();
    let blank = blank.into_iter().map(|emoji| emoji.name).collect();
    Ok(Imported { train: drawn.len() - test, test, blank })
}

fn refuse_to_replace(out: &Path) -> Result<(), ImportError> {
    // A broken link is something too.
    match fs::symlink_metadata(out) {
        Ok(_) => Err(ImportError::Exists { path: out.to_owned() }),
        Err(_) => Ok(()),
    }
}

fn refuse_too_large(count: usize, size: u32) -> Result<(), ImportError> {
    let sizes = [count as u64, 2, 3, u64::from(size), u64::from(size)];
    let bytes = sizes.into_iter().fold(1, u64::saturating_mul);
    if bytes <= MAX_DRAWN_BYTES { Ok(()) } else { Err(ImportError::TooLarge { count, size }) }
}

/// The names of all emoji, sorted.
fn find_names(package: &Path) -> Result<Vec<String>, ImportError> {
    let (line_art, colour) = (names_in(package, LINE_ART)?, names_in(package, COLOUR)?);
    refuse_unpaired(package, &line_art, LINE_ART, &colour, COLOUR)?;
    refuse_unpaired(package, &colour, COLOUR, &line_art, LINE_ART)?;
    Ok(line_art.into_iter().collect())
}

fn names_in(package: &Path, folder: &'static str) -> Result<BTreeSet<String>, ImportError> {
    let missing = || ImportError::NotThePackage { package: package.to_owned(), folder };
    let entries = fs::read_dir(package.join(folder)).map_err(|_| missing())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let paths = paths.filter(|path| !is_left_behind(path));
    let names: BTreeSet<_> = paths.filter_map(|path| svg_name(&path)).take(MAX_PAIRS + 1).collect();
    match names.len() {
        0 => Err(missing()),
        count if count > MAX_PAIRS => Err(ImportError::TooMany { folder: package.join(folder) }),
        _ => Ok(names),
    }
}

fn svg_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.strip_suffix(".svg")?.to_owned())
}

fn refuse_unpaired(
    package: &Path,
    names: &BTreeSet<String>,
    folder: &str,
    others: &BTreeSet<String>,
    other_folder: &str,
) -> Result<(), ImportError> {
    match names.difference(others).next() {
        None => Ok(()),
        Some(name) => Err(ImportError::Unpaired {
            path: svg_path(package, folder, name),
            partner: svg_path(package, other_folder, name),
        }),
    }
}

fn svg_path(package: &Path, folder: &str, name: &str) -> PathBuf {
    package.join(folder).join(format!("{name}.svg"))
}

fn draw_all(
    package: &Path,
    names: &[String],
    size: u32,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Vec<Emoji>, ImportError> {
    let done = AtomicUsize::new(0);
    let draw_one = |name: &String| {
        let emoji = Emoji {
            name: name.clone(),
            line_art: draw(&svg_path(package, LINE_ART, name), size)?,
            colour: draw(&svg_path(package, COLOUR, name), size)?,
        };
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, names.len());
        Ok(emoji)
    };
    // Collected first, so that the error is that of the first name whatever thread is faster.
    let drawn: Vec<_> = names.par_iter().map(draw_one).collect();
    drawn.into_iter().collect()
}

fn draw(path: &Path, size: u32) -> Result<RgbImage, ImportError> {
    let drawn = read(path).and_then(|bytes| svg::draw(&bytes, size));
    drawn.map_err(|problem| ImportError::Svg { path: path.to_owned(), problem })
}

fn read(path: &Path) -> Result<Vec<u8>, SvgError> {
    plain_file::read(path, MAX_SVG_BYTES).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => SvgError::TooLarge { limit: MAX_SVG_BYTES },
        _ => error.into(),
    })
}

impl Emoji {
    fn has_both_sides(&self) -> bool {
        let is_white = |image: &RgbImage| image.iter().all(|&value| value == u8::MAX);
        !is_white(&self.line_art) && !is_white(&self.colour)
    }

    /// The name without what only varies the emoji.
    fn base(&self) -> String {
        let parts: Vec<_> =
            self.name.split('-').filter(|part| !VARIATIONS.contains(part)).collect();
        parts.join("-")
    }
}

/// Whether each emoji is for testing; they come sorted by name.
fn choose_tests(emoji: &[Emoji]) -> Vec<bool> {
    let mut groups = Groups::new(emoji.len());
    groups.join_equal(emoji.iter().map(|emoji| Some(emoji.base())));
    groups.join_equal(drawings(emoji));
    let firsts = (0..emoji.len()).map(|index| &emoji[groups.first(index)]);
    firsts.map(|first| hash(&first.base()).is_multiple_of(TEST_ONE_IN)).collect()
}

/// The line art of each emoji, unless it says nothing about it.
fn drawings(emoji: &[Emoji]) -> impl Iterator<Item = Option<&Vec<u8>>> {
    let mut sharing = HashMap::new();
    for emoji in emoji {
        *sharing.entry(emoji.line_art.as_raw()).or_insert(0) += 1;
    }
    let drawings = emoji.iter().map(|emoji| emoji.line_art.as_raw());
    drawings.map(move |drawing| (sharing[drawing] <= MAX_SHARING).then_some(drawing))
}

/// Which of some things must stay together.
struct Groups {
    /// For each thing itself or an earlier one of its group.
    earlier: Vec<usize>,
}

impl Groups {
    fn new(count: usize) -> Self {
        Self { earlier: (0..count).collect() }
    }

    /// The first thing in the group of another.
    fn first(&self, mut index: usize) -> usize {
        while self.earlier[index] != index {
            index = self.earlier[index];
        }
        index
    }

    /// Joins the groups of all things that have the same key; what has none joins nothing.
    fn join_equal<K: Hash + Eq>(&mut self, keys: impl Iterator<Item = Option<K>>) {
        let mut seen = HashMap::new();
        for (index, key) in keys.enumerate() {
            let other = key.map_or(index, |key| *seen.entry(key).or_insert(index));
            let (one, two) = (self.first(index), self.first(other));
            self.earlier[one.max(two)] = one.min(two);
        }
    }
}

/// FNV-1a with 64 bits: written out, because the split must not change with a library.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Writes the pairs, all of them or none.
fn write(out: &Path, emoji: &[Emoji], is_test: &[bool]) -> io::Result<()> {
    atomic::write_folder(out, |folder| {
        for part in ["train", "test"] {
            fs::create_dir_all(folder.join(part).join("input"))?;
            fs::create_dir_all(folder.join(part).join("target"))?;
        }
        for (emoji, is_test) in emoji.iter().zip(is_test) {
            let part = folder.join(if *is_test { "test" } else { "train" });
            let file = format!("{}.png", emoji.name);
            save(&emoji.line_art, &part.join("input").join(&file))?;
            save(&emoji.colour, &part.join("target").join(&file))?;
        }
        fs::write(folder.join(LICENCE_FILE), format!("{LICENCE}\nDrawn from SVG by osn.\n"))
    })
}

fn save(image: &RgbImage, path: &Path) -> io::Result<()> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).map_err(io::Error::other)?;
    fs::write(path, png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // The published test vectors.
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn groups_grow_through_any_key() {
        let mut groups = Groups::new(6);
        groups.join_equal(["a", "b", "c", "b", "d", "a"].map(Some).into_iter());
        groups.join_equal([1, 2, 3, 4, 3, 2].map(Some).into_iter());
        groups.join_equal([Some(7), None, None, Some(8), None, None].into_iter());
        let firsts: Vec<_> = (0..6).map(|index| groups.first(index)).collect();
        assert_eq!(firsts, [0, 0, 2, 0, 2, 0]);
    }
}
