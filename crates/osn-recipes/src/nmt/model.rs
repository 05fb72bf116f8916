//! The Transformer.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::text::subwords::PADDING;
use crate::init;
use crate::nmt::attention::{Memory, MultiHeadAttention, Pass};
use crate::nmt::config::{NmtConfig, Norm, Tie};
use crate::nmt::ops::{EPSILON, Mask, normalize};

/// The network's name in records and rules.
pub(super) const NETWORK: &str = "transformer";

/// Sentences of a batch side by side: what lies behind a sentence is padding, and no result depends on it.
#[derive(Clone, Debug)]
pub(super) struct Sentences {
    /// Subwords, `[batch, length]`.
    pub(super) ids: Tensor<2, Int>,
    /// How many of them belong to each sentence, at least 1.
    pub(super) lengths: Arc<[usize]>,
}

impl Sentences {
    /// Sentences of at least one subword each.
    pub(super) fn new(sentences: &[&[u32]], device: &Device) -> Self {
        let length = sentences.iter().map(|sentence| sentence.len()).max().unwrap_or(0);
        let padded = sentences.iter().flat_map(|sentence| {
            let ids = sentence.iter().copied().map(i64::from);
            ids.chain(std::iter::repeat(i64::from(PADDING))).take(length)
        });
        let ids = TensorData::new(padded.collect::<Vec<i64>>(), [sentences.len(), length]);
        Self {
            ids: Tensor::from_data(ids, device),
            lengths: sentences.iter().map(|sentence| sentence.len()).collect(),
        }
    }

    /// The rows of `[batch·length, …]` that are no padding.
    fn rows(&self) -> Tensor<1, Int> {
        let [batch, length] = self.ids.dims();
        let of_sentence = |sentence: usize| {
            (0..self.lengths[sentence])
                .map(move |place| (sentence * length + place).cast_signed() as i64)
        };
        let rows: Vec<i64> = (0..batch).flat_map(of_sentence).collect();
        let count = rows.len();
        Tensor::from_data(TensorData::new(rows, [count]), &self.ids.device())
    }

    fn has_padding(&self) -> bool {
        let [_, length] = self.ids.dims();
        self.lengths.iter().any(|&own| own < length)
    }

    fn mask(&self, is_causal: bool) -> Mask {
        Mask { lengths: self.lengths.clone(), is_causal }
    }
}

/// `W₂ max(0, W₁x + b₁) + b₂` at each place (Vaswani et al. 2017, equation 2).
#[derive(Module, Debug)]
struct FeedForward {
    first: Linear,
    second: Linear,
}

impl FeedForward {
    fn new(config: &NmtConfig, device: &Device) -> Self {
        let [width, inner] = [config.width, config.feed_forward];
        Self {
            first: LinearConfig::new(width, inner).init(device),
            second: LinearConfig::new(inner, width).init(device),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.second.forward(relu(self.first.forward(x)))
    }
}

/// A way around a part of a layer, with layer normalization behind their sum or in front of the part.
#[derive(Module, Debug)]
struct Residual {
    norm: LayerNorm,
    is_behind: bool,
}

impl Residual {
    fn new(config: &NmtConfig, device: &Device) -> Self {
        Self { norm: layer_norm(config.width, device), is_behind: config.norm == Norm::Post }
    }

    fn around(
        &self,
        x: Tensor<3>,
        pass: &mut Pass,
        part: impl FnOnce(Tensor<3>, &mut Pass) -> Tensor<3>,
    ) -> Tensor<3> {
        if self.is_behind {
            let y = part(x.clone(), pass);
            normalize(&self.norm, x + pass.drop(y))
        } else {
            let y = part(normalize(&self.norm, x.clone()), pass);
            x + pass.drop(y)
        }
    }
}

/// A layer of the encoder.
#[derive(Module, Debug)]
struct EncoderLayer {
    attention: MultiHeadAttention,
    around_attention: Residual,
    feed_forward: FeedForward,
    around_feed_forward: Residual,
}

impl EncoderLayer {
    fn new(config: &NmtConfig, device: &Device) -> Self {
        Self {
            attention: MultiHeadAttention::new(config.width, config.heads, device),
            around_attention: Residual::new(config, device),
            feed_forward: FeedForward::new(config, device),
            around_feed_forward: Residual::new(config, device),
        }
    }

