//! The page itself.

mod chart;
mod decisions;
mod embed;
mod layers;
mod samples;
mod score;
mod spectra;
mod study;

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use self::chart::{Chart, MAX_POINTS};
use self::embed::Kind;
use crate::curves::Drawing;
use crate::number::{counted, duration};
use crate::run::{Description, RunRecord};
use crate::study::StudyRecord;
use crate::words::escaped_lines;

/// How many colours the style has, as classes `c0` and so on.
const N_COLOURS: usize = 10;

/// What a page tells of.
#[derive(Clone, Copy, Debug)]
pub enum Document<'a> {
    /// One run.
    Run(&'a RunRecord),
    /// Many runs side by side.
    Study(&'a StudyRecord),
}

impl<'a> From<&'a RunRecord> for Document<'a> {
    fn from(run: &'a RunRecord) -> Self {
        Self::Run(run)
    }
}

impl<'a> From<&'a StudyRecord> for Document<'a> {
    fn from(study: &'a StudyRecord) -> Self {
        Self::Study(study)
    }
}

impl Document<'_> {
    fn title(self) -> String {
        match self {
            Self::Run(run) => run.title(),
            Self::Study(study) => study.title(),
        }
    }

    /// `place` is where it stands on the page.
    fn article(self, place: usize) -> Markup {
        match self {
            Self::Run(run) => one_run(run),
            Self::Study(study) => study::article(study, place),
        }
    }
}

/// One self-contained HTML page about runs and studies, one after the other.
///
/// Where all are of one kind they are given as they are: `page(&runs)`, `page([&study])`.
pub fn page<'a, D: Into<Document<'a>>>(documents: impl IntoIterator<Item = D>) -> String {
    let documents: Vec<Document<'a>> = documents.into_iter().map(Into::into).collect();
    let main = html! {
        main {
            noscript { p.note { "The charts are drawn by the page's script; their values are in the tables." } }
            @for (place, document) in documents.iter().enumerate() { (document.article(place)) }
        }
    };
    whole(Kind::Still, &documents, &main)
}

/// The page of a run that goes on, for the server that it is fetched from: it asks for itself every
/// second, and puts what is new in place of what it shows until the run has ended.
pub fn live_page(run: &RunRecord) -> String {
    let has_ended = run.description.status != "running";
    let main = html! {
        p.live #live role="status" { "Live: this page follows the run." }
        main data-ended[has_ended] { (one_run(run)) }
    };
    whole(Kind::Live, &[Document::Run(run)], &main)
}

fn whole(kind: Kind, documents: &[Document], main: &Markup) -> String {
    let title = title(documents);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                (embed::policy(kind))
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                (embed::style())
            }
            body {
                (main)
                (zoom_buttons())
                (footer(documents))
                p.unseen #spoken aria-live="polite" {}
                (embed::scripts(kind))
            }
        }
    };
    // Of all that a browser shows nothing has a use for these, and names in files may.
    escaped_lines(&page.into_string())
}

fn title(documents: &[Document]) -> String {
    let is_run = |document: &&Document| matches!(document, Document::Run(_));
    let n_runs = documents.iter().filter(is_run).count();
    match (documents, documents.len() - n_runs) {
        ([document], _) => document.title(),
        (_, 0) => format!("{n_runs} runs"),
        (_, 1) if n_runs > 0 => format!("One study and {}", counted(n_runs, "run")),
        (_, n_studies) if n_runs > 0 => {
            format!("{n_studies} studies and {}", counted(n_runs, "run"))
        }
        (_, n_studies) => format!("{n_studies} studies"),
    }
}

/// Which files the page was made from.
fn footer(documents: &[Document]) -> Markup {
    let has_study = documents.iter().any(|document| matches!(document, Document::Study(_)));
    let has_run = documents.iter().any(|document| matches!(document, Document::Run(_)));
    let files = match (has_study, has_run) {
        (true, true) => {
            "study.json and the last samples of each study, and from run.json, record.jsonl and samples/ of each run"
        }
        (true, false) => "study.json and the last samples of its runs",
        (false, _) => "run.json, record.jsonl and samples/ of each run",
    };
    html! { footer { "Made by osn from " (files) "." } }
}

/// What the mouse does by dragging; the script shows them.
fn zoom_buttons() -> Markup {
    html! {
        div.zoom role="toolbar" aria-label="Zoom of all charts" hidden {
            button type="button" data-zoom="in" aria-label="Zoom in" { "+" }
            button type="button" data-zoom="out" aria-label="Zoom out" { "−" }
            button type="button" data-zoom="all" { "All steps" }
        }
    }
}

