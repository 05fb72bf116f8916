//! Files that are no checkpoint of a known format: what they are, by their first bytes, and what to do.

use crate::read::byte_source::ByteSource;
use crate::read::names::quoted;
use crate::read::pickle::machine::run;
use crate::read::pickle::value::Node;

/// What a file is that is no checkpoint of a known format, as the rest of a sentence that begins with
/// its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignFile {
    /// It is of no known format.
    #[error(
        "is no checkpoint of a known format; give safetensors, its *.index.json, or a file of \
         torch.save or torch.jit.save"
    )]
    Unknown,
    /// It is of a format that is known, but not read.
    #[error("is {what}; {advice}")]
    Known {
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It is a short text.
    #[error("is a text and no checkpoint: {text}; get the file again")]
    Text {
        /// The text.
        text: String,
    },
    /// It is a pickle that `torch.save` has not written.
    #[error(
        "is a pickle{of}, but not one of torch.save; load it in Python and save its tensors with \
         torch.save or as safetensors"
    )]
    Pickle {
        /// The program that wrote it, as ` of joblib`; empty where that is not known.
        of: &'static str,
    },
}

/// A short text is shown whole: it is often what a server answered.
const SHOWN_TEXT_BYTES: usize = 400;

const SAVE: &str = "load it with what wrote it and save the weights as safetensors";
const UNPACK: &str = "unpack it and give the file inside";
const AGAIN: &str = "get the file again";

/// What a file is, and what to do.
type Kind = (&'static str, &'static str);

/// Where bytes stand, what they are, what a file with them is, and what to do.
type Row = (usize, &'static [u8], &'static str, &'static str);

const ROWS: &[Row] = &[
    (
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS, not the file that it stands for",
        "get that with 'git lfs pull'",
    ),
    (0, b"\x1f\x8b", "compressed with gzip", UNPACK),
    (0, b"BZh", "compressed with bzip2", UNPACK),
    (0, b"\xfd7zXZ\0", "compressed with xz", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd", UNPACK),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4", UNPACK),
    (0, b"\x78\x9c", "compressed with zlib, as joblib does", SAVE),
    (0, b"\x78\xda", "compressed with zlib, as joblib does", SAVE),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (0, b"Rar!", "a RAR archive", UNPACK),
    (0, b"GGUF", "GGUF, the format of llama.cpp", "take the model as safetensors"),
    (0, b"tjgg", "GGML, an old format of llama.cpp", "take the model as safetensors"),
    (0, b"lmgg", "GGML, an old format of llama.cpp", "take the model as safetensors"),
    (0, b"fmgg", "GGML, an old format of llama.cpp", "take the model as safetensors"),
    (0, b"algg", "GGML, an old format of llama.cpp", "take the model as safetensors"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5, as Keras writes it", SAVE),
    (0, b"\x93NUMPY", "one array of numpy", "save it with safetensors.numpy.save_file"),
    (4, b"TFL3", "a model of TensorFlow Lite", SAVE),
    (4, b"ORTM", "a model of ONNX Runtime", SAVE),
    (4, b"ET12", "a program of ExecuTorch", "give the weights that it was made of"),
    (0, b"\x08\x01\x12", "a SavedModel of TensorFlow", SAVE),
    (0, b"CDF\x01", "NetCDF", SAVE),
    (0, b"PAR1", "a table of Parquet", "give a file with weights"),
    (0, b"ARROW1", "a table of Arrow", "give a file with weights"),
    (0, b"MATLAB 5.0", "a file of MATLAB", SAVE),
    (0, b"SQLite format 3\0", "a database of SQLite", "give a file with weights"),
    (0, b"%PDF", "a PDF", "give a file with weights"),
    (0, b"\x89PNG", "a picture", "give a file with weights"),
    (0, b"\xff\xd8\xff", "a picture", "give a file with weights"),
    (0, b"GIF8", "a picture", "give a file with weights"),
    (0, b"\x7fELF", "a program", "give a file with weights"),
    (0, b"MZ", "a program", "give a file with weights"),
];

/// What ends the index of a checkpoint of TensorFlow.
const TENSORFLOW_END: [u8; 8] = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];

/// A tar archive has its name at this place of each entry's first block.
const TAR: (usize, &[u8]) = (257, b"ustar");
const TAR_BLOCK: usize = 512;
/// The entries of the archives that PyTorch wrote before 0.1.10. Between them may be notes.
const TORCH_TAR: [&[u8]; 4] = [b"sys_info", b"storages", b"tensors", b"pickle"];
const MAX_TAR_ENTRIES: usize = 8;

/// What a file is that begins with these bytes and is none that can be read.
pub(crate) fn identify(first_bytes: &[u8], source: &dyn ByteSource) -> ForeignFile {
    if let Some(of) = pickle_writer(first_bytes, source) {
        return ForeignFile::Pickle { of };
    }
    if let Some((what, advice)) = known(first_bytes, source) {
        return ForeignFile::Known { what, advice };
    }
    match short_text(first_bytes, source.byte_count()) {
        Some(text) => ForeignFile::Text { text: quoted(text) },
        None => ForeignFile::Unknown,
    }
}

fn known(bytes: &[u8], source: &dyn ByteSource) -> Option<Kind> {
    let stands = |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|it| it.starts_with(what));
    let row = ROWS.iter().find(|&&(at, magic, ..)| stands(at, magic));
    if let Some(&(_, _, what, advice)) = row {
        return Some((what, advice));
    }
    if stands(TAR.0, TAR.1) {
        return Some(tar(source));
    }
    let zeros = ("zeros from its start on, as a download that did not end leaves it", AGAIN);
    let is_zeros = bytes.iter().all(|&byte| byte == 0);
    markup(bytes)
        .or_else(|| protobuf(bytes))
        .or_else(|| msgpack(bytes))
        .or_else(|| tensorflow(source))
        .or_else(|| is_zeros.then_some(zeros))
}

