//! Every hyper-parameter of the recipe, with where it comes from.

use osn_core::number::exact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::need::Need;
use crate::data::text::language::Language;
use crate::data::text::subwords::LEAST_VOCABULARY;
use crate::run::check::{
    ANY, MAX_BATCH, MAX_FEATURES, MAX_STEPS, MAX_UNITS, MAX_WEIGHTS, Product, above_zero,
    below_one, check_shards, ensure, must_fit, within, zero_or_more,
};
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::rate_change::RateChange;
use crate::run::training::Pace;

const MAX_LAYERS: u64 = 256;
const MAX_HEADS: u64 = 256;
const MAX_VOCABULARY: u64 = 1 << 17;
/// A begin, a subword and an end.
const LEAST_LENGTH: u64 = 3;
const MAX_LENGTH: u64 = 4_096;
const MAX_BEAM: u64 = 64;
/// With more of it length alone counts.
const MAX_PENALTY: f64 = 10.0;
/// Sentences to score.
const MAX_SENTENCES: u64 = 10_000_000;

/// Where layer normalization stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// In front of each part, and at the end of encoder and decoder (Xiong et al. 2020).
    Pre,
    /// Behind each residual connection (Vaswani et al. 2017).
    Post,
}

/// Which of the three tables of subwords are one and the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tie {
    /// The embeddings of source and target, and the output (Vaswani et al. 2017, section 3.4).
    All,
    /// The embedding of the target and the output (Press and Wolf 2017).
    Target,
    /// None.
    None,
}

/// Hyper-parameters of `nmt`. One step is one update of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NmtConfig {
    /// The language that is translated from, as the ending of its files.
    pub source: Language,
    /// The language that is translated to.
    pub target: Language,
    /// The most subwords to learn from the training pairs; 259 are the bytes alone (Vaswani et al. 2017:
    /// 37,000 of 4.5 million pairs).
    pub vocabulary: usize,
    /// Where layer normalization stands: `pre` or `post` (Vaswani et al. 2017: post).
    pub norm: Norm,
    /// Which tables of subwords are one: `all`, `target` or `none` (Vaswani et al. 2017: all).
    pub tie: Tie,
    /// Layers of the encoder (Vaswani et al. 2017: 6).
    pub encoder_layers: usize,
    /// Layers of the decoder (Vaswani et al. 2017: 6).
    pub decoder_layers: usize,
    /// Numbers at each place (Vaswani et al. 2017: 512).
    pub width: usize,
    /// Attention heads, among which the width is shared (Vaswani et al. 2017: 8).
    pub heads: usize,
    /// Units of the hidden layer of each feed-forward part (Vaswani et al. 2017: 2,048, four times the width).
    pub feed_forward: usize,
    /// The chance that a number is dropped, of the embeddings and of each part before it is added (Vaswani et
    /// al. 2017: 0.1; 0.3 on small data as in Sennrich and Zhang 2019).
    pub dropout: f64,
    /// The most subwords of a sentence, its end included. Longer pairs are not trained on, longer sentences
    /// are cut off where they are scored, and no translation is longer.
    pub max_length: usize,
    /// The share of the probability that the loss spreads evenly over all subwords (Vaswani et al. 2017: 0.1).
    pub label_smoothing: f64,
    /// Updates of the network.
    pub steps: u64,
    /// Pairs in a batch, of about the same length (Vaswani et al. 2017: 25,000 subwords of each language).
    pub batch_size: usize,
    /// Equal parts that a batch is cut into, for as many workers at most. A loss is the mean over those of the parts, so
    /// the result depends on this, and never on the workers. A smaller batch at the end of an epoch is filled with pairs
    /// of its own.
    pub shards: usize,
    /// The largest learning rate, at the end of the warm-up.
    pub learning_rate: f64,
    /// Updates over which the learning rate rises from 0; behind them it falls with the inverse square root of
    /// the step (Vaswani et al. 2017, equation 3: 4,000). 0 keeps the rate as it is.
    pub warmup_steps: u64,
    /// The update from which the learning rate is multiplied by `change_factor`; `null` for none.
    pub change_at: Option<u64>,
    /// See `change_at`.
    pub change_factor: f64,
    /// Adam's β₁ (Vaswani et al. 2017: 0.9).
    pub beta_1: f32,
    /// Adam's β₂ (Vaswani et al. 2017: 0.98).
    pub beta_2: f32,
    /// Adam's ε (Vaswani et al. 2017: 1e-9).
    pub epsilon: f32,
    /// Translations that are followed up at once; 1 takes the likeliest subword each time (Vaswani et al.
    /// 2017: 4).
    pub beam: usize,
    /// α of the length penalty: `ln P` is divided by `((5 + length)/6)^α` (Wu et al. 2016, equation 14;
    /// Vaswani et al. 2017: 0.6).
    pub length_penalty: f64,
    /// Steps between two log lines and two read-backs of σ.
    pub log_every: u64,
    /// Steps between two scorings, which also show translations.
    pub eval_every: u64,
    /// Test sentences scored while training, and validation sentences for rules that follow a score.
    pub eval_sentences: usize,
    /// Test sentences scored at the end; all where there are fewer.
    pub final_sentences: usize,
}

