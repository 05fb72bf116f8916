//! Times the refresh, the effective weight and its backward for one network's weights, and the same backward without
//! osn, as one line of JSON: the half of `peers/cost.py` that is this library.
//!
//! `cargo run --release -p osn --features flex --example cost -- resnet-50 5`

#![expect(clippy::print_stdout, reason = "its output is its result")]

mod shapes;

use std::time::Instant;

use burn::tensor::Device;
use osn::rules::Signals;
use shapes::Weights;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let network = arguments.next().unwrap_or_else(|| "recipe-d".to_owned());
    let repeats: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(5);
    let plain = Weights::of(&network, &Device::flex().autodiff());
    let plain_backward = median(repeats, || drop(plain.backward()));
    let (mut weights, mut osn) = plain.held("always");
    let mut step = || drop(osn.step(&mut weights, &Signals::new()).expect("finite weights"));
    let refresh = median(repeats, &mut step);
    let read = median(repeats, || drop(weights.read()));
    let with_backward = median(repeats, || drop(weights.backward()));
    println!(
        "{{\"refresh\":{refresh},\"read\":{read},\"read_backward\":{with_backward},\
         \"plain_backward\":{plain_backward}}}"
    );
}

/// Milliseconds, after one warm-up.
fn median(repeats: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
