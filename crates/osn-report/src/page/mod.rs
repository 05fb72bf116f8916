//! The page itself.

mod chart;
mod embed;
mod facts;
pub(crate) mod heads_picture;
mod heat;
mod names;
mod run;
mod score;
mod study;
mod table;
mod verbatim;

use maud::{DOCTYPE, Markup, html};

use self::embed::Kind;
use crate::record::run::RunRecord;
use crate::record::types::RunState;
use crate::study::record::StudyRecord;
use crate::text::{counted, escaped_lines};

/// What a page shows.
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
    fn is_run(self) -> bool {
        matches!(self, Self::Run(_))
    }

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
    if let [document] = documents {
        return document.title();
    }
    let n_runs = documents.iter().filter(|document| document.is_run()).count();
    let studies = match documents.len() - n_runs {
        0 => None,
        1 => Some("1 study".to_owned()),
        n_studies => Some(format!("{n_studies} studies")),
    };
    let runs = (n_runs > 0 || studies.is_none()).then(|| counted(n_runs, "run"));
    studies.into_iter().chain(runs).collect::<Vec<_>>().join(" and ")
}

/// Which files the page was made from.
fn footer(documents: &[Document]) -> Markup {
    let is_any = |is_run: bool| documents.iter().any(|document| document.is_run() == is_run);
    let of_studies = is_any(false).then_some("study.json and the last samples of each study");
    let of_runs = is_any(true).then_some("run.json, record.jsonl and samples/ of each run");
    let files: Vec<_> = of_studies.into_iter().chain(of_runs).collect();
    html! { footer { "Made by osn from " (files.join(", and from ")) "." } }
}

/// What the mouse does by dragging; the script shows them.
fn zoom_buttons() -> Markup {
    html! {
        aside aria-label="Zoom" {
            div.zoom role="toolbar" aria-label="Zoom of all charts" hidden {
                button type="button" data-zoom="in" aria-label="Zoom in" { "+" }
                button type="button" data-zoom="out" aria-label="Zoom out" { "−" }
                button type="button" data-zoom="all" { "All steps" }
            }
        }
    }
}
