//! The spectra at the end, and the product of all σ over the steps.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::layers::MAX_UNFOLDED;
use crate::page::chart::{self, Chart, MAX_POINTS, rounded, spread};
use crate::page::names::layer_name;
use crate::page::table::{numbers, table, words};
use crate::record::run::{LayerHistory, RunRecord};
use crate::record::types::Spectrum;
use crate::text::{counted, short};

/// Lines of one chart: more cannot be told apart.
const LAYERS_OF_A_CHART: usize = 8;
/// Points of one line.
const MAX_VALUES: usize = 128;

/// The spectra of all layers and the product of their σ, where the record has them.
pub(super) fn section(run: &RunRecord) -> Markup {
    let layers: Vec<_> = run.layers.iter().filter_map(with_spectrum).collect();
    html! {
        @if !layers.is_empty() {
            section {
                h2 { "Spectra at the end" }
                p.note {
                    "The singular values σᵢ of each effective weight, largest first, as σᵢ/σ₁: where a line falls "
                    "fast, few directions carry most of the energy Σσᵢ²."
                }
                @if layers.len() > MAX_UNFOLDED {
                    details { summary { (counted(layers.len(), "layer")) } (each(&layers)) }
                } @else {
                    (each(&layers))
                }
            }
        }
        @if !run.products.curves.is_empty() { (product(run)) }
    }
}

fn each(layers: &[Layer]) -> Markup {
    html! {
        div.grid.wide { @for chunk in layers.chunks(LAYERS_OF_A_CHART) { (figure(chunk)) } }
        (in_numbers(layers))
    }
}

type Layer<'a> = (&'a LayerHistory, &'a Spectrum);

fn with_spectrum(layer: &LayerHistory) -> Option<Layer<'_>> {
    let spectrum = layer.spectrum.as_ref()?;
    let is_known = spectrum.singular_values.first().is_some_and(|first| *first > 0.0);
    is_known.then_some((layer, spectrum))
}

fn figure(layers: &[Layer]) -> Markup {
    let network = &layers[0].0.network;
    let is_one = layers.iter().all(|layer| layer.0.network == *network);
    let title = if is_one { format!("Spectra of the {network}") } else { "Spectra".to_owned() };
    chart::figure(&title, Some(&data(&title, layers)), &html! {})
}

fn data(title: &str, layers: &[Layer]) -> Value {
    let longest =
        layers.iter().map(|layer| layer.1.singular_values.len()).max().unwrap_or_default();
    let places = spread(longest, MAX_VALUES);
    let line = |(layer, spectrum): &Layer| {
        let values = &spectrum.singular_values;
        let ratio = |place: &usize| match values.get(*place) {
            Some(value) => rounded(value / values[0]),
            None => Value::Bool(false),
        };
        json!({"label": layer.path, "values": places.iter().map(ratio).collect::<Vec<_>>()})
    };
    json!({
        "title": title,
        "summary": layers.iter().map(in_words).collect::<Vec<_>>().join(" "),
        "x": {"label": "singular value", "min": 1, "max": longest.max(2)},
        "steps": places.iter().map(|place| place + 1).collect::<Vec<_>>(),
        "lines": layers.iter().map(line).collect::<Vec<_>>(),
    })
}

fn in_words((layer, spectrum): &Layer) -> String {
    let values = &spectrum.singular_values;
    let last = values.last().copied().unwrap_or(f64::NAN);
    format!("{}: from {} to {}.", layer.path, short(values[0]), short(last))
}

fn in_numbers(layers: &[Layer]) -> Markup {
    let columns = ["σ₁", "σ₂", "Half of the energy in", "Smallest"];
    let head = html! { (words(["Layer"])) (numbers(columns)) };
    let rows = layers.iter().map(|(layer, spectrum)| {
        let [first, second] =
            [0, 1].map(|at| short(spectrum.singular_values.get(at).copied().unwrap_or(f64::NAN)));
        html! {
            th scope="row" { (layer_name(layer)) }
            @for number in [first, second, half_of_energy(spectrum), smallest(spectrum)] { td.n { (number) } }
        }
    });
    table(&head, rows)
}

