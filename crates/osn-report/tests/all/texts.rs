//! The sentences that people read, in one place: `INSTA_UPDATE=always cargo test -p osn-report --test all texts`
//! writes them anew, and the difference is for a reader to judge.

use insta::assert_snapshot;
use osn_report::study::{Analysis, Study, StudyRecord, Verdict, tables};
use osn_report::tensorboard::RunEvents;
use osn_report::{RunRecord, SCHEMA, Sample, page};

use crate::made_up::translation::{self, Size};
use crate::shown::{page_of, texts};

const ARMS: [&str; 3] = ["auto", "never", "always"];

/// Three arms; with `distance` between each and the next, and differences of a tenth between seeds.
fn study(regimes: &[&str], n_seeds: u64, distance: f64) -> Study {
    let mut study = crate::made_up::study(&ARMS, regimes, n_seeds);
    crate::made_up::fill(&mut study, 3, |run| {
        Some(crate::made_up::place(run, &ARMS) as f64 * distance + run.seed as f64 / 10.0)
    });
    study
}

fn say(study: &Study) -> String {
    Verdict::of(study, &Analysis::of(study)).to_string()
}

/// `auto` fails with its first seed, and a run of `never` is missing.
fn with_failures() -> Study {
    let mut study = study(&["easy", "hard"], 8, 10.0);
    crate::made_up::fill(&mut study, 3, |run| {
        let score = crate::made_up::place(run, &ARMS) as f64 + run.seed as f64 / 10.0;
        (run.arm != "auto" || run.seed > 1).then_some(score)
    });
    study.run_mut("never", "hard", 8).unwrap().interrupted("it died: signal: 9 (SIGKILL)");
    study
}

#[test]
fn verdicts() {
    let mut one = crate::made_up::study(&["auto"], &["only"], 4);
    crate::made_up::fill(&mut one, 3, |run| Some(run.seed as f64));
    let mut failed = study(&["only"], 3, 1.0);
    crate::made_up::fill(&mut failed, 3, |_| None);
    let mut two = crate::made_up::study(&["auto", "never"], &["only"], 8);
    crate::made_up::fill(&mut two, 3, |run| Some(if run.arm == "auto" { 1.0 } else { 9.0 }));
    let said = [
        ("two arms", say(&two)),
        ("three arms", say(&study(&["only"], 8, 10.0))),
        ("several regimes", say(&study(&["easy", "hard"], 8, 10.0))),
        ("one seed", say(&study(&["only"], 1, 10.0))),
        ("few seeds", say(&study(&["only"], 3, 10.0))),
        ("a small distance", say(&study(&["only"], 8, 0.01))),
        ("equal arms", say(&study(&["only"], 8, 0.0))),
        ("failed and missing runs", say(&with_failures())),
        ("one arm", say(&one)),
        ("every run failed", say(&failed)),
        ("nothing run", say(&crate::made_up::study(&ARMS, &["only"], 2))),
    ];
    assert_snapshot!(said.map(|(what, said)| format!("{what}: {said}")).join("\n"));
}

