//! The two networks: one update of each.

use burn::module::Module;
use burn::tensor::Tensor;
use osn::rules::Signals;

use crate::adam::adam;
use crate::adversarial::objective::Objective;
use crate::adversarial::separation;
use crate::adversarial::settings::Settings;
use crate::adversarial::signals::{AdversarialSums, halves};
use crate::adversarial::watch::{GradientSizes, OfPart};
use crate::decide::Decide;
use crate::ema::Average;
use crate::held::TrainedNetwork;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::pending::PendingSignals;

/// The average of the generator in a checkpoint.
const AVERAGE: &str = "average";

/// The loss and the logits of an update of the discriminator.
#[derive(Clone, Debug)]
pub struct Discriminated {
    /// The loss, `[1]`.
    pub loss: Tensor<1>,
    /// Logits of the real images, then of the generated ones, `[2·batch, places]`.
    pub logits: Tensor<2>,
    /// How large the gradients are, where that was asked for.
    pub gradients: Option<GradientSizes>,
    /// `E‖g − E g‖²` of the gradients of batches, where a part of this one was looked at before.
    pub gradient_variance: Option<f64>,
}

/// An update that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct PlayerUpdate {
    /// The learning rate.
    pub learning_rate: f64,
    /// Whether the sizes of its gradients are asked for.
    pub is_logged: bool,
}

/// The losses of an update of the generator.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The adversarial loss, `[1]`.
    pub loss: Tensor<1>,
    /// The second loss, `[1]`, and its name.
    pub second: Option<(&'static str, Tensor<1>)>,
    /// How large the gradients are, where that was asked for.
    pub gradients: Option<GradientSizes>,
}

/// Generator and discriminator in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct Players<G, D> {
    /// Makes images.
    pub generator: TrainedNetwork<G>,
    /// The average of the generator, where the settings ask for one.
    pub average: Option<Average<G>>,
    /// Tells real images from generated ones.
    pub discriminator: TrainedNetwork<D>,
    sums: AdversarialSums,
    /// Of the discriminator's next update.
    part: Option<OfPart>,
    objective: Objective,
}

/// The names of both networks, as rules and records have them.
const NETWORKS: [&str; 2] = ["discriminator", "generator"];

