//! The page of a study says what its analysis says, whatever the names are and however many runs there
//! are.

use std::path::Path;

use osn_report::study::{ConfidenceInterval, Grid, Study, StudyRecord, StudyRun, tables};
use osn_report::{Document, RunRecord, page, short};

use crate::shown::{HOSTILE, assert_harmless, text};

const ARMS: [&str; 3] = ["auto", "never", "always"];

fn plain() -> StudyRecord {
    record(crate::made_up::plain(ARMS, 8, 3))
}

fn record(study: Study) -> StudyRecord {
    StudyRecord::new(study, Vec::new())
}

/// The section with that name.
fn section<'a>(page: &'a str, name: &str) -> &'a str {
    let start = page.split(&format!("<section class=\"study-{name}\"")).nth(1).unwrap();
    start.split("</section>").next().unwrap()
}

/// The first row of a table whose name is that, after the title.
fn row<'a>(part: &'a str, title: &str, name: &str) -> &'a str {
    let rest = &part[part.find(title).unwrap()..];
    let row = &rest[rest.find(&format!("<code>{name}</code>")).unwrap()..];
    row.split("</tr>").next().unwrap()
}

fn bracketed(interval: ConfidenceInterval, number: impl Fn(f64) -> String) -> String {
    format!("{} [{}, {}]", number(interval.value), number(interval.lower), number(interval.upper))
}

fn hundredths(value: f64) -> String {
    format!("{value:.2}")
}

/// The study of the repository: six regimes, five arms, ten seeds.
fn real() -> StudyRecord {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/studies/classify/study.json");
    record(Study::read(&std::fs::read_to_string(file).unwrap()).unwrap())
}

#[test]
fn every_number_of_the_analysis_is_in_its_place() {
    let record = real();
    // A line may end within the name of a rule.
    let page = page([&record]).replace("<wbr>", "");
    let (regimes, regret) = (section(&page, "regimes"), section(&page, "regret"));
    let improvement = section(&page, "improvement");
    for (measure, heading) in
        record.analysis.measures.iter().zip(["At the end", "Regret over the run"])
    {
        for (place, regime) in measure.regimes.iter().enumerate() {
            let title = format!("<h3><code>{}</code>", regime.regime);
            for arm in &regime.arms {
                let shown = bracketed(arm.iqm.unwrap(), short);
                assert!(text(row(regimes, &title, &arm.arm)).contains(&shown), "{title} {shown}");
                let ConfidenceInterval { value, lower, upper } = arm.regret.unwrap();
                let shown = format!("{value:.2}[{lower:.2}, {upper:.2}]");
                let cell = row(regret, heading, &arm.arm).split("<td").nth(place + 2).unwrap();
                assert!(text(&format!("<td{cell}")).trim() == shown, "{title} {shown}");
            }
            for it in &regime.comparisons {
                let title = format!("<code>{}</code></span></h3>", it.against);
                let shown = text(row(improvement, &title, &regime.regime));
                assert!(shown.contains(&bracketed(it.probability, hundredths)), "{shown}");
                assert!(shown.contains(&format!("{} won, ", it.wins.wins)), "{shown}");
                assert!(shown.contains(&format!("p = {:.3}", it.p_holm)), "{shown}");
            }
        }
        for arm in &measure.overall.arms {
            let shown = bracketed(arm.iqm.unwrap(), hundredths);
            let row = row(section(&page, "overall"), "<tbody", &arm.arm);
            assert!(text(row).contains(&shown), "{shown}");
        }
    }
}

/// Each sentence that compares two arms, as the page has it.
fn comparisons(record: &StudyRecord) -> Vec<String> {
    let blocks = tables(&record.study, &record.analysis);
    let said = blocks.iter().map(ToString::to_string).collect::<String>().replace('`', "");
    said.lines().filter(|line| line.contains("; P = ")).map(str::to_owned).collect()
}

