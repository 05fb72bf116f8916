//! The page of a run: what stands where, and what names from files cannot do.

use osn_report::{RunRecord, Sample, live_page, page};

use crate::shown::{HOSTILE, assert_harmless, page_of, text};

fn hostile_run() -> RunRecord {
    let name = serde_json::to_string(HOSTILE).unwrap();
    let run_json = format!(
        r#"{{"recipe":{name},"preset":{name},"decide":{name},"seed":1,"data":{name},"device":{name},
            "status":{name},"error":{name},"rules":[{name}],"config":{{{name}:{name}}},"versions":{{{name}:{name}}},
            "machine":{name},"totals":{{"steps":2,"wall_secs":1.0}}}}"#
    );
    let layer = |step| {
        format!(
            r#"{{"event":"layer","step":{step},"network":{name},"path":{name},"sigma":2.0,
            "target":1.0,"scale":0.5,"elasticity":1.0,"action":{name},"reason":{name}}}"#
        )
    };
    let numbers = format!(r"{{{name}:1.0}}");
    let eval = |step| {
        format!(r#"{{"event":"eval","step":{step},"metrics":{numbers},"real_vs_real":{numbers}}}"#)
    };
    let record = [
        format!(
            r#"{{"event":"step","step":1,"losses":{{{name}:1.0,"b":2.0}},"signals":{numbers}}}"#
        ),
        layer(1),
        layer(2),
        eval(1),
        eval(2),
        format!(
            r#"{{"event":"decision","step":1,"network":{name},"path":{name},"from":{name},
            "to":{name},"reason":{name}}}"#
        ),
    ]
    .map(|line| line.replace('\n', " "))
    .join("\n");
    let samples = vec![Sample::picture(1, b"\x89PNG".to_vec())];
    RunRecord::read(&run_json, &record, samples).unwrap()
}

#[test]
fn names_from_files_never_become_markup_and_nothing_is_fetched() {
    let page = page(&[hostile_run(), hostile_run()]);
    assert_harmless(&page);
    assert!(!page.contains("href="));
    assert!(page.contains("default-src 'none'; script-src 'sha256-"));
    assert!(page.matches("\\u003cscript\\u003ealert(1)").count() >= 2 * 4);
    // In every place at least once a run: title, six facts, tables, legends, the config.
    assert!(page.matches("&lt;script&gt;alert(1)").count() >= 2 * 20);
}

/// The text of the first row of a table with that title.
fn row(page: &str, title: &str) -> String {
    let row = page.split(&format!("{title}</th>")).nth(1).unwrap();
    text(&row.split("</tr>").next().unwrap().replace("</td>", " "))
}

