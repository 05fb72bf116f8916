//! The training loop.

use burn::tensor::Device;
use osn::Change;
use osn::report::LayerSpectrum;
use osn_runs::metrics::Metrics;

use crate::batch::number;
use crate::crew::Crew;
use crate::data::sampler::spread;
use crate::data::text::parallel::{Pair, ParallelText};
use crate::data::text::subwords::{FILE_NAME, Subwords};
use crate::metrics::{bleu, chrf, exact_match};
use crate::nmt::config::NmtConfig;
use crate::nmt::examples::{Example, LengthBatches, PairBatch};
use crate::nmt::learner::{Learned, Learner, Update, plain_loss};
use crate::nmt::model::Transformer;
use crate::nmt::search::Search;
use crate::nmt::watch::heads;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::pending::PendingSignals;
use crate::run::samples::TextTable;
use crate::run::training::{Scored, Snapshot, Thoroughness, Training};

/// Pairs of each side on which losses and heads are looked at.
const WATCHED: usize = 32;
/// Translations in a table of samples.
const SAMPLES: usize = 40;

/// Everything that a run changes and draws from.
pub(super) struct Trainer<'a> {
    config: &'a NmtConfig,
    text: ParallelText,
    subwords: Subwords,
    /// As the file in the run's folder.
    tokenizer: String,
    learner: Learner,
    trained_on: LengthBatches,
    held_out: LengthBatches,
    /// Training and validation pairs on which losses are logged.
    watched: [PairBatch; 2],
    pending: PendingSignals,
    /// Whether a rule follows a score.
    is_validated: bool,
    /// The device without autodiff, on which the network is scored.
    device: Device,
}

/// What a new trainer is made of.
pub(super) struct Parts {
    pub(super) text: ParallelText,
    pub(super) subwords: Subwords,
    /// The training pairs that are not too long.
    pub(super) train: Vec<Example>,
    pub(super) validation: Vec<Example>,
    pub(super) learner: Learner,
}

impl<'a> Trainer<'a> {
    pub(super) fn new(
        config: &'a NmtConfig,
        parts: Parts,
        seed: u64,
        device: Device,
    ) -> Result<Self, RunError> {
        let Parts { text, subwords, train, validation, learner } = parts;
        let watch = |examples: &[Example]| {
            PairBatch::new(&spread(examples, WATCHED).collect::<Vec<_>>(), &device)
        };
        let watched = [watch(&train), watch(&validation)];
        let tokenizer = subwords.to_json().map_err(|source| RunError::data(&text.name, source))?;
        Ok(Self {
            config,
            text,
            subwords,
            tokenizer,
            is_validated: learner.trained.needs().metric,
            learner,
            trained_on: LengthBatches::new(seed, config.batch_size, train),
            held_out: LengthBatches::new(seed, config.batch_size, validation),
            watched,
            pending: PendingSignals::default(),
            device,
        })
    }

    /// The translations of pairs' sources.
    fn translate(&self, network: &Transformer, pairs: &[&Pair]) -> Result<Vec<String>, RunError> {
        let NmtConfig { beam, length_penalty, max_length, .. } = *self.config;
        let search = Search { beam, length_penalty, max_length };
        let sources: Vec<Vec<u32>> = pairs
            .iter()
            .map(|pair| Example::new(pair, &self.subwords).cut_off(max_length).source)
            .collect();
        let translations =
            search.translate(network, &sources, &self.device).map_err(RunError::score)?;
        Ok(translations.iter().map(|translation| self.subwords.decode(translation)).collect())
    }