/// How many of the largest make half of the sum of squares.
fn half_of_energy(spectrum: &Spectrum) -> String {
    let squares = || spectrum.singular_values.iter().map(|value| value * value);
    let half = squares().sum::<f64>() / 2.0;
    let mut sum = 0.0;
    let is_before = |square: &f64| {
        sum += square;
        sum < half
    };
    let n_before = squares().take_while(is_before).count();
    if is_whole(spectrum) { counted(n_before + 1, "value") } else { "–".to_owned() }
}

fn smallest(spectrum: &Spectrum) -> String {
    let last = spectrum.singular_values.last().copied().filter(|_| is_whole(spectrum));
    short(last.unwrap_or(f64::NAN))
}

/// Whether the record has all of a layer's singular values.
fn is_whole(spectrum: &Spectrum) -> bool {
    spectrum.singular_values.len() as u64 == spectrum.n_values
}

/// The product of the layers' σ over the steps, and what it is no measure of.
fn product(run: &RunRecord) -> Markup {
    let drawing = run.products.curves.drawing(MAX_POINTS);
    let chart = Chart::new("ln Π σ over the layers of a network", drawing, run.last_step);
    html! {
        section {
            h2 { "Lipschitz product" }
            p.note {
                "For layers in sequence with activations of slope at most 1, the product of the operator norms is an "
                "upper bound of the Lipschitz constant, usually far above it. This product is no such bound: its σ are "
                "those that rules see, estimates from below; the operator norm of a convolution can be up to √(k₁k₂) "
                "times the σ of its reshaped kernel; and branches, shortcuts and normalization layers are left out. "
                "Use it only to compare runs of one network."
            }
            div.grid.wide { (chart.figure()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: &str, n_values: u64) -> RunRecord {
        let layer = r#""network":"d","path":"a","scale":0.5"#;
        let record = [
            format!(
                r#"{{"event":"layer","step":10,{layer},"sigma":4.0,"elasticity":1,"action":"cap","reason":"x"}}"#
            ),
            r#"{"event":"layer","step":10,"network":"d","path":"b","scale":1,"sigma":0.5,"elasticity":0,"action":"off","reason":"y"}"#
                .to_owned(),
            format!(
                r#"{{"event":"spectrum","step":10,{layer},"n_values":{n_values},"singular_values":{values}}}"#
            ),
        ];
        RunRecord::read("{}", &record.join("\n"), Vec::new()).unwrap()
    }

    #[test]
    fn the_spectrum_is_that_of_the_effective_weight() {
        let run = run("[4,2,2,1]", 4);
        let spectrum = run.layers[0].spectrum.as_ref().unwrap();
        assert_eq!(spectrum.singular_values, [2.0, 1.0, 1.0, 0.5]);
        // Squares 4, 1, 1, 0.25: the first alone is more than half.
        assert_eq!(
            (half_of_energy(spectrum), smallest(spectrum)),
            ("1 value".into(), "0.500".into())
        );
        let page = section(&run).into_string();
        assert!(page.contains(r#""values":[1,0.5,0.5,0.25]"#), "{page}");
    }

    #[test]
    fn a_part_of_a_spectrum_has_no_end() {
        let run = run("[4,2]", 300);
        let spectrum = run.layers[0].spectrum.as_ref().unwrap();
        assert_eq!((half_of_energy(spectrum), smallest(spectrum)), ("–".into(), "–".into()));
    }

    #[test]
    fn no_spectrum_of_zeros_or_of_nothing_is_drawn() {
        for values in ["[]", "[0,0]", "[null]"] {
            assert!(!section(&run(values, 2)).into_string().contains("Spectra at the end"));
        }
    }

    #[test]
    fn the_product_is_that_of_the_effective_sigmas_of_a_network() {
        let drawing = run("[4]", 1).products.curves.drawing(9);
        // ln(4·0.5) + ln(0.5) = 0.
        assert_eq!((drawing.steps, drawing.lines[0].values[0]), (vec![10], Some(0.0)));
        assert_eq!(drawing.lines[0].name, "d");
    }
}
