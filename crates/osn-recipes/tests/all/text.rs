//! Parallel text in a folder of the user.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::files::gzip;
use crate::files::text::language;
use osn_recipes::data::list;
use osn_recipes::data::need::Need;
use osn_recipes::data::text::error::{LineFault, MAX_LINE_BYTES, TextError};
use osn_recipes::data::text::lines;
use osn_recipes::data::text::parallel::{Pair, ParallelText};
use osn_recipes::run::error::RunError;
use osn_recipes::run::request::TrainRequest;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tempfile::TempDir;

/// A folder of three small parts, with more files in place of or beside theirs.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in [
        ("train.en", "one\ntwo\n"),
        ("train.de", "eins\nzwei\n"),
        ("valid.en", "three\n"),
        ("valid.de", "drei\n"),
        ("test.en", "four\nfive\nsix\n"),
        ("test.de", "vier\nfünf\nsechs\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn load(folder: &Path) -> Result<ParallelText, TextError> {
    ParallelText::load(folder.to_str(), &language("en"), &language("de"))
}

fn refused(files: &[(&str, &[u8])]) -> TextError {
    let error = load(folder(files).path()).unwrap_err();
    let message = error.to_string();
    assert!(!message.contains('\n') && message.len() < 500, "{message}");
    error
}

fn pair(source: &str, target: &str) -> Pair {
    Pair { source: source.to_owned(), target: target.to_owned() }
}

#[test]
fn a_folder_is_read_by_its_names_and_in_both_directions() {
    let folder = folder(&[("train.fr", b"un\n"), ("notes.txt", b"\xff"), ("train", b"")]);
    let text = load(folder.path()).unwrap();
    assert_eq!(text.train, [pair("one", "eins"), pair("two", "zwei")]);
    assert_eq!(text.validation, [pair("three", "drei")]);
    assert_eq!(text.test[1], pair("five", "fünf"));
    assert!(
        text.origin
            .ends_with(": 2 pairs from en to de to train on, 1 to validate and 3 to test with")
    );
    let back = ParallelText::folder(folder.path(), &language("de"), &language("en")).unwrap();
    assert_eq!(back.train, [pair("eins", "one"), pair("zwei", "two")]);
}

