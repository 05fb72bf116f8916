//! Damaged and hostile files: each is one line of error, quickly, and never a panic.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use osn_checkpoint::{
    Checkpoint, CheckpointError, IndexError, PickleError, Problem, SafetensorsError, TorchError,
};
use proptest::prelude::*;
use safetensors::tensor::TensorView;

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

fn open(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    open_beside(bytes, &[])
}

/// Opens `bytes` as a file beside others.
fn open_beside(bytes: &[u8], others: &[(&str, &[u8])]) -> Result<Checkpoint, CheckpointError> {
    let mut files: BTreeMap<String, Arc<[u8]>> =
        BTreeMap::from([("file".to_owned(), bytes.into())]);
    files.extend(others.iter().map(|&(name, bytes)| (name.to_owned(), bytes.into())));
    Checkpoint::open_in(&files, "file")
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

fn safetensors(header: &str, data_bytes: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &vec![0; data_bytes]].concat()
}

/// An archive of stored entries as PyTorch writes it, by the format's description. Checksums are
/// left out: nothing here reads them.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let size = u32::try_from(data.len()).unwrap().to_le_bytes();
        let start = u32::try_from(file.len()).unwrap().to_le_bytes();
        let shared = [&[0; 12][..], &size, &size, &name_length, &[0; 2]].concat();
        directory.extend([&b"PK\x01\x02\0\0\0\0"[..], &shared].concat());
        directory.extend([&[0; 10][..], &start, name.as_bytes()].concat());
        file.extend([&b"PK\x03\x04\0\0"[..], &shared, name.as_bytes(), data].concat());
    }
    let start = u32::try_from(file.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    file.extend(directory);
    file.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &size, &start, &[0; 2]].concat());
    file
}

fn with_pickle(pickle: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/data/0", &[0; 64])])
}

/// The pickle of `{"w": tensor}` with a storage of 16 floats and the given sizes and strides.
fn tensor_pickle(offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let integers = |numbers: &[i32]| {
        let numbers = numbers.iter().flat_map(|n| [b"J", &n.to_le_bytes()[..]].concat());
        [b"(".to_vec(), numbers.collect(), b"t".to_vec()].concat()
    };
    let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0\x30X\x03\0\0\0cpuK\x10tQ";
    [
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(",
        &storage[..],
        b"J",
        &offset.to_le_bytes(),
        &integers(shape),
        &integers(strides),
        b"\x89NtRs.",
    ]
    .concat()
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
    assert!(matches!(problem(b"\x7fnothing"), Problem::Unknown));
    assert!(matches!(problem(b"\x80\x04K\x01."), Problem::PlainPickle { of: "" }));
    assert!(matches!(problem(b"{\"a\": 1}"), Problem::Index(IndexError::OtherJson)));
    let other = archive(&[("readme.txt", b"hello")]);
    assert!(matches!(problem(&other), Problem::Torch(TorchError::OtherArchive { .. })));
}

#[test]
fn what_is_no_file_on_disk_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let problem = |path: &std::path::Path| Checkpoint::open(path).unwrap_err().problem;
    assert!(matches!(problem(folder.path()), Problem::Folder));
    assert!(matches!(problem(std::path::Path::new("..")), Problem::Folder));
    assert!(matches!(problem(&folder.path().join("missing")), Problem::Read(_)));
    #[cfg(unix)]
    assert!(matches!(problem(std::path::Path::new("/dev/zero")), Problem::NotAFile));
}

#[test]
fn a_header_of_any_length_is_checked_before_it_is_read() {
    for length in [1 << 63, u64::MAX, 100, 100_000_001] {
        let file = [&u64::to_le_bytes(length)[..], b"{}      "].concat();
        let SafetensorsError::HeaderLength { promised, .. } = safetensors_error(&file) else {
            panic!("another error")
        };
        assert_eq!(promised, length);
    }
}

