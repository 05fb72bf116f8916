//! Parallel text, embedded and of the user, and its subwords.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use osn_recipes::data::list;
use osn_recipes::data::need::Need;
use osn_recipes::data::text::error::{LineFault, TextError};
use osn_recipes::data::text::language::Language;
use osn_recipes::data::text::lines::{self, MAX_LINE_BYTES};
use osn_recipes::data::text::parallel::{Pair, ParallelText};
use osn_recipes::data::text::subwords::{
    BEGIN, END, LEAST_VOCABULARY, PADDING, SubwordError, Subwords,
};
use osn_recipes::metrics::exact_match::exact_match;
use osn_recipes::metrics::{bleu, chrf};
use osn_recipes::run::error::RunError;
use osn_recipes::run::request::TrainRequest;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tempfile::TempDir;

const CODES: [&str; 4] = ["en", "de", "fr", "es"];

fn language(code: &str) -> Language {
    code.try_into().unwrap()
}

fn embedded(source: &str, target: &str) -> ParallelText {
    ParallelText::embedded(&language(source), &language(target)).unwrap()
}

// --- What is embedded --------------------------------------------------------------------------

#[test]
fn the_embedded_names_are_many_and_in_the_languages_that_they_say() {
    let text = embedded("en", "de");
    let has = |part: &[Pair], source: &str, target: &str| {
        part.contains(&Pair { source: source.to_owned(), target: target.to_owned() })
    };
    let all = [&text.train[..], &text.validation, &text.test].concat();
    assert!(has(&all, "woman running: medium skin tone", "laufende Frau: mittlere Hautfarbe"));
    assert!(has(&all, "German", "Deutsch") && has(&all, "Cyrillic", "Kyrillisch"));
    assert!(has(&all, "Switzerland", "Schweiz") && has(&all, "meters", "Meter"));
    assert!(has(&all, "Central European Summer Time", "Mitteleuropäische Sommerzeit"));
    for (source, target) in pairs_of_languages() {
        let text = embedded(source, target);
        let counts = [&text.train, &text.validation, &text.test].map(Vec::len);
        assert!((5_000..5_300).contains(&counts[0]), "{source} {target} {counts:?}");
        assert!(counts[1..].iter().all(|count| (250..350).contains(count)), "{counts:?}");
        assert!(text.origin.contains(&format!("{} pairs from {source} to {target}", counts[0])));
    }
}

fn pairs_of_languages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = CODES.iter().flat_map(|source| CODES.iter().map(move |target| (*source, *target)));
    all.filter(|(source, target)| source != target)
}

#[test]
fn no_sentence_of_one_part_is_in_another_in_any_language() {
    for (source, target) in pairs_of_languages() {
        let text = embedded(source, target);
        let parts = [&text.train, &text.validation, &text.test];
        let sides: [fn(&Pair) -> &String; 2] = [|pair| &pair.source, |pair| &pair.target];
        for side in sides {
            let [train, validation, test] = parts.map(|part| {
                part.iter().map(|pair| side(pair).to_lowercase()).collect::<HashSet<_>>()
            });
            assert!(
                train.is_disjoint(&validation) && train.is_disjoint(&test),
                "{source} {target}"
            );
            assert!(validation.is_disjoint(&test), "{source} {target}");
        }
        for part in parts {
            assert_eq!(part.iter().collect::<HashSet<_>>().len(), part.len(), "a pair comes twice");
        }
    }
}

#[test]
fn skin_tones_sexes_and_directions_of_an_emoji_are_in_one_part() {
    let text = embedded("en", "de");
    let part_of = |source: &str| {
        let parts = [&text.train, &text.validation, &text.test];
        parts.iter().position(|part| part.iter().any(|pair| pair.source == source)).unwrap()
    };
    let tones = ["light", "medium-light", "medium", "medium-dark", "dark"];
    let of_tone = |name: &str| tones.map(|tone| part_of(&format!("{name}: {tone} skin tone")));
    for who in ["astronaut", "cook", "judge", "pilot", "singer", "farmer", "mechanic", "detective"]
    {
        let names = [who.to_owned(), format!("man {who}"), format!("woman {who}")];
        let parts: HashSet<_> = names
            .iter()
            .flat_map(|name| of_tone(name).into_iter().chain([part_of(name)]))
            .collect();
        assert_eq!(parts.len(), 1, "{who}");
    }
    for name in ["woman running", "man running", "person running"] {
        assert_eq!(of_tone(name), [part_of("person running"); 5]);
    }
    for way in ["person running facing right", "woman running facing right"] {
        assert_eq!(part_of(way), part_of("person running"));
    }
    for (one, other) in [
        ("prince", "princess"),
        ("Santa Claus", "Mrs. Claus"),
        ("woman: red hair", "man: bald"),
        ("flag: France", "France"),
        ("English", "UK English"),
        ("Japan Standard Time", "Japan Daylight Time"),
        ("keycap: 1", "keycap: 9"),
    ] {
        assert_eq!(part_of(one), part_of(other), "{one}, {other}");
    }
}

