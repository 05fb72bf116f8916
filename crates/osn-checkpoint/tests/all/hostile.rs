//! Damaged and hostile files: each is one line of error, quickly, and never a panic.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::hostile::{
    archive, open_beside, safetensors, shard_of_a, tensor_pickle, with_pickle,
};
use osn_checkpoint::Problem::{self, Index, Safetensors, Torch};
use osn_checkpoint::{
    ByteSource, Checkpoint, CheckpointError, Folder, ForeignFile, IndexError, PickleError,
    SafetensorsError, TensorError, TorchError,
};
use proptest::prelude::*;
use safetensors::tensor::TensorView;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(crate::support::fixture(name)).unwrap()
}

fn open(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    open_beside(bytes, &[])
}

/// Opens an index beside an honest shard.
fn open_index(index: &str) -> Result<Checkpoint, CheckpointError> {
    open_beside(index.as_bytes(), &[("shard", &shard_of_a())])
}

/// Bytes in memory that count how many of them are read.
#[derive(Clone, Debug)]
struct Counted {
    bytes: Arc<[u8]>,
    read: Arc<AtomicU64>,
}

impl Counted {
    /// The error of opening a file, and how many bytes were read for it.
    fn open(bytes: &[u8]) -> (CheckpointError, u64) {
        let file = Self { bytes: bytes.into(), read: Arc::default() };
        let error = Checkpoint::open_in(&file, "file").unwrap_err();
        (error, file.read.load(Ordering::Relaxed))
    }
}

impl ByteSource for Counted {
    fn byte_count(&self) -> u64 {
        self.bytes.byte_count()
    }

    fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(into.len() as u64, Ordering::Relaxed);
        self.bytes.read_exact_at(offset, into)
    }
}

impl Folder for Counted {
    fn path(&self, name: &Path) -> String {
        name.display().to_string()
    }

    fn open(&self, _: &Path) -> io::Result<Arc<dyn ByteSource>> {
        Ok(Arc::new(self.clone()))
    }
}

/// The problem of bytes that cannot be opened, whose message must be one line with the file.
#[track_caller]
fn problem(bytes: &[u8]) -> Problem {
    problem_of(open(bytes))
}

#[track_caller]
fn problem_of(opened: Result<Checkpoint, CheckpointError>) -> Problem {
    let error = opened.expect_err("must not open");
    let line = error.to_string();
    assert!(line.starts_with("file: ") || line.starts_with("shard"), "{line}");
    assert!(!line.contains('\n') && line.len() < 1000, "{line}");
    error.problem
}

#[test]
fn the_builders_of_this_test_make_honest_files() {
    let tensor = r#"{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
    assert_eq!(open(&safetensors(tensor, 16)).unwrap().tensors()[0].shape(), [2, 2]);
    let checkpoint = open(&with_pickle(&tensor_pickle(0, &[4, 4], &[4, 1]))).unwrap();
    assert_eq!(checkpoint.tensors()[0].shape(), [4, 4]);
}

#[test]
fn what_is_no_checkpoint_is_told_from_what_is() {
    assert!(matches!(problem(b""), Problem::Empty));
    assert!(matches!(problem(b"\x7fnothing"), Problem::Foreign(ForeignFile::Unknown)));
    assert!(matches!(problem(b"\x80\x04K\x01."), Problem::Foreign(ForeignFile::Pickle { of: "" })));
    assert!(matches!(problem(b"{\"a\": 1}"), Index(IndexError::OtherJson)));
    let other = archive(&[("readme.txt", b"hello")]);
    assert!(matches!(problem(&other), Torch(TorchError::OtherArchive { .. })));
}

#[test]
fn archives_one_after_the_other_are_not_taken_for_one() {
    let one = with_pickle(&tensor_pickle(0, &[4, 4], &[4, 1]));
    assert!(open(&one).is_ok());
    let two = [&one[..], &one].concat();
    assert!(matches!(problem(&two), Torch(TorchError::NotAlone)));
    let before = [b"something", &one[..]].concat();
    assert!(open(&before).is_err());
}

#[test]
fn what_is_no_file_on_disk_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let problem = |path: &Path| Checkpoint::open(path).unwrap_err().problem;
    assert!(matches!(problem(folder.path()), Problem::Folder));
    assert!(matches!(problem(Path::new("..")), Problem::Folder));
    assert!(matches!(problem(&folder.path().join("missing")), Problem::Read(_)));
    #[cfg(unix)]
    assert!(matches!(problem(Path::new("/dev/zero")), Problem::NotAFile));
}