#[track_caller]
fn safetensors_error(bytes: &[u8]) -> SafetensorsError {
    match problem(bytes) {
        Problem::Safetensors(error) => error,
        other => panic!("{other}"),
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
    let error = |first, second, bytes| safetensors_error(&safetensors(&two(first, second), bytes));
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
        safetensors_error(&safetensors(&header, 16))
    };
    assert!(matches!(one("F32", "[4294967296,4294967296]"), E::Size { .. }));
    assert!(matches!(one("F32", "[18446744073709551615,2]"), E::Size { .. }));
    assert!(matches!(one("F32", "[-1]"), E::Header(_)));
    assert!(matches!(safetensors_error(&safetensors("{\"w\":1}", 0)), E::Header(_)));
    assert!(matches!(safetensors_error(&safetensors("{", 0)), E::Header(_)));
    let deep = format!("{{\"w\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    assert!(matches!(safetensors_error(&safetensors(&deep, 0)), E::Header(_)));
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
    assert!(matches!(problem(&file), Problem::DuplicateName { .. }));
}

#[track_caller]
fn index_error(map: &str, others: &[(&str, &[u8])]) -> IndexError {
    match problem_of(open_beside(format!("{{\"weight_map\":{map}}}").as_bytes(), others)) {
        Problem::Index(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn an_index_is_not_believed() {
    use IndexError as E;
    let shard = safetensors(r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#, 0);
    let shards: &[(&str, &[u8])] = &[("shard", &shard)];
    assert!(matches!(index_error(r#"{"a":"gone"}"#, shards), E::Shard { .. }));
    assert!(matches!(index_error(r#"{"b":"shard"}"#, shards), E::MissingTensor { .. }));
    assert!(matches!(index_error("{}", shards), E::Empty));
    assert!(matches!(index_error(r#"{"a":"file"}"#, shards), E::Nested));
    assert!(matches!(index_error(r#"{"a":"shard","a":"shard"}"#, shards), E::Json(_)));
    for outside in ["../../etc/passwd", "/etc/passwd", "..", "", "a/b", "a\\\\b"] {
        let map = format!("{{\"a\":\"{outside}\"}}");
        assert!(matches!(index_error(&map, shards), E::Outside { .. }), "{outside}");
    }
    let honest = open_beside(br#"{"weight_map":{"a":"shard"}}"#, shards).unwrap();
    assert_eq!(honest.tensors()[0].name(), "a");
}

#[test]
fn a_damaged_shard_is_blamed_itself() {
    let error = open_beside(br#"{"weight_map":{"a":"shard"}}"#, &[("shard", b"")]).unwrap_err();
    assert_eq!(error.file, "shard");
    assert!(matches!(error.problem, Problem::Empty));
}

#[track_caller]
fn torch_error(bytes: &[u8]) -> TorchError {
    match problem(bytes) {
        Problem::Torch(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_tensor_must_lie_in_its_storage() {
    use TorchError as E;
    let error = |offset, shape: &[i32], strides: &[i32]| {
        torch_error(&with_pickle(&tensor_pickle(offset, shape, strides)))
    };
    assert!(matches!(error(1, &[4, 4], &[4, 1]), E::Outside { bytes: 64, .. }));
    assert!(matches!(error(0, &[4, 4], &[5, 1]), E::Outside { .. }));
    assert!(matches!(error(-1, &[2, 2], &[2, 1]), E::Description { .. }));
    assert!(matches!(error(0, &[-2, 2], &[2, 1]), E::Description { .. }));
    assert!(matches!(error(0, &[2, 2], &[-2, 1]), E::Description { .. }));
    assert!(matches!(error(0, &[2, 2], &[1]), E::Description { .. }));
    assert!(matches!(error(0, &[1; 65], &[1; 65]), E::Description { .. }));
}

#[test]
fn an_expanded_tensor_may_be_any_size_but_is_not_read() {
    let pickle = tensor_pickle(0, &[i32::MAX, i32::MAX], &[0, 0]);
    let checkpoint = open(&with_pickle(&pickle)).unwrap();
    assert!(checkpoint.tensors()[0].skip_reason().unwrap().contains("repeats"));
}

#[test]
fn a_storage_must_be_in_the_archive() {
    let pickle = tensor_pickle(0, &[4, 4], &[4, 1]);
    let without = archive(&[("a/data.pkl", &pickle), ("b/data/0", &[0; 64])]);
    assert!(matches!(torch_error(&without), TorchError::MissingStorage { .. }));
}

#[test]
fn what_is_packed_or_outside_the_archive_is_refused() {
    let honest = with_pickle(&tensor_pickle(0, &[4, 4], &[4, 1]));
    let directory = honest.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let changed = |at: usize, value: u8| {
        let mut file = honest.clone();
        file[directory + at] = value;
        torch_error(&file)
    };
    assert!(matches!(changed(10, 8), TorchError::Packed { .. }), "deflated");
    assert!(matches!(changed(8, 1), TorchError::Packed { .. }), "encrypted");
    assert!(matches!(changed(26, 0xff), TorchError::EntryOutside { .. }), "size");
    assert!(matches!(changed(44, 0xff), TorchError::EntryOutside { .. }), "place");
    assert!(matches!(changed(0, 0), TorchError::Archive { .. }), "no entry");
}

#[test]
fn a_pickle_that_multiplies_itself_ends_soon() {
    // Each list holds the one before ten times: 10³⁰ paths to one number.
    let mut laughs = b"\x80\x02]q\0K\x01a".to_vec();
    for _ in 0..30 {
        laughs.extend(b"0](h\0h\0h\0h\0h\0h\0h\0h\0h\0h\0eq\0");
    }
    laughs.push(b'.');
    let start = std::time::Instant::now();
    assert!(matches!(torch_error(&with_pickle(&laughs)), TorchError::Tangled));
    assert!(start.elapsed().as_secs() < 2);
}

#[test]
fn a_tensor_that_is_named_ever_again_costs_no_memory() {
    let tensor = tensor_pickle(0, &[1; 64], &[1; 64]);
    let tensor = tensor.strip_suffix(b".").unwrap();
    let again = [tensor, b"q\0](", &b"h\0".repeat(100_000), b"e."].concat();
    assert!(matches!(torch_error(&with_pickle(&again)), TorchError::Tangled));
    let twice = [tensor, b"q\0](h\0h\0e."].concat();
    assert_eq!(open(&with_pickle(&twice)).unwrap().tensors().len(), 2);
}

#[test]
fn a_pickle_that_is_deep_overflows_no_stack() {
    let deep = [b"\x80\x02".to_vec(), b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()];
    assert!(matches!(torch_error(&with_pickle(&deep.concat())), TorchError::Tangled));
}

#[test]
fn a_pickle_that_holds_itself_ends() {
    let circle = [b"\x80\x02}q\0X\x04\0\0\0selfh\0s", &tensor_pickle(0, &[2], &[1])[3..]].concat();
    let checkpoint = open(&with_pickle(&circle)).unwrap();
    assert_eq!(checkpoint.tensors().len(), 1);
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
        let error = torch_error(&with_pickle(case));
        assert!(matches!(error, TorchError::Pickle(PickleError::Truncated)), "{case:?}: {error}");
    }
}

#[test]
fn instructions_without_what_they_need_are_refused() {
    for code in 0..=u8::MAX {
        let pickle = [b"\x80\x02", &[code][..], b"1\n1\n"].concat();
        let _ = open(&with_pickle(&pickle));
    }
    for case in [&b"a."[..], b"t.", b"R.", b"Nb.", b"NNs.", b"h\x07.", b"(Nu.", b"\x93.", b"."] {
        let error = torch_error(&with_pickle(case));
        assert!(matches!(error, TorchError::Pickle(PickleError::Damaged { .. })), "{case:?}");
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
    for name in ["views.pt", "views_legacy.pt", "plain.safetensors", "script.pt"] {
        let mut bytes = fixture(name);
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                bytes[at] ^= change;
                if let Ok(checkpoint) = open(&bytes) {
                    read_all(&checkpoint);
                }
                bytes[at] ^= change;
            }
        }
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