/// The training pair whose `side` is most like that of `pair`, and the share of letters that differ.
fn nearest<'a>(text: &'a ParallelText, pair: &Pair, side: fn(&Pair) -> &String) -> (f64, &'a Pair) {
    let train = text.train.iter();
    let near =
        train.map(|other| (1.0 - strsim::normalized_levenshtein(side(pair), side(other)), other));
    near.min_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
}

#[test]
fn the_nearest_training_names_are_as_far_as_is_said() {
    let text = embedded("en", "de");
    let distance = |pair| nearest(&text, pair, |pair| &pair.target).0;
    let mut distances: Vec<f64> = text.test.iter().map(distance).collect();
    distances.sort_by(f64::total_cmp);
    let last = distances.len() - 1;
    let quartiles = [0, 1, 2, 3, 4].map(|quarter| (distances[quarter * last / 4] * 100.0).round());
    assert_eq!(quartiles, [3.0, 20.0, 30.0, 40.0, 64.0]);
}

#[test]
fn remembering_the_nearest_name_scores_as_is_said_and_is_never_right() {
    let text = embedded("en", "de");
    let recall = |pair| &nearest(&text, pair, |pair| &pair.source).1.target;
    let remembered: Vec<&String> = text.test.iter().map(recall).collect();
    let references: Vec<&String> = text.test.iter().map(|pair| &pair.target).collect();
    let (bleu, chrf) =
        (bleu::corpus(&remembered, &references), chrf::corpus(&remembered, &references));
    let rounded = [bleu.score, chrf.score].map(|score| (score * 10.0).round() / 10.0);
    assert_eq!(rounded, [44.6, 57.8]);
    assert_eq!(exact_match(&remembered, &references), 0.0);
}

