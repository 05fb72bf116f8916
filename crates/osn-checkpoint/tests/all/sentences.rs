//! What people read: every sentence of the crate about files, in one place.
//!
//! Where a better word is found, `INSTA_UPDATE=always cargo test -p osn-checkpoint --test all sentences` takes
//! it over.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::support::hostile::{
    archive, open_beside, safetensors, shard_of_a, tensor_pickle, with_pickle,
};
use crate::support::{Builder, Paths, fixture, inspect, inspect_with, run, to, viewed};
use osn_checkpoint::{Checkpoint, Inspection, MeasureParams, Skipped};

/// Compares with `snapshots/`, which holds no code of this file.
macro_rules! assert_sentences {
    ($lines:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($lines) })
    };
}

/// Each case with the error when it is opened beside an honest shard.
fn errors(cases: &[(&str, Vec<u8>)]) -> String {
    let mut all = String::new();
    for (name, bytes) in cases {
        let error = open_beside(bytes, &[("shard", &shard_of_a()), ("empty", b"")]).unwrap_err();
        writeln!(all, "{name}:\n    {error}").unwrap();
    }
    all
}

#[test]
fn files_of_others() {
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let plain_tar = tar.clone();
    tar[..8].copy_from_slice(b"sys_info");
    let mut cases: Vec<(&str, Vec<u8>)> = OTHERS.map(|(name, bytes)| (name, bytes.to_vec())).into();
    // Python puts notes with the time before each file.
    let mut noted = plain_tar.clone();
    noted[124..135].copy_from_slice(b"00000000034");
    noted.extend(&tar);
    cases.extend([("tar with notes of old PyTorch", noted)]);
    cases.extend([("zeros", vec![0; 2000]), ("tar", plain_tar), ("tar of old PyTorch", tar)]);
    for entry in [
        "w.npy",
        "model.weights.h5",
        "m/archive_format",
        "m/.data/extern_modules",
        "model.safetensors",
        "readme.txt",
        "m/.data/serialization_id",
        "AndroidManifest.xml",
        "[Content_Types].xml",
    ] {
        cases.push((entry, archive(&[(entry, b"x")])));
    }
    assert_sentences!(errors(&cases));
}