#[test]
fn the_tables_of_a_study() {
    let of = |study: &Study| {
        let blocks = tables(study, &Analysis::of(study));
        blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!("tables_of_one_regime", of(&study(&["only"], 3, 10.0)));
    assert_snapshot!("tables_of_two_regimes", of(&with_failures()));
    // Nothing can be compared, and why is named all the more.
    let mut interrupted = crate::made_up::study(&ARMS, &["only"], 1);
    interrupted.runs[0].interrupted("no space left on device");
    assert_snapshot!("tables_of_an_interruption", of(&interrupted));
}

/// The sentences of a page, with those for who does not see it: all texts of three words.
fn sentences(page: &str) -> String {
    let page = page.split("</head>").nth(1).unwrap();
    let labels = page.split("aria-label=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let summaries =
        page.split("\"summary\":\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let all = texts(page).into_iter().chain(labels.chain(summaries).map(str::to_owned));
    let is_word = |word: &&str| word.contains(char::is_alphabetic);
    let is_sentence = |text: &String| text.split_whitespace().filter(is_word).count() > 2;
    let all: Vec<_> = all.map(|text| text.trim().to_owned()).filter(is_sentence).collect();
    all.join("\n")
}

#[test]
fn the_page_of_a_study() {
    assert_snapshot!(sentences(&page([&StudyRecord::new(with_failures(), Vec::new())])));
}

#[test]
fn the_page_of_a_run() {
    let run = r#"{"status":"failed","error":"the loss became NaN","config":{"steps":9}}"#;
    let layer = |step, action: &str| {
        format!(
            r#"{{"event":"layer","step":{step},"network":"d","path":"a","sigma":2,"target":1,"scale":0.5,"elasticity":1,"action":"{action}","reason":"σ is {step}"}}"#
        )
    };
    let metrics = "frechet accuracy gap train_accuracy ece fgsm_accuracy margin ln_lipschitz \
                   ln_complexity ln_margin_bound validation_loss validation_accuracy";
    let metrics: Vec<_> = metrics.split(' ').map(|name| format!("\"{name}\":0.5")).collect();
    let record = [
        r#"{"event":"step","step":1,"losses":{"loss":null}}"#.to_owned(),
        layer(1, "off"),
        r#"{"event":"decision","step":2,"network":"d","path":"a","from":"off","to":"cap at 1","reason":"too large"}"#.to_owned(),
        layer(2, "cap at 1"),
        r#"{"event":"spectrum","step":2,"network":"d","path":"a","scale":0.5,"n_values":2,"singular_values":[2,1]}"#.to_owned(),
        format!(r#"{{"event":"eval","step":2,"metrics":{{{}}},"real_vs_real":{{"frechet":0.1}}}}"#, metrics.join(",")),
        r#"{"event":"ev"#.to_owned(),
    ];
    assert_snapshot!(sentences(&page_of(run, &record.join("\n"))));
}

#[test]
fn the_page_of_a_translation() {
    let size = Size { layers: 1, heads: 1, logged: 2 };
    let run_json = r#"{"recipe":"nmt","signatures":{"bleu":"nrefs:1|tok:13a"}}"#;
    let eval = r#"{"event":"eval","step":20,"metrics":{"bleu":31.5,"exact_match":0.5}}"#;
    let record = translation::record(size) + eval;
    let run = RunRecord::read(run_json, &record, translation::samples("the man", "der Mann"));
    let page = page(&[run.unwrap()]);
    // The other sections are those of every run.
    let of = |title: &str| {
        let section = page.split(title).nth(1).unwrap();
        let section = section.split("</section>").next().unwrap();
        sentences(&format!("</head>{section}"))
    };
    assert_snapshot!(
        ["<h2>Scores</h2>", "<h2>Samples</h2>", "<h2>Attention by head</h2>"].map(of).join("\n")
    );
    let many = Size { layers: 3, heads: 4, logged: 2 };
    let page = page_of("{}", &translation::record(many));
    let map = page.split("<h2>Decision map</h2>").nth(1).unwrap();
    let first = map.split("</details>").next().unwrap();
    let first = sentences(&format!("</head>{first}"));
    assert_snapshot!("the_folded_map", first.lines().take(8).collect::<Vec<_>>().join("\n"));
}

#[test]
fn errors() {
    let run = |run_json: &str, record: &str| {
        RunRecord::read(run_json, record, Vec::new()).unwrap_err().to_string()
    };
    let study = |change: fn(&mut Study)| {
        let mut study = crate::made_up::study(&ARMS, &["only"], 1);
        change(&mut study);
        Study::read(&study.to_json(None)).unwrap_err().to_string()
    };
    let newer = format!("{{\"schema\":{}}}", SCHEMA + 1);
    let mut events = RunEvents::start(Vec::new(), "{}").unwrap();
    let said = [
        run("[", ""),
        run("{}", "{}\n"),
        run(&newer, ""),
        Sample::table(4, b"{}").unwrap_err().to_string(),
        RunEvents::start(Vec::new(), &newer).unwrap_err().to_string(),
        RunEvents::start(&mut [0_u8; 10][..], "{}").unwrap_err().to_string(),
        events.sample(Sample::picture(4, Vec::new())).unwrap_err().to_string(),
        Study::read(&newer).unwrap_err().to_string(),
        Study::read("{}").unwrap_err().to_string(),
        study(|it| it.asked.regimes.clear()),
        study(|it| it.asked.seeds = vec![1, 1]),
        study(|it| it.runs[0].seed = 9),
        study(|it| drop(it.runs.pop())),
        study(|it| it.runs[0].curve = vec![(2, None), (1, None)]),
    ];
    assert_snapshot!(said.join("\n"));
}