#[test]
fn the_source_and_the_target_are_two_languages_that_there_are() {
    let load = |source: &str, target: &str| {
        ParallelText::load(Some("cldr-names"), &language(source), &language(target))
    };
    assert!(load("es", "fr").is_ok());
    let same = load("de", "de").unwrap_err();
    assert!(matches!(&same, TextError::SameLanguage { language } if language.as_str() == "de"));
    for (source, target) in [("it", "de"), ("de", "it"), ("part", "de"), ("de", "what")] {
        let error = load(source, target).unwrap_err();
        let TextError::NoLanguage { language, there, .. } = &error else { panic!("{error}") };
        assert!(language.as_str() != "de" && *there == CODES, "{error}");
    }
    for code in ["", "1a", "de.gz", "../de", "a b", "dé", "a-very-long-language"] {
        assert!(Language::try_from(code).is_err(), "{code}");
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
    assert!(of_names.source.starts_with("cldr-names: 5"), "{}", of_names.source);
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

// --- A folder of the user ----------------------------------------------------------------------

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

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
    let error = super::text::load(empty.path()).unwrap_err();
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

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let folder = folder(&[]);
    for name in ["train.de", "valid.en"] {
        let path = folder.path().join(name);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(
            matches!(&error, TextError::Read { path: of, line: 0, .. } if *of == path || of.ends_with("train.de")),
            "{error}"
        );
    }
    let name = |name: &str| ParallelText::load(Some(name), &language("en"), &language("de"));
    assert!(matches!(name("no/such/folder"), Err(TextError::Unknown { .. })));
    for of_images in ["fashion-mnist", "fashion-mnist-10k", "fashion-mnist-edges"] {
        assert!(matches!(name(of_images), Err(TextError::NoText { .. })));
    }
}

// --- Subwords ----------------------------------------------------------------------------------

fn learnt(sentences: &[&str], vocabulary: usize) -> Subwords {
    Subwords::train(sentences.iter().copied(), vocabulary).unwrap()
}

fn sentences(text: &ParallelText) -> Vec<&str> {
    text.train.iter().flat_map(|pair| [&pair.source[..], &pair.target]).collect()
}

/// Random text of letters from all over Unicode, spaces of all kinds, and the marks.
fn random_text(random: &mut ChaCha8Rng) -> String {
    let mut below = |bound: u32| random.next_u32() % bound;
    let count = below(30);
    let pieces = (0..count).map(|_| match below(8) {
        0 => " ".repeat(1 + below(3) as usize),
        1 => ["\t", "\u{a0}", "\u{3000}", "\u{200d}", "\r\n", "\0"][below(6) as usize].to_owned(),
        2 => ["<pad>", "<s>", "</s>", "Ġ", "<unk>", "'s"][below(6) as usize].to_owned(),
        3 => char::from_u32(below(0x11_0000)).unwrap_or('\u{fffd}').to_string(),
        4 => char::from_u32(0x1f300 + below(0x400)).unwrap().to_string(),
        5 => char::from_u32(0x300 + below(0x70)).unwrap().to_string(),
        6 => below(10_000).to_string(),
        _ => ["straße", "the", "l’été", "ß", "日本"][below(5) as usize].to_owned(),
    });
    pieces.collect()
}

#[test]
fn every_text_comes_back_from_its_subwords() {
    let text = embedded("en", "de");
    for subwords in [learnt(&sentences(&text), 1_000), learnt(&["a"], LEAST_VOCABULARY)] {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let written = ["", " ", "  a  b ", "</s>", "<s><pad>", "a</s> b", "\n"];
        let random = (0..2_000).map(|_| random_text(&mut random));
        for text in written.map(str::to_owned).into_iter().chain(random) {
            let encoded = subwords.encode(&text);
            assert_eq!(subwords.decode(&encoded), text);
            let is_subword = |id: &u32| *id > END && (*id as usize) < subwords.len();
            assert!(encoded.iter().all(is_subword), "{text:?} {encoded:?}");
        }
        for pair in text.test.iter().chain(&text.validation) {
            assert_eq!(subwords.decode(&subwords.encode(&pair.target)), pair.target);
        }
    }
}

#[test]
fn a_long_line_of_any_kind_comes_back() {
    let subwords = learnt(&["a b"], LEAST_VOCABULARY);
    for piece in [" ", "a", "\t ", "<s>", "é", "1", " a", "\u{3000}"] {
        let line = format!("x{}y", piece.repeat(MAX_LINE_BYTES / piece.len()));
        assert_eq!(subwords.decode(&subwords.encode(&line)), line);
    }
}

#[test]
fn marks_and_numbers_without_a_subword_are_no_text_and_broken_letters_are_replaced() {
    let subwords = learnt(&["aa aa"], LEAST_VOCABULARY);
    let encoded = subwords.encode("é");
    assert_eq!(encoded.len(), 3, "a space and two bytes");
    let [space, first, second] = encoded[..] else { panic!("{encoded:?}") };
    assert_eq!(subwords.decode(&[BEGIN, space, first, second, END, PADDING, 9_999]), "é");
    assert_eq!(subwords.decode(&[space, first]), "\u{fffd}");
    assert_eq!(subwords.decode(&[]), "");
    assert_eq!(subwords.len(), LEAST_VOCABULARY);
}

#[test]
fn subwords_are_learnt_in_the_order_of_how_frequent_they_are() {
    // The example of Sennrich et al. 2016, algorithm 1, with the space before each word.
    let words = [("low", 5), ("lower", 2), ("newest", 6), ("widest", 3)];
    let text: Vec<&str> = words.iter().flat_map(|(word, count)| vec![*word; *count]).collect();
    let subwords = learnt(&text, LEAST_VOCABULARY + 4);
    let json: serde_json::Value = serde_json::from_str(&subwords.to_json().unwrap()).unwrap();
    let merges: Vec<(String, String)> =
        serde_json::from_value(json["model"]["merges"].clone()).unwrap();
    let pairs: Vec<_> = merges.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    // `es` and then `est` come nine times, `lo` seven times, and so do then ` lo` and `low`: of equal pairs the
    // one of the smaller numbers is the first, and the space is a byte.
    assert_eq!(pairs, [("e", "s"), ("es", "t"), ("l", "o"), ("Ġ", "lo")]);
}

#[test]
fn the_same_text_gives_the_same_subwords_in_any_order_and_on_any_number_of_threads() {
    let text = embedded("de", "fr");
    let mut sentences = sentences(&text);
    let expected = learnt(&sentences, 1_500).to_json().unwrap();
    for threads in [1, 2, 5] {
        sentences.reverse();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let json = pool.install(|| learnt(&sentences, 1_500).to_json().unwrap());
        assert!(json == expected, "{threads} threads");
    }
    let again = Subwords::from_json(&expected).unwrap();
    assert!(again.to_json().unwrap() == expected);
    let sentence = "laufende Frau: mittlere Hautfarbe";
    assert_eq!(again.encode(sentence), learnt(&sentences, 1_500).encode(sentence));
}

#[test]
fn ties_do_not_depend_on_hashes() {
    // Words of two letters in random order: many pairs are equally frequent at every merge.
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for corpus in 0..200 {
        let mut word = || -> String {
            let length = 2 + random.next_u32() % 9;
            (0..length)
                .map(|_| ['a', 'b', 'c'][random.next_u32() as usize % (2 + corpus % 2)])
                .collect()
        };
        let words: Vec<String> = (0..12).map(|_| word()).collect();
        let text: Vec<&str> = words.iter().map(String::as_str).collect();
        let expected = learnt(&text, LEAST_VOCABULARY + 30).to_json().unwrap();
        for _ in 0..4 {
            assert!(
                learnt(&text, LEAST_VOCABULARY + 30).to_json().unwrap() == expected,
                "{words:?}"
            );
        }
    }
}

#[test]
fn what_holds_no_subwords_is_refused() {
    let json = learnt(&["a"], LEAST_VOCABULARY).to_json().unwrap();
    for (from, to) in
        [("ByteLevel", "Metaspace"), ("\"BPE\"", "\"Unigram\""), ("{", "["), ("merges", "m")]
    {
        let error = Subwords::from_json(&json.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(&error, SubwordError::Parse { .. }), "{from}: {error}");
    }
    let error = Subwords::from_json(&json.replace("<s>", "<t>")).unwrap_err();
    assert!(matches!(&error, SubwordError::Marks), "{error}");
}
