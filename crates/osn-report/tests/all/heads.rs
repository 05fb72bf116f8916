//! Pages of sequence translation: samples that are text, attention by head, and layers by the hundred.

use osn_report::{RunRecord, Sample, heads_picture, page};
use serde_json::{Value, json};

use crate::browsing::visit;
use crate::made_up::translation::{LARGE, SMALL, Size, record, samples};
use crate::shown::{HOSTILE, assert_harmless, page_of, text, texts, without_scripts};

fn run(size: Size, samples: Vec<Sample>) -> RunRecord {
    RunRecord::read("{}", &record(size), samples).unwrap()
}

/// The rows of the table behind a heading, each as its texts.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let table = page.split(heading).nth(1).unwrap().split("<tbody>").nth(1).unwrap();
    let rows = table.split("</tbody>").next().unwrap().split("</tr>");
    let cells = |row: &str| texts(row).into_iter().filter(|text| !text.trim().is_empty()).collect();
    rows.map(cells).filter(|row: &Vec<String>| !row.is_empty()).collect()
}

#[test]
fn each_weight_of_heads_says_when_it_was_held_and_whether_it_was_let_go() {
    let page = page(&[run(SMALL, Vec::new())]);
    let rows = rows(&page, "When heads were held");
    let row = |place: usize| rows[place].iter().map(String::as_str).collect::<Vec<_>>();
    // In the order of the record, with four heads in two layers; half of them are held from step 50 to 150 of 200.
    let heads = ["4", "2", "50", "2", "0", "0.25"];
    assert_eq!(row(0), [&["Encoder self-attention", "query"][..], &heads].concat());
    assert_eq!(row(1)[1], "key");
    assert_eq!(row(2), ["Encoder self-attention", "value", "4", "0", "–", "0", "0", "0.00"]);
    assert_eq!(row(6)[0], "Decoder cross-attention");
    assert_eq!(rows.len(), 9);
}

#[test]
fn each_head_has_its_entropy_and_its_largest_logit() {
    let page = page(&[run(SMALL, Vec::new())]);
    let rows = rows(&page, "Each head at the end");
    // The last logit is not finite; the highest before it is.
    assert_eq!(rows[1], ["Encoder self-attention", "0", "1", "1.500", "1.500", "–", "10.50"]);
    assert_eq!(rows.len(), 12);
}

#[test]
fn what_a_head_was_at_the_end_is_what_was_logged_last() {
    let point = |step: u64, entropy: f64, logit: f64| {
        format!(
            r#"{{"event":"attention","step":{step},"network":"t","path":"decoder.0.cross","head":0,"entropy":{entropy},"max_logit":{logit}}}"#
        )
    };
    let end = r#"{"event":"step","step":200,"losses":{},"signals":{}}"#;
    let record = [point(190, 0.5, 3.0), point(195, 2.0, 9.0), point(200, 1.0, 4.0), end.to_owned()];
    let page = page_of("{}", &record.join("\n"));
    let rows = rows(&page, "Each head at the end");
    let expected = ["Decoder cross-attention", "0", "0", "1.000", "0.500", "4.000", "9.000"];
    assert_eq!(rows, [expected]);
}

#[test]
fn a_picture_of_the_heads_stands_by_itself() {
    let picture = heads_picture(&run(SMALL, Vec::new())).unwrap();
    assert!(picture.starts_with("<svg xmlns=") && picture.ends_with("</svg>"));
    assert!(!picture.contains("<script") && !picture.contains("var(--c)"));
    for words in ["Held", "Largest attention logit", "Attention entropy", "Decoder cross-attention"]
    {
        assert!(picture.contains(words), "{words}");
    }
    assert_eq!(heads_picture(&RunRecord::default()), None);
}

