//! The format of `torch.save` before PyTorch 1.6: pickles one after the other, then the storages.
//!
//! The pickles are a magic number, the version of the protocol, what is known of the system, the
//! saved object, and the keys of the storages. For each key follow the number of elements as 8
//! little-endian bytes, and the elements.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::TorchError;
use super::storage::{self, StorageId, Storages};
use super::walk;
use crate::read::dtype::ByteOrder;
use crate::read::pickle::machine::run;
use crate::read::pickle::value::{Node, Pickle, Value};
use crate::read::stream::Stream;
use crate::read::strided_layout::Region;
use crate::read::tensor::{FIRST_BYTES, StoredFile, Tensor};

/// The magic number since protocol 2: LONG1, 10 bytes, `0x1950a86a20f9469cfc6c`, STOP.
const MAGIC: [u8; 13] =
    [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
/// The same as protocols 0 and 1 write it.
const MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n.";
const PROTOCOL_VERSION: i64 = 1001;

/// Whether a file that starts with these bytes is of the older format.
pub(crate) fn recognises(first_bytes: &[u8]) -> bool {
    magic_bytes(first_bytes).is_some()
}

/// The length of the first pickle where it is the magic number, of any protocol: PROTO and its
/// number since 2, FRAME and its length since 4.
fn magic_bytes(first_bytes: &[u8]) -> Option<u64> {
    let rest = match first_bytes {
        [0x80, _, 0x95, rest @ ..] => rest.get(8..)?,
        [0x80, _, rest @ ..] | rest => rest,
    };
    let magic = [&MAGIC[..], MAGIC_TEXT].into_iter().find(|magic| rest.starts_with(magic))?;
    Some((first_bytes.len() - rest.len() + magic.len()) as u64)
}

/// Lists the tensors of a file of the older format.
pub(crate) fn read(file: &Arc<StoredFile>) -> Result<Vec<Tensor>, TorchError> {
    let source = file.source.as_ref();
    let mut at = start(file)?;
    let mut next = || -> Result<Pickle, TorchError> {
        let pickle = run(source, at, source.byte_count())?;
        at = pickle.end;
        Ok(pickle)
    };
    if next()?.root != Value::Int(PROTOCOL_VERSION) {
        return Err(TorchError::Legacy { part: "known version of its protocol" });
    }
    next()?;
    let object = next()?;
    storage::refuse_texts(&object)?;
    let keys = next()?;
    let sizes = element_sizes(&object);
    let mut stream = Stream::new(source, at, source.byte_count());
    let regions = regions(&keys, &sizes, &mut stream)?;
    // Whatever machine wrote it, the storages are little-endian.
    let storages = Storages { regions, order: ByteOrder::Little };
    walk::tensors(&object, "", file, &storages)
}

/// Where the second pickle starts.
fn start(file: &StoredFile) -> Result<u64, TorchError> {
    let mut first_bytes = [0; FIRST_BYTES];
    let first_bytes = file.first_bytes(&mut first_bytes)?;
    magic_bytes(first_bytes).ok_or(TorchError::Legacy { part: "magic number" })
}

/// The bytes of an element of each storage that the object names.
fn element_sizes(object: &Pickle) -> HashMap<&str, u64> {
    let named = object.nodes.iter().filter_map(|node| match node {
        Node::Persistent(name) => StorageId::read(object, *name),
        _ => None,
    });
    named.filter_map(|id| Some((id.key, id.element_bytes()? as u64))).collect()
}

fn regions(
    keys: &Pickle,
    sizes: &HashMap<&str, u64>,
    stream: &mut Stream,
) -> Result<HashMap<String, Region>, TorchError> {
    let missing = TorchError::Legacy { part: "list of its storages" };
    let keys_in_order = keys.list(keys.root).ok_or(missing)?;
    let mut regions = HashMap::with_capacity(keys_in_order.len());
    for &key in keys_in_order {
        let key = keys.text(key).ok_or(TorchError::Legacy { part: "key for a storage" })?;
        let size = sizes.get(key).copied();
        let size = size.ok_or(TorchError::Legacy { part: "type for one of its storages" })?;
        regions.insert(key.to_owned(), region(size, stream)?);
    }
    Ok(regions)
}

fn region(element_bytes: u64, stream: &mut Stream) -> Result<Region, TorchError> {
    let cut_short = |_| TorchError::Legacy { part: "end: it is cut short, get it again" };
    let elements = u64::from_le_bytes(stream.array().map_err(cut_short)?);
    let byte_count = elements.saturating_mul(element_bytes);
    let region = Region { start: stream.position(), byte_count };
    stream.skip(byte_count).map_err(cut_short)?;
    Ok(region)
}
