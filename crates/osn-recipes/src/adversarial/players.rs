//! The two networks: one update of each.

use burn::module::Module;
use burn::tensor::Tensor;
use osn::rules::Signals;

use super::{Objective, Settings, Watch, halves};
use crate::decide::Decide;
use crate::ema::Average;
use crate::held::{Held, adam};
use crate::run::{Parts, PartsError, RunError, Told};

/// The average of the generator in a checkpoint.
const AVERAGE: &str = "average";

/// What an update of the discriminator leaves to look at.
#[derive(Clone, Debug)]
pub struct Discriminated {
    /// The loss, `[1]`.
    pub loss: Tensor<1>,
    /// Logits of the real images, then of the generated ones, `[2·batch, places]`.
    pub logits: Tensor<2>,
}

/// What an update of the generator leaves to look at.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The adversarial loss, `[1]`.
    pub loss: Tensor<1>,
    /// The second loss, `[1]`, and its name.
    pub second: Option<(&'static str, Tensor<1>)>,
}

/// Generator and discriminator in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct Players<G, D> {
    /// Makes images.
    pub generator: Held<G>,
    /// The average of the generator, where the settings ask for one.
    pub average: Option<Average<G>>,
    /// Tells real images from made ones.
    pub discriminator: Held<D>,
    watch: Watch,
    objective: Objective,
    learning_rate: f64,
}

/// The names of both networks, as rules and records have them.
const NETWORKS: [&str; 2] = ["discriminator", "generator"];

impl<G: Module, D: Module> Players<G, D> {
    /// Two networks, the discriminator held as `decide` says, the generator too where that is asked for;
    /// both plain without anything that decides.
    ///
    /// # Errors
    ///
    /// As [`Held::new`].
    pub fn new(
        generator: G,
        discriminator: D,
        settings: &Settings,
        decide: Option<&Decide>,
        holds_generator: bool,
    ) -> Result<Self, RunError> {
        let adam = || adam(settings.beta_1, settings.beta_2, settings.epsilon);
        // One file of rules is for both networks where both are held.
        let part = |name| match decide {
            Some(decide) if holds_generator => decide.for_network(name, &NETWORKS).map(Some),
            decide => Ok(decide.cloned()),
        };
        let of_generator = if holds_generator { part(NETWORKS[1])? } else { None };
        let decide = part(NETWORKS[0])?;
        let discriminator = Held::new(discriminator, NETWORKS[0], decide.as_ref(), adam())?;
        let generator = Held::new(generator, NETWORKS[1], of_generator.as_ref(), adam())?;
        Ok(Self {
            average: settings.ema.map(|decay| Average::new(&generator.network, decay)),
            generator,
            watch: Watch::new(discriminator.needs()),
            discriminator,
            objective: settings.objective,
            learning_rate: settings.learning_rate,
        })
    }

    /// One update of the discriminator, then one refresh of osn.
    ///
    /// `judge` returns the logits of the real images, then of as many generated ones. Both kinds go
    /// through in one batch: without batch normalization that changes nothing.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite.
    pub fn train_discriminator(
        &mut self,
        judge: impl FnOnce(&D) -> Tensor<2>,
        told: &mut Told,
    ) -> Result<Discriminated, RunError> {
        let (logits, loss) = self.discriminate(judge);
        self.watch.see_logits(&logits);
        let signals = if self.discriminator.decides_next() {
            told.signals().adversarial(self.watch.take())
        } else {
            Signals::new()
        };
        self.discriminator.descend(loss.backward(), self.learning_rate, &signals)?;
        Ok(Discriminated { loss, logits })
    }

    /// Tells the rules what the discriminator makes of images that it does not train on; nothing is
    /// trained. `judge` as for [`train_discriminator`](Self::train_discriminator).
    ///
    /// # Errors
    ///
    /// [`RunError::Spectral`] if the discriminator is no longer the attached one.
    pub fn look_at_held_out(
        &mut self,
        judge: impl FnOnce(&D) -> Tensor<2>,
    ) -> Result<(), RunError> {
        let (logits, loss) = self.discriminate(judge);
        self.watch.see_held_out(&logits);
        self.discriminator.see_held_out(&loss.backward())
    }

    fn discriminate(&self, judge: impl FnOnce(&D) -> Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let logits = judge(&self.discriminator.network);
        let [real, fake] = halves(logits.clone());
        (logits, self.objective.of_discriminator(real, fake))
    }

    /// One update of the generator, which made `images`; `judge` returns their logits, and `second_loss`
    /// what else it is to minimize.
    ///
    /// Its rules are told what it is `told` of and nothing of the discriminator's race: a certain
    /// discriminator is a reason to hold that one tighter, and none to hold the generator.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite, where the generator is held.
    pub fn train_generator(
        &mut self,
        images: Tensor<4>,
        judge: impl Fn(&D, Tensor<4>) -> Tensor<2>,
        second_loss: impl FnOnce(&Tensor<4>) -> Option<(&'static str, Tensor<1>)>,
        told: &mut Told,
    ) -> Result<Generated, RunError> {
        // In validation mode the discriminator's weights are constants: nothing is spent on
        // gradients that nobody wants.
        let discriminator = self.discriminator.network.valid();
        let second = second_loss(&images);
        let beside = second.as_ref().map(|(_, loss)| loss.clone());
        let judge = |images| judge(&discriminator, images);
        let (loss, gradients) = self.watch.generator_loss(self.objective, images, judge, beside);
        self.generator.learn(gradients, self.learning_rate, told)?;
        let average = self.average.take();
        self.average = average.map(|average| average.updated(&self.generator.network));
        Ok(Generated { loss, second })
    }

    /// Puts both networks, the average and what rules are told into a checkpoint.
    ///
    /// # Errors
    ///
    /// [`PartsError`] for what cannot be written.
    pub fn save(&self, parts: &mut Parts) -> Result<(), PartsError> {
        self.generator.save(parts)?;
        self.discriminator.save(parts)?;
        if let Some(average) = &self.average {
            average.save(parts, AVERAGE)?;
        }
        self.watch.save(parts, "watch")
    }

    /// Becomes what was saved.
    ///
    /// # Errors
    ///
    /// [`PartsError`] for what is missing or of other networks.
    pub fn load(&mut self, parts: &Parts) -> Result<(), PartsError> {
        self.generator.load(parts)?;
        self.discriminator.load(parts)?;
        if let Some(average) = &mut self.average {
            average.load(parts, AVERAGE)?;
        }
        self.watch.load(parts, "watch")
    }

    /// The generator that is judged, in validation mode and with ordinary weights: those that it
    /// computes with.
    pub fn judged(&self) -> G {
        match &self.average {
            Some(average) => average.network().clone(),
            None => self.generator.plain(),
        }
    }
}