#[test]
fn the_page_leads_with_the_sentences_of_the_verdict() {
    let record = real();
    let page = page([&record]);
    let lead = text(section(&page, "verdict"));
    let verdict = record.verdict.to_string().replace('`', "");
    assert!(lead.contains(&verdict));
    // Four arms in six regimes, and in all of them at the end and over the run.
    let sentences = comparisons(&record);
    assert_eq!(sentences.len(), 4 * 6 + 8);
    assert!(sentences[24..].iter().all(|sentence| lead.contains(sentence)), "{lead}");
    // Where it is so, and where it is not.
    for regimes in [
        "few-noise-0.2, few-noise-0.4",
        "few-clean, all-clean, all-noise-0.4, narrow-clean",
        "few-noise-0.4, all-clean, all-noise-0.4, narrow-clean",
        "few-clean, few-noise-0.2",
    ] {
        assert!(lead.contains(&format!(" in {regimes}")), "{lead}");
    }
    let order =
        ["verdict", "overall", "regimes", "profiles", "curves", "regret", "improvement", "metrics"];
    let places = order.map(|name| page.find(&format!("<section class=\"study-{name}\"")).unwrap());
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn with_one_regime_its_own_sentences_lead() {
    let mut study = crate::made_up::study(&ARMS, &["only"], 8);
    crate::made_up::fill(&mut study, 3, |run| Some(crate::made_up::place(run, &ARMS) as f64));
    let record = record(study);
    let page = page([&record]);
    let lead = text(section(&page, "verdict"));
    let sentences = comparisons(&record);
    assert!(sentences.len() == 4 && sentences.iter().all(|it| lead.contains(it)), "{lead}");
    assert!(!page.contains("<section class=\"study-overall"));
}

#[test]
fn failed_and_missing_runs_are_counted_and_named() {
    let mut record = plain();
    let run = record.study.run_mut("always", "easy", 8).unwrap();
    *run = StudyRun::missing("always", "easy", 8);
    let record = self::record(record.study);
    let page = page([&record]);
    let failures = text(section(&page, "failures"));
    assert!(failures.contains("neverhard1, 2the loss became NaN"), "{failures}");
    assert!(failures.contains("alwayseasy8"), "{failures}");
    let head = text(page.split("<nav").next().unwrap());
    assert!(head.contains("1 run ") && head.contains("2 runs "), "{head}");
    let regimes = section(&page, "regimes");
    assert!(text(row(regimes, "<h3><code>hard", "never")).ends_with("2 of 8"));
    // A seed that one arm has not run counts for none.
    assert!(text(row(regimes, "<h3><code>easy", "never")).ends_with("0 of 7"));
    assert!(text(row(section(&page, "metrics"), "Failed runs", "never")).ends_with("0 of 82 of 8"));
    assert_eq!(text(regimes).matches("failed").count(), 2, "each of both seeds");
}

#[test]
fn other_scores_are_medians_with_their_extremes_and_the_best_is_bold() {
    let record = plain();
    let page = page([&record]);
    let metrics = section(&page, "metrics");
    // Seeds 1 to 8 of the first arm, a hundredth of the score.
    let auto = row(metrics, "<h3>KID ↓", "auto");
    assert!(auto.contains("<b>0.045</b>") && text(auto).contains("[0.010, 0.080]"), "{auto}");
    // Without the two that failed: 13 to 18.
    let never = text(row(metrics, "<h3>KID ↓", "never"));
    assert!(never.ends_with("0.155[0.130, 0.180]"), "{never}");
    assert!(!row(metrics, "<h3>KID ↓", "never").contains("<b>"));
    assert!(metrics.find("Fréchet").unwrap() < metrics.find("KID").unwrap());
}

#[test]
fn pictures_stand_side_by_side_in_the_order_of_the_arms() {
    let mut record = plain();
    let grid = |arm: &str| Grid { arm: arm.into(), regime: "hard".into(), seed: 1, png: vec![1] };
    record.grids = ["always", "auto"].map(grid).to_vec();
    let page = page([&record]);
    let samples = section(&page, "samples");
    let alts =
        ["auto", "always"].map(|arm| format!("alt=\"Samples of {arm} in hard with seed 1\""));
    let places = alts.map(|alt| samples.find(&alt).unwrap());
    assert!(places.is_sorted() && !samples.contains("easy"));
}

#[test]
fn runs_and_studies_share_a_page_in_the_order_in_which_they_are_given() {
    let (study, run) =
        (plain(), RunRecord::read(r#"{"recipe":"control"}"#, "", Vec::new()).unwrap());
    let documents = [Document::Study(&study), Document::Run(&run), Document::Study(&study)];
    let page = page(documents);
    let titles: Vec<_> = page.split("<h1>").skip(1).map(|rest| &rest[..3]).collect();
    assert_eq!((titles[0], titles[1].len(), titles[2]), ("gan", 3, "gan"));
    assert!(page.contains("<title>2 studies and 1 run</title>"));
    let ids: Vec<_> =
        page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    for target in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(ids.contains(&target), "{target}");
    }
}

#[test]
fn a_study_that_has_only_begun_makes_a_page_too() {
    let none = record(crate::made_up::study(&ARMS, &["a", "b"], 3));
    let text_of_none = text(&page([&none]));
    assert!(text_of_none.contains(&none.verdict.to_string()), "{text_of_none}");
    assert!(text_of_none.contains("autoa1–3"), "{text_of_none}");
    let mut one = crate::made_up::study(&["auto"], &["a"], 1);
    crate::made_up::fill(&mut one, 1, |_| Some(f64::MAX));
    let one = record(one);
    assert!(text(&page([&one])).contains(&one.verdict.to_string().replace('`', "")));
    let mut failed = crate::made_up::study(&ARMS, &["a"], 3);
    crate::made_up::fill(&mut failed, 4, |_| None);
    assert!(text(&page([&record(failed)])).contains("3 of 3"));
}

#[test]
fn names_from_a_study_never_become_markup() {
    let mut study = crate::made_up::study(&[HOSTILE, "never", "always"], &[HOSTILE, "b"], 2);
    study.asked.metric = HOSTILE.into();
    study.asked.recipe = HOSTILE.into();
    study.asked.preset = Some(HOSTILE.into());
    study.asked.settings = vec![HOSTILE.into()];
    study.versions = serde_json::json!({HOSTILE: HOSTILE});
    study.machine = serde_json::json!(HOSTILE);
    crate::made_up::fill(&mut study, 3, |run| (run.seed > 1).then_some(run.arm.len() as f64));
    study.runs[0].why = Some(HOSTILE.into());
    study.runs[1].metrics.insert(format!("{HOSTILE}/part"), Some(1.0));
    let grid = Grid { arm: HOSTILE.into(), regime: HOSTILE.into(), seed: 1, png: vec![1] };
    let page = page([&StudyRecord::new(study, vec![grid])]);
    assert_harmless(&page);
    let sections = "verdict overall regimes curves regret improvement metrics samples failures";
    for name in sections.split(' ') {
        assert!(section(&page, name).contains("&lt;script&gt;alert(1)"), "{name}");
    }
}

#[test]
fn the_largest_study_stays_below_three_megabytes() {
    let arms: Vec<String> =
        (0..10).map(|arm| format!("schedule:from=1,to=0,steps={arm}000")).collect();
    let arms: Vec<&str> = arms.iter().map(String::as_str).collect();
    let regimes: Vec<String> = (0..8).map(|regime| format!("learning-rate-{regime}")).collect();
    let regimes: Vec<&str> = regimes.iter().map(String::as_str).collect();
    let mut study = crate::made_up::study(&arms, &regimes, 10);
    crate::made_up::fill(&mut study, 500, |run| {
        Some((crate::made_up::place(run, &arms) as u64 + run.seed * run.seed) as f64 / 7.0)
    });
    let page = page([&record(study)]);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert_eq!(page.matches("<figure").count(), 8 + 2);
}

#[test]
fn the_same_study_makes_the_same_page() {
    let record = plain();
    assert_eq!(page([&record]), page([&record]));
}
