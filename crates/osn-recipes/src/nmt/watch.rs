//! What is looked at beside σ: where heads look, and how large gradients are.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use osn_runs::metrics::Metrics;

use crate::nmt::attention::{Pass, Seen};
use crate::nmt::config::NmtConfig;
use crate::nmt::examples::PairBatch;
use crate::nmt::model::{NETWORK, Transformer};
use crate::run::training::HeadReport;

/// What every head does with a batch; `network` is one without autodiff.
pub(super) fn heads(
    network: &Transformer,
    config: &NmtConfig,
    batch: &PairBatch,
) -> Vec<HeadReport> {
    let mut pass = Pass { seen: Some(Vec::new()), ..Pass::default() };
    let _ = network.forward(&batch.source, &batch.target, &mut pass);
    let seen = pass.seen.unwrap_or_default();
    let reports = paths(config).zip(seen).map(|(path, seen)| {
        let queries = if path.starts_with("encoder") { &batch.source } else { &batch.target };
        of_attention(&path, &seen, &queries.lengths)
    });
    reports.flatten().collect()
}

/// The paths of the attentions, in the order of a pass.
fn paths(config: &NmtConfig) -> impl Iterator<Item = String> + use<> {
    let encoder = (0..config.encoder_layers).map(|layer| format!("encoder.{layer}.attention"));
    let decoder = (0..config.decoder_layers)
        .flat_map(|layer| ["attention", "cross"].map(|part| format!("decoder.{layer}.{part}")));
    encoder.chain(decoder)
}

/// The heads of one attention of so many queries in each sentence.
fn of_attention(path: &str, seen: &Seen, n_queries: &[usize]) -> Vec<HeadReport> {
    let [_, heads, queries, keys] = seen.logits.dims();
    let host = |tensor: &Tensor<4>| tensor.clone().into_data().iter().collect::<Vec<f32>>();
    let (logits, weights) = (host(&seen.logits), host(&seen.weights));
    let mut entropies = vec![0.0; heads];
    let mut largest = vec![f32::NEG_INFINITY; heads];
    let mut count = 0;
    for (sentence, &n_queries) in n_queries.iter().enumerate() {
        for query in 0..n_queries {
            count += 1;
            let n_seen = seen.mask.n_seen(sentence, query, keys);
            for head in 0..heads {
                let row = ((sentence * heads + head) * queries + query) * keys;
                let row = row..row + n_seen;
                entropies[head] += entropy(&weights[row.clone()]);
                largest[head] = logits[row].iter().copied().fold(largest[head], f32::max);
            }
        }
    }
    let heads = entropies.into_iter().zip(largest).enumerate();
    heads
        .map(|(head, (entropy, largest))| HeadReport {
            network: NETWORK,
            path: path.to_owned(),
            head,
            entropy: entropy / f64::from(count),
            max_logit: f64::from(largest),
        })
        .collect()
}

/// `−Σ p ln p`, in nats.
fn entropy(weights: &[f32]) -> f64 {
    let of_one = |&p: &f32| if p > 0.0 { -f64::from(p) * f64::from(p).ln() } else { 0.0 };
    weights.iter().map(of_one).sum()
}

/// The length of the gradient, of all parameters together and of each part of the network.
pub(super) fn gradient_norms(network: &Transformer, gradients: &Gradients) -> Metrics {
    let mut squares = Squares { gradients, within: Vec::new(), of_parts: Metrics::new() };
    network.visit(&mut squares);
    let total: f64 = squares.of_parts.values().sum();
    let named = squares.of_parts.into_iter();
    let named = named.map(|(part, sum)| (format!("gradient_norm/{part}"), sum.sqrt()));
    named.chain([("gradient_norm".to_owned(), total.sqrt())]).collect()
}

/// Sums of squares by part: a layer of a stack, or what else the network has.
struct Squares<'a> {
    gradients: &'a Gradients,
    within: Vec<String>,
    of_parts: Metrics,
}

impl Squares<'_> {
    fn part(&self) -> String {
        match self.within.as_slice() {
            [stack, layer, ..] if layer.parse::<usize>().is_ok() => format!("{stack}.{layer}"),
            [part, ..] => part.clone(),
            [] => String::new(),
        }
    }
}

impl ModuleVisitor for Squares<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.within.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.within.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.base().grad(self.gradients) else { return };
        let squares = gradient.into_data().iter::<f64>().map(|x| x * x).sum::<f64>();
        *self.of_parts.entry(self.part()).or_default() += squares;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::nmt::config::Norm;
    use crate::nmt::examples::Example;
    use crate::nmt::model::tests::small;
    use crate::nmt::ops::Mask;

    #[test]
    fn entropy_is_that_of_where_a_head_looks_and_padding_counts_for_nothing() {
        let tensor = |values: [f32; 16]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 2, 2, 2]), &Device::flex())
        };
        // Two sentences, two heads, two queries, two keys; the second sentence has one of each.
        let seen = Seen {
            logits: tensor([1., 2., 3., -4., 5., 5., 5., 5., -6., 9., 9., 9., 7., 9., 9., 9.]),
            weights: tensor([
                0.5, 0.5, 1., 0., 0.25, 0.75, 0.5, 0.5, 1., 0., 1., 0., 1., 0., 1., 0.,
            ]),
            mask: Mask { lengths: Arc::new([2, 1]), is_causal: false },
        };
        let heads = of_attention("here", &seen, &[2, 1]);
        let half = 2_f64.ln();
        let quarter = 0.25 * 4_f64.ln() + 0.75 * (4_f64 / 3.0).ln();
        for (head, (entropy, largest)) in heads.iter().zip([(half, 3.0), (half + quarter, 7.0)]) {
            assert!((head.entropy - entropy / 3.0).abs() < 1e-6, "{head:?}");
            assert_eq!((head.max_logit, head.path.as_str()), (largest, "here"));
        }
        assert_eq!([heads[0].head, heads[1].head], [0, 1]);
    }

    #[test]
    fn every_head_of_every_attention_is_reported_by_its_path() {
        let (config, network) = small(Norm::Post);
        let example = Example { source: vec![5, 6, 7, 2], target: vec![8, 9, 2] };
        let heads = heads(&network, &config, &PairBatch::new(&[&example], &Device::flex()));
        assert_eq!(heads.len(), (2 + 2 * 2) * 4);
        let paths: Vec<&str> = heads.iter().step_by(4).map(|head| head.path.as_str()).collect();
        let of_decoder = ["decoder.0.attention", "decoder.0.cross", "decoder.1.attention"];
        assert_eq!(
            paths[..5],
            [&["encoder.0.attention", "encoder.1.attention"][..], &of_decoder].concat()
        );
        for head in &heads {
            let most =
                if head.path.starts_with("decoder.0.a") { 6_f64.ln() / 3.0 } else { 4_f64.ln() };
            assert!(head.entropy > 0.0 && head.entropy <= most + 1e-6, "{head:?}");
        }
    }
}
