//! Any folder of WAV files, made into log-mel spectrograms.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use osn_files::plain_file;
use rayon::prelude::*;

use crate::data::error::DataError;
use crate::data::folder;
use crate::data::image_set::{Dataset, ImageSet};
use crate::data::names::TEST_EVERY;
use crate::data::sound::description::{LogMel, SoundDescription};
use crate::data::sound::resample::resampled;
use crate::data::sound::settings::{SETTINGS_FILE, SoundSettings};
use crate::data::sound::spectrogram::Spectrograms;
use crate::data::sound::wav::{self, Recording};
use crate::data::sound::wav_error::WavError;

/// Six minutes of two channels at 44.1 kHz and 16 bits.
const MAX_WAV_BYTES: u64 = 64 << 20;
/// A label is a byte.
const MAX_CLASSES: usize = 256;
const WAV: [&str; 2] = ["wav", "wave"];
/// Sound that is not read, of which a folder that looks empty may be full.
const OTHER_SOUND: [&str; 9] = ["aif", "aiff", "au", "flac", "gsm", "m4a", "mp3", "ogg", "opus"];
/// The folders of a split that the user made.
const PARTS: [&str; 2] = ["train", "test"];

/// A recording, and what its path says of it.
struct Entry {
    path: PathBuf,
    class: Option<String>,
    /// Whether it is for testing, where the folders say so.
    is_test: Option<bool>,
}

/// The paths of all recordings below a folder, sorted; no more than memory holds as images of `size`×`size`.
///
/// # Errors
///
/// [`DataError::OtherSound`] for sound in another format, and what walking the folder runs into.
///
/// # Panics
///
/// If `size` is zero.
pub(crate) fn find(folder: &Path, size: usize) -> Result<Vec<PathBuf>, DataError> {
    let is_sound =
        |path: &Path| folder::has_ending(path, &WAV) || folder::has_ending(path, &OTHER_SOUND);
    let (what, limit) = ("recordings for images of this size", folder::most_images(1, size));
    let paths = folder::find(folder, is_sound, what, limit)?;
    match paths.iter().find(|path| !folder::has_ending(path, &WAV)) {
        Some(path) => Err(DataError::OtherSound { path: path.clone() }),
        None => Ok(paths),
    }
}

/// Loads recordings as log-mel spectrograms of `size`×`size`, as `sound.json` in the folder says.
///
/// The folders in it are classes, by name; recordings in no folder have none. Where the folders are
/// `train` and `test`, they are the split, and classes lie in them. Else, in the order of their paths, the
/// last of every [`TEST_EVERY`] recordings of a class is for testing.
///
/// Channels are averaged, and every recording is brought to one sample rate. Of a longer one the stretch
/// of most energy is taken, the first of equals; a shorter one is followed by silence.
///
/// # Errors
///
/// [`DataError`], for the first recording in the order of paths that is none.
///
/// # Panics
///
/// If `size` is zero.
pub(crate) fn load(root: &Path, paths: Vec<PathBuf>, size: usize) -> Result<Dataset, DataError> {
    let settings = SoundSettings::beside(root).and_then(|settings| settings.log_mel(size));
    let log_mel = settings
        .map_err(|problem| DataError::SoundSettings { path: root.join(SETTINGS_FILE), problem })?;
    let entries = entries(root, paths);
    let classes = classes(root, &entries)?;
    let is_test = split(root, &entries)?;
    let images = images(&entries, &log_mel)?;
    Ok(dataset(root, &entries, &is_test, &images, SoundDescription { log_mel, classes }))
}