    /// Scores translations of pairs, and the loss on them.
    fn scores(&self, network: &Transformer, pairs: &[&Pair], translations: &[String]) -> Metrics {
        let references: Vec<&str> = pairs.iter().map(|pair| pair.target.as_str()).collect();
        let scores = [
            ("bleu", bleu::corpus(translations, &references).score),
            ("chrf", chrf::corpus(translations, &references).score),
            ("exact_match", exact_match::exact_match(translations, &references)),
            ("loss", self.loss(network, pairs)),
        ];
        scores.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// The mean cross-entropy over the subwords of pairs; what is too long is cut off.
    fn loss(&self, network: &Transformer, pairs: &[&Pair]) -> f64 {
        let most = self.config.max_length;
        let example = |pair: &&Pair| Example::new(pair, &self.subwords).cut_off(most);
        let mut examples: Vec<Example> = pairs.iter().map(example).collect();
        examples.sort_by_key(|example| (example.target.len(), example.source.len()));
        let (mut sum, mut count) = (0.0, 0.0);
        for chunk in examples.chunks(self.config.batch_size) {
            let batch = PairBatch::new(&chunk.iter().collect::<Vec<_>>(), &self.device);
            let subwords = batch.wanted.len() as f64;
            sum += plain_loss(network, &batch) * subwords;
            count += subwords;
        }
        sum / count
    }

    /// Some test pairs, and what the network makes of them: the same ones each time.
    fn samples(&self, network: &Transformer) -> Result<TextTable, RunError> {
        let pairs: Vec<&Pair> = spread(&self.text.test, SAMPLES).collect();
        let translations = self.translate(network, &pairs)?;
        let row = |(pair, translation): (&&Pair, String)| {
            vec![pair.source.clone(), pair.target.clone(), translation]
        };
        Ok(TextTable {
            columns: ["source", "reference", "translation"].map(str::to_owned).into(),
            rows: pairs.iter().zip(translations).map(row).collect(),
        })
    }
}

impl Training for Trainer<'_> {
    type Outcome = Learned;

    fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![(FILE_NAME, self.tokenizer.clone().into_bytes())]
    }

    fn step(&mut self, step: u64, crew: &mut Crew) -> Result<Learned, RunError> {
        let device = self.device.clone().autodiff();
        if self.learner.wants_held_out() {
            let batch = self.held_out.batch(step - 1, &device);
            self.learner.observe_held_out(&batch)?;
        }
        let shards = crew.shards().into_iter();
        let shards: Vec<PairBatch> =
            shards.map(|shard| self.trained_on.shard(step - 1, shard, &device)).collect();
        let is_logged = step.is_multiple_of(self.config.log_every);
        let learning_rate = self.config.learning_rate_at(step);
        let update = Update { step, learning_rate, is_logged };
        self.learner.update(&shards, update, &mut self.pending, crew)
    }

    fn changes(&mut self) -> Vec<Change> {
        self.learner.trained.changes()
    }

    fn poll(&mut self, step: u64, learned: Learned) -> Result<Snapshot, RunError> {
        let losses = vec![("cross_entropy", number(learned.loss))];
        let layers = self.learner.trained.layers()?;
        let network = self.learner.trained.plain();
        let [train, held_out] = &self.watched;
        let mut signals = learned.gradient_norms;
        signals.extend(
            [
                ("learning_rate", self.config.learning_rate_at(step)),
                ("train_loss", plain_loss(&network, train)),
                ("held_out_loss", plain_loss(&network, held_out)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let attention = heads(&network, self.config, held_out);
        Ok(Snapshot { losses, signals, layers, attention, diverged: None })
    }

    fn spectra(&self) -> Result<Vec<LayerSpectrum>, RunError> {
        self.learner.trained.spectra()
    }

    fn score(&mut self, thoroughness: Thoroughness) -> Result<Scored, RunError> {
        let network = self.learner.trained.plain();
        let count = match thoroughness {
            Thoroughness::Quick => self.config.eval_sentences,
            Thoroughness::Full => self.config.final_sentences,
        };
        let pairs: Vec<&Pair> = spread(&self.text.test, count).collect();
        let translations = self.translate(&network, &pairs)?;
        let metrics = self.scores(&network, &pairs, &translations);
        Ok(Scored { metrics, table: Some(self.samples(&network)?), ..Scored::default() })
    }

    fn validate(&mut self) -> Result<Metrics, RunError> {
        if !self.is_validated {
            return Ok(Metrics::new());
        }
        let network = self.learner.trained.plain();
        let count = self.config.eval_sentences;
        let pairs: Vec<&Pair> = spread(&self.text.validation, count).collect();
        let translations = self.translate(&network, &pairs)?;
        let scores = self.scores(&network, &pairs, &translations);
        self.pending.scores(&scores);
        Ok(scores)
    }

    fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        self.learner.save(parts)?;
        parts.put_value("tokenizer", &self.tokenizer)?;
        parts.put_value("pending", &self.pending)
    }

    fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.learner.load(parts)?;
        if parts.value::<String>("tokenizer")? != self.tokenizer {
            return Err(ContentsError::part("tokenizer", "the data give other subwords now"));
        }
        self.pending = parts.value("pending")?;
        Ok(())
    }
}
