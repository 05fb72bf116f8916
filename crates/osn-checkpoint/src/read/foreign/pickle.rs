//! Pickles that `torch.save` has not written.

use crate::read::byte_source::ByteSource;
use crate::read::pickle::machine::run;
use crate::read::pickle::value::Node;

/// PROTO and its number begin every pickle since protocol 2.
const PROTOCOLS: [&[u8]; 4] = [b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"];
/// What begins most others: a mark, an empty list or dictionary, a name.
const OLD_STARTS: &[u8] = b"(]}c";
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

/// Whose pickle a file with these first bytes is, as ` of joblib`, empty where that is not known; `None`
/// where it is no pickle.
pub(super) fn writer(first_bytes: &[u8], source: &dyn ByteSource) -> Option<&'static str> {
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
    let nodes = pickle.as_ref().map_or(&[][..], |pickle| pickle.nodes());
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