fn tar(source: &dyn ByteSource) -> Kind {
    let (mut at, mut block) = (0, [0; TAR_BLOCK]);
    for _ in 0..MAX_TAR_ENTRIES {
        if source.read_exact_at(at, &mut block).is_err() {
            break;
        }
        let name = block[..100].split(|&byte| byte == 0).next().unwrap_or(&[]);
        if TORCH_TAR.contains(&name.strip_prefix(b"./").unwrap_or(name)) {
            let advice = "load it with torch.load and save it again";
            return ("a tar archive of PyTorch before 0.1.10", advice);
        }
        let digits = block[124..136].iter().filter(|byte| (b'0'..=b'7').contains(byte));
        let size = digits.fold(0_u64, |size, digit| size << 3 | u64::from(digit - b'0'));
        at = at.saturating_add(size.next_multiple_of(TAR_BLOCK as u64)) + TAR_BLOCK as u64;
    }
    ("a tar archive", UNPACK)
}

fn tensorflow(source: &dyn ByteSource) -> Option<Kind> {
    let mut end = TENSORFLOW_END;
    let start = source.byte_count().checked_sub(end.len() as u64)?;
    source.read_exact_at(start, &mut end).ok()?;
    (end == TENSORFLOW_END).then_some(("the index of a checkpoint of TensorFlow", SAVE))
}

/// HTML and XML, which servers send in the place of a file.
fn markup(bytes: &[u8]) -> Option<Kind> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |with: &str| {
        bytes.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with.as_bytes()))
    };
    let is_page = ["<!doctype html", "<html", "<head", "<body", "<!--", "<script"];
    if is_page.into_iter().any(begins) {
        return Some((
            "a web page (HTML), perhaps one that asks to sign in",
            "get the file itself: its address may need a login, or another form",
        ));
    }
    begins("<?xml").then_some(("XML, perhaps the error of a server", AGAIN))
}

/// ONNX is a message with its version as field 1, then one of the fields 2 to 8 of its description.
fn protobuf(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        [0x08, 2..=30, 0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42, ..] => {
            Some(("a model of ONNX or Core ML", SAVE))
        }
        _ => None,
    }
}

/// A map whose first key is a short text.
fn msgpack(bytes: &[u8]) -> Option<Kind> {
    let ([0x81..=0x8f, rest @ ..] | [0xde, _, _, rest @ ..]) = bytes else {
        return None;
    };
    let key = match rest {
        [length @ 0xa1..=0xbf, rest @ ..] => rest.get(..usize::from(length - 0xa0))?,
        [0xd9, length, rest @ ..] => rest.get(..usize::from(*length))?,
        _ => return None,
    };
    key.is_ascii().then_some(("MessagePack, as Flax writes it", SAVE))
}

fn short_text(bytes: &[u8], file_bytes: u64) -> Option<&str> {
    let is_whole = file_bytes == bytes.len() as u64 && bytes.len() <= SHOWN_TEXT_BYTES;
    let text = std::str::from_utf8(bytes).ok().filter(|_| is_whole)?.trim();
    let is_printable = |c: char| !c.is_control() || c.is_whitespace();
    text.chars().all(is_printable).then_some(text)
}

/// PROTO and its number begin every pickle since protocol 2.
const PROTOCOLS: [&[u8]; 4] = [b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"];
/// What begins most others: a mark, an empty list or dictionary, a name.
const OLD_STARTS: &[u8] = b"(]}c";
/// Modules by which the writer of a pickle is known.
const WRITERS: [(&str, &str); 9] = [
    ("joblib", " of joblib"),
    ("sklearn", " of scikit-learn"),
    ("xgboost", " of XGBoost"),
    ("lightgbm", " of LightGBM"),
    ("paddle", " of PaddlePaddle"),
    ("jax", " of JAX"),
    ("torch", " with tensors of PyTorch"),
    ("pandas", " of pandas"),
    ("numpy", " of arrays of numpy"),
];

/// The program that wrote a pickle with these first bytes, as ` of joblib`, empty where that is not known;
/// `None` where it is no pickle.
fn pickle_writer(first_bytes: &[u8], source: &dyn ByteSource) -> Option<&'static str> {
    let is_new = PROTOCOLS.iter().any(|start| first_bytes.starts_with(start));
    let is_old = OLD_STARTS.contains(first_bytes.first()?);
    if !is_new && !is_old {
        return None;
    }
    // joblib puts bytes between the instructions, so this may end early: its first name is enough.
    let pickle = run(source, 0, source.byte_count());
    if !is_new && pickle.is_err() {
        return None;
    }
    let nodes = pickle.as_ref().map_or(&[][..], |pickle| &pickle.nodes);
    let modules: Vec<&str> = nodes.iter().filter_map(module).collect();
    let shown = String::from_utf8_lossy(first_bytes);
    let names = |writer: &str| {
        modules.iter().any(|module| module.split('.').next() == Some(writer))
            || (pickle.is_err() && shown.contains(writer))
    };
    Some(WRITERS.iter().find(|(writer, _)| names(writer)).map_or("", |&(_, of)| of))
}

fn module(node: &Node) -> Option<&str> {
    match node {
        Node::Global(global) => Some(&*global.module),
        _ => None,
    }
}