/// A pipe without a writer is not waited for, nor one behind a link.
#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    let socket = folder.path().join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [pipe, link, socket] {
        let error = Checkpoint::open(&path).unwrap_err();
        assert!(matches!(error.problem, Problem::NotAFile), "{error}");
    }
    let whole = folder.path().join("whole");
    std::fs::write(&whole, safetensors("{}", 0)).unwrap();
    let linked = folder.path().join("linked");
    std::os::unix::fs::symlink(&whole, &linked).unwrap();
    assert!(Checkpoint::open(&linked).is_ok(), "caches of models are links");
}

#[test]
fn a_header_of_any_length_is_checked_before_it_is_read() {
    for length in [1 << 63, u64::MAX, 100, 100_000_001] {
        let file = [&u64::to_le_bytes(length)[..], b"{}      "].concat();
        let (error, read) = Counted::open(&file);
        assert!(read <= 24, "{read} bytes were read");
        let Safetensors(SafetensorsError::HeaderLength { promised, .. }) = error.problem else {
            panic!("{error}")
        };
        assert_eq!(promised, length);
    }
}

#[test]
fn safetensors_must_cover_their_data_exactly() {
    use SafetensorsError as E;
    let two = |first: &str, second: &str| {
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{first}}},
                "b":{{"dtype":"F32","shape":[2],"data_offsets":{second}}}}}"#
        )
    };
    let error = |first, second, bytes| match problem(&safetensors(&two(first, second), bytes)) {
        Safetensors(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(error("[0,8]", "[4,12]", 12), E::Overlap { start: 4, .. }));
    assert!(matches!(error("[0,8]", "[0,8]", 8), E::Overlap { .. }));
    assert!(matches!(error("[0,8]", "[9,17]", 17), E::Gap { bytes: 1 }));
    assert!(matches!(error("[0,8]", "[8,16]", 20), E::Gap { bytes: 4 }));
    assert!(matches!(error("[0,8]", "[8,16]", 12), E::Truncated { expected: 16, found: 12 }));
    assert!(matches!(error("[8,0]", "[8,16]", 16), E::Reversed { .. }));
    assert!(matches!(error("[0,7]", "[7,15]", 15), E::Size { bytes: 7, .. }));
    assert!(matches!(error("[0,18446744073709551615]", "[8,16]", 16), E::Overlap { .. }));
}

#[test]
fn safetensors_headers_are_not_believed() {
    use SafetensorsError as E;
    let one = |dtype: &str, shape: &str| {
        let header =
            format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,16]}}}}"#);
        problem(&safetensors(&header, 16))
    };
    assert!(matches!(one("F32", "[4294967296,4294967296]"), Safetensors(E::Size { .. })));
    assert!(matches!(one("F32", "[18446744073709551615,2]"), Safetensors(E::Size { .. })));
    assert!(matches!(one("F32", "[-1]"), Safetensors(E::Header(_))));
    assert!(matches!(problem(&safetensors("{\"w\":1}", 0)), Safetensors(E::Header(_))));
    assert!(matches!(problem(&safetensors("{", 0)), Safetensors(E::Header(_))));
    let deep = format!("{{\"w\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    assert!(matches!(problem(&safetensors(&deep, 0)), Safetensors(E::Header(_))));
}

