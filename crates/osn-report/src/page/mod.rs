//! The page itself.

mod chart;
mod colours;
mod embed;
mod facts;
mod run;
mod score;
mod study;

use maud::{DOCTYPE, Markup, html};

use self::embed::Kind;
use crate::record::run::RunRecord;
use crate::record::types::RunState;
use crate::study::record::StudyRecord;
use crate::text::escape::escaped_lines;
use crate::text::number::counted;

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
            Self::Run(run) => run::article(run),
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
    let has_ended = run.description.status != RunState::Running;
    let main = html! {
        p.live #live role="status" { "Live: this page follows the run." }
        main data-ended[has_ended] { (run::article(run)) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::types::Sample;

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
            format!(r#"{{"event":"eval","step":1,"metrics":{numbers},"real_vs_real":{numbers}}}"#),
            format!(r#"{{"event":"eval","step":2,"metrics":{numbers},"real_vs_real":{numbers}}}"#),
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
    fn scores_stand_beside_those_of_real_data() {
        let record = r#"{"event":"eval","step":5,"metrics":{"frechet":41.5},"real_vs_real":{"frechet":1.25},"wall_secs":1}"#;
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
    fn scores_that_real_data_do_not_have_are_not_compared_with_real_data() {
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
