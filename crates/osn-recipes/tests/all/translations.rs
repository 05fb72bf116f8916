//! BLEU and chrF beside sacreBLEU's own.

use std::io::Read;

use flate2::read::GzDecoder;
use osn_recipes::metrics::exact_match::exact_match;
use osn_recipes::metrics::{bleu, chrf};

#[derive(serde::Deserialize)]
struct Golden {
    bleu: String,
    chrf: String,
    written: Vec<Written>,
    names: Vec<Names>,
}

#[derive(serde::Deserialize)]
struct Written {
    name: String,
    pairs: Vec<(String, String)>,
    scores: Scores,
}

#[derive(serde::Deserialize)]
struct Names {
    hypotheses: String,
    references: String,
    part: String,
    scores: Scores,
}

#[derive(serde::Deserialize)]
struct Scores {
    bleu: f64,
    precisions: [f64; 4],
    brevity_penalty: f64,
    hypothesis_words: u64,
    reference_words: u64,
    chrf: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/translations.json")).unwrap()
}

/// A column of the embedded table, where the rows are of a part.
fn names(column: &str, part: &str) -> Vec<String> {
    let mut text = String::new();
    GzDecoder::new(&include_bytes!("../../assets/cldr/names.tsv.gz")[..])
        .read_to_string(&mut text)
        .unwrap();
    let mut rows = text.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let place = rows.next().unwrap().iter().position(|name| *name == column).unwrap();
    rows.filter(|row| row[0] == part).map(|row| row[place].to_owned()).collect()
}

fn must_agree(name: &str, hypotheses: &[String], references: &[String], expected: &Scores) {
    let near = |found: f64, wanted: f64| (found - wanted).abs() <= 1e-9;
    let (bleu, chrf) = (bleu::corpus(hypotheses, references), chrf::corpus(hypotheses, references));
    assert!(near(bleu.score, expected.bleu), "{name}: {bleu:?}, not {}", expected.bleu);
    let precisions = bleu.precisions.iter().zip(expected.precisions);
    assert!(precisions.clone().all(|(found, wanted)| near(*found, wanted)), "{name}: {bleu:?}");
    assert!(near(bleu.brevity_penalty, expected.brevity_penalty), "{name}: {bleu:?}");
    let words = (bleu.hypothesis_words, bleu.reference_words);
    assert_eq!(words, (expected.hypothesis_words, expected.reference_words), "{name}");
    assert!(near(chrf.score, expected.chrf), "{name}: {chrf:?}, not {}", expected.chrf);
}

#[test]
fn bleu_and_chrf_are_those_of_sacrebleu() {
    let golden = golden();
    assert!(golden.written.len() > 35 && golden.names.len() == 4);
    for Written { name, pairs, scores } in golden.written {
        let (hypotheses, references): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        must_agree(&name, &hypotheses, &references, &scores);
    }
    for Names { hypotheses, references, part, scores } in golden.names {
        let columns = [&hypotheses, &references].map(|column| names(column, &part));
        must_agree(&hypotheses, &columns[0], &columns[1], &scores);
    }
}

#[test]
fn the_signatures_are_those_that_sacrebleu_prints() {
    let golden = golden();
    assert_eq!([bleu::SIGNATURE, chrf::SIGNATURE], [&golden.bleu, &golden.chrf]);
}

#[test]
fn an_exact_match_is_the_same_text() {
    assert_eq!(exact_match(&["a", "B", "c ", "d"], &["a", "b", "c", "d"]), 0.5);
    assert!(exact_match(&[] as &[&str], &[] as &[&str]).is_nan());
}