impl NmtConfig {
    /// English to German, a small pre-norm network: less than four minutes on two cores.
    ///
    /// # Panics
    ///
    /// Never: the names of its languages are names of languages.
    pub fn quick() -> Self {
        let language = |code: &str| code.try_into().expect("a language");
        Self {
            source: language("en"),
            target: language("de"),
            vocabulary: 6_000,
            norm: Norm::Pre,
            tie: Tie::All,
            encoder_layers: 3,
            decoder_layers: 3,
            width: 128,
            heads: 4,
            feed_forward: 512,
            dropout: 0.2,
            max_length: 128,
            label_smoothing: 0.1,
            steps: 4_000,
            batch_size: 32,
            shards: 1,
            learning_rate: 2e-3,
            warmup_steps: 300,
            change_at: None,
            change_factor: 1.0,
            beta_1: 0.9,
            beta_2: 0.98,
            epsilon: 1e-9,
            beam: 4,
            length_penalty: 0.6,
            log_every: 50,
            eval_every: 1_000,
            eval_sentences: 100,
            final_sentences: 10_000,
        }
    }

    /// A deep and narrow post-norm network without warm-up, by bytes: it trains or not, as its weights are held.
    pub fn deep() -> Self {
        Self {
            vocabulary: LEAST_VOCABULARY,
            norm: Norm::Post,
            tie: Tie::None,
            encoder_layers: 8,
            decoder_layers: 8,
            width: 64,
            feed_forward: 256,
            dropout: 0.0,
            label_smoothing: 0.0,
            steps: 300,
            batch_size: 32,
            learning_rate: 1e-3,
            warmup_steps: 0,
            beam: 1,
            log_every: 10,
            eval_every: 100,
            final_sentences: 200,
            ..Self::quick()
        }
    }

    /// The learning rate of the update `step`, counted from 1.
    pub(super) fn learning_rate_at(&self, step: u64) -> f64 {
        let factor = self.rate_change().factor_at(step);
        let (step, warmup) = (step as f64, self.warmup_steps as f64);
        let part = if warmup > 0.0 { (step / warmup).min((warmup / step).sqrt()) } else { 1.0 };
        self.learning_rate * part * factor
    }

    fn rate_change(&self) -> RateChange {
        RateChange { at: self.change_at, factor: self.change_factor }
    }

    /// Whether weights and the numbers of a batch fit.
    fn check_memory(&self) -> Result<(), RunError> {
        let number = |count: usize| count as u64;
        let [width, inner] = [self.width, self.feed_forward].map(number);
        let [encoder, decoder] = [self.encoder_layers, self.decoder_layers].map(number);
        let layers = encoder + decoder;
        let weights: &[&[u64]] = &[
            &[3, number(self.vocabulary), width],
            &[4, encoder + 2 * decoder, width, width],
            &[2, layers, width, inner],
        ];
        must_fit(
            MAX_WEIGHTS,
            "weights",
            &[Product { key: "width", with: "its layers", sizes: weights }],
        )?;
        let places = [number(self.batch_size), number(self.max_length)];
        let numbers: &[&[u64]] = &[
            &[places[0], places[1], number(self.vocabulary)],
            &[places[0], places[1], layers, inner.max(width)],
            &[places[0], places[1], layers, number(self.heads), places[1]],
        ];
        let numbers = Product { key: "batch_size", with: "max_length", sizes: numbers };
        must_fit(MAX_FEATURES, "numbers in a batch", &[numbers])
    }
}