#[test]
fn null_in_the_place_of_notes_is_none() {
    for metadata in ["null", "{}"] {
        let file = safetensors(&format!("{{\"__metadata__\":{metadata}}}"), 0);
        assert!(open(&file).unwrap().metadata().is_empty());
    }
    let metadata = |before: &str| {
        let index = format!(r#"{{{before}"weight_map":{{"a":"shard"}}}}"#);
        open_index(&index).unwrap().metadata().clone()
    };
    assert!(metadata("").is_empty() && metadata(r#""metadata":null,"#).is_empty());
    let notes = metadata(r#""metadata":{"total_size":1.6e1,"x":[1,null],"y":null},"#);
    assert_eq!((notes["x"].as_str(), notes["y"].as_str()), ("[1,null]", "null"));
    assert_eq!(metadata(r#""metadata":[16],"#)["metadata"], "[16]");
}

#[test]
fn an_index_of_values_without_end_is_refused() {
    let long = |count: usize| {
        let numbers = "0,".repeat(count);
        open_index(&format!(r#"{{"metadata":[{numbers}0],"weight_map":{{"a":"shard"}}}}"#))
    };
    assert!(long(1 << 20).is_ok());
    let found = problem_of(long(1 << 21));
    assert!(matches!(found, Index(IndexError::TooMany { .. })));
}

#[test]
fn an_unknown_type_skips_its_tensor_alone() {
    let header = r#"{"new":{"dtype":"F8_E3M4","shape":[2,2],"data_offsets":[0,4]},
                     "w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let checkpoint = open(&safetensors(header, 12)).unwrap();
    let [new, w] = checkpoint.tensors() else { panic!("two tensors") };
    assert_eq!((new.name(), new.shape(), new.dtype().name()), ("new", &[2, 2][..], "unknown"));
    assert!(new.skip_reason().is_some() && new.skip_reason() == new.copy_refusal());
    assert_eq!(w.read_all::<f32>().unwrap(), [0.0; 2]);
}

#[test]
fn types_of_less_than_a_byte_have_the_bytes_that_the_reference_counts() {
    let bytes: Vec<u8> = (0..12).collect();
    for (dtype, count) in [
        (safetensors::Dtype::F4, 24),
        (safetensors::Dtype::F6_E2M3, 16),
        (safetensors::Dtype::F6_E3M2, 16),
        (safetensors::Dtype::F8_E8M0, 12),
    ] {
        let view = TensorView::new(dtype, vec![count], &bytes).unwrap();
        let file = safetensors::serialize([("w", view)], None).unwrap();
        let checkpoint = open(&file).unwrap();
        let tensor = &checkpoint.tensors()[0];
        assert_eq!(tensor.shape(), [count]);
        assert_eq!(tensor.read_all_bytes().unwrap(), bytes, "{dtype:?}");
        assert!(tensor.skip_reason().is_some());
    }
    let odd = r#"{"w":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#;
    assert!(matches!(problem(&safetensors(odd, 2)), Safetensors(SafetensorsError::Size { .. })));
}

#[test]
fn an_empty_tensor_of_huge_other_sizes_is_empty() {
    let header = r#"{"w":{"dtype":"F32","shape":[0,18446744073709551615,9],"data_offsets":[0,0]}}"#;
    let checkpoint = open(&safetensors(header, 0)).unwrap();
    assert_eq!(checkpoint.tensors()[0].element_count(), 0);
    checkpoint.tensors()[0].read::<f64>(0, &mut []).unwrap();
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let entry = r#""a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let file = safetensors(&format!("{{{entry},{entry}}}"), 0);
    assert!(matches!(problem(&file), Safetensors(SafetensorsError::DuplicateName { .. })));
}

#[test]
fn an_index_is_not_believed() {
    use IndexError as E;
    let error = |map: &str| problem_of(open_index(&format!("{{\"weight_map\":{map}}}")));
    assert!(matches!(error(r#"{"a":"gone"}"#), Problem::Shard { .. }));
    assert!(matches!(error(r#"{"b":"shard"}"#), Index(E::MissingTensor { .. })));
    assert!(matches!(error("{}"), Index(E::Empty)));
    assert!(matches!(error(r#"{"a":"file"}"#), Index(E::Nested)));
    assert!(matches!(error(r#"{"a":"shard","a":"shard"}"#), Index(E::DuplicateName { .. })));
    for outside in ["../../etc/passwd", "/etc/passwd", "..", "", "a/b", "a\\\\b"] {
        let map = format!("{{\"a\":\"{outside}\"}}");
        assert!(matches!(error(&map), Index(E::Outside { .. })), "{outside}");
    }
    let honest = open_index(r#"{"weight_map":{"a":"shard"}}"#).unwrap();
    assert_eq!(honest.tensors()[0].name(), "a");
}

/// A safetensors file of matrices of one entry.
fn shard(entries: &[(&str, f32)]) -> Vec<u8> {
    let values: Vec<[u8; 4]> = entries.iter().map(|(_, value)| value.to_le_bytes()).collect();
    let views = entries.iter().zip(&values).map(|((name, _), value)| {
        (name.to_string(), TensorView::new(safetensors::Dtype::F32, vec![1, 1], value).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn an_index_decides_what_belongs_to_its_model() {
    let (old, new) =
        (shard(&[("w", 2.0), ("stray", 9.0), ("y", 3.0)]), shard(&[("w", 5.0), ("x", 1.0)]));
    for (old_name, new_name) in [("a", "b"), ("b", "a")] {
        let index =
            format!(r#"{{"weight_map":{{"w":"{new_name}","x":"{new_name}","y":"{old_name}"}}}}"#);
        let shards: &[(&str, &[u8])] = &[(old_name, &old), (new_name, &new)];
        let checkpoint = open_beside(index.as_bytes(), shards).unwrap();
        let found = checkpoint.tensors().iter();
        let found: Vec<_> = found.map(|t| (t.name(), t.read_all::<f32>().unwrap()[0])).collect();
        assert_eq!(found, [("w", 5.0), ("x", 1.0), ("y", 3.0)]);
    }
}

#[test]
fn a_damaged_shard_is_blamed_itself() {
    let error = open_beside(br#"{"weight_map":{"a":"shard"}}"#, &[("shard", b"")]).unwrap_err();
    assert_eq!(error.file, "shard");
    assert!(matches!(error.problem, Problem::Empty));
}

#[test]
fn a_tensor_must_lie_in_its_storage() {
    use TorchError as E;
    let error = |offset, shape: &[i32], strides: &[i32]| {
        problem(&with_pickle(&tensor_pickle(offset, shape, strides)))
    };
    assert!(matches!(error(1, &[4, 4], &[4, 1]), Torch(E::Outside { bytes: 64, .. })));
    assert!(matches!(error(0, &[4, 4], &[5, 1]), Torch(E::Outside { .. })));
    assert!(matches!(error(-1, &[2, 2], &[2, 1]), Torch(E::Description { .. })));
    assert!(matches!(error(0, &[-2, 2], &[2, 1]), Torch(E::Description { .. })));
    assert!(matches!(error(0, &[2, 2], &[-2, 1]), Torch(E::Description { .. })));
    assert!(matches!(error(0, &[2, 2], &[1]), Torch(E::Description { .. })));
    assert!(matches!(error(0, &[1; 65], &[1; 65]), Torch(E::Description { .. })));
}

#[test]
fn an_expanded_tensor_may_be_any_size_but_is_not_read() {
    let pickle = tensor_pickle(0, &[i32::MAX, i32::MAX], &[0, 0]);
    let checkpoint = open(&with_pickle(&pickle)).unwrap();
    let tensor = &checkpoint.tensors()[0];
    assert!(tensor.dtype().is_read() && tensor.skip_reason().is_some());
    // 2⁶² elements of one number: more bytes than a number of them holds.
    for error in [tensor.read_all::<f32>().unwrap_err(), tensor.read_all_bytes().unwrap_err()] {
        assert!(matches!(error, TensorError::NotRead { .. }), "{error}");
    }
    assert_eq!(tensor.byte_count(), 0);
}

#[test]
fn a_size_that_overflows_makes_its_tensor_unread() {
    for (shape, strides) in [([i32::MAX; 3], [0; 3]), ([i32::MAX; 3], [i32::MAX; 3])] {
        let checkpoint = open(&with_pickle(&tensor_pickle(0, &shape, &strides))).unwrap();
        let tensor = &checkpoint.tensors()[0];
        assert!(tensor.skip_reason().is_some() && tensor.skip_reason() == tensor.copy_refusal());
        assert_eq!((tensor.element_count(), tensor.byte_count()), (0, 0));
        assert!(tensor.read_all::<f64>().is_err() && tensor.read_all_bytes().is_err());
    }
}

#[test]
fn a_storage_must_be_in_the_archive() {
    let pickle = tensor_pickle(0, &[4, 4], &[4, 1]);
    let without = archive(&[("a/data.pkl", &pickle), ("b/data/0", &[0; 64])]);
    assert!(matches!(problem(&without), Torch(TorchError::MissingStorage { .. })));
}

#[test]
fn what_is_packed_or_outside_the_archive_is_refused() {
    let honest = with_pickle(&tensor_pickle(0, &[4, 4], &[4, 1]));
    let directory = honest.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let changed = |at: usize, value: u8| {
        let mut file = honest.clone();
        file[directory + at] = value;
        problem(&file)
    };
    assert!(matches!(changed(10, 8), Torch(TorchError::Packed { .. })), "deflated");
    assert!(matches!(changed(8, 1), Torch(TorchError::Packed { .. })), "encrypted");
    assert!(matches!(changed(26, 0xff), Torch(TorchError::EntryOutside { .. })), "size");
    assert!(matches!(changed(44, 0xff), Torch(TorchError::EntryOutside { .. })), "place");
    assert!(matches!(changed(0, 0), Torch(TorchError::Archive { .. })), "no entry");
}

#[test]
fn a_pickle_that_multiplies_itself_ends_soon() {
    // Each list holds the one before ten times: 10³⁰ paths to one number.
    let mut laughs = b"\x80\x02]q\0K\x01a".to_vec();
    for _ in 0..30 {
        laughs.extend(b"0](h\0h\0h\0h\0h\0h\0h\0h\0h\0h\0eq\0");
    }
    laughs.push(b'.');
    let file = with_pickle(&laughs);
    let (error, read) = Counted::open(&file);
    assert!(matches!(error.problem, Torch(TorchError::Tangled)), "{error}");
    // The directory twice, its end, the pickle, and what a buffer reads beyond each of them.
    assert!(read < 16 * file.len() as u64, "{read} bytes were read");
}

#[test]
fn a_tensor_that_is_named_ever_again_costs_no_memory() {
    let tensor = tensor_pickle(0, &[1; 64], &[1; 64]);
    let tensor = tensor.strip_suffix(b".").unwrap();
    let again = [tensor, b"q\0](", &b"h\0".repeat(100_000), b"e."].concat();
    assert!(matches!(problem(&with_pickle(&again)), Torch(TorchError::Tangled)));
    let twice = [tensor, b"q\0](h\0h\0e."].concat();
    assert_eq!(open(&with_pickle(&twice)).unwrap().tensors().len(), 2);
}

#[test]
fn a_pickle_that_is_deep_overflows_no_stack() {
    let deep = [b"\x80\x02".to_vec(), b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()];
    assert!(matches!(problem(&with_pickle(&deep.concat())), Torch(TorchError::Tangled)));
}

#[test]
fn a_pickle_that_holds_itself_ends() {
    let circle = [b"\x80\x02}q\0X\x04\0\0\0selfh\0s", &tensor_pickle(0, &[2], &[1])[3..]].concat();
    let checkpoint = open(&with_pickle(&circle)).unwrap();
    assert_eq!(checkpoint.tensors().len(), 1);
}

/// The pickle of `tensor_pickle` with `value` under another key before it.
fn beside(value: &[u8]) -> Vec<u8> {
    let tensor = tensor_pickle(0, &[4, 4], &[4, 1]);
    [b"\x80\x02}X\x01\0\0\0lq\0", value, b"s", &tensor[3..tensor.len() - 2], b"s."].concat()
}

#[test]
fn a_long_honest_list_is_passed_over() {
    // Batches of 1000, as Python writes them.
    let batches = |item: &[u8], end: &[u8], start: &[u8]| {
        let batch = [b"(", &item.repeat(1000)[..], end].concat();
        [start, &batch.repeat(1000)[..]].concat()
    };
    let float = b"G\x3f\xb9\x99\x99\x99\x99\x99\x9a";
    let lists = [
        batches(float, b"e", b"]"),
        batches(b"N", b"e", b"]"),
        batches(b"K\x01", b"e", b"]"),
        batches(b"(K\x01K\x02tr\0\0\x01\0", b"e", b"]"),
        batches(b"]r\0\0\x01\0", b"e", b"]"),
        batches(b"X\x06\0\0\0tokenar\0\0\x01\0M\x01\x01", b"u", b"}"),
        [b"(", &float.repeat(300_000)[..], b"t"].concat(),
        [b"(", &float.repeat(300_000)[..], b"l"].concat(),
    ];
    for list in lists {
        let checkpoint = open(&with_pickle(&beside(&list))).unwrap();
        assert_eq!(checkpoint.tensors()[0].shape(), [4, 4]);
    }
}

#[test]
fn a_tensor_behind_a_long_list_has_its_place_in_the_name() {
    let tensor = tensor_pickle(0, &[4, 4], &[4, 1]);
    // Without the dictionary and its end.
    let bare = &tensor[b"\x80\x02}X\x01\0\0\0w".len()..tensor.len() - 2];
    let numbers = b"K\x01".repeat(500);
    let list = [b"\x80\x02](", &numbers[..], bare, &numbers, bare, b"e."].concat();
    let checkpoint = open(&with_pickle(&list)).unwrap();
    let names: Vec<_> = checkpoint.tensors().iter().map(osn_checkpoint::Tensor::name).collect();
    assert_eq!(names, ["500", "1001"]);
}

#[test]
fn a_pickle_that_takes_more_memory_than_it_is_worth_is_refused() {
    // Each byte makes a dictionary, each eighth an object.
    for item in [&b"}"[..], b"]", b")\x94", b"ca\na\n)R", b"(d", b"(", b"N"] {
        let count = (8 << 20) / item.len();
        let hostile = [b"\x80\x02)", &item.repeat(count)[..], b"."].concat();
        let error = problem(&with_pickle(&hostile));
        assert!(
            matches!(error, Torch(TorchError::Pickle(PickleError::TooLarge { .. }))),
            "{item:?}: {error}"
        );
    }
}

#[test]
fn lengths_in_a_pickle_are_not_believed() {
    let cases: [&[u8]; 6] = [
        b"X\xff\xff\xff\xff",
        b"B\xff\xff\xff\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\xff",
        b"\x96\0\0\0\0\0\0\0\x80",
    ];
    for case in cases {
        let error = problem(&with_pickle(case));
        assert!(
            matches!(error, Torch(TorchError::Pickle(PickleError::Truncated))),
            "{case:?}: {error}"
        );
    }
}

#[test]
fn instructions_without_what_they_need_are_refused() {
    for code in 0..=u8::MAX {
        let pickle = [b"\x80\x02", &[code][..], b"1\n1\n"].concat();
        let error = problem(&with_pickle(&pickle));
        assert!(matches!(error, Torch(TorchError::Pickle(_))), "{code:#04x}: {error}");
    }
    for case in [&b"a."[..], b"t.", b"R.", b"Nb.", b"NNs.", b"h\x07.", b"(Nu.", b"\x93.", b"."] {
        let error = problem(&with_pickle(case));
        assert!(
            matches!(error, Torch(TorchError::Pickle(PickleError::Damaged { .. }))),
            "{case:?}"
        );
    }
}

#[test]
fn nothing_that_a_pickle_names_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("called");
    let command = format!("touch {}", path.display());
    let length = u8::try_from(command.len()).unwrap();
    let call = [b"cposix\nsystem\n\x8c", &[length][..], command.as_bytes(), b"\x85R."].concat();
    assert!(open(&with_pickle(&call)).unwrap().tensors().is_empty());
    assert!(!path.exists());
}

#[test]
fn every_file_that_is_cut_short_is_refused() {
    let whole = ["archive.pt", "archive_legacy.pt", "plain.safetensors"];
    for name in whole {
        let bytes = fixture(name);
        for length in 0..bytes.len() {
            problem(&bytes[..length]);
        }
    }
}

/// Reads all that can be read; nothing may panic.
fn read_all(checkpoint: &Checkpoint) {
    for tensor in checkpoint.tensors().iter().filter(|tensor| tensor.skip_reason().is_none()) {
        tensor.read(0, &mut vec![0.0_f32; tensor.element_count()]).unwrap();
    }
}

#[test]
fn a_changed_byte_is_read_or_refused() {
    for name in ["views.pt", "views_legacy.pt", "plain.safetensors", "script.pt", "names.pt"] {
        let mut bytes = fixture(name);
        let (mut accepted, mut refused) = (0, 0);
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                bytes[at] ^= change;
                match open(&bytes) {
                    Ok(checkpoint) => {
                        read_all(&checkpoint);
                        accepted += 1;
                    }
                    Err(_) => refused += 1,
                }
                bytes[at] ^= change;
            }
        }
        // A reader that refuses everything would be safe, too.
        assert!(accepted > refused / 4 && refused > 0, "{name}: {accepted}, {refused} refused");
    }
}

proptest! {
    #[test]
    fn what_the_crate_safetensors_writes_is_read_back(
        tensors in prop::collection::btree_map("[a-z.0-9]{1,12}", prop::collection::vec(any::<f32>(), 0..20), 0..8)
    ) {
        let bytes: BTreeMap<_, Vec<u8>> = tensors
            .iter()
            .map(|(name, values)| (name, values.iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let views = bytes.iter().map(|(name, data)| {
            (*name, TensorView::new(safetensors::Dtype::F32, vec![data.len() / 4], data).unwrap())
        });
        let checkpoint = open(&safetensors::serialize(views, None).unwrap()).unwrap();
        prop_assert_eq!(checkpoint.tensors().len(), tensors.len());
        for tensor in checkpoint.tensors() {
            let mut values = vec![0.0_f32; tensor.element_count()];
            tensor.read(0, &mut values).unwrap();
            let same = values.iter().zip(&tensors[tensor.name()]).all(|(a, b)| a.to_bits() == b.to_bits());
            prop_assert!(same);
        }
    }
}
