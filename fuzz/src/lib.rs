//! What every target does with the bytes that it is given.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use osn_checkpoint::{Checkpoint, CheckpointError, selectable};

#[cfg(feature = "recipes")]
mod run;
#[cfg(feature = "recipes")]
pub use run::{folder_with, packed, sealed};

/// Elements that are read of one tensor, and the bytes beyond which a claim is a lie.
const MOST: usize = 1 << 16;

/// Opens the file `name` and uses all that it gives. An error must be one line.
///
/// # Errors
///
/// What the reader says.
pub fn exercise(
    files: &BTreeMap<String, Arc<[u8]>>,
    name: &str,
) -> Result<Checkpoint, CheckpointError> {
    let checkpoint = Checkpoint::open_in(files, name).inspect_err(|error| check_line(error))?;
    read_tensors(&checkpoint);
    assert!(selectable(&checkpoint).len() >= checkpoint.tensors().len());
    Ok(checkpoint)
}

/// The same for a single file.
///
/// # Errors
///
/// As [`exercise`].
pub fn exercise_bytes(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    exercise(&BTreeMap::from([("file".to_owned(), bytes.into())]), "file")
}

fn read_tensors(checkpoint: &Checkpoint) {
    for tensor in checkpoint.tensors().iter().take(64) {
        let (count, byte_count) = (tensor.element_count(), tensor.byte_count());
        if tensor.skip_reason().is_none() {
            let run = count.min(MOST);
            tensor.read(count - run, &mut vec![0.0_f32; run]).expect("the bytes are there");
        }
        if tensor.copy_refusal().is_none() && byte_count <= MOST {
            tensor.read_bytes(0, &mut vec![0; byte_count]).expect("the bytes are there");
        }
    }
}

/// An error is one line, and not a long one.
///
/// # Panics
///
/// If it is not.
pub fn check_line(error: &impl Display) {
    let line = error.to_string();
    assert!(!line.chars().any(char::is_control) && line.len() < 2000, "{line}");
}

/// An error has words. It may repeat what it was given: the command then makes one line of it.
///
/// # Panics
///
/// If it has none.
pub fn is_said(error: &impl Display) {
    assert!(!error.to_string().is_empty());
}