/// The first bytes of files that others write.
const OTHERS: [(&str, &[u8]); 30] = [
    ("nothing", b""),
    ("unknown", b"\x7fnothing"),
    ("Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123\n"),
    ("a page", b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title>"),
    ("XML", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
    ("a server's error", br#"{"error":"Repository not found"}"#),
    ("a server's message", br#"{"message": {"code": 404}}"#),
    ("other JSON", br#"{"architectures": ["X"]}"#),
    ("a text", b"Entry not found\n"),
    ("a text in brackets", b"(see the other file)"),
    ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\0"),
    ("zstd", b"\x28\xb5\x2f\xfd\0\0\0\0\0\0"),
    ("xz", b"\xfd7zXZ\0\0\0\0\0"),
    ("bzip2", b"BZh91AY&SY"),
    ("GGUF", b"GGUF\x03\0\0\0\0\0"),
    ("HDF5", b"\x89HDF\r\n\x1a\n\0\0"),
    ("numpy", b"\x93NUMPY\x01\0v\0{'descr': '<f4'}"),
    ("ONNX", b"\x08\x08\x12\x07pytorch\x1a\x05"),
    ("TensorFlow", b"\x08\x01\x12\x05abcde"),
    ("TensorFlow Lite", b"\x1c\0\0\0TFL3\0\0\0"),
    ("Flax", b"\x81\xa6params\x80"),
    ("PDF", b"%PDF-1.7\n%\xff"),
    ("joblib", b"\x80\x04\x8c\x14joblib.numpy_pickle\x8c\x11NumpyArrayWrapper\x93."),
    ("scikit-learn", b"\x80\x02csklearn.linear_model\nLasso\n."),
    ("a pickle with tensors", b"\x80\x02ctorch.storage\n_load_from_bytes\n."),
    ("an old pickle", b"(dp0\nVw\np1\nI1\ns."),
    ("an empty pickle", b"\x80\x03}q\0."),
    ("a dictionary", b"ccollections\nOrderedDict\n)R."),
    ("an array", b"cnumpy.core.multiarray\n_reconstruct\n)R."),
    ("an index of TensorFlow", b"\0\x01something\x57\xfb\x80\x8b\x24\x75\x47\xdb"),
];

#[test]
fn damaged_files() {
    let of_header = |header: &str| safetensors(header, 16);
    let of_tensor = |offset, shape: &[i32], strides: &[i32]| {
        with_pickle(&tensor_pickle(offset, shape, strides))
    };
    let map = |map: &str| format!("{{\"weight_map\":{map}}}").into_bytes();
    let honest = of_tensor(0, &[4, 4], &[4, 1]);
    let directory = honest.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let changed = |at: usize, value: u8| {
        let mut file = honest.clone();
        file[directory + at] = value;
        file
    };
    let pickle = tensor_pickle(0, &[4, 4], &[4, 1]);
    let without_storage = archive(&[("a/data.pkl", &pickle), ("b/data/0", &[0; 64])]);
    assert_sentences!(errors(&[
        ("a header without end", [&[0xff; 8][..], b"{}"].concat()),
        ("metadata of numbers", of_header(r#"{"__metadata__":{"format":"pt","step":3}}"#)),
        ("metadata of a list", of_header(r#"{"__metadata__":[1]}"#)),
        (
            "a dtype of a number",
            of_header(r#"{"a.b":{"dtype":3,"shape":[],"data_offsets":[0,0]}}"#)
        ),
        ("a gap", of_header(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#)),
        ("a wrong size", of_header(r#"{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,16]}}"#)),
        ("cut short", of_header(r#"{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}"#)),
        ("no tensors in an index", map("{}")),
        ("an index of null", map(r#"{"w":null}"#)),
        ("a shard that is not there", map(r#"{"a":"gone"}"#)),
        ("a shard that is empty", map(r#"{"a":"empty"}"#)),
        ("a shard elsewhere", map(r#"{"a":"../shard"}"#)),
        ("a tensor that is not in its shard", map(r#"{"b":"shard"}"#)),
        ("an index as its own shard", map(r#"{"a":"file"}"#)),
        ("an archive cut short", honest[..honest.len() - 1].to_vec()),
        ("a packed entry", changed(10, 8)),
        ("an entry outside", changed(26, 0xff)),
        ("a damaged directory", changed(0, 0)),
        ("archives one after the other", [&honest[..], &honest].concat()),
        ("a tensor outside its storage", of_tensor(1, &[4, 4], &[4, 1])),
        ("a negative size", of_tensor(0, &[-2, 2], &[2, 1])),
        ("no storage", without_storage),
        ("a pickle cut short", with_pickle(b"X\xff\xff\xff\xff")),
        ("no instruction", with_pickle(b"\xff")),
        ("nothing to append to", with_pickle(b"NNa.")),
    ]));
}

/// The words of a sentence, of which many differ in their numbers alone.
fn without_numbers(sentence: &str) -> String {
    let words = sentence.split(' ').map(|word| {
        let number = word.trim_end_matches(',');
        if number.parse::<f64>().is_ok() { word.replace(number, "…") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Every reason for which a tensor is not read or not copied.
#[test]
fn tensors() {
    let mut lines = BTreeSet::new();
    let mut add = |checkpoint: &Checkpoint, with_name: bool| {
        for tensor in checkpoint.tensors() {
            let name = if with_name { format!("{}: ", tensor.name()) } else { String::new() };
            lines.extend(tensor.skip_reason().map(|reason| format!("{name}not read: {reason}")));
            lines.extend(tensor.copy_refusal().map(|reason| format!("not copied: {reason}")));
        }
    };
    for file in ["archive", "late_dtypes", "expanded", "names", "script"] {
        add(&Checkpoint::open(fixture(&format!("{file}.pt"))).unwrap(), false);
    }
    for file in ["forms.pt", "forms_legacy.pt", "forms_protocol_5.pt"] {
        add(&Checkpoint::open(fixture(file)).unwrap(), true);
    }
    let unknown = r#"{"w":{"dtype":"F8_E3M4","shape":[4,4],"data_offsets":[0,16]}}"#;
    let overflowing = with_pickle(&tensor_pickle(0, &[i32::MAX; 3], &[0; 3]));
    for file in [safetensors(unknown, 16), overflowing] {
        add(&open_beside(&file, &[]).unwrap(), false);
    }
    assert_sentences!(lines.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Every reason for which a tensor is not measured, and the notes on the weights that are.
#[test]
fn weights() {
    let mut lines = BTreeSet::new();
    let mut add = |of: &str, found: &Inspection| {
        let why = |it: &Skipped| it.why.to_string().replace(&it.file, "file");
        lines.extend(found.skipped.iter().map(|it| format!("{of}not measured: {}", why(it))));
        let in_use = found.tensors.iter().filter_map(|it| it.in_use.as_deref());
        lines.extend(in_use.map(|it| format!("{of}in use: {}", without_numbers(it))));
        let stored = found.tensors.iter().filter_map(|it| it.stored.as_ref());
        lines.extend(stored.map(|it| format!("{of}{}", without_numbers(&it.verdict))));
    };
    for file in ["used", "used_modules", "expanded_orig", "training", "weight_norm"] {
        add("", &inspect(&fixture(&format!("{file}.pt"))));
    }
    let axis = MeasureParams { output_axis: Some(1), ..MeasureParams::default() };
    let mut given = inspect_with(&fixture("used.pt"), &["up_square_untrained.**"], &axis);
    given.skipped.clear();
    add("with an axis: ", &given);
    let vectors = |u: [f32; 2], v: [f32; 2]| {
        let file = Builder::default().f32("w_orig", &[2, 2], &[3.0, 0.0, 0.0, 1.0]);
        file.f32("w_u", &[2], &u).f32("w_v", &[2], &v)
    };
    let (e1, e2) = ([1.0, 0.0], [0.0, 1.0]);
    add("short vectors: ", &vectors([0.6, 0.0], [0.6, 0.0]).inspected());
    add("other vectors: ", &vectors(e2, e2).inspected());
    add("a divisor of 0: ", &vectors(e1, e2).inspected());
    let masked = vectors(e1, e1).f32("w_mask", &[2, 2], &[1.0; 4]);
    add("selected by name: ", &masked.inspected_with(&["w_orig"], &MeasureParams::default()));
    let of_osn = Builder::default().f32("w", &[2, 2], &[1.0; 4]).i32("w.spectral_norm.state", &[0]);
    add("floats as codes: ", &of_osn.f32("w.spectral_norm.u", &[2], &e1).inspected());
    for view in ["matrix", "blocks:axis=0,count=7", "operator:size=5", "operator:size=5x5"] {
        let params = MeasureParams { output_axis: Some(1), ..viewed(view) };
        let found = inspect_with(&fixture("used.pt"), &[], &params);
        let choices = found.skipped.iter().filter(|it| it.why.is_bad_choice());
        lines.extend(choices.map(|it| format!("{view}: {}", it.why)));
    }
    assert_sentences!(lines.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn normalized_files() {
    let Paths { input, output, folder: _folder } = Paths::default();
    let mut lines = BTreeSet::new();
    for file in ["used.pt", "used_modules.pt", "forms.pt", "training.pt"] {
        let outcome = run(&fixture(file), &output, to(0.5), "reshaped", &[]).unwrap();
        let stored = outcome.done.iter().filter_map(|it| it.stored.as_deref());
        let stored = stored.filter(|_| file == "used_modules.pt");
        lines.extend(stored.map(|it| format!("stored: {it}")));
        lines.extend(outcome.left.iter().map(|it| format!("left: {}", it.reason)));
        lines.extend(outcome.left_out.iter().map(|it| format!("left out: {}", it.reason)));
    }
    Builder::default().raw("quantized", "F8_E4M3", &[2, 2], vec![0x38; 4]).write(&input);
    let archive = fixture("archive.pt");
    for (file, target, select) in [
        (&archive, 1e9, "f16"),
        (&archive, 1e-9, "f16"),
        (&archive, 1.0, "nothing"),
        (&archive, 1.0, "i64"),
        (&input, 1.0, "quantized"),
    ] {
        let refused = run(file, &output, to(target), "reshaped", &[select]);
        lines.insert(format!("refused: {}", refused.unwrap_err()));
    }
    assert_sentences!(lines.into_iter().collect::<Vec<_>>().join("\n"));
}
