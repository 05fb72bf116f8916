//! The format of `torch.save` since PyTorch 1.6, and of `torch.jit.save`: a zip archive with a
//! pickle and one uncompressed entry for each storage.
//!
//! Everything lies in one folder of any name: `data.pkl`, the storages as `data/KEY`, and mostly
//! `byteorder`. `TorchScript` adds `constants.pkl`, with its storages as `constants/KEY`.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::TorchError;
use super::storage::{self, Storages};
use super::walk;
use super::zip::{self, Entry};
use crate::read::byte_source::ByteSource;
use crate::read::dtype::ByteOrder;
use crate::read::names::quoted;
use crate::read::pickle::machine::run;
use crate::read::strided_layout::Region;
use crate::read::tensor::{StoredFile, Tensor};

const PICKLE: &str = "data.pkl";
const STORAGES: &str = "data/";
const CONSTANTS_PICKLE: &str = "constants.pkl";
const CONSTANT_STORAGES: &str = "constants/";
const BYTE_ORDER: &str = "byteorder";
/// What `TorchScript` calls the tensors that belong to its code and not to an attribute.
const CONSTANTS: &str = "CONSTANTS";

/// Whether a file that starts with these bytes is a zip archive.
pub(crate) fn recognises(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(b"PK\x03\x04") || first_bytes.starts_with(b"PK\x05\x06")
}

/// Lists the tensors of an archive of PyTorch.
pub(crate) fn read(file: &Arc<StoredFile>) -> Result<Vec<Tensor>, TorchError> {
    let entries = entries(file)?;
    let order = byte_order(file, &entries)?;
    let mut tensors = read_part(file, &entries, order, "", PICKLE, STORAGES)?;
    if entries.contains_key(CONSTANTS_PICKLE) {
        let (pickle, folder) = (CONSTANTS_PICKLE, CONSTANT_STORAGES);
        tensors.extend(read_part(file, &entries, order, CONSTANTS, pickle, folder)?);
    }
    Ok(tensors)
}

/// Lists the tensors of one pickle and the folder of its storages.
fn read_part(
    file: &Arc<StoredFile>,
    entries: &HashMap<String, Region>,
    order: ByteOrder,
    prefix: &str,
    pickle: &str,
    folder: &str,
) -> Result<Vec<Tensor>, TorchError> {
    let Region { start, byte_count } = *entries.get(pickle).ok_or(TorchError::FailedSave)?;
    let pickle = run(file.source.as_ref(), start, start + byte_count)?;
    storage::refuse_texts(&pickle)?;
    let storage = |(name, region): (&String, &Region)| {
        name.strip_prefix(folder).map(|key| (key.to_owned(), *region))
    };
    let storages = Storages { regions: entries.iter().filter_map(storage).collect(), order };
    walk::tensors(&pickle, prefix, file, &storages)
}

/// Where each entry that matters lies, by its name in the pickle's folder. The code of `TorchScript`
/// and other entries are skipped.
fn entries(file: &StoredFile) -> Result<HashMap<String, Region>, TorchError> {
    let source = file.source.as_ref();
    let folder = pickle_folder(source)?;
    let mut entries = HashMap::new();
    zip::for_each_entry(source, |entry| {
        if let Some(name) = entry.name.strip_prefix(&folder).filter(|name| matters(name)) {
            entries.insert(name.to_owned(), region(&entry)?);
        }
        Ok(())
    })?;
    Ok(entries)
}

/// The folder of the first pickle, with its slash; empty where the pickle is in none.
fn pickle_folder(source: &dyn ByteSource) -> Result<String, TorchError> {
    let (mut found, mut other, mut holds_files, mut is_of_torch) = (None, None, false, false);
    zip::for_each_entry(source, |entry| {
        let folder = entry.name.strip_suffix(PICKLE);
        let folder = folder.filter(|folder| folder.is_empty() || folder.ends_with('/'));
        found = found.take().or(folder.map(str::to_owned));
        other = other.take().or(kind(&entry.name));
        holds_files |=
            [".safetensors", ".pt", ".pth"].iter().any(|end| ends_with(&entry.name, end));
        is_of_torch |= OF_TORCH.iter().any(|end| ends_with(&entry.name, end));
        Ok(())
    })?;
    found.ok_or_else(|| match other {
        Some((what, advice)) => TorchError::OtherArchive { what, advice },
        None if is_of_torch => TorchError::FailedSave,
        None => {
            let (what, advice) = if holds_files { FILES } else { OTHER };
            TorchError::OtherArchive { what, advice }
        }
    })
}

/// What PyTorch writes beside the pickle.
const OF_TORCH: [&str; 3] = ["/.data/serialization_id", "/byteorder", "/version"];

/// What an archive is, and what to do.
type Kind = (&'static str, &'static str);

const OTHER: Kind = (
    "a zip archive of something else: it has no data.pkl",
    "unpack it and give the file with the weights",
);
const FILES: Kind = ("a zip archive of other files", "unpack it and give the file inside");
const OTHER_FILE: &str = "give a file with weights";

/// What an archive with a certain entry is.
fn kind(entry: &str) -> Option<Kind> {
    let of = |what, advice| Some((what, advice));
    let convert = "load it with what wrote it and save the weights as safetensors";
    let (_, name) = entry.rsplit_once('/').unwrap_or(("", entry));
    match name {
        "model.weights.h5" => of("a model of Keras", convert),
        "archive_format" => of("a program of torch.export", "save its state_dict with torch.save"),
        "extern_modules" => of("an archive of torch.package", "save the model with torch.save"),
        "AndroidManifest.xml" | "MANIFEST.MF" => of("a program in a zip archive", OTHER_FILE),
        "[Content_Types].xml" => of("an Office document", OTHER_FILE),
        name if ends_with(name, ".npy") => of("arrays of numpy (npz)", convert),
        _ => None,
    }
}

fn ends_with(name: &str, end: &str) -> bool {
    name.ends_with(end)
}

fn matters(name: &str) -> bool {
    [PICKLE, CONSTANTS_PICKLE, BYTE_ORDER].contains(&name)
        || name.starts_with(STORAGES)
        || name.starts_with(CONSTANT_STORAGES)
}

fn region(entry: &Entry) -> Result<Region, TorchError> {
    if entry.is_packed {
        return Err(TorchError::Packed { entry: quoted(&entry.name) });
    }
    entry.region.ok_or_else(|| TorchError::EntryOutside { entry: quoted(&entry.name) })
}

/// Little-endian where there is no such entry: only older versions write none.
fn byte_order(
    file: &StoredFile,
    entries: &HashMap<String, Region>,
) -> Result<ByteOrder, TorchError> {
    let Some(&Region { start, byte_count }) = entries.get(BYTE_ORDER) else {
        return Ok(ByteOrder::Little);
    };
    let mut text = vec![0; usize::try_from(byte_count.min(8)).unwrap_or(8)];
    file.source.read_exact_at(start, &mut text)?;
    match &*text {
        b"little" => Ok(ByteOrder::Little),
        b"big" => Ok(ByteOrder::Big),
        _ => Err(TorchError::ByteOrder),
    }
}
