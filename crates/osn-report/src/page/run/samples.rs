//! Samples after the last step, with a slider through the steps before: pictures, or a table of text.

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::page::chart::spread;
use crate::page::embed;
use crate::page::table::{table, words};
use crate::page::verbatim::verbatim;
use crate::record::run::RunRecord;
use crate::record::types::TextTable;
use crate::text::counted;

/// Pictures on one page.
const MAX_PICTURES: usize = 60;
/// Tables on one page.
const MAX_TABLES: usize = 60;
/// Cells of all tables together, so that long texts make no heavy page.
const MAX_CELLS: usize = 20_000;

/// The columns of a translation that agree where it is right.
const AGREEING: [&str; 2] = ["reference", "translation"];

/// The last picture, and a slider to those before it.
pub(super) fn pictures(run: &RunRecord) -> Markup {
    let pictures = run.pictures();
    let shown = spread(pictures.len(), MAX_PICTURES);
    let n_left_out = pictures.len() - shown.len();
    html! {
        @if let Some((last, _)) = pictures.last() {
            section.samples {
                h2 { "Samples" }
                div.pictures {
                    @for index in &shown {
                        @let (step, png) = pictures[*index];
                        img src=(embed::picture(png)) alt=(after(step)) data-step=(step) hidden[step != *last];
                    }
                }
                (slider(*last, shown.len()))
                @if n_left_out > 0 { p.note { "And " (n_left_out) " more pictures in samples/." } }
            }
        }
    }
}

/// The last table, and a slider to those before it that have its columns and rows.
pub(super) fn tables(run: &RunRecord) -> Markup {
    let mut tables = run.tables();
    let n_tables = tables.len();
    let Some(&(last_step, last)) = tables.last() else { return html! {} };
    tables
        .retain(|(_, table)| table.columns == last.columns && table.rows.len() == last.rows.len());
    let n_cells = (last.columns.len() * last.rows.len()).max(1);
    let shown = spread(tables.len(), (MAX_CELLS / n_cells).clamp(2, MAX_TABLES));
    let shown: Vec<_> = shown.into_iter().map(|index| tables[index]).collect();
    let n_left_out = n_tables - shown.len();
    html! {
        section.samples.texts {
            h2 { "Samples" }
            (slider(last_step, shown.len()))
            p.note.exact { (exact(last)) }
            div.rows role="region" tabindex="0" aria-label="Samples" { (text_table(last)) }
            (embed::texts(&data(last, &shown)))
            @if n_left_out > 0 { p.note { "And " (n_left_out) " more tables in samples/." } }
        }
    }
}

fn slider(last: u64, n_shown: usize) -> Markup {
    html! {
        label.slider hidden {
            output { (after(last)) }
            input type="range" min="0" max=(n_shown - 1) value=(n_shown - 1)
                step="1" autocomplete="off" aria-label="Samples after step" aria-valuetext=(last);
        }
    }
}

fn after(step: u64) -> String {
    format!("Samples after step {step}")
}

fn text_table(texts: &TextTable) -> Markup {
    let titles = texts.columns.iter().map(|name| html! { (verbatim(&title(name))) });
    let rows = (0..texts.rows.len()).map(|row| {
        html! {
            @for (column, name) in texts.columns.iter().enumerate() {
                td dir="auto" data-column=(title(name)) class=[is_exact(texts, row, column).then_some("exact")] {
                    (verbatim(texts.cell(row, column)))
                }
            }
        }
    });
    table(&words(titles), rows)
}

/// `source` as a title.
fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The places of the two columns that agree where a row is right.
fn agreeing(texts: &TextTable) -> Option<[usize; 2]> {
    let [reference, translation] =
        AGREEING.map(|name| texts.columns.iter().position(|column| column == name));
    Some([reference?, translation?])
}

/// Whether the cell is a translation that is its reference.
fn is_exact(texts: &TextTable, row: usize, column: usize) -> bool {
    agreeing(texts).is_some_and(|[reference, translation]| {
        column == translation && texts.cell(row, reference) == texts.cell(row, translation)
    })
}

/// How many translations are their references; empty where there are none.
fn exact(texts: &TextTable) -> String {
    agreeing(texts).map_or_else(String::new, |[_, translation]| {
        let n = (0..texts.rows.len()).filter(|row| is_exact(texts, *row, translation)).count();
        format!(
            "{n} of {} equal the reference, marked ✓.",
            counted(texts.rows.len(), "translation")
        )
    })
}

/// For the script: of each step the cells, `null` where they are the same as after the last step.
fn data(last: &TextTable, shown: &[(u64, &TextTable)]) -> Value {
    let cells = |texts: &TextTable| -> Vec<Value> {
        let places = (0..last.rows.len())
            .flat_map(|row| (0..last.columns.len()).map(move |column| (row, column)));
        let cell = |(row, column)| {
            let text = texts.cell(row, column);
            if text == last.cell(row, column) { Value::Null } else { json!(text) }
        };
        places.map(cell).collect()
    };
    let step = |(step, texts): &(u64, &TextTable)| json!({"step": step, "exact": exact(texts), "cells": cells(texts)});
    json!({"agreeing": agreeing(last), "columns": last.columns.len(), "steps": shown.iter().map(step).collect::<Vec<_>>()})
}
