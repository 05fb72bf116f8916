//! Sentences as subwords and back, and how these are learnt.

use crate::files::text::embedded;
use osn_recipes::data::text::error::MAX_LINE_BYTES;
use osn_recipes::data::text::parallel::ParallelText;
use osn_recipes::data::text::subwords::{
    BEGIN, END, LEAST_VOCABULARY, PADDING, SubwordError, Subwords,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

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
