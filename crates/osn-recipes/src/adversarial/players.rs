//! The two networks: one update of each.

use burn::module::Module;
use burn::tensor::Tensor;
use osn::rules::Signals;

use crate::adam::adam;
use crate::adversarial::objective::Objective;
use crate::adversarial::separation;
use crate::adversarial::settings::Settings;
use crate::adversarial::signals::{AdversarialSums, GeneratorLoss, halves};
use crate::adversarial::watch::{GradientSizes, OfPart, by_image};
use crate::batch::{joined_halves, mean_of, number, numbers, tensor};
use crate::crew::{Crew, Shard};
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

/// What a discriminator says of one shard of a batch.
#[derive(Clone, Debug)]
pub struct Logits {
    /// Of its real images, then of as many generated ones, `[2·shard, places]`.
    pub of_all: Tensor<2>,
    /// The same of some of them alone, and how many of the real images these are of how many in the whole batch: for how
    /// much the gradients of batches vary, where that is asked for.
    pub of_part: Option<(Tensor<2>, [usize; 2])>,
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
            discriminator,
            objective: settings.objective,
        })
    }

    /// One update of the discriminator, then one refresh of osn.
    ///
    /// `discriminate` passes one shard of a batch through the discriminator, its real images and as many generated ones.
    /// Both kinds go through in one batch: without batch normalization that changes nothing. The generator may keep running
    /// values, which become those of the whole batch.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite, [`RunError::Workers`] where another worker has failed.
    pub fn train_discriminator(
        &mut self,
        mut discriminate: impl FnMut(&G, &D, Shard) -> Logits,
        update: PlayerUpdate,
        pending: &mut PendingSignals,
        crew: &mut Crew,
    ) -> Result<Discriminated, RunError> {
        let mut part = None;
        let both = (self.discriminator.network.clone(), self.generator.network.clone());
        let (gradients, own) = crew.mean(&both, |shard| {
            let Logits { of_all, of_part } = discriminate(&both.1, &both.0, shard);
            if let Some((logits, counts)) = of_part {
                part = Some(OfPart::new(self.loss(&logits).backward(), counts));
            }
            let loss = self.loss(&of_all);
            (loss.backward(), (loss, of_all))
        })?;
        let (loss, logits) = of_batch(own, crew)?;
        self.sums.add_logits(&logits);
        let signals = if self.discriminator.decides_next() {
            pending.signals().adversarial(self.sums.take())
        } else {
            Signals::new()
        };
        let network = &self.discriminator.network;
        let sizes = update.is_logged.then(|| GradientSizes::of(network, &gradients));
        let variance = part.map(|part| part.variance(network, &gradients));
        self.discriminator.descend(gradients, update.learning_rate, &signals, crew)?;
        Ok(Discriminated { loss, logits, gradients: sizes, gradient_variance: variance })
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
        let loss = self.loss(&discriminate(&self.discriminator.network));
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

    /// The discriminator's loss by its logits, those of real images first.
    fn loss(&self, logits: &Tensor<2>) -> Tensor<1> {
        let [real, fake] = halves(logits.clone());
        self.objective.of_discriminator(real, fake)
    }

    /// One update of the generator: `generate` makes the images of one shard of a batch and returns their condition with
    /// them, by which `discriminate` returns their logits; `second_loss` is a further loss to minimize.
    ///
    /// Its rules get the `pending` signals without the adversarial ones: a discriminator that is too
    /// certain is a reason to constrain the discriminator, not the generator.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite, where the generator is constrained; [`RunError::Workers`]
    /// where another worker has failed.
    pub fn train_generator<C>(
        &mut self,
        mut generate: impl FnMut(&G, Shard) -> (Tensor<4>, C),
        discriminate: impl Fn(&D, Tensor<4>, &C) -> Tensor<2>,
        second_loss: impl Fn(&Tensor<4>, Shard) -> Option<(&'static str, Tensor<1>)>,
        update: PlayerUpdate,
        pending: &mut PendingSignals,
        crew: &mut Crew,
    ) -> Result<Generated, RunError> {
        // In validation mode the discriminator's weights are constants: nothing is spent on
        // gradients that nobody wants.
        let discriminator = self.discriminator.network.valid();
        let network = &self.generator.network;
        let (gradients, own) = crew.mean(network, |shard| {
            let (images, condition) = generate(network, shard);
            let second = second_loss(&images, shard);
            let beside = second.as_ref().map(|(_, loss)| loss.clone());
            let discriminate = |images| discriminate(&discriminator, images, &condition);
            let GeneratorLoss { loss, gradients, slope } =
                self.sums.generator_loss(self.objective, images, discriminate, beside);
            (gradients, OfShard { loss, second, slope })
        })?;
        let OfShard { loss, second, slope } = OfShard::of_batch(own, crew)?;
        self.sums.add_slope(slope);
        let sizes =
            update.is_logged.then(|| GradientSizes::of(&self.generator.network, &gradients));
        self.generator.learn(gradients, update.learning_rate, pending, crew)?;
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

/// The loss of a batch and the logits of its images, real ones first, from those of this worker's shards. A batch that is
/// cut has one logit for each image.
fn of_batch(
    own: Vec<(Tensor<1>, Tensor<2>)>,
    crew: &mut Crew,
) -> Result<(Tensor<1>, Tensor<2>), RunError> {
    let of_shard = |(loss, logits): &(Tensor<1>, Tensor<2>)| {
        [numbers(loss.clone()), by_image(logits.clone())].concat()
    };
    crew.of_batch(own, of_shard, |(loss, _), shards| {
        let device = loss.device();
        let [real, fake] = joined_halves(&shards);
        let logits = [real, fake].concat();
        (mean_of(&shards, 0, &device), tensor(&logits, [logits.len(), 1], &device))
    })
}

/// What the generator's update comes to on one shard, or on the whole batch.
struct OfShard {
    loss: Tensor<1>,
    second: Option<(&'static str, Tensor<1>)>,
    slope: Option<Tensor<1>>,
}

impl OfShard {
    /// The means, from those of this worker's shards.
    fn of_batch(own: Vec<Self>, crew: &mut Crew) -> Result<Self, RunError> {
        let of_shard = |it: &Self| {
            let second = it.second.as_ref().map(|(_, loss)| loss);
            let all = [Some(&it.loss), second, it.slope.as_ref()];
            all.map(|it| it.map_or(0.0, |it| number(it.clone().without_autodiff()))).to_vec()
        };
        crew.of_batch(own, of_shard, |first, shards| {
            let device = first.loss.device();
            let [loss, second, slope] = [0, 1, 2].map(|at| mean_of(&shards, at, &device));
            Self {
                loss,
                second: first.second.as_ref().map(|(name, _)| (*name, second)),
                slope: first.slope.as_ref().map(|_| slope),
            }
        })
    }
}
