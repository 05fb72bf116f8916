//! What holding weights costs by itself: the refresh, the effective weight, and its backward.
//!
//! `cargo bench --workspace --bench weights` runs it.

mod shapes;

use burn::tensor::Device;
use osn::rules::Signals;
use shapes::{NETWORKS, Weights};

fn main() {
    divan::main();
}

#[divan::bench(args = NETWORKS)]
fn refresh(bencher: divan::Bencher, network: &str) {
    let (mut weights, mut osn) = Weights::of(network, &Device::flex().autodiff()).held("always");
    bencher.bench_local(|| osn.step(&mut weights, &Signals::new()).expect("finite weights"));
}

#[divan::bench(args = NETWORKS)]
fn effective_weight(bencher: divan::Bencher, network: &str) {
    let (weights, _) = Weights::of(network, &Device::flex().autodiff()).held("always");
    bencher.bench_local(|| weights.read());
}

/// The sum over all weights goes through the backward too; `without` has that sum alone.
#[divan::bench(args = NETWORKS)]
fn effective_weight_and_backward(bencher: divan::Bencher, network: &str) {
    let (weights, _) = Weights::of(network, &Device::flex().autodiff()).held("always");
    bencher.bench_local(|| weights.backward());
}

#[divan::bench(args = NETWORKS)]
fn without(bencher: divan::Bencher, network: &str) {
    let weights = Weights::of(network, &Device::flex().autodiff());
    bencher.bench_local(|| weights.backward());
}