#[test]
fn how_a_file_is_packed_named_and_broken_into_lines_changes_nothing() {
    let plain = load(folder(&[]).path()).unwrap();
    let same = |files: &[(&str, &[u8])], gone: &[&str]| {
        let folder = folder(files);
        for name in gone {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        let text = load(folder.path()).unwrap();
        assert_eq!(text.train, plain.train);
        assert_eq!((text.validation, text.test), (plain.validation.clone(), plain.test.clone()));
    };
    let parts = [gzip(b"one\n"), gzip(b"two\n")].concat();
    same(&[("train.en.gz", &gzip(b"one\ntwo\n"))], &["train.en"]);
    same(&[("train.en.gz", &parts)], &["train.en"]);
    same(&[("train.en", &gzip(b"one\ntwo"))], &[]);
    same(&[("train.en", b"one\r\ntwo\r\n")], &[]);
    same(&[("train.en", b"\xef\xbb\xbfone\ntwo")], &[]);
    same(&[("train.en", "\u{a0} one\t \n  two ".as_bytes())], &[]);
    for name in ["val", "dev"] {
        let names = [format!("{name}.en"), format!("{name}.de.gz")];
        let files = [(&names[0][..], &b"three"[..]), (&names[1], &gzip(b"drei\n"))];
        same(&files, &["valid.en", "valid.de"]);
    }
}

#[test]
fn a_file_that_lacks_is_named_with_the_names_that_it_may_have() {
    let folder = folder(&[]);
    fs::remove_file(folder.path().join("test.de")).unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(
        matches!(&error, TextError::Missing { path, others } if path.ends_with("test.de") && others.is_empty()),
        "{error}"
    );
    fs::remove_file(folder.path().join("test.en")).unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(
        matches!(&error, TextError::Missing { path, .. } if path.ends_with("test.en")),
        "{error}"
    );
    fs::write(folder.path().join("test.en"), "a").unwrap();
    fs::write(folder.path().join("test.de"), "a").unwrap();
    fs::remove_file(folder.path().join("valid.en")).unwrap();
    fs::remove_file(folder.path().join("valid.de")).unwrap();
    let error = load(folder.path()).unwrap_err();
    let TextError::Missing { path, others } = &error else { panic!("{error}") };
    assert!(path.ends_with("valid.en") && *others == ["val.en", "dev.en"], "{error}");
}

#[test]
fn a_language_that_is_not_there_comes_with_those_that_are() {
    let folder = folder(&[("train.fr.gz", b""), ("train.lc.en", b""), ("test.it", b"")]);
    let load = |source: &str, target: &str| {
        ParallelText::folder(folder.path(), &language(source), &language(target))
    };
    for (source, target) in [("it", "de"), ("de", "it"), ("de", "fr-CA")] {
        let error = load(source, target).unwrap_err();
        let TextError::NoLanguage { language, there, .. } = &error else { panic!("{error}") };
        assert!(language.as_str() != "de" && *there == ["de", "en", "fr"], "{error}");
    }
    let empty = TempDir::new().unwrap();
    let error = self::load(empty.path()).unwrap_err();
    assert!(matches!(&error, TextError::NoLanguage { there, .. } if there.is_empty()), "{error}");
}

#[test]
fn a_bad_line_is_named_with_its_file() {
    let long = [b"one\n".to_vec(), vec![b'a'; MAX_LINE_BYTES + 1], b"\n".to_vec()].concat();
    let bomb = gzip(&vec![0; 200 << 20]);
    for (bytes, at, expected) in [
        (&b"one\n\ntwo\n"[..], 2, LineFault::Empty),
        (b"one\ntwo\n\n", 3, LineFault::Empty),
        (b"one\n \t\xc2\xa0\r\n", 2, LineFault::Empty),
        (b"\xef\xbb\xbf\none\n", 1, LineFault::Empty),
        (b"one\ntw\xf6\n", 2, LineFault::Encoding(0xf6)),
        (b"\xff\xfeo\0n\0e\0", 1, LineFault::Encoding(0xff)),
        (b"one\n\xed\xa0\x80\n", 2, LineFault::Encoding(0xed)),
        (b"one\ntwo\xe2\x82", 2, LineFault::Encoding(0xe2)),
        (&long, 2, LineFault::TooLong),
        (&gzip(&long), 2, LineFault::TooLong),
        (&bomb, 1, LineFault::TooLong),
    ] {
        let error = refused(&[("train.de", bytes)]);
        let TextError::Line { path, line, fault } = &error else { panic!("{error}") };
        assert!(path.ends_with("train.de"), "{error}");
        assert_eq!((*line, *fault), (at, expected), "{error}");
    }
    let longest = [&vec![b'a'; MAX_LINE_BYTES][..], b"\ntwo\n"].concat();
    assert_eq!(load(folder(&[("train.en", &longest)]).path()).unwrap().train.len(), 2);
}

#[test]
fn a_file_that_is_empty_damaged_or_of_another_length_is_named() {
    for empty in [b"".to_vec(), gzip(b"")] {
        let error = refused(&[("valid.de", &empty)]);
        assert!(
            matches!(&error, TextError::Empty { path } if path.ends_with("valid.de")),
            "{error}"
        );
    }
    let error = refused(&[("test.de", b"vier\nfuenf\n")]);
    let TextError::Unequal { source_path, source_lines, target_path, target_lines } = &error else {
        panic!("{error}")
    };
    assert!(source_path.ends_with("test.en") && target_path.ends_with("test.de"));
    assert_eq!((*source_lines, *target_lines), (3, 2));
    let error = refused(&[("test.de.gz", b"")]);
    let TextError::Twice { path, other } = &error else { panic!("{error}") };
    assert!(path.ends_with("test.de") && other.ends_with("test.de.gz"));
}

#[test]
fn a_gzip_file_cut_anywhere_or_with_a_flipped_bit_is_refused_or_read_whole() {
    let text: Vec<u8> = (0..50).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
    let whole = lines::parse(&text[..], Path::new("train.de")).unwrap();
    let packed = gzip(&text);
    let parse = |bytes: &[u8]| lines::parse(bytes, Path::new("train.de"));
    assert_eq!(parse(&packed).unwrap(), whole);
    for length in 2..packed.len() {
        let error = parse(&packed[..length]).unwrap_err();
        let named = matches!(&error, TextError::Read { path, line, .. }
            if path.ends_with("train.de") && *line <= whole.len());
        assert!(named, "{length}: {error}");
    }
    for place in 0..packed.len() {
        let mut bytes = packed.clone();
        bytes[place] ^= 1 << (place % 8);
        if let Ok(read) = parse(&bytes) {
            // Only what the format says of the file's name, time and system is not checked.
            assert!(read == whole && place < 10, "{place}");
        }
    }
}

/// A few words, spaces, ends of lines, marks and bytes that are no UTF-8, in any order.
fn almost_text(random: &mut ChaCha8Rng) -> Vec<u8> {
    const PARTS: [&[u8]; 12] = [
        b"one",
        "zw\u{f6}lf".as_bytes(),
        b" ",
        b"\t",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        "\u{feff}".as_bytes(),
        "\u{2028}".as_bytes(),
        b"\xc3",
        b"\xff",
    ];
    let kinds = if random.next_u32().is_multiple_of(2) { 2 } else { PARTS.len() };
    let drawn: Vec<usize> =
        (0..random.next_u32() % 20).map(|_| random.next_u32() as usize).collect();
    drawn.into_iter().flat_map(|place| PARTS[place % kinds]).copied().collect()
}

#[test]
fn random_bytes_are_sentences_or_refused_however_they_are_packed() {
    let (mut random, mut read) = (ChaCha8Rng::seed_from_u64(1), 0);
    let parse = |bytes: &[u8]| lines::parse(bytes, Path::new("train.de"));
    for _ in 0..5_000 {
        let bytes = almost_text(&mut random);
        let found = parse(&bytes);
        match &found {
            Ok(sentences) => {
                read += 1;
                let is_sentence = |it: &String| !it.is_empty() && it.trim() == it;
                assert!(!sentences.is_empty() && sentences.iter().all(is_sentence), "{bytes:?}");
            }
            Err(error) => {
                let line = error.to_string();
                assert!(line.len() < 500 && !line.contains(char::is_control), "{line}");
            }
        }
        assert_eq!(parse(&gzip(&bytes)).ok(), found.ok(), "{bytes:?}");
    }
    assert!((500..4_500).contains(&read), "{read} were read");
}

#[test]
fn a_folder_in_place_of_a_file_is_named() {
    for name in ["train.de", "valid.en"] {
        let folder = folder(&[]);
        let path = folder.path().join(name);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(
            matches!(&error, TextError::Read { path: of, line: 0, .. } if *of == path),
            "{error}"
        );
    }
}

#[test]
fn a_name_that_is_no_folder_or_of_images_is_refused() {
    let name = |name: &str| ParallelText::load(Some(name), &language("en"), &language("de"));
    assert!(matches!(name("no/such/folder"), Err(TextError::Unknown { .. })));
    for of_images in ["fashion-mnist", "fashion-mnist-10k", "fashion-mnist-edges"] {
        assert!(matches!(name(of_images), Err(TextError::NoText { .. })));
    }
}

#[test]
fn a_run_is_told_its_text_by_name_counts_and_every_byte() {
    let trained_on = |data: Option<&str>, source: &str, target: &str| {
        let data = data.map(str::to_owned);
        let request = TrainRequest { data, ..TrainRequest::default() };
        Need::Text(language(source), language(target)).trained_on(&request)
    };
    let of_names = trained_on(None, "en", "de").unwrap();
    assert_eq!(of_names.name.as_deref(), Some("cldr-names"));
    assert!(of_names.source.starts_with("cldr-names: 11053 pairs"), "{}", of_names.source);
    assert_eq!(of_names, trained_on(Some("cldr-names"), "en", "de").unwrap());
    let mut digests = HashSet::from([of_names.sha256]);
    for (name, bytes) in [
        ("notes", &b""[..]),
        ("train.de", b"eins\nzwei!\n"),
        ("valid.de", b"drei!\n"),
        ("test.en", b"four\nfive\nsix!\n"),
    ] {
        let folder = folder(&[(name, bytes)]);
        let found = trained_on(folder.path().to_str(), "en", "de").unwrap();
        assert_eq!(found.name, folder.path().canonicalize().unwrap().to_str().map(str::to_owned));
        assert!(digests.insert(found.sha256), "{name}");
        let back = trained_on(folder.path().to_str(), "de", "en").unwrap();
        assert!(digests.insert(back.sha256), "{name} in the other direction");
    }
    for entry in list::texts() {
        assert!(entry.present && trained_on(Some(&entry.name), "en", "de").is_ok());
    }
    let error = trained_on(Some("no such"), "en", "de").unwrap_err();
    assert!(matches!(error, RunError::Data { .. }), "{error}");
}