    fn forward(&self, x: Tensor<3>, mask: &Mask, pass: &mut Pass) -> Tensor<3> {
        let x = self.around_attention.around(x, pass, |x, pass| {
            let memory = self.attention.remember(x.clone());
            self.attention.look(x, &memory, mask, pass)
        });
        self.around_feed_forward.around(x, pass, |x, _| self.feed_forward.forward(x))
    }
}

/// A layer of the decoder.
#[derive(Module, Debug)]
struct DecoderLayer {
    attention: MultiHeadAttention,
    around_attention: Residual,
    cross: MultiHeadAttention,
    around_cross: Residual,
    feed_forward: FeedForward,
    around_feed_forward: Residual,
}

/// What a layer of the decoder looks back at.
#[derive(Clone, Debug)]
pub(super) struct LayerMemory {
    /// The places of the target so far; none at its start.
    pub(super) target: Option<Memory>,
    /// The source.
    pub(super) source: Memory,
}

impl DecoderLayer {
    fn new(config: &NmtConfig, device: &Device) -> Self {
        Self {
            attention: MultiHeadAttention::new(config.width, config.heads, device),
            around_attention: Residual::new(config, device),
            cross: MultiHeadAttention::new(config.width, config.heads, device),
            around_cross: Residual::new(config, device),
            feed_forward: FeedForward::new(config, device),
            around_feed_forward: Residual::new(config, device),
        }
    }

    /// `masks` are those of the target and of the source. The places of `x` come behind those in the memory,
    /// and are added to it.
    fn forward(
        &self,
        x: Tensor<3>,
        memory: &mut LayerMemory,
        masks: [&Mask; 2],
        pass: &mut Pass,
    ) -> Tensor<3> {
        let LayerMemory { target, source } = memory;
        let x = self.around_attention.around(x, pass, |x, pass| {
            let new = self.attention.remember(x.clone());
            let all = match target.take() {
                Some(earlier) => earlier.then(new),
                None => new,
            };
            let found = self.attention.look(x, &all, masks[0], pass);
            *target = Some(all);
            found
        });
        let x =
            self.around_cross.around(x, pass, |x, pass| self.cross.look(x, source, masks[1], pass));
        self.around_feed_forward.around(x, pass, |x, _| self.feed_forward.forward(x))
    }
}

/// An encoder-decoder Transformer (Vaswani et al. 2017), with layer normalization behind each residual
/// connection as there, or in front of each part (Xiong et al. 2020).
#[derive(Module, Debug)]
pub struct Transformer {
    /// Of the source, and of what else is tied to it.
    embedding: Embedding,
    /// Absent where it is that of the source.
    target_embedding: Option<Embedding>,
    encoder: Vec<EncoderLayer>,
    /// Absent where every layer ends in one.
    encoder_norm: Option<LayerNorm>,
    decoder: Vec<DecoderLayer>,
    decoder_norm: Option<LayerNorm>,
    /// Absent where it is the target's embedding.
    output: Option<Linear>,
}

impl Transformer {
    /// A network for so many subwords, with the initial weights of `seed`: Xavier's (Glorot and Bengio 2010),
    /// and N(0, 1/width) for embeddings, which are multiplied by √width (as tensor2tensor, the paper's code,
    /// has it).
    pub(crate) fn new(config: &NmtConfig, subwords: usize, seed: u64, device: &Device) -> Self {
        let network = init::xavier(Self::unset(config, subwords, device), seed, 0);
        let rescaled = |embedding: &Embedding| rescaled(embedding, config.width);
        Self {
            embedding: rescaled(&network.embedding),
            target_embedding: network.target_embedding.as_ref().map(rescaled),
            ..network
        }
    }

    fn unset(config: &NmtConfig, subwords: usize, device: &Device) -> Self {
        let NmtConfig { width, encoder_layers, decoder_layers, .. } = *config;
        let embedding = || EmbeddingConfig::new(subwords, width).init(device);
        let norm = || (config.norm == Norm::Pre).then(|| layer_norm(width, device));
        Self {
            embedding: embedding(),
            target_embedding: (config.tie != Tie::All).then(embedding),
            encoder: (0..encoder_layers).map(|_| EncoderLayer::new(config, device)).collect(),
            encoder_norm: norm(),
            decoder: (0..decoder_layers).map(|_| DecoderLayer::new(config, device)).collect(),
            decoder_norm: norm(),
            output: (config.tie == Tie::None)
                .then(|| LinearConfig::new(width, subwords).with_bias(false).init(device)),
        }
    }

    /// The logits of what comes behind each place of the targets, given the source and the target up to there;
    /// the places of one target behind those of the other, without padding.
    ///
    /// # Shapes
    ///
    /// `[places, subwords]`.
    pub(super) fn forward(
        &self,
        source: &Sentences,
        target: &Sentences,
        pass: &mut Pass,
    ) -> Tensor<2> {
        let tables = self.tables();
        let encoded = self.encode_with(&tables, source, pass);
        let mut memories = self.remember(&encoded);
        let masks = [&target.mask(true), &source.mask(false)];
        let x = pass.drop(embed(&tables.target, target.ids.clone(), 0));
        let x = flat(self.decode(x, &mut memories, masks, pass));
        let x = if target.has_padding() { x.select(0, target.rows()) } else { x };
        x.matmul(tables.output)
    }

