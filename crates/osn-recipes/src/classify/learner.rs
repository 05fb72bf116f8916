//! The network, its optimizer and its osn: one update.

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};
use osn::rules::Generalization;

use crate::adam::adam;
use crate::batch::{mean_of, numbers, tensor};
use crate::classify::config::ClassifyConfig;
use crate::classify::model::{Classifier, Sizes};
use crate::crew::Crew;
use crate::decide::Decide;
use crate::generalization_sums::GeneralizationSums;
use crate::held::TrainedNetwork;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::pending::PendingSignals;

/// The loss and the logits of an update.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The cross-entropy, `[1]`.
    pub loss: Tensor<1>,
    /// The logits, `[batch, n_classes]`.
    pub logits: Tensor<2>,
    /// The labels, `[batch]`.
    pub classes: Tensor<1, Int>,
}

/// A classifier in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct Learner<N> {
    /// Images to logits.
    pub trained: TrainedNetwork<N>,
    sums: GeneralizationSums,
    /// Whether it has layers that compute something else in training mode, such as batch normalization.
    has_modes: bool,
}

impl<N: Classifier> Learner<N> {
    /// A new network with the initial weights of `seed`, on the autodiff device of `device`; constrained as
    /// `decide` says, or trained without osn.
    ///
    /// # Errors
    ///
    /// [`RunError::Config`] for a network that cannot take the images, and as [`TrainedNetwork::new`].
    pub fn new(
        config: &ClassifyConfig,
        sizes: Sizes,
        decide: Option<&Decide>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let network = N::build(config, sizes, seed, &device.clone().autodiff())?;
        let adam = adam(config.beta_1, config.beta_2, config.epsilon);
        let trained = TrainedNetwork::new(network, "classifier", decide, adam)?;
        let sums = GeneralizationSums::new(trained.needs());
        let has_modes = has_modes(&trained.network);
        Ok(Self { trained, sums, has_modes })
    }

    /// One update on a batch of the autodiff device, of which each worker takes its shards, then one refresh of osn.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite, [`RunError::Workers`] where another worker has failed.
    pub fn update(
        &mut self,
        images: &Tensor<4>,
        classes: Tensor<1, Int>,
        learning_rate: f64,
        pending: &mut PendingSignals,
        crew: &mut Crew,
    ) -> Result<Learned, RunError> {
        self.observe_train(images, &classes);
        let network = &self.trained.network;
        let (gradients, own) = crew.mean(network, |shard| {
            let logits = network.logits(shard.of(images.clone()));
            let loss = cross_entropy(logits.clone(), shard.of(classes.clone()));
            (loss.backward(), (loss, logits))
        })?;
        let (loss, logits) = of_batch(own, crew)?;
        if !self.has_modes {
            self.sums.add_train(&loss);
        }
        if self.trained.decides_next() {
            pending.generalization(self.sums.take());
        }
        self.trained.learn(gradients, learning_rate, pending, crew)?;
        Ok(Learned { loss, logits, classes })
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

    /// Whether the next decision needs held-out images.
    pub(crate) fn wants_held_out(&self) -> bool {
        self.sums.want_held_out(&self.trained)
    }

    /// The losses that the rules last got.
    pub fn generalization(&self) -> Option<Generalization> {
        self.sums.last()
    }

    /// Adds the loss on the next training batch in validation mode, as the loss on held-out images is
    /// taken: a difference between the two modes of batch normalization is no generalization gap.
    fn observe_train(&mut self, images: &Tensor<4>, classes: &Tensor<1, Int>) {
        if self.has_modes && self.sums.decide_next(&self.trained) {
            let logits = self.trained.network.valid().logits(images.clone().without_autodiff());
            self.sums.add_train(&cross_entropy(logits, classes.clone().without_autodiff()));
        }
    }

    /// Adds the loss on held-out images, and passes its gradients on where a rule needs them. Nothing
    /// is trained, and no running value of batch normalization moves.
    ///
    /// # Errors
    ///
    /// [`RunError::Spectral`] if the network is no longer the attached one.
    pub fn observe_held_out(
        &mut self,
        images: Tensor<4>,
        classes: Tensor<1, Int>,
    ) -> Result<(), RunError> {
        // Validation mode settles running values whose last update is still pending.
        let _ = self.trained.network.valid();
        // As when it is scored: normalized by the running values, which stay where they are.
        let network = self.trained.network.clone().map(&mut WithoutTraining);
        let loss = cross_entropy(network.logits(images), classes);
        self.sums.observe_held_out(&loss, &mut self.trained)
    }
}

/// The loss and the logits of a batch, from those of this worker's shards.
fn of_batch(
    own: Vec<(Tensor<1>, Tensor<2>)>,
    crew: &mut Crew,
) -> Result<(Tensor<1>, Tensor<2>), RunError> {
    let of_shard = |(loss, logits): &(Tensor<1>, Tensor<2>)| {
        [numbers(loss.clone()), numbers(logits.clone())].concat()
    };
    crew.of_batch(own, of_shard, |(loss, logits), shards| {
        let (device, n_classes) = (loss.device(), logits.dims()[1]);
        let all: Vec<f64> = shards.iter().flat_map(|shard| &shard[1..]).copied().collect();
        let logits = tensor(&all, [all.len() / n_classes, n_classes], &device);
        (mean_of(&shards, 0, &device), logits)
    })
}

/// Whether a network has layers that compute something else in training mode, such as batch normalization.
fn has_modes<N: Module>(network: &N) -> bool {
    let mut flags = Flags(0);
    network.visit(&mut flags);
    flags.0 > 0
}

struct Flags(usize);

impl ModuleVisitor for Flags {
    fn visit_flag(&mut self, _: &Param<Flag>) {
        self.0 += 1;
    }
}

/// Puts all layers into validation mode; their weights keep their gradients.
struct WithoutTraining;

impl ModuleMapper for WithoutTraining {
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(false)
    }
}

/// The mean of `−ln softmax(logits)[class]`, `[1]`.
///
/// # Shapes
///
/// `logits`: `[batch, n_classes]`; `classes`: `[batch]`.
pub fn cross_entropy(logits: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits, 1).gather(1, classes.unsqueeze_dim(1)).mean().neg()
}
