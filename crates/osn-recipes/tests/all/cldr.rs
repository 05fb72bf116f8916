//! The names that are compiled in: their languages, their parts, and how far these are from each other.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::files::text::{embedded, language};
use osn_recipes::data::text::error::TextError;
use osn_recipes::data::text::language::Language;
use osn_recipes::data::text::lines;
use osn_recipes::data::text::parallel::{Pair, ParallelText};
use osn_recipes::metrics::exact_match::exact_match;
use osn_recipes::metrics::{bleu, chrf};

const CODES: [&str; 4] = ["en", "de", "fr", "es"];

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
        assert!((10_900..11_200).contains(&counts[0]), "{source} {target} {counts:?}");
        assert!(counts[1..].iter().all(|count| (320..360).contains(count)), "{counts:?}");
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

/// Letters and digits in a row, without capitals.
fn words(sentence: &str) -> HashSet<String> {
    let words = sentence.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[test]
fn each_word_of_a_held_out_sentence_is_in_two_training_sentences() {
    for (source, target) in pairs_of_languages() {
        let text = embedded(source, target);
        let sides: [fn(&Pair) -> &String; 2] = [|pair| &pair.source, |pair| &pair.target];
        for side in sides {
            let mut known = HashMap::new();
            for word in text.train.iter().flat_map(|pair| words(side(pair))) {
                *known.entry(word).or_insert(0) += 1;
            }
            for pair in text.validation.iter().chain(&text.test) {
                let is_known = |word: &String| known.get(word).is_some_and(|count| *count >= 2);
                assert!(words(side(pair)).iter().all(is_known), "{source} {target}: {pair:?}");
            }
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

/// The names of the table in English and German, with the kind of what is named.
fn kinds() -> HashMap<Pair, String> {
    let table = &include_bytes!("../../assets/cldr/names.tsv.gz")[..];
    let rows = lines::parse(table, Path::new("names.tsv.gz")).unwrap();
    let kind = |row: &String| {
        let cells: Vec<&str> = row.split('\t').collect();
        let kind = match cells[1].split(' ').next().unwrap() {
            kind @ ("emoji" | "locale" | "list") => kind,
            "amount" | "rate" => "amount",
            "relative" | "date" => "date",
            _ => "name",
        };
        (Pair { source: cells[2].to_owned(), target: cells[3].to_owned() }, kind.to_owned())
    };
    rows[1..].iter().map(kind).collect()
}

#[test]
fn the_nearest_training_names_are_as_far_and_score_as_is_said() {
    let (text, kinds) = (embedded("en", "de"), kinds());
    for (kind, count, quartiles, scores) in [
        ("emoji", 128, [15.0, 22.0, 33.0], [33.6, 65.1]),
        ("name", 75, [22.0, 29.0, 36.0], [9.1, 60.1]),
        ("locale", 35, [21.0, 26.0, 31.0], [53.9, 63.7]),
        ("amount", 45, [11.0, 18.0, 26.0], [12.2, 69.5]),
        ("date", 39, [8.0, 11.0, 15.0], [14.0, 68.2]),
        ("list", 20, [28.0, 33.0, 43.0], [37.9, 57.2]),
        ("all", 342, [14.0, 24.0, 33.0], [33.8, 63.9]),
    ] {
        let is_of = |pair: &&Pair| kind == "all" || kinds[*pair] == kind;
        let pairs: Vec<&Pair> = text.test.iter().filter(is_of).collect();
        assert_eq!(pairs.len(), count, "{kind}");
        assert_eq!(distances(&text, &pairs), quartiles, "{kind}");
        assert_eq!(scores_of_the_nearest(&text, &pairs), scores, "{kind}");
    }
}

/// The quartiles of how far the nearest training target is, in percent.
fn distances(text: &ParallelText, pairs: &[&Pair]) -> [f64; 3] {
    let distance = |pair: &&Pair| nearest(text, pair, |pair| &pair.target).0;
    let mut distances: Vec<f64> = pairs.iter().map(distance).collect();
    distances.sort_by(f64::total_cmp);
    let last = distances.len() - 1;
    [1, 2, 3].map(|quarter| (distances[quarter * last / 4] * 100.0).round())
}

/// BLEU and chrF of the translations of the nearest training sources, of which none is right.
fn scores_of_the_nearest(text: &ParallelText, pairs: &[&Pair]) -> [f64; 2] {
    let recall = |pair: &&Pair| &nearest(text, pair, |pair| &pair.source).1.target;
    let remembered: Vec<&String> = pairs.iter().map(recall).collect();
    let references: Vec<&String> = pairs.iter().map(|pair| &pair.target).collect();
    assert_eq!(exact_match(&remembered, &references), 0.0);
    let bleu = bleu::corpus(&remembered, &references).score;
    [bleu, chrf::corpus(&remembered, &references).score].map(|score| (score * 10.0).round() / 10.0)
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