    /// The encoded source, `[batch, length, width]`.
    pub(super) fn encode(&self, source: &Sentences) -> Tensor<3> {
        self.encode_with(&self.tables(), source, &mut Pass::default())
    }

    /// What each layer of the decoder looks back at before the target begins.
    pub(super) fn remember(&self, encoded: &Tensor<3>) -> Vec<LayerMemory> {
        let source = |layer: &DecoderLayer| layer.cross.remember(encoded.clone());
        self.decoder
            .iter()
            .map(|layer| LayerMemory { target: None, source: source(layer) })
            .collect()
    }

    /// The logits of what comes behind the next place of each target, `[batch, subwords]`: `ids`, `[batch]`, are
    /// the subwords at `place`, from 0, and `memories` holds those before it, and then these too.
    pub(super) fn next(
        &self,
        ids: Tensor<1, Int>,
        place: usize,
        memories: &mut [LayerMemory],
        source_lengths: &Arc<[usize]>,
    ) -> Tensor<2> {
        let tables = self.tables();
        let x = embed(&tables.target, ids.unsqueeze_dim(1), place);
        let lengths = vec![place + 1; source_lengths.len()].into();
        // The one query is behind all keys: it sees every one.
        let so_far = Mask { lengths, is_causal: false };
        let of_source = Mask { lengths: source_lengths.clone(), is_causal: false };
        let masks = [&so_far, &of_source];
        flat(self.decode(x, memories, masks, &mut Pass::default())).matmul(tables.output)
    }

    fn encode_with(&self, tables: &Tables, source: &Sentences, pass: &mut Pass) -> Tensor<3> {
        let mask = source.mask(false);
        let x = pass.drop(embed(&tables.source, source.ids.clone(), 0));
        let x = self.encoder.iter().fold(x, |x, layer| layer.forward(x, &mask, pass));
        normalize_with(self.encoder_norm.as_ref(), x)
    }

    fn decode(
        &self,
        x: Tensor<3>,
        memories: &mut [LayerMemory],
        masks: [&Mask; 2],
        pass: &mut Pass,
    ) -> Tensor<3> {
        let layers = self.decoder.iter().zip(memories);
        let x = layers.fold(x, |x, (layer, memory)| layer.forward(x, memory, masks, pass));
        normalize_with(self.decoder_norm.as_ref(), x)
    }

    /// The tables that it computes with; each constrained weight is computed once.
    fn tables(&self) -> Tables {
        let source = self.embedding.weight.val();
        let target = match &self.target_embedding {
            Some(embedding) => embedding.weight.val(),
            None => source.clone(),
        };
        let output = match &self.output {
            Some(output) => output.weight.val(),
            None => target.clone().transpose(),
        };
        Tables { source, target, output }
    }
}

/// The effective weights of embeddings, `[subwords, width]`, and of the output, `[width, subwords]`.
struct Tables {
    source: Tensor<2>,
    target: Tensor<2>,
    output: Tensor<2>,
}

/// The rows of these subwords times √width, plus their places' encodings, `[batch, length, width]`.
fn embed(table: &Tensor<2>, ids: Tensor<2, Int>, first_place: usize) -> Tensor<3> {
    let ([batch, length], [_, width]) = (ids.dims(), table.dims());
    let rows =
        table.clone().select(0, ids.reshape([batch * length])).reshape([batch, length, width]);
    let places = Tensor::from_data(positions(first_place, length, width), &rows.device());
    rows * (width as f64).sqrt() + places
}

/// Sines and cosines of each place, `[1, length, width]` (Vaswani et al. 2017, section 3.5).
#[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
fn positions(first_place: usize, length: usize, width: usize) -> TensorData {
    let number = |place: usize, index: usize| {
        let slowness = 10_000_f64.powf((index - index % 2) as f64 / width as f64);
        let angle = place as f64 / slowness;
        (if index.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    let places = first_place..first_place + length;
    let numbers = places.flat_map(|place| (0..width).map(move |index| number(place, index)));
    TensorData::new(numbers.collect::<Vec<f32>>(), [1, length, width])
}

/// `[batch, length, width]` → `[batch·length, width]`.
fn flat(x: Tensor<3>) -> Tensor<2> {
    let [batch, length, width] = x.dims();
    x.reshape([batch * length, width])
}

fn layer_norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(f64::from(EPSILON)).init(device)
}

fn normalize_with(norm: Option<&LayerNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => normalize(norm, x),
        None => x,
    }
}

/// From Xavier's variance to 1/width.
fn rescaled(embedding: &Embedding, width: usize) -> Embedding {
    let weight = embedding.weight.val();
    let ([subwords, _], is_trained) = (weight.dims(), weight.is_require_grad());
    let factor = ((subwords + width) as f64 / (2 * width) as f64).sqrt();
    let device = weight.device();
    let data = (weight.without_autodiff() * factor).into_data();
    let weight = Tensor::from_data(data, &device).set_require_grad(is_trained);
    Embedding { weight: Param::initialized(embedding.weight.id, weight) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A small network of either kind, with weights large enough for heads to look at different places.
    pub(crate) fn small(norm: Norm) -> (NmtConfig, Transformer) {
        let config = NmtConfig {
            norm,
            encoder_layers: 2,
            decoder_layers: 2,
            width: 16,
            heads: 4,
            feed_forward: 24,
            ..NmtConfig::quick()
        };
        let network = Transformer::new(&config, 30, 5, &Device::flex());
        (config, network)
    }

    pub(crate) fn sentences(sentences: &[&[u32]]) -> Sentences {
        Sentences::new(sentences, &Device::flex())
    }

    fn logits(network: &Transformer, source: &[&[u32]], target: &[&[u32]]) -> Vec<f32> {
        let [source, target] = [source, target].map(sentences);
        network.forward(&source, &target, &mut Pass::default()).into_data().iter().collect()
    }

    fn must_be_near(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 2e-5, "{a} and {b}");
        }
    }

