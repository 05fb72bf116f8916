//! Images to train on and to score against: what is embedded, what is installed, what the user has.

use std::path::{Path, PathBuf};

use crate::data::error::{DataError, counted};
use crate::data::image_set::{Dataset, ImageSet};
use crate::data::names::{CLDR, EDGES, EMBEDDED, FULL};
use crate::data::{fashion_mnist, folder, sound};
use crate::run::check::ensure;
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::request::TrainRequest;

/// Bytes of images that are held at once.
const MAX_BYTES: usize = 4 << 30;

/// Loads a data set by name or folder.
///
/// | `spec` | loads |
/// |---|---|
/// | `None`, `fashion-mnist-10k` | the embedded images, the same on every machine |
/// | `fashion-mnist` | the full set, where it is installed |
/// | a folder with IDX files | those |
/// | a folder with WAV files | those, as log-mel spectrograms of `size`×`size`; folders in it are classes |
/// | any other folder | all PNG and JPEG images in it, cropped and resized to `size`×`size` |
///
/// IDX images keep their own size; [`ImageSet::padded`] brings them to another.
///
/// # Errors
///
/// [`DataError`], in one line: what, where, what to do.
///
/// # Panics
///
/// If `size` is zero and `spec` a folder of pictures or recordings.
pub fn load(spec: Option<&str>, size: usize) -> Result<Dataset, DataError> {
    match spec {
        None | Some(EMBEDDED) => fashion_mnist::embedded(),
        Some(FULL) => fashion_mnist::full(),
        Some(EDGES) => Err(DataError::NoImages { name: EDGES.to_owned() }),
        Some(CLDR) => Err(DataError::NoPictures { name: CLDR.to_owned() }),
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

pub(super) fn unusable(request: &TrainRequest, default: &str, source: DataError) -> RunError {
    RunError::data(request.data.as_deref().unwrap_or(default), source)
}

/// Refuses images that are larger than `size`, and so many that memory does not hold them at that size.
pub(super) fn must_fit(sets: &[&ImageSet], size: usize) -> Result<(), RunError> {
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
pub(crate) fn notice_fewer(there: usize, asked: [(&str, usize); 2], observer: &mut dyn Observer) {
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
    let recordings = sound::folder::find(&folder, size)?;
    let Some(recording) = recordings.first() else { return folder::load(&folder, size) };
    match folder::find_images(&folder, size)?.into_iter().next() {
        Some(picture) => Err(DataError::Mixed { picture, recording: recording.clone() }),
        None => sound::folder::load(&folder, recordings, size),
    }
}

/// A folder by its whole path, without links: the same one from anywhere and however it is spelled. One
/// that no text can name stays as it was typed.
pub(super) fn whole_path(folder: &str) -> PathBuf {
    let whole = std::fs::canonicalize(folder).ok().filter(|path| path.to_str().is_some());
    whole.unwrap_or_else(|| folder.into())
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
        for size in [512, usize::MAX] {
            let error = must_fit(&[&images], size).unwrap_err();
            assert!(
                matches!(&error, RunError::Config { key, .. } if key == "image_size"),
                "{error}"
            );
        }
    }
}