fn one_run(run: &RunRecord) -> Markup {
    html! {
        article aria-label=(run.title()) {
            (heading(run))
            div.top {
                (samples::section(run))
                (score::table(run))
            }
            p.note.drawn hidden {
                "Drag over a chart to zoom all charts; double-click shows all steps again. In a chart the "
                "arrow keys read values, + and − zoom, 0 shows all."
            }
            (score::curves(run))
            (training(run))
            (decisions::map(run))
            (score::measures(run))
            (spectra::section(run))
            (layers::curves(run))
            (layers::table(run))
            (decisions::table(run))
            (config(run))
        }
    }
}

fn heading(run: &RunRecord) -> Markup {
    let d = &run.description;
    let totals = d.totals.clone().unwrap_or_default();
    let facts = [
        ("Steps", steps(run)),
        ("Time", totals.wall_secs.map_or("–".into(), duration)),
        ("Preset", d.preset.clone()),
        ("Rule", d.decide.clone()),
        ("Seed", d.seed.to_string()),
        ("Data", data(&d.data, d.data_sha256.as_deref())),
        ("Device", d.device.clone()),
        ("Machine", plain(&d.machine)),
        ("Versions", plain(&d.versions)),
    ];
    html! {
        header {
            h1 { (run.title()) " " span.status.(status_class(&d.status)) { (d.status) } }
            @if let Some(error) = &d.error { p.error role="note" { (error) } }
            @if run.is_cut { p.error { "The last line of the record was cut short and is left out." } }
            dl {
                @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}

/// The steps done; of a run that goes on also how many there will be, where its config says.
fn steps(run: &RunRecord) -> String {
    let Description { status, config, totals, .. } = &run.description;
    let done = totals.as_ref().map_or(0, |totals| totals.steps).max(run.last_step);
    match config["steps"].as_u64().filter(|_| status == "running") {
        Some(all) => format!("{done} of {all}"),
        None => done.to_string(),
    }
}

/// A class of the page's own for each status that it knows; others are shown without a colour.
fn status_class(status: &str) -> &'static str {
    match status {
        "finished" => "good",
        "failed" => "bad",
        _ => "open",
    }
}

/// Where data came from, and what tells them from others.
fn data(source: &str, sha256: Option<&str>) -> String {
    sha256
        .map_or_else(|| source.to_owned(), |sha256| format!("{source}, SHA-256 {}", brief(sha256)))
}

/// Of a digest or a commit as much as tells it from others.
fn brief(text: &str) -> &str {
    let is_digest = text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { &text[..12] } else { text }
}

/// A small JSON object as a line of text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => brief(text).to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

/// The losses in one chart, and each signal in one of its own: they have no unit in common.
fn training(run: &RunRecord) -> Markup {
    let signals = run.signals.drawing(MAX_POINTS);
    let n_signals = run.signals.names().len();
    html! {
        @if !run.losses.is_empty() || n_signals > 0 {
            section {
                h2 { "Training" }
                div.grid {
                    @if !run.losses.is_empty() { (curves_of(run, "Losses", run.losses.drawing(MAX_POINTS))) }
                    @for index in 0..n_signals { (curves_of(run, &run.signals.names()[index], signals.only(index))) }
                }
            }
        }
    }
}

fn curves_of(run: &RunRecord, title: &str, drawing: Drawing) -> Markup {
    Chart { title: title.to_owned(), drawing, last_step: run.last_step, ..Chart::default() }
        .figure()
}

fn swatch(colour: usize) -> Markup {
    html! { i.(format!("c{}", colour % N_COLOURS)) {} }
}

/// The rules and the config as the run's files have them.
fn config(run: &RunRecord) -> Markup {
    let Description { rules, config, .. } = &run.description;
    let parts = [("The rules", rules), ("The whole config", config)];
    html! {
        @for (title, value) in parts.into_iter().filter(|(_, value)| !value.is_null()) {
            details {
                summary { (title) }
                pre { (format!("{value:#}")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Sample;

    const HOSTILE: &str = r#"</title></script><script>alert(1)</script>"onload='x' & <img src=x>"#;

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
        let record = [
            format!(
                r#"{{"event":"step","step":1,"losses":{{{name}:1.0,"b":2.0}},"signals":{numbers}}}"#
            ),
            layer(1),
            layer(2),
            format!(r#"{{"event":"eval","step":1,"metrics":{numbers},"floor":{numbers}}}"#),
            format!(r#"{{"event":"eval","step":2,"metrics":{numbers},"floor":{numbers}}}"#),
            format!(
                r#"{{"event":"decision","step":1,"network":{name},"path":{name},"from":{name},
                "to":{name},"reason":{name}}}"#
            ),
        ]
        .map(|line| line.replace('\n', " "))
        .join("\n");
        let samples = vec![Sample { step: 1, png: b"\x89PNG".to_vec() }];
        RunRecord::read(&run_json, &record, samples).unwrap()
    }

    #[test]
    fn names_from_files_never_become_markup() {
        let page = page(&[hostile_run(), hostile_run()]);
        // Inside data a quotation mark is JSON's, and nothing there is markup.
        let shown = page.split("<script type=\"application/json\">");
        let shown: String =
            shown.map(|part| part.split_once("</script>").unwrap_or(("", part)).1).collect();
        for markup in ["<img src=x", "\"onload", "\" onload", "</title></script>"] {
            assert!(!shown.contains(markup), "{markup}");
        }
        // The library and the page's own script, and data: none of it ends where a file wants.
        let n_scripts = 2 + page.matches("<script type=\"application/json\">").count();
        assert_eq!(page.matches("<script").count(), n_scripts);
        assert_eq!(page.matches("</script").count(), n_scripts);
        assert!(page.matches("\\u003cscript\\u003ealert(1)").count() >= 2 * 4);
        // In every place at least once a run: title, six facts, tables, legends, the config.
        assert!(page.matches("&lt;script&gt;alert(1)").count() >= 2 * 20);
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let page = page(&[hostile_run()]);
        let outside = ["http:", "https:", "src=\"/", "src=\"h", "href=", "@import", "url("];
        let addresses = page.replace("https://github.com/leeoniya/uPlot (v1.6.32)", "");
        for start in outside {
            assert!(!addresses.contains(start), "{start}");
        }
        assert!(page.contains("default-src 'none'; script-src 'sha256-"));
        // A policy that forbids inline styles makes every such attribute an error in the console.
        assert!(!page.contains(" style=\""));
    }

    #[test]
    fn scores_stand_beside_their_floor() {
        let record = r#"{"event":"eval","step":5,"metrics":{"frechet":41.5},"floor":{"frechet":1.25},"wall_secs":1}"#;
        let run = RunRecord::read(r#"{"recipe":"gan"}"#, record, Vec::new()).unwrap();
        let page = page(&[run]);
        let row = page.split("Fréchet distance ↓</th>").nth(1).unwrap();
        let row = row.split("</tr>").next().unwrap();
        assert!(row.contains("41.50") && row.contains("1.250"), "{row}");
    }

    #[test]
    fn scores_of_classes_share_a_chart() {
        let eval = |step| {
            format!(r#"{{"event":"eval","step":{step},"metrics":{{"a":1.0,"a/0":2.0,"a/1":3.0}}}}"#)
        };
        let record = format!("{}\n{}", eval(1), eval(2));
        let page = page(&[RunRecord::read("{}", &record, Vec::new()).unwrap()]);
        let titles: Vec<_> =
            page.split("<figcaption>").skip(1).map(|rest| rest.split('<').next()).collect();
        assert_eq!(titles, [Some("a"), Some("a, by class")]);
    }

    #[test]
    fn measures_of_generalisation_come_with_what_they_do_not_say() {
        let record =
            r#"{"event":"eval","step":5,"metrics":{"accuracy":0.8,"gap":0.2,"ln_pac_bayes":7.5}}"#;
        let page = page(&[RunRecord::read("{}", record, Vec::new()).unwrap()]);
        let measures = page.split("<h2>Generalisation</h2>").nth(1).unwrap();
        assert!(measures.contains("Generalisation gap") && !measures.contains("Test accuracy"));
        assert!(measures.contains("above 0 it is vacuous"));
    }

    #[test]
    fn sections_without_data_are_left_out() {
        let record = r#"{"event":"step","step":5,"losses":{"q_network":0.8}}"#;
        let page = page(&[RunRecord::read("{}", record, Vec::new()).unwrap()]);
        let headings = page.matches("<h2>").count();
        assert_eq!((headings, page.matches("<h2>Training</h2>").count()), (1, 1));
    }

    #[test]
    fn scores_without_a_floor_are_not_compared_with_real_data() {
        let record = r#"{"event":"eval","step":5,"metrics":{"return":41.5},"wall_secs":1}"#;
        let run = RunRecord::read(r#"{"recipe":"control"}"#, record, Vec::new()).unwrap();
        let page = page(&[run]);
        assert!(page.contains("Return ↑</th>"));
        assert!(!page.to_lowercase().contains("real against real"));
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
        let page = page(&[RunRecord::read(&run, "", Vec::new()).unwrap()]);
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
}
