//! Records of any length make a page of a size that a browser opens at once.

use std::io::{self, BufReader, Read};

use osn_report::{RunRecord, page};
use serde_json::{Value, json};

const MEGABYTE: usize = 1_000_000;

#[test]
fn a_million_steps_are_read_line_by_line_and_make_a_small_page() {
    let lines = (1..=1_000_000_u64).map(|step| step_line(step, 1));
    let page = page_of(lines);
    assert!(page.contains("<dt>Steps</dt><dd>1000000</dd>"));
    assert!(crate::shown::text(&page).contains(" 2048 "));
    assert!(page.len() < MEGABYTE, "{} bytes", page.len());
}

#[test]
fn many_layers_and_signals_stay_below_three_megabytes() {
    let lines = (10..=20_000_u64).step_by(10).flat_map(|step| {
        let layers = (0..60).map(move |layer| layer_line(step, layer));
        std::iter::once(step_line(step, 12)).chain(layers)
    });
    let page = page_of(lines);
    assert_eq!(page.matches("<h3>").count(), 60);
    assert!(page.len() < 3 * MEGABYTE, "{} bytes", page.len());
}

fn page_of(lines: impl Iterator<Item = Value>) -> String {
    let record = BufReader::new(Written { lines, rest: Vec::new() });
    page(&[RunRecord::read_lines("{}", record, Vec::new()).unwrap()])
}

/// A value with all its digits, as measurements have them.
fn wave(step: u64) -> f64 {
    (step as f64).sin() / 3.0
}

fn step_line(step: u64, n_signals: usize) -> Value {
    let value = wave(step);
    let signals = (0..n_signals).map(|index| (format!("signal_{index}"), json!(value)));
    let signals: serde_json::Map<_, _> = signals.collect();
    json!({"event": "step", "step": step, "losses": {"a": value, "b": -value}, "signals": signals})
}

fn layer_line(step: u64, layer: usize) -> Value {
    let value = wave(step + layer as u64);
    json!({
        "event": "layer",
        "step": step,
        "network": "classifier",
        "path": format!("stages.{layer}.weight"),
        "sigma": 2.0 + value,
        "stable_rank": 9.0 - value,
        "target": 1.0,
        "scale": 0.5 + value / 9.0,
        "elasticity": value.abs(),
        "action": "cap",
        "reason": format!("σ {value} not below 0.95 = cap 1 − 5 %: still hold"),
    })
}

/// A record that is written while it is read, so that no one holds it.
struct Written<L> {
    lines: L,
    rest: Vec<u8>,
}

impl<L: Iterator<Item = Value>> Read for Written<L> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let Some(line) = self.lines.next() else { return Ok(0) };
            self.rest = format!("{line}\n").into_bytes();
        }
        let n_bytes = self.rest.len().min(buffer.len());
        buffer[..n_bytes].copy_from_slice(&self.rest[..n_bytes]);
        self.rest.drain(..n_bytes);
        Ok(n_bytes)
    }
}