fn entries(root: &Path, paths: Vec<PathBuf>) -> Vec<Entry> {
    let names = |path: &Path| -> Vec<String> {
        let below = folder::composed(path.strip_prefix(root).unwrap_or(path));
        let names = below.parent().into_iter().flat_map(Path::components);
        names.map(|it| it.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let names: Vec<_> = paths.iter().map(|path| names(path)).collect();
    let first_is =
        |name: &str| names.iter().any(|names| names.first().is_some_and(|it| it == name));
    let all_parts =
        names.iter().all(|names| names.first().is_some_and(|it| PARTS.contains(&&**it)));
    let is_split = all_parts && PARTS.into_iter().all(first_is);
    let entry = |(path, names): (PathBuf, Vec<String>)| Entry {
        path,
        class: names.get(usize::from(is_split)).cloned(),
        is_test: is_split.then(|| names[0] == PARTS[1]),
    };
    paths.into_iter().zip(names).map(entry).collect()
}

/// The names of the classes, sorted; none where the recordings lie in no folders.
fn classes(root: &Path, entries: &[Entry]) -> Result<Vec<String>, DataError> {
    let names: BTreeSet<_> = entries.iter().filter_map(|entry| entry.class.clone()).collect();
    if names.len() > MAX_CLASSES {
        let (folder, what) = (root.to_owned(), "folders of recordings, which are its classes");
        return Err(DataError::TooMany { folder, what, limit: MAX_CLASSES });
    }
    match entries.iter().find(|entry| entry.class.is_none() && !names.is_empty()) {
        Some(outside) => Err(DataError::OutsideOfClasses { path: outside.path.clone() }),
        None => Ok(names.into_iter().collect()),
    }
}

/// Whether each recording is for testing.
fn split(root: &Path, entries: &[Entry]) -> Result<Vec<bool>, DataError> {
    let mut counts: BTreeMap<&Option<String>, [usize; 2]> = BTreeMap::new();
    let mut is_test = Vec::new();
    for entry in entries {
        let counts = counts.entry(&entry.class).or_default();
        let place = counts[0] + counts[1];
        let test = entry.is_test.unwrap_or(place % TEST_EVERY == TEST_EVERY - 1);
        counts[usize::from(test)] += 1;
        is_test.push(test);
    }
    let is_split = entries.iter().any(|entry| entry.is_test.is_some());
    for (class, [train, test]) in counts {
        let folder = |part: &str| class.iter().fold(root.join(part), |it, class| it.join(class));
        match (is_split, train, test) {
            (true, 0, _) => return Err(DataError::NoRecordings { folder: folder(PARTS[0]) }),
            (true, _, 0) => return Err(DataError::NoRecordings { folder: folder(PARTS[1]) }),
            (false, found, 0) => {
                return Err(DataError::TooFewRecordings { folder: folder(""), found });
            }
            _ => {}
        }
    }
    Ok(is_test)
}

fn images(entries: &[Entry], log_mel: &LogMel) -> Result<Vec<Vec<u8>>, DataError> {
    let spectrograms = Spectrograms::new(log_mel);
    let image = |entry: &Entry| {
        let sound = read(&entry.path).and_then(|recording| clip(&recording, log_mel));
        let sound =
            sound.map_err(|problem| DataError::Recording { path: entry.path.clone(), problem })?;
        Ok(spectrograms.image(&sound))
    };
    // Collected first, so that the error is that of the first path whatever thread is faster.
    let images: Vec<_> = entries.par_iter().map(image).collect();
    images.into_iter().collect()
}

fn read(path: &Path) -> Result<Recording, WavError> {
    wav::parse(&plain_file::read(path, MAX_WAV_BYTES)?)
}

/// The stretch of a recording that is seen, at the rate of the spectrograms.
fn clip(recording: &Recording, log_mel: &LogMel) -> Result<Vec<f64>, WavError> {
    let (length, rate) = (log_mel.length_samples, log_mel.sample_rate_hz);
    let wanted = (length as u64 * u64::from(recording.rate)).div_ceil(u64::from(rate));
    let stretch = loudest(&recording.samples, usize::try_from(wanted).unwrap_or(usize::MAX));
    let stretch: Vec<_> = stretch.iter().copied().map(f64::from).collect();
    let sound = resampled(&stretch, recording.rate, rate);
    let mut sound = sound.map_err(|error| WavError::Decode(error.to_string()))?;
    sound.resize(length, 0.0);
    Ok(sound)
}

/// The `count` neighbouring samples of most energy, the first of equals; all where there are no more.
fn loudest(samples: &[f32], count: usize) -> &[f32] {
    if samples.len() <= count {
        return samples;
    }
    let square = |at: usize| f64::from(samples[at]).powi(2);
    let mut energy: f64 = (0..count).map(square).sum();
    let mut best = (energy, 0);
    for start in 1..=samples.len() - count {
        energy += square(start + count - 1) - square(start - 1);
        // Added and taken away, what is equal differs in its last digits.
        if energy > best.0 * (1.0 + 1e-9) {
            best = (energy, start);
        }
    }
    &samples[best.1..best.1 + count]
}

fn dataset(
    root: &Path,
    entries: &[Entry],
    is_test: &[bool],
    images: &[Vec<u8>],
    sound: SoundDescription,
) -> Dataset {
    let test_every = entries.iter().all(|entry| entry.is_test.is_none()).then_some(TEST_EVERY);
    let source = source(root, is_test, &sound, test_every);
    let part = |test: bool| {
        let chosen = || (0..entries.len()).filter(move |&at| is_test[at] == test);
        let label = |at: usize| {
            let class = entries[at].class.as_ref()?;
            u8::try_from(sound.classes.binary_search(class).ok()?).ok()
        };
        ImageSet {
            channels: 1,
            height: sound.log_mel.bands,
            width: sound.log_mel.frames,
            pixels: chosen().flat_map(|at| images[at].iter().copied()).collect(),
            labels: chosen().map(label).collect(),
            source: source.clone(),
        }
    };
    let (train, test) = (part(false), part(true));
    Dataset { name: root.display().to_string(), train, test, test_every, sound: Some(sound) }
}

/// What the data are, for people.
fn source(
    root: &Path,
    is_test: &[bool],
    SoundDescription { log_mel, classes }: &SoundDescription,
    test_every: Option<usize>,
) -> String {
    let test = is_test.iter().filter(|it| **it).count();
    let of_classes = match classes.len() {
        0 => String::new(),
        count => format!(" of {count} classes"),
    };
    let split = test_every.map_or_else(
        || "as its folders say".to_owned(),
        |every| format!("the last of every {every} of a class by path"),
    );
    let LogMel { bands, frames, sample_rate_hz, length_samples, .. } = log_mel;
    let seconds = *length_samples as f64 / f64::from(*sample_rate_hz);
    format!(
        "{}: {} recordings{of_classes}, {} to train on and {test} to judge by, {split}; as {bands} mel bands in \
         {frames} windows of {seconds:.2} s at {sample_rate_hz} Hz",
        root.display(),
        is_test.len(),
        is_test.len() - test,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stretch_of_most_energy_is_taken_and_the_first_of_equals() {
        let samples = [0.0, 0.5, 0.0, 0.0, -0.5, 0.1, 0.5, 0.0, -0.5, 0.1, 0.5];
        assert_eq!(loudest(&samples, 3), [-0.5, 0.1, 0.5]);
        assert_eq!(loudest(&samples, 3).as_ptr(), samples[4..].as_ptr());
        assert_eq!(loudest(&samples, 20), samples);
    }
}