#[test]
fn names_of_heads_and_samples_never_become_markup() {
    let name = serde_json::to_string(HOSTILE).unwrap();
    let head = format!(
        r#"{{"event":"attention","step":1,"network":{name},"path":{name},"head":0,"entropy":1,"max_logit":2}}"#
    );
    let other = serde_json::to_string(&HOSTILE.replace("alert", "alarm")).unwrap();
    let table = |cell: &str| {
        let columns = format!(r#"[{name},"reference","translation"]"#);
        format!(r#"{{"columns":{columns},"rows":[[{cell},{name},{name}]]}}"#)
    };
    let samples = [&other, &name].into_iter().zip(1..);
    let samples =
        samples.map(|(cell, step)| Sample::table(step, table(cell).as_bytes()).unwrap()).collect();
    let run_json = format!(r#"{{"signatures":{{"bleu":{name}}}}}"#);
    let run = RunRecord::read(&run_json, &head, samples).unwrap();
    let page = page([&run]);
    assert_harmless(&page);
    assert!(page.contains("\\u003cscript\\u003ealarm(1)"));
    let picture = heads_picture(&run).unwrap();
    assert!(!picture.contains("<img") && !picture.contains("<script"));
}

#[test]
fn signatures_stand_below_the_scores_and_more_is_better() {
    let eval = r#"{"event":"eval","step":5,"metrics":{"bleu":31.5,"chrf":60.25,"exact_match":0.25,"loss":1.5}}"#;
    let page = page_of(r#"{"signatures":{"chrf":"nrefs:1|case:mixed|nc:6"}}"#, eval);
    let names: Vec<_> =
        rows(&page, "<h2>Scores</h2>").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(names, ["chrF ↑", "BLEU ↑", "Exact matches ↑", "Test loss ↓"]);
    assert!(text(&page).contains("from 0 to 100: nrefs:1|case:mixed|nc:6"));
}

#[test]
fn a_table_of_samples_is_that_of_the_last_step_and_marks_what_is_right() {
    let page = page(&[run(SMALL, samples("man", "Mann"))]);
    let shown = without_scripts(&page);
    assert!(shown.contains("class=\"exact\">Mann</td>") && shown.contains(">Rakette</td>"));
    assert_eq!(shown.matches("class=\"exact\"").count(), 1);
    assert!(!shown.contains(">Rak</td>"));
    assert!(text(&page).contains("1 of 2 translations equal the reference"));
}

#[test]
fn many_layers_are_folded_by_module_and_few_are_not() {
    let folded = page(&[run(Size { layers: 3, heads: 4, logged: 2 }, Vec::new())]);
    // A module for each attention and each pair of feed-forward layers.
    assert_eq!(folded.matches("<details class=\"module\">").count(), 9 + 6);
    assert!(folded.contains("encoder.0.attention: of 13 layers at most"));
    // Below their module its layers have names that a narrow column does not cut alike.
    assert!(folded.contains("role=\"rowheader\"><code>query.weight[3]</code></div>"));
    let few = page(&[run(Size { layers: 1, heads: 2, logged: 2 }, Vec::new())]);
    assert_eq!(few.matches("<details class=\"module\">").count(), 0);
    assert_eq!(few.matches("role=\"row\"").count(), 26);
}

#[test]
fn hundreds_of_layers_over_a_thousand_logged_steps_make_a_small_page() {
    let run = run(LARGE, Vec::new());
    assert_eq!((run.layers.len(), run.heads.len()), (345, 96));
    let page = page(&[run]);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
}

#[test]
fn a_reader_slides_through_tables_points_at_heads_and_opens_modules() {
    let size = Size { layers: 3, heads: 4, logged: 20 };
    let run = run(size, samples("a\u{202e}b", "می\u{200c}روم"));
    let Some(found) = visit(&page(&[run]), include_str!("../heads_hook.js")) else { return };
    let cells = |name: &str| -> Vec<String> {
        found[name].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    let last = ["a\u{fffd}b", "می\u{200c}روم", "می\u{200c}روم", "rocket", "Rakete", "Rakette"];
    assert_eq!(cells("cells_before"), last);
    assert_eq!(cells("cells_after")[2..], ["wrong", "rocket", "Rakete", "Rak"]);
    assert_eq!(found["exact"], json!([1, 0, 1]));
    assert_eq!(cells("cells_again"), last);
    assert_eq!(found["slider_says"], json!(["Samples after step 100", "100"]));
    let pointed = found["pointed"].as_str().unwrap();
    assert!(
        pointed.starts_with("Encoder self-attention, layer 0, head 0, steps 100 to 101: "),
        "{pointed}"
    );
    assert!(
        pointed.contains("query 1, key 1, value 0") && pointed.contains("entropy 0.5 nats"),
        "{pointed}"
    );
    let moved = found["moved"].as_str().unwrap();
    assert!(
        moved.starts_with("Encoder self-attention, layer 0, head 1, steps 198 to 200"),
        "{moved}"
    );
    assert!(moved.contains("logit not finite"), "{moved}");
    assert_eq!(found["spoken"], found["moved"]);
    assert_eq!(found["rows"], json!([0, 13]));
    assert!(
        found["below"]
            .as_str()
            .unwrap()
            .starts_with("encoder.0.attention.output.weight, steps 0 to 200: off"),
        "{found:#}"
    );
    assert_eq!(found["drawn_in_module"], Value::from(4));
    assert_eq!(found["too_wide"], Value::from(0));
}