impl<G: Module, D: Module> Players<G, D> {
    /// Two networks: `decide` constrains the discriminator, and the generator too where
    /// `holds_generator` says so; without it both are trained without osn.
    ///
    /// # Errors
    ///
    /// As [`TrainedNetwork::new`].
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
        let discriminator =
            TrainedNetwork::new(discriminator, NETWORKS[0], decide.as_ref(), adam())?;
        let generator = TrainedNetwork::new(generator, NETWORKS[1], of_generator.as_ref(), adam())?;
        Ok(Self {
            average: settings.ema.map(|decay| Average::new(&generator.network, decay)),
            generator,
            sums: AdversarialSums::new(discriminator.needs()),
            part: None,
            discriminator,
            objective: settings.objective,
        })
    }

    /// One update of the discriminator, then one refresh of osn.
    ///
    /// `discriminate` returns the logits of the real images, then of as many generated ones. Both kinds go
    /// through in one batch: without batch normalization that changes nothing.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite.
    pub fn train_discriminator(
        &mut self,
        discriminate: impl FnOnce(&D) -> Tensor<2>,
        update: PlayerUpdate,
        pending: &mut PendingSignals,
    ) -> Result<Discriminated, RunError> {
        let (logits, loss) = self.logits_and_loss(discriminate);
        self.sums.add_logits(&logits);
        let signals = if self.discriminator.decides_next() {
            pending.signals().adversarial(self.sums.take())
        } else {
            Signals::new()
        };
        let gradients = loss.backward();
        let sizes =
            update.is_logged.then(|| GradientSizes::of(&self.discriminator.network, &gradients));
        let part = self.part.take();
        let variance = part.map(|part| part.variance(&self.discriminator.network, &gradients));
        self.discriminator.descend(gradients, update.learning_rate, &signals)?;
        Ok(Discriminated { loss, logits, gradients: sizes, gradient_variance: variance })
    }

    /// Looks at the gradients on some of the images of the discriminator's next update, `[part, all]` of them of each
    /// kind, for how much the gradients of batches vary; nothing is trained. `discriminate` as for
    /// [`train_discriminator`](Self::train_discriminator).
    pub(crate) fn look_at_part(
        &mut self,
        discriminate: impl FnOnce(&D) -> Tensor<2>,
        counts: [usize; 2],
    ) {
        let (_, loss) = self.logits_and_loss(discriminate);
        self.part = Some(OfPart::new(loss.backward(), counts));
    }

    /// Collects for the rules the gradients on held-out images; nothing is trained.
    /// `discriminate` as for [`train_discriminator`](Self::train_discriminator).
    ///
    /// # Errors
    ///
    /// [`RunError::Spectral`] if the discriminator is no longer the attached one.
    pub fn observe_held_out(
        &mut self,
        discriminate: impl FnOnce(&D) -> Tensor<2>,
    ) -> Result<(), RunError> {
        let (_, loss) = self.logits_and_loss(discriminate);
        self.discriminator.add_held_out(&loss.backward())
    }

    /// The same of −J with `J = ln(E D(real) − E D(fake)) − ln E‖∇ₓD‖`, what separation the discriminator reaches for
    /// its slope. The images are real ones that nothing trains on and as many generated ones, without autodiff;
    /// nothing is collected where the discriminator has no slope.
    ///
    /// # Errors
    ///
    /// As [`observe_held_out`](Self::observe_held_out).
    pub fn observe_separation(
        &mut self,
        real: Tensor<4>,
        fake: Tensor<4>,
        discriminate: impl Fn(&D, Tensor<4>) -> Tensor<2>,
    ) -> Result<(), RunError> {
        let (network, frozen) = (&self.discriminator.network, self.discriminator.network.valid());
        let loss = separation::loss(
            |images| discriminate(network, images),
            |images| discriminate(&frozen, images),
            real,
            fake,
        );
        match loss {
            Some(loss) => self.discriminator.add_held_out(&loss.backward()),
            None => Ok(()),
        }
    }

    fn logits_and_loss(
        &self,
        discriminate: impl FnOnce(&D) -> Tensor<2>,
    ) -> (Tensor<2>, Tensor<1>) {
        let logits = discriminate(&self.discriminator.network);
        let [real, fake] = halves(logits.clone());
        (logits, self.objective.of_discriminator(real, fake))
    }

    /// One update of the generator from its `images`; `discriminate` returns their logits, and
    /// `second_loss` a further loss to minimize.
    ///
    /// Its rules get the `pending` signals without the adversarial ones: a discriminator that is too
    /// certain is a reason to constrain the discriminator, not the generator.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite, where the generator is constrained.
    pub fn train_generator(
        &mut self,
        images: Tensor<4>,
        discriminate: impl Fn(&D, Tensor<4>) -> Tensor<2>,
        second_loss: impl FnOnce(&Tensor<4>) -> Option<(&'static str, Tensor<1>)>,
        update: PlayerUpdate,
        pending: &mut PendingSignals,
    ) -> Result<Generated, RunError> {
        // In validation mode the discriminator's weights are constants: nothing is spent on
        // gradients that nobody wants.
        let discriminator = self.discriminator.network.valid();
        let second = second_loss(&images);
        let beside = second.as_ref().map(|(_, loss)| loss.clone());
        let discriminate = |images| discriminate(&discriminator, images);
        let (loss, gradients) =
            self.sums.generator_loss(self.objective, images, discriminate, beside);
        let sizes =
            update.is_logged.then(|| GradientSizes::of(&self.generator.network, &gradients));
        self.generator.learn(gradients, update.learning_rate, pending)?;
        let average = self.average.take();
        self.average = average.map(|average| average.updated(&self.generator.network));
        Ok(Generated { loss, second, gradients: sizes })
    }

    /// Puts both networks, the average and the pending sums into a checkpoint.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what cannot be written.
    pub fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        self.generator.save(parts)?;
        self.discriminator.save(parts)?;
        if let Some(average) = &self.average {
            average.save(parts, AVERAGE)?;
        }
        self.sums.save(parts, "sums")
    }

    /// Becomes what was saved.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what is missing or of other networks.
    pub fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.generator.load(parts)?;
        self.discriminator.load(parts)?;
        if let Some(average) = &mut self.average {
            average.load(parts, AVERAGE)?;
        }
        self.sums.load(parts, "sums")
    }

    /// The generator that is scored, in validation mode and with its effective weights baked in.
    pub(crate) fn scored_generator(&self) -> G {
        match &self.average {
            Some(average) => average.network().clone(),
            None => self.generator.plain(),
        }
    }
}
