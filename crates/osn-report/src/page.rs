//! The page itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use crate::chart::{self, Curve, Held};
use crate::number::{duration, short};
use crate::run::{LayerHistory, RunRecord, Sample, Series};

const STYLE: &str = include_str!("page.css");
/// Pictures on one page, besides the last.
const MAX_SAMPLES: usize = 5;
/// Rows of the decisions table.
const MAX_DECISIONS: usize = 200;
const WIDE: (u32, u32) = (560, 260);
const SMALL: (u32, u32) = (360, 200);

/// One self-contained HTML page about the runs, one after the other.
pub fn page(runs: &[RunRecord]) -> String {
    let title = match runs {
        [run] => run.title(),
        _ => format!("{} runs", runs.len()),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(style())) }
            }
            body {
                @for run in runs { (one_run(run)) }
                footer { "Made by osn from run.json, record.jsonl and samples/ of each run." }
            }
        }
    }
    .into_string()
}

fn style() -> String {
    format!("{STYLE}@media (prefers-color-scheme:dark){{{}}}", chart::dark_colours())
}

fn one_run(run: &RunRecord) -> Markup {
    html! {
        main {
            (heading(run))
            section.top {
                (last_samples(run))
                (scores_table(run))
            }
            (earlier_samples(run))
            (score_curves(run))
            (training_curves(run))
            (layer_curves(run))
            (layer_table(run))
            (decision_table(run))
            (config(run))
        }
    }
}