impl Config for NmtConfig {
    fn presets() -> Vec<Self> {
        vec![Self::quick(), Self::deep()]
    }

    fn idle(&self) -> Vec<(&'static str, String)> {
        let mut idle: Vec<_> = self.rate_change().idle().into_iter().collect();
        if self.beam == 1 {
            let why = "beam=1 follows up one translation and compares none";
            idle.push(("length_penalty", why.to_owned()));
        }
        idle
    }

    fn need(&self) -> Need {
        Need::Text(self.source.clone(), self.target.clone())
    }

    fn shards(&self) -> usize {
        self.shards
    }

    fn pace(&self) -> Pace {
        Pace { steps: self.steps, log_every: self.log_every, eval_every: self.eval_every }
    }

    fn check(&self) -> Result<(), RunError> {
        ensure("target", self.target != self.source, || {
            format!("must be another language than source, which is {}", self.source)
        })?;
        within(&[
            ("vocabulary", self.vocabulary as u64, LEAST_VOCABULARY as u64..=MAX_VOCABULARY),
            ("encoder_layers", self.encoder_layers as u64, 1..=MAX_LAYERS),
            ("decoder_layers", self.decoder_layers as u64, 1..=MAX_LAYERS),
            ("width", self.width as u64, 1..=MAX_UNITS),
            ("heads", self.heads as u64, 1..=MAX_HEADS),
            ("feed_forward", self.feed_forward as u64, 1..=MAX_UNITS),
            ("max_length", self.max_length as u64, LEAST_LENGTH..=MAX_LENGTH),
            ("steps", self.steps, 1..=MAX_STEPS),
            ("batch_size", self.batch_size as u64, 1..=MAX_BATCH),
            ("warmup_steps", self.warmup_steps, 0..=MAX_STEPS),
            ("change_at", self.change_at.unwrap_or(1), 1..=self.steps),
            ("beam", self.beam as u64, 1..=MAX_BEAM),
            ("log_every", self.log_every, ANY),
            ("eval_every", self.eval_every, ANY),
            ("eval_sentences", self.eval_sentences as u64, 1..=MAX_SENTENCES),
            ("final_sentences", self.final_sentences as u64, 1..=MAX_SENTENCES),
        ])?;
        check_shards(self.shards, self.batch_size)?;
        ensure("heads", self.width.is_multiple_of(self.heads), || {
            format!("must share the width, {}, evenly, not {}", self.width, self.heads)
        })?;
        ensure("length_penalty", (0.0..=MAX_PENALTY).contains(&self.length_penalty), || {
            format!("must be from 0 to {MAX_PENALTY}, not {}", exact(self.length_penalty))
        })?;
        self.check_memory()?;
        above_zero(&[
            ("learning_rate", self.learning_rate),
            ("change_factor", self.change_factor),
        ])?;
        zero_or_more(&[("epsilon", f64::from(self.epsilon))])?;
        below_one(&[
            ("dropout", self.dropout),
            ("label_smoothing", self.label_smoothing),
            ("beta_1", f64::from(self.beta_1)),
            ("beta_2", f64::from(self.beta_2)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_and_falls_as_in_the_paper_and_changes_where_it_is_told() {
        let config = NmtConfig { learning_rate: 2.0, warmup_steps: 4, ..NmtConfig::quick() };
        let rates = [1, 2, 4, 16, 64].map(|step| config.learning_rate_at(step));
        assert_eq!(rates, [0.5, 1.0, 2.0, 1.0, 0.5]);
        let config =
            NmtConfig { warmup_steps: 0, change_at: Some(3), change_factor: 0.25, ..config };
        assert_eq!([1, 2, 3, 9].map(|step| config.learning_rate_at(step)), [2.0, 2.0, 0.5, 0.5]);
    }
}
