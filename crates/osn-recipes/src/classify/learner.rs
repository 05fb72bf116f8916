//! The network, its optimizer and its osn: one update.

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};
use osn::rules::Generalization;

use super::watch::Watch;
use super::{Classifier, ClassifyConfig, Sizes};
use crate::decide::Decide;
use crate::held::{Held, adam};
use crate::run::{Parts, PartsError, RunError, Told};

/// What an update leaves to look at.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The cross-entropy, `[1]`.
    pub loss: Tensor<1>,
    /// How strongly each class was meant, `[batch, n_classes]`.
    pub logits: Tensor<2>,
    /// Which class was right, `[batch]`.
    pub classes: Tensor<1, Int>,
}

/// A classifier in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct Learner<N> {
    /// Images to logits, held by its osn.
    pub held: Held<N>,
    watch: Watch,
    /// Whether it does something else in training than where it is judged.
    has_modes: bool,
}

impl<N: Classifier> Learner<N> {
    /// A new network with the initial weights of `seed`, on the autodiff device of `device`; held as
    /// `decide` says, or plain without.
    ///
    /// # Errors
    ///
    /// [`RunError::Config`] for a network that cannot take the images, and as [`Held::new`].
    pub fn new(
        config: &ClassifyConfig,
        sizes: Sizes,
        decide: Option<&Decide>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let network = N::build(config, sizes, seed, &device.clone().autodiff())?;
        let adam = adam(config.beta_1, config.beta_2, config.epsilon);
        let held = Held::new(network, "classifier", decide, adam)?;
        let watch = Watch::new(held.needs());
        let has_modes = has_modes(&held.network);
        Ok(Self { held, watch, has_modes })
    }

    /// One update on a batch of the autodiff device, then one refresh of osn.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite.
    pub fn update(
        &mut self,
        images: Tensor<4>,
        classes: Tensor<1, Int>,
        learning_rate: f64,
        told: &mut Told,
    ) -> Result<Learned, RunError> {
        self.look_at_train(&images, &classes);
        let logits = self.held.network.logits(images);
        let loss = cross_entropy(logits.clone(), classes.clone());
        if !self.has_modes {
            self.watch.see_train(&loss);
        }
        if self.held.decides_next() {
            told.generalization(self.watch.take());
        }
        self.held.learn(loss.backward(), learning_rate, told)?;
        Ok(Learned { loss, logits, classes })
    }

    /// Puts the network and what rules are told into a checkpoint.
    ///
    /// # Errors
    ///
    /// [`PartsError`] for what cannot be written.
    pub fn save(&self, parts: &mut Parts) -> Result<(), PartsError> {
        self.held.save(parts)?;
        self.watch.save(parts, "watch")
    }

    /// Becomes what was saved.
    ///
    /// # Errors
    ///
    /// [`PartsError`] for what is missing or of another network.
    pub fn load(&mut self, parts: &Parts) -> Result<(), PartsError> {
        self.held.load(parts)?;
        self.watch.load(parts, "watch")
    }

    /// Whether the next decision looks at images that the network does not train on.
    pub fn wants_held_out(&self) -> bool {
        self.held.wants_held_out() || (self.watch.is_needed() && self.held.decides_next())
    }

    /// What the rules were last told of the losses.
    pub fn generalization(&self) -> Option<Generalization> {
        self.watch.last()
    }

    /// Sums the loss on a batch that is about to be trained on as the loss on held-out images is taken:
    /// with what batch normalization does where the network is judged. In training it does something
    /// else, and the difference of two modes is nothing that was learned by heart.
    fn look_at_train(&mut self, images: &Tensor<4>, classes: &Tensor<1, Int>) {
        if self.has_modes && self.watch.is_needed() && self.held.decides_next() {
            let logits = self.held.network.valid().logits(images.clone().without_autodiff());
            self.watch.see_train(&cross_entropy(logits, classes.clone().without_autodiff()));
        }
    }

    /// Tells the rules the loss on images that the network does not train on, and its gradients where a
    /// rule looks at them. Nothing is trained, and no running value of batch normalization moves.
    ///
    /// # Errors
    ///
    /// [`RunError::Spectral`] if the network is no longer the attached one.
    pub fn look_at_held_out(
        &mut self,
        images: Tensor<4>,
        classes: Tensor<1, Int>,
    ) -> Result<(), RunError> {
        // Validation mode settles running values whose last update is still pending.
        let _ = self.held.network.valid();
        // As when it is scored: normalized by the running values, which stay where they are.
        let network = self.held.network.clone().map(&mut WithoutTraining);
        let loss = cross_entropy(network.logits(images), classes);
        self.watch.see_held_out(&loss);
        if self.held.wants_held_out() { self.held.see_held_out(&loss.backward()) } else { Ok(()) }
    }
}

/// Whether a network has layers that do something else in training, such as batch normalization.
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

/// Switches off what layers do only in training; their weights keep their gradients.
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
