//! Pickles that `torch.save` has not written.

use crate::error::Problem;
use crate::pickle::{Node, read};
use crate::source::Source;

/// What begins a pickle: PROTO since protocol 2, before it mostly a dictionary, a list or a name.
const STARTS: [&[u8]; 8] =
    [b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"(dp", b"(lp", b"}q", b"ccopy_reg\n"];
/// Modules by which a pickle tells whose it is.
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

/// What is wrong with a file that begins with these bytes; `None` where that is no pickle.
pub(crate) fn problem(first_bytes: &[u8], source: &dyn Source) -> Option<Problem> {
    STARTS.iter().find(|start| first_bytes.starts_with(start))?;
    // joblib puts bytes between the instructions, so this may end early: its first name is enough.
    let pickle = read(source, 0, source.byte_count());
    let nodes = pickle.as_ref().map_or(&[][..], |pickle| pickle.nodes());
    let modules: Vec<&str> = nodes.iter().filter_map(module).collect();
    let shown = String::from_utf8_lossy(first_bytes);
    let names = |writer: &str| {
        modules.iter().any(|module| module.split('.').next() == Some(writer))
            || (pickle.is_err() && shown.contains(writer))
    };
    let of = WRITERS.iter().find(|(writer, _)| names(writer)).map_or("", |&(_, of)| of);
    Some(Problem::PlainPickle { of })
}

fn module(node: &Node) -> Option<&str> {
    match node {
        Node::Global(global) => Some(&*global.module),
        _ => None,
    }
}