    const SOURCES: [&[u32]; 3] = [&[3, 4, 5, 6, 7, 8, 2], &[9, 2], &[10, 11, 12, 2]];
    const TARGETS: [&[u32]; 3] = [&[1, 13], &[1, 14, 15, 16, 17], &[1]];

    #[test]
    fn a_batch_gives_the_logits_that_each_sentence_gives_alone() {
        for norm in [Norm::Pre, Norm::Post] {
            let (_, network) = small(norm);
            let together = logits(&network, &SOURCES, &TARGETS);
            let alone = SOURCES.into_iter().zip(TARGETS);
            let alone = alone.flat_map(|(source, target)| logits(&network, &[source], &[target]));
            must_be_near(&together, &alone.collect::<Vec<f32>>());
        }
    }

    #[test]
    fn no_place_of_a_target_sees_what_comes_behind_it_and_all_see_the_whole_source() {
        let (_, network) = small(Norm::Post);
        let one = logits(&network, &[SOURCES[0]], &[&[1, 14, 15, 16]]);
        let other = logits(&network, &[SOURCES[0]], &[&[1, 14, 20, 16]]);
        must_be_near(&one[..2 * 30], &other[..2 * 30]);
        let far = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-3);
        assert!(far(&one[2 * 30..3 * 30], &other[2 * 30..3 * 30]));
        assert!(far(&one[3 * 30..], &other[3 * 30..]), "the place behind it sees it");
        let mut source = SOURCES[0].to_vec();
        source[5] = 21;
        let moved = logits(&network, &[&source], &[&[1, 14, 15, 16]]);
        for place in one.chunks(30).zip(moved.chunks(30)) {
            assert!(far(place.0, place.1));
        }
    }

    #[test]
    fn tied_tables_are_one_parameter() {
        let count = |tie| {
            let config = NmtConfig { tie, ..small(Norm::Pre).0 };
            Transformer::new(&config, 30, 5, &Device::flex()).num_params()
        };
        let table = 30 * 16;
        assert_eq!(count(Tie::Target), count(Tie::All) + table);
        assert_eq!(count(Tie::None), count(Tie::All) + 2 * table);
    }

    #[test]
    fn embeddings_have_the_variance_of_one_over_the_width_and_are_trained() {
        let config = NmtConfig { width: 64, ..small(Norm::Pre).0 };
        let network = Transformer::new(&config, 1_000, 5, &Device::flex().autodiff());
        let weight = network.embedding.weight.val();
        assert!(weight.is_require_grad());
        let square: f32 = weight.square().mean().into_scalar();
        assert!((square * 64.0 - 1.0).abs() < 0.02, "{square}");
    }

    #[test]
    fn places_are_encoded_as_in_the_paper() {
        let of: Vec<f32> = positions(3, 2, 4).iter().collect();
        let expected = [3_f32.sin(), 3_f32.cos(), 0.03_f32.sin(), 0.03_f32.cos()];
        must_be_near(&of[..4], &expected);
        must_be_near(&of[4..6], &[4_f32.sin(), 4_f32.cos()]);
    }
}