fn heading(run: &RunRecord) -> Markup {
    let d = &run.description;
    let totals = d.totals.clone().unwrap_or_default();
    let facts = [
        ("Steps", totals.steps.max(run.last_step).to_string()),
        ("Time", totals.wall_secs.map_or("–".into(), duration)),
        ("Preset", d.preset.clone()),
        ("Data", d.data.clone()),
        ("Device", d.device.clone()),
        ("Machine", plain(&d.machine)),
        ("Versions", plain(&d.versions)),
    ];
    html! {
        header {
            h1 { (run.title()) " " span.status.(status_class(&d.status)) { (d.status) } }
            @if let Some(error) = &d.error { p.error { (error) } }
            @if run.is_cut { p.error { "The last line of the record was cut short and is left out." } }
            dl {
                @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
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

/// A small JSON object as a line of text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

fn picture(sample: &Sample) -> Markup {
    let source = format!("data:image/png;base64,{}", BASE64.encode(&sample.png));
    let what = format!("Samples after step {}", sample.step);
    html! {
        figure.samples {
            img src=(source) alt=(what);
            figcaption { (what) }
        }
    }
}

fn last_samples(run: &RunRecord) -> Markup {
    html! { @if let Some(sample) = run.samples.last() { (picture(sample)) } }
}

fn earlier_samples(run: &RunRecord) -> Markup {
    let earlier = &run.samples[..run.samples.len().saturating_sub(1)];
    let stride = earlier.len().div_ceil(MAX_SAMPLES).max(1);
    html! {
        @if !earlier.is_empty() {
            section {
                h2 { "On the way" }
                div.strip { @for sample in earlier.iter().step_by(stride) { (picture(sample)) } }
            }
        }
    }
}

/// What a score is called on the page, and whether less of it is better.
fn score_name(name: &str) -> (String, Option<bool>) {
    let (label, less_is_better) = match name {
        "frechet" => ("Fréchet distance", Some(true)),
        "kid" => ("KID", Some(true)),
        "precision" => ("Precision", Some(false)),
        "recall" => ("Recall", Some(false)),
        "density" => ("Density", Some(false)),
        "coverage" => ("Coverage", Some(false)),
        "return" => ("Return", Some(false)),
        "recent_return" => ("Return while learning", Some(false)),
        "worst_return" => ("Worst return", Some(false)),
        "area" => ("Area under the returns", Some(false)),
        other => (other, None),
    };
    (label.to_owned(), less_is_better)
}

fn scores_table(run: &RunRecord) -> Markup {
    // A return has no floor, and nothing is drawn that could be compared with real data.
    let has_floor = !run.floor.is_empty();
    html! {
        @if !run.scores.is_empty() {
            div.scores {
                h2 { "Scores" }
                table {
                    thead { tr {
                        th { "Score" } th.n { "Final" } th.n { "Mean over the run" }
                        @if has_floor { th.n { "Real against real" } }
                    } }
                    tbody { @for series in &run.scores { (score_row(run, series)) } }
                }
                @if has_floor { p.note {
                    "The last column is what real images score against other real images: the mark to "
                    "compare with. Distances are taken in the features of this project's own small "
                    "network and do not compare with anyone else's."
                } }
            }
        }
    }
}

fn score_row(run: &RunRecord, series: &Series) -> Markup {
    let (label, less_is_better) = score_name(&series.name);
    let arrow = less_is_better.map_or("", |less| if less { " ↓" } else { " ↑" });
    html! {
        tr {
            td { (label) (arrow) }
            td.n { b { (short(series.last())) } }
            td.n { (short(series.mean_over_steps())) }
            @if !run.floor.is_empty() {
                td.n { (run.floor.get(&series.name).map_or("–".into(), |floor| short(*floor))) }
            }
        }
    }
}

fn score_curves(run: &RunRecord) -> Markup {
    // One point is in the table already.
    let has_curve = run.scores.iter().any(|series| series.points.len() > 1);
    html! {
        @if has_curve {
            section {
                h2 { "Scores over the steps" }
                @if !run.floor.is_empty() { p.note { "Dashed: real against real." } }
                div.grid { @for series in &run.scores { (score_curve(run, series)) } }
            }
        }
    }
}

fn score_curve(run: &RunRecord, series: &Series) -> Markup {
    let curve = Curve { colour: 0, points: series.points.clone() };
    let floor = run.floor.get(&series.name).copied();
    figure(&score_name(&series.name).0, chart::curves(&[curve], floor, run.last_step, SMALL), &[])
}

fn training_curves(run: &RunRecord) -> Markup {
    html! {
        @if !run.losses.is_empty() {
            section {
                h2 { "Training" }
                div.grid {
                    (group("Losses", &run.losses, run.last_step))
                    @for signal in &run.signals {
                        (group(&signal.name, std::slice::from_ref(signal), run.last_step))
                    }
                }
            }
        }
    }
}

fn group(title: &str, series: &[Series], last_step: u64) -> Markup {
    let curve =
        |(colour, series): (usize, &Series)| Curve { colour, points: series.points.clone() };
    let curves: Vec<_> = series.iter().enumerate().map(curve).collect();
    let names: Vec<_> = series.iter().map(|series| series.name.clone()).collect();
    figure(title, chart::curves(&curves, None, last_step, SMALL), &names)
}

/// A chart under its title, with a legend where it has several curves.
fn figure(title: &str, svg: Option<String>, names: &[String]) -> Markup {
    html! {
        figure role="img" aria-label=(title) {
            figcaption { (title) }
            @match svg {
                Some(svg) => (PreEscaped(svg)),
                None => p.note { "No finite values." },
            }
            @if names.len() > 1 { (legend(names)) }
        }
    }
}

fn legend(names: &[String]) -> Markup {
    html! {
        ul.legend {
            @for (index, name) in names.iter().enumerate() { li { (swatch(index)) (name) } }
        }
    }
}

fn swatch(colour: usize) -> Markup {
    html! { i style=(format!("background:{}", chart::colour(colour))) {} }
}

fn layer_curves(run: &RunRecord) -> Markup {
    let names: Vec<_> = run.layers.iter().map(|layer| layer.path.clone()).collect();
    let chart = |title: &str, value: fn(&crate::run::LayerPoint) -> f64| {
        let curve = |(colour, layer): (usize, &LayerHistory)| Curve {
            colour,
            points: layer.points.iter().map(|point| (point.step, value(point))).collect(),
        };
        let curves: Vec<_> = run.layers.iter().enumerate().map(curve).collect();
        figure(title, chart::curves(&curves, None, run.last_step, WIDE), &names)
    };
    html! {
        @if !run.layers.is_empty() {
            section {
                h2 { "Largest singular value of each layer" }
                p.note {
                    "σ is an estimate from below. The effective weight, which the layer computes with, "
                    "is the stored one times the scale."
                }
                div.grid.wide {
                    (chart("σ of the stored weight", |point| point.sigma))
                    (chart("σ of the effective weight", |point| point.sigma * point.scale))
                }
            }
        }
    }
}

/// The actions' names in the order in which they first appear, which is that of their colours.
fn actions(run: &RunRecord) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for point in run.layers.iter().flat_map(|layer| &layer.points) {
        if point.action != "off" && !names.contains(&point.action) {
            names.push(point.action.clone());
        }
    }
    names
}

fn layer_table(run: &RunRecord) -> Markup {
    let actions = actions(run);
    html! {
        @if !run.layers.is_empty() {
            section {
                h2 { "What was done to each layer" }
                div.scroll {
                    table {
                        thead { tr {
                            th { "Layer" } th { "Held, from the first step to the last" } th { "Action" }
                            th.n { "σ" } th.n { "Target" } th.n { "Scale" } th.n { "Strength" } th { "Last reason" }
                        } }
                        tbody { @for layer in &run.layers { (layer_row(layer, &actions, run.last_step)) } }
                    }
                }
                p.note {
                    "The fuller the colour, the more strongly the layer is held; no colour is off."
                    @for (index, name) in actions.iter().enumerate() { " " (swatch(index)) (name) }
                }
            }
        }
    }
}

fn layer_row(layer: &LayerHistory, actions: &[String], last_step: u64) -> Markup {
    let colour = |action: &str| actions.iter().position(|name| name == action).unwrap_or(0);
    let held = |point: &crate::run::LayerPoint| Held {
        step: point.step,
        strength: point.strength,
        colour: colour(&point.action),
    };
    let moments: Vec<_> = layer.points.iter().map(held).collect();
    let strip = chart::strip(&moments, last_step).unwrap_or_default();
    html! {
        tr {
            td { code { (layer.path) } br; small { (layer.network) } }
            td.held { (PreEscaped(strip)) }
            @if let Some(last) = layer.points.last() {
                td { (last.action) }
                td.n { (short(last.sigma)) }
                td.n { (last.target.map_or("–".into(), short)) }
                td.n { (short(last.scale)) }
                td.n { (short(last.strength)) }
                td { (layer.reason) }
            }
        }
    }
}

fn decision_table(run: &RunRecord) -> Markup {
    let n_left_out = run.decisions.len().saturating_sub(MAX_DECISIONS);
    html! {
        @if !run.decisions.is_empty() {
            section {
                h2 { "Decisions that changed something" }
                div.scroll {
                    table {
                        thead { tr { th.n { "Step" } th { "Layer" } th { "From" } th { "To" } th { "Reason" } } }
                        tbody {
                            @for decision in run.decisions.iter().take(MAX_DECISIONS) {
                                tr {
                                    td.n { (decision.step) }
                                    td { code { (decision.path) } }
                                    td { (decision.from) }
                                    td { (decision.to) }
                                    td { (decision.reason) }
                                }
                            }
                        }
                    }
                }
                @if n_left_out > 0 { p.note { "And " (n_left_out) " more in record.jsonl." } }
            }
        }
    }
}

fn config(run: &RunRecord) -> Markup {
    let config = &run.description.config;
    html! {
        @if !config.is_null() {
            details {
                summary { "The whole config" }
                pre { (format!("{config:#}")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = r#"</title></script><script>alert(1)</script>"onload='x' & <img src=x>"#;

    fn hostile_run() -> RunRecord {
        let name = serde_json::to_string(HOSTILE).unwrap();
        let run_json = format!(
            r#"{{"recipe":{name},"preset":{name},"decide":{name},"seed":1,"data":{name},"device":{name},
                "status":{name},"error":{name},"config":{{{name}:{name}}},"versions":{{{name}:{name}}},
                "machine":{name},"totals":{{"steps":2,"wall_secs":1.0}}}}"#
        );
        let layer = |step| {
            format!(
                r#"{{"event":"layer","step":{step},"network":{name},"path":{name},"sigma":2.0,
                "target":1.0,"scale":0.5,"strength":1.0,"action":{name},"reason":{name}}}"#
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
        for markup in ["<script", "</script", "<img src=x", "\"onload", "\" onload"] {
            assert!(!page.contains(markup), "{markup}");
        }
        // In every place at least once a run: title, six facts, tables, legends, the config.
        assert!(page.matches("&lt;script&gt;alert(1)").count() >= 2 * 20);
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let page = page(&[hostile_run()]);
        let outside = ["http:", "https:", "src=\"/", "href=", "@import", "url("];
        let addresses = page.replace("http://www.w3.org/2000/svg", "");
        for start in outside {
            assert!(!addresses.contains(start), "{start}");
        }
    }

    #[test]
    fn scores_stand_beside_their_floor() {
        let record = r#"{"event":"eval","step":5,"metrics":{"frechet":41.5},"floor":{"frechet":1.25},"wall_secs":1}"#;
        let run = RunRecord::read(r#"{"recipe":"gan"}"#, record, Vec::new()).unwrap();
        let page = page(&[run]);
        let row = page.split("<td>Fréchet distance ↓</td>").nth(1).unwrap();
        let row = row.split("</tr>").next().unwrap();
        assert!(row.contains("41.50") && row.contains("1.250"), "{row}");
    }

    #[test]
    fn scores_without_a_floor_are_not_compared_with_real_data() {
        let record = r#"{"event":"eval","step":5,"metrics":{"return":41.5},"wall_secs":1}"#;
        let run = RunRecord::read(r#"{"recipe":"control"}"#, record, Vec::new()).unwrap();
        let page = page(&[run]);
        assert!(page.contains("<td>Return ↑</td>"));
        assert!(!page.to_lowercase().contains("real against real"));
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
