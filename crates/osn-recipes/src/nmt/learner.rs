//! The network, its optimizer and its osn: one update.

use burn::tensor::{Device, Gradients, Tensor};
use osn::Selection;
use osn::views::View;
use osn_runs::metrics::Metrics;

use crate::adam::adam;
use crate::batch::{mean_of, number, numbers};
use crate::crew::{Crew, Shard};
use crate::decide::Decide;
use crate::generalization_sums::GeneralizationSums;
use crate::held::TrainedNetwork;
use crate::nmt::attention::{Dropout, Pass};
use crate::nmt::config::NmtConfig;
use crate::nmt::examples::PairBatch;
use crate::nmt::model::{NETWORK, Transformer};
use crate::nmt::ops::cross_entropy;
use crate::nmt::watch::gradient_norms;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::pending::PendingSignals;

/// The streams from here on belong to dropout, one a place of the forward pass.
const FOR_DROPOUT: u64 = 1 << 40;

/// So many of them are a shard's.
const OF_SHARD: u64 = 1 << 24;

/// An update.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The cross-entropy with label smoothing, `[1]`, in nats a subword.
    pub loss: Tensor<1>,
    /// The lengths of the gradients, where they were asked for.
    pub gradient_norms: Metrics,
}

/// An update that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Which one, counted from 1: what dropout depends on.
    pub step: u64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Whether the lengths of its gradients are asked for.
    pub is_logged: bool,
}

/// A Transformer in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct Learner {
    /// Sentences to their translations.
    pub trained: TrainedNetwork<Transformer>,
    sums: GeneralizationSums,
    dropout: f64,
    label_smoothing: f64,
    seed: u64,
}

impl Learner {
    /// A new network for so many subwords with the initial weights of `seed`, on the autodiff device of
    /// `device`; constrained as `decide` says, or trained without osn. Queries, keys and values are held by
    /// head.
    ///
    /// # Errors
    ///
    /// As [`TrainedNetwork::with_views`].
    pub fn new(
        config: &NmtConfig,
        subwords: usize,
        decide: Option<&Decide>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let network = Transformer::new(config, subwords, seed, &device.clone().autodiff());
        let adam = adam(config.beta_1, config.beta_2, config.epsilon);
        let trained = TrainedNetwork::with_views(
            network,
            NETWORK,
            decide,
            adam,
            vec![by_head(config.heads)],
        )?;
        Ok(Self {
            sums: GeneralizationSums::new(trained.needs()),
            trained,
            dropout: config.dropout,
            label_smoothing: config.label_smoothing,
            seed,
        })
    }

    /// One update on a batch of the autodiff device, given as the shards of it that are this worker's, then one refresh of
    /// osn.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite, [`RunError::Workers`] where another worker has failed.
    ///
    /// # Panics
    ///
    /// If there is not one batch for each shard of this worker.
    pub fn update(
        &mut self,
        shards: &[PairBatch],
        update: Update,
        pending: &mut PendingSignals,
        crew: &mut Crew,
    ) -> Result<Learned, RunError> {
        if self.sums.decide_next(&self.trained) {
            let network = &self.trained.network;
            let own = shards.iter().map(|batch| loss(network, batch, 0.0, &mut Pass::default()));
            self.sums.add_train(&of_batch(own.collect(), crew)?);
            pending.generalization(self.sums.take());
        }
        let mut batches = shards.iter();
        let (gradients, own) = crew.mean(&self.trained.network, |shard| {
            let batch = batches.next().expect("a batch for each shard");
            let mut pass = Pass { dropout: self.dropout_at(update.step, shard), ..Pass::default() };
            let loss = loss(&self.trained.network, batch, self.label_smoothing, &mut pass);
            (loss.backward(), loss)
        })?;
        let loss = of_batch(own, crew)?;
        let gradient_norms = self.gradient_norms(&gradients, update.is_logged);
        self.trained.learn(gradients, update.learning_rate, pending, crew)?;
        Ok(Learned { loss, gradient_norms })
    }

    fn gradient_norms(&self, gradients: &Gradients, are_asked_for: bool) -> Metrics {
        if are_asked_for {
            gradient_norms(&self.trained.network, gradients)
        } else {
            Metrics::new()
        }
    }

    fn dropout_at(&self, step: u64, shard: Shard) -> Option<Dropout> {
        let stream = FOR_DROPOUT + OF_SHARD * shard.index as u64;
        let dropout = Dropout { rate: self.dropout, seed: self.seed, stream, step };
        (self.dropout > 0.0).then_some(dropout)
    }

    /// Whether the next decision needs held-out pairs.
    pub(super) fn wants_held_out(&self) -> bool {
        self.sums.want_held_out(&self.trained)
    }

    /// Adds the loss on held-out pairs, and passes its gradients on where a rule needs them. Nothing is trained
    /// and nothing dropped.
    ///
    /// # Errors
    ///
    /// [`RunError::Spectral`] if the network is no longer the attached one.
    pub fn observe_held_out(&mut self, batch: &PairBatch) -> Result<(), RunError> {
        let loss = loss(&self.trained.network, batch, 0.0, &mut Pass::default());
        self.sums.observe_held_out(&loss, &mut self.trained)
    }

    /// Puts the network and the pending sums into a checkpoint.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what cannot be written.
    pub fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        self.trained.save(parts)?;
        self.sums.save(parts, "sums")
    }

    /// Becomes what was saved.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what is missing or of another network.
    pub fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.trained.load(parts)?;
        self.sums.load(parts, "sums")
    }
}

/// Queries, keys and values, cut into the columns of each head.
fn by_head(heads: usize) -> Selection {
    let of_linear = View::Blocks { axis: 1, count: heads };
    Selection::paths("**.{query,key,value}.weight").view(of_linear)
}

/// The loss of a batch, `[1]`, from those of this worker's shards.
fn of_batch(own: Vec<Tensor<1>>, crew: &mut Crew) -> Result<Tensor<1>, RunError> {
    let joined = |loss: &Tensor<1>, shards: Vec<_>| mean_of(&shards, 0, &loss.device());
    crew.of_batch(own, |loss| numbers(loss.clone()), joined)
}

/// The cross-entropy of a batch, `[1]`, in nats a subword.
fn loss(network: &Transformer, batch: &PairBatch, smoothing: f64, pass: &mut Pass) -> Tensor<1> {
    let logits = network.forward(&batch.source, &batch.target, pass);
    #[expect(clippy::cast_possible_truncation, reason = "losses are f32")]
    cross_entropy(logits, &batch.wanted, smoothing as f32)
}

/// The cross-entropy of a batch without label smoothing and dropout, in nats a subword.
pub(super) fn plain_loss(network: &Transformer, batch: &PairBatch) -> f64 {
    number(loss(network, batch, 0.0, &mut Pass::default()))
}
