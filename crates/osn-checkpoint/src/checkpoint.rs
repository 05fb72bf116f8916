//! A checkpoint: its format is recognized by its content, and its tensors are listed.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::error::{CheckpointError, Problem};
use crate::read::byte_source::{DiskFolder, Folder};
use crate::read::index::{Index, IndexError};
use crate::read::names::{natural, quoted, repeated};
use crate::read::tensor::{FIRST_BYTES, StoredFile, Tensor};
use crate::read::torch::{archive, legacy};
use crate::read::{foreign, safetensors};

/// The form that a checkpoint's file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// safetensors, one file.
    Safetensors,
    /// An index as JSON, and the files that it names.
    Sharded,
    /// The zip archive of `torch.save` since PyTorch 1.6, or of `torch.jit.save`.
    TorchArchive,
    /// The pickles of `torch.save` before PyTorch 1.6.
    TorchLegacy,
}

/// The tensors of a checkpoint of any format, and its metadata.
///
/// Opening reads the description of the tensors alone; [`Tensor::read`] reads elements when they
/// are asked for.
///
/// # Example
///
/// ```
/// use osn_checkpoint::Checkpoint;
///
/// # let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/archive.pt");
/// let checkpoint = Checkpoint::open(fixture)?;
/// for tensor in checkpoint.tensors().iter().filter(|tensor| tensor.skip_reason().is_none()) {
///     let mut elements = vec![0.0_f32; tensor.element_count()];
///     tensor.read(0, &mut elements)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoint {
    format: Format,
    tensors: Vec<Tensor>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens a file on disk; the shards of an index are looked for beside it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`], with the file and what is wrong with it, for everything that is not a
    /// whole and well-formed checkpoint. To find an error takes neither long nor much memory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let Some(name) = path.file_name() else {
            return Err(CheckpointError {
                file: path.display().to_string(),
                problem: Problem::Folder,
            });
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::open_in(&DiskFolder(folder.to_owned()), name)
    }

    /// Opens the file `name` of a folder, which may be in memory.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`].
    pub fn open_in(folder: &dyn Folder, name: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let file = open_file(folder, name.as_ref())?;
        let checkpoint = match recognise(&file).map_err(|problem| in_file(&file, problem))? {
            Format::Sharded => read_shards(folder, &file)?,
            format => read_single(&file, format).map_err(|problem| in_file(&file, problem))?,
        };
        match repeated(checkpoint.tensors.iter().map(Tensor::name)) {
            Some(name) => Err(in_file(&file, Problem::DuplicateName { name: quoted(name) })),
            None => Ok(checkpoint),
        }
    }

    /// The form that the file has.
    pub fn format(&self) -> Format {
        self.format
    }

    /// All tensors: those of PyTorch in the order in which they were saved, others by name, with
    /// numbers in names in the order of numbers.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The file's metadata, by key. Files of PyTorch have none.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

fn open_file(folder: &dyn Folder, name: &Path) -> Result<Arc<StoredFile>, CheckpointError> {
    let path = folder.path(name);
    match folder.open(name) {
        Ok(source) => Ok(Arc::new(StoredFile { path, source })),
        Err(error) => Err(CheckpointError { file: path, problem: error.into() }),
    }
}

fn in_file(file: &StoredFile, problem: impl Into<Problem>) -> CheckpointError {
    CheckpointError { file: file.path.clone(), problem: problem.into() }
}

/// Recognizes the format by the first bytes; the file's name does not matter.
fn recognise(file: &StoredFile) -> Result<Format, Problem> {
    let mut bytes = [0; FIRST_BYTES];
    let bytes = file.first_bytes(&mut bytes)?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    match bytes {
        [] => Err(Problem::Empty),
        bytes if safetensors::recognises(bytes) => Ok(Format::Safetensors),
        bytes if archive::recognises(bytes) => Ok(Format::TorchArchive),
        bytes if legacy::recognises(bytes) => Ok(Format::TorchLegacy),
        _ if text.starts_with(b"{") => Ok(Format::Sharded),
        bytes => Err(foreign::identify(bytes, file.source.as_ref()).into()),
    }
}

fn read_single(file: &Arc<StoredFile>, format: Format) -> Result<Checkpoint, Problem> {
    let (tensors, metadata) = match format {
        Format::Safetensors => safetensors::read(file)?,
        Format::TorchArchive => (archive::read(file)?, BTreeMap::new()),
        Format::TorchLegacy => (legacy::read(file)?, BTreeMap::new()),
        Format::Sharded => return Err(IndexError::Nested.into()),
    };
    Ok(Checkpoint { format, tensors, metadata })
}

fn read_shards(
    folder: &dyn Folder,
    index_file: &StoredFile,
) -> Result<Checkpoint, CheckpointError> {
    let index = Index::read(index_file.source.as_ref());
    let index = index.map_err(|problem| in_file(index_file, problem))?;
    let mut tensors = Vec::new();
    for (shard, names) in index.shards() {
        let found = read_shard(folder, index_file, shard)?;
        let found = belonging(found, shard, &names).map_err(|error| in_file(index_file, error))?;
        tensors.extend(found);
    }
    tensors.sort_by(|left, right| natural(left.name(), right.name()));
    Ok(Checkpoint { format: Format::Sharded, tensors, metadata: index.metadata() })
}

fn read_shard(
    folder: &dyn Folder,
    index_file: &StoredFile,
    shard: &str,
) -> Result<Vec<Tensor>, CheckpointError> {
    let source = folder.open(Path::new(shard)).map_err(|error| {
        let problem = Box::new(error.into());
        in_file(index_file, Problem::Shard { shard: quoted(shard), problem })
    })?;
    let file = Arc::new(StoredFile { path: folder.path(Path::new(shard)), source });
    let read = recognise(&file).and_then(|format| read_single(&file, format));
    Ok(read.map_err(|problem| in_file(&file, problem))?.tensors)
}

/// The tensors that the index says are in a shard, all of which must be there. What else the shard
/// holds, such as a tensor of an older shard, is no part of the model.
fn belonging(
    mut found: Vec<Tensor>,
    shard: &str,
    names: &[&str],
) -> Result<Vec<Tensor>, IndexError> {
    let wanted: HashSet<&str> = names.iter().copied().collect();
    found.retain(|tensor| wanted.contains(tensor.name()));
    let present: HashSet<&str> = found.iter().map(Tensor::name).collect();
    match names.iter().find(|name| !present.contains(**name)) {
        Some(name) => Err(IndexError::MissingTensor { tensor: quoted(name), shard: quoted(shard) }),
        None => Ok(found),
    }
}