#[test]
fn scores_stand_beside_those_of_real_data_where_these_have_them() {
    let record = r#"{"event":"eval","step":5,"metrics":{"frechet":41.5},"real_vs_real":{"frechet":1.25},"wall_secs":1}"#;
    let page = page_of(r#"{"recipe":"gan"}"#, record);
    assert_eq!(row(&page, "Fréchet distance ↓"), "41.50 41.50 1.25 ");
    let record = r#"{"event":"eval","step":5,"metrics":{"return":41.5},"wall_secs":1}"#;
    let page = page_of(r#"{"recipe":"control"}"#, record);
    assert_eq!(row(&page, "Return ↑"), "41.50 41.50 ");
    assert!(!page.to_lowercase().contains("real against real"));
}

#[test]
fn scores_of_classes_share_a_chart() {
    let eval = |step| {
        format!(r#"{{"event":"eval","step":{step},"metrics":{{"a":1.0,"a/0":2.0,"a/1":3.0}}}}"#)
    };
    let page = page_of("{}", &format!("{}\n{}", eval(1), eval(2)));
    let titles: Vec<_> =
        page.split("<figcaption>").skip(1).map(|rest| rest.split('<').next()).collect();
    assert_eq!(titles, [Some("a"), Some("a, by class")]);
}

#[test]
fn measures_of_generalisation_come_with_what_they_do_not_say() {
    let record =
        r#"{"event":"eval","step":5,"metrics":{"accuracy":0.8,"gap":0.2,"ln_pac_bayes":7.5}}"#;
    let page = page_of("{}", record);
    let measures = page.split("<h2>Generalisation</h2>").nth(1).unwrap();
    assert!(!measures.contains("Test accuracy"));
    for (measure, value) in [("Generalisation gap ↓", "0.200 "), ("ln PAC-Bayes bound", "7.500 ")]
    {
        let row = row(measures, measure);
        assert!(row.starts_with(value) && row.len() > 40, "{row}");
    }
}

#[test]
fn signals_of_one_quantity_share_a_chart_and_one_alone_has_its_own() {
    let titles = |signals: &str| {
        let record =
            format!(r#"{{"event":"step","step":5,"losses":{{}},"signals":{{{signals}}}}}"#);
        let page = page_of("{}", &record);
        let titles = page.split("<figcaption>").skip(1);
        titles.map(|rest| rest.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let alone = r#""separation":0.5,"slope":1.5"#;
    let slope = "Slope of the discriminator between generated and real images";
    assert_eq!(titles(alone), ["Separation of generated images from training images", slope]);
    // A name of somebody's own stays as it is.
    assert_eq!(titles(r#""my_signal":1"#), ["my_signal"]);
    let both = format!(r#"{alone},"separation_held_out":0.4,"logit_real":1,"logit_fake":-1"#);
    let expected = ["Separation of generated images from real ones", "Mean logit", slope];
    assert_eq!(titles(&both), expected);
}

#[test]
fn a_standard_error_stands_behind_its_score_and_has_no_row_and_no_chart() {
    let eval = |step| {
        format!(
            r#"{{"event":"eval","step":{step},"metrics":{{"kid":30.5,"kid_error":4.25}},"real_vs_real":{{"kid":2.0,"kid_error":0.5}}}}"#
        )
    };
    let page = page_of("{}", &format!("{}\n{}", eval(1), eval(2)));
    assert_eq!(row(&page, "KID ↓"), "30.50± 4.25 30.50 2.00± 0.50 ");
    assert!(!page.contains("KID, standard error") && page.matches("<figcaption>").count() == 1);
}

#[test]
fn the_map_says_what_it_is_and_what_happened() {
    let layer = |step: u64, path: &str, elasticity: u8| {
        format!(
            r#"{{"event":"layer","step":{step},"network":"d","path":"{path}","sigma":2,"elasticity":{elasticity},"action":"cap","reason":"{path} at {step}"}}"#
        )
    };
    let record = |held: u8| {
        [
            layer(10, "a", 0),
            layer(10, "b", 0),
            layer(20, "a", 0),
            layer(20, "b", held),
            layer(30, "a", held),
            layer(30, "b", 0),
            r#"{"event":"step","step":40,"losses":{}}"#.to_owned(),
        ]
        .join("\n")
    };
    let shown = text(&page_of("{}", &record(1)));
    let time = "Each row is a layer. Time runs from left, step 0, to right, step 40.";
    assert!(shown.contains(time), "{shown}");
    let story = "What happened: of 2 layers, 2 held at some time and 1 at the end. The first was b, from step 20 on: b at 20.";
    assert!(shown.contains(story), "{shown}");
    assert!(text(&page_of("{}", &record(0))).contains("none of 2 layers was held at any time"));
    // The decision to hold it may come between two reports.
    let switch = r#"{"event":"decision","step":13,"network":"d","path":"b","from":"off","to":"hard cap at 1","reason":"now"}"#;
    let shown = text(&page_of("{}", &[switch.to_owned(), record(1)].join("\n")));
    assert!(shown.contains("The first was b, from step 13 on: now."), "{shown}");
}

#[test]
fn what_decides_a_layer_is_drawn_under_its_row_and_once_for_neighbours() {
    let layer = |step: u64, path: &str, evidence: &str| {
        format!(
            r#"{{"event":"layer","step":{step},"network":"d","path":"{path}","sigma":2,"elasticity":1,"action":"cap","reason":"why"{evidence}}}"#
        )
    };
    let seen = |value: f64| {
        format!(r#","evidence":{{"name":"separation","value":{value},"thresholds":[0.8]}}"#)
    };
    let lines = |evidence: [&dyn Fn(f64) -> String; 3]| {
        let at = |step: u64| {
            let layers = ["a", "b", "c"].into_iter().zip(&evidence);
            layers.map(move |(path, of)| layer(step, path, &of(step as f64 / 100.0)))
        };
        [10, 90].into_iter().flat_map(at).collect::<Vec<_>>().join("\n")
    };
    let (same, other, none) = (|it| seen(it), |it: f64| seen(it + 1.0), |_| String::new());
    let page = page_of("{}", &lines([&same, &same, &other]));
    assert_eq!(page.matches("<svg class=\"evidence\"").count(), 2);
    let said =
        "separation: from 0.100 at step 10 to 0.900 at step 90, lowest 0.100, highest 0.900.";
    assert!(page.contains(said), "{page}");
    let shown = text(&page);
    let [first, last] =
        ["decides the 2 layers above, at 0.800", "decides the layer above, at 0.800"];
    assert!(shown.contains(first) && shown.contains(last), "{shown}");
    let page = page_of("{}", &lines([&none, &none, &none]));
    assert!(!page.contains("<svg class=\"evidence\"") && !page.contains("line below a row"));
}

#[test]
fn numbers_of_a_column_have_as_many_decimals() {
    let layer = |path: &str, sigma: f64| {
        format!(
            r#"{{"event":"layer","step":1,"network":"d","path":"{path}","sigma":{sigma},"action":"off","reason":"no rule"}}"#
        )
    };
    let page = page_of("{}", &[layer("a", 0.01), layer("b", 0.201)].join("\n"));
    let ends = page.split("Layers at the end").nth(1).unwrap();
    for sigma in ["0.010", "0.201"] {
        assert!(ends.contains(&format!("<td class=\"n\">{sigma}</td>")), "{ends}");
    }
}

#[test]
fn sections_without_data_are_left_out() {
    let page = page_of("{}", r#"{"event":"step","step":5,"losses":{"q_network":0.8}}"#);
    let headings = page.matches("<h2>").count();
    assert_eq!((headings, page.matches("<h2>Training</h2>").count()), (1, 1));
}

#[test]
fn a_run_that_goes_on_says_how_far_it_is() {
    let page_of = |status: &str| {
        let run = format!(r#"{{"status":"{status}","config":{{"steps":900}}}}"#);
        let record = r#"{"event":"step","step":5,"losses":{"loss":0.8}}"#;
        live_page(&RunRecord::read(&run, record, Vec::new()).unwrap())
    };
    assert!(page_of("running").contains("<dd>5 of 900</dd>"));
    assert!(page_of("failed").contains("<dd>5</dd>"));
}

#[test]
fn a_run_says_which_data_and_which_build_it_is_of() {
    let (data, commit) = ("ab12".repeat(16), "9f3c".repeat(10));
    let run = format!(
        r#"{{"data":"my pictures","data_sha256":"{data}","versions":{{"commit":"{commit}"}}}}"#
    );
    let page = page_of(&run, "");
    assert!(page.contains("<dd>my pictures, SHA-256 ab12ab12ab12</dd>"), "{page}");
    assert!(page.contains("<dd>commit 9f3c9f3c9f3c</dd>"), "{page}");
}

#[test]
fn an_empty_run_still_makes_a_page() {
    let page = page(&[RunRecord::default()]);
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
}

#[test]
fn the_same_run_makes_the_same_page() {
    assert_eq!(page(&[hostile_run()]), page(&[hostile_run()]));
}
