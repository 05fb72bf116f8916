//! The two networks, their optimizers and the discriminator's osn: one update of each.

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Gradients, Tensor};
use osn::{AttachError, Needs, Osn, Plan, Rules, Signals, StepError};

use super::{Discriminator, GanConfig, Generator};
use crate::adversarial::{Watch, halves};
use crate::{ema, init};

/// The name of the network that is watched.
pub(super) const WATCHED: &str = "discriminator";

/// What an update of the discriminator leaves to look at.
#[derive(Clone, Debug)]
pub struct Discriminated {
    /// The hinge loss, `[1]`.
    pub loss: Tensor<1>,
    /// Logits of the real images, then of the generated ones, `[2·batch, 1]`.
    pub logits: Tensor<2>,
}

/// Generator and discriminator in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct Players {
    /// Latent vectors to images.
    pub generator: Generator,
    /// The average of the generator, where the config asks for one.
    pub average: Option<Generator>,
    /// Images to logits, held by `osn`.
    pub discriminator: Discriminator,
    /// What holds the discriminator; absent where it is trained without.
    pub osn: Option<Osn>,
    watch: Watch,
    generator_adam: ModuleOptimizer,
    discriminator_adam: ModuleOptimizer,
    learning_rate: f64,
    decay: Option<f64>,
}

impl Players {
    /// New networks with the initial weights of `seed`, on the autodiff device of `device`; a
    /// discriminator held as `rules` decide, or plain without any.
    ///
    /// # Errors
    ///
    /// Rules that cannot be attached.
    pub fn new(
        config: &GanConfig,
        channels: usize,
        rules: Option<Rules>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, AttachError> {
        let device = device.clone().autodiff();
        let generator = init::xavier(Generator::new(config, channels, &device), seed, 0);
        let discriminator = init::xavier(Discriminator::new(config, channels, &device), seed, 1);
        let needs = rules.as_ref().map_or(Needs::default(), Rules::needs);
        let (discriminator, osn) = match rules {
            None => (discriminator, None),
            Some(rules) => {
                let plan = Plan::new().network(WATCHED).select("**.weight").decide(rules);
                let (discriminator, osn) = plan.attach(discriminator)?;
                (discriminator, Some(osn))
            }
        };
        Ok(Self {
            average: config.ema.map(|_| generator.valid()),
            generator,
            discriminator,
            osn,
            watch: Watch::new(needs),
            generator_adam: adam(config),
            discriminator_adam: adam(config),
            learning_rate: config.learning_rate,
            decay: config.ema,
        })
    }

    /// Whether the next update of the discriminator decides, and so looks at its signals.
    pub fn decides_next(&self) -> bool {
        self.osn.as_ref().is_some_and(Osn::decides_next)
    }

    /// One update of the discriminator on as many generated images as real ones: the hinge loss
    /// (Miyato et al. 2018), then one refresh of osn.
    ///
    /// Both kinds go through in one batch: without batch normalization that changes nothing.
    ///
    /// # Shapes
    ///
    /// `real`: `[batch, channels, size, size]`; `latents`: `[batch, latent_size]`.
    ///
    /// # Errors
    ///
    /// A weight that is not finite.
    pub fn train_discriminator(
        &mut self,
        real: Tensor<4>,
        latents: Tensor<2>,
        signals: &Signals,
    ) -> Result<Discriminated, StepError> {
        let fake = self.generator.forward(latents).detach();
        let (logits, loss) = self.discriminate(real, fake);
        self.watch.see_logits(&logits);
        self.update_discriminator(loss.backward(), signals)?;
        Ok(Discriminated { loss, logits })
    }

    /// One step of the optimizer, then one of osn, where there is one.
    fn update_discriminator(
        &mut self,
        gradients: Gradients,
        signals: &Signals,
    ) -> Result<(), StepError> {
        let discriminator = self.discriminator.clone();
        let (adam, rate) = (&mut self.discriminator_adam, self.learning_rate);
        let Some(osn) = &mut self.osn else {
            let gradients = GradientsParams::from_grads(gradients, &discriminator);
            self.discriminator = adam.step(rate, discriminator, gradients);
            return Ok(());
        };
        osn.observe(&discriminator, &gradients)?;
        let gradients = GradientsParams::from_grads(gradients, &discriminator);
        self.discriminator = osn.optimize(adam, rate, discriminator, gradients);
        let mut signals = signals.clone();
        if osn.decides_next() {
            signals = signals.adversarial(self.watch.take());
        }
        osn.step(&mut self.discriminator, &signals)
    }

    /// Whether the next decision looks at images that the discriminator does not train on.
    pub fn wants_held_out(&self) -> bool {
        self.osn.as_ref().is_some_and(|osn| osn.decides_next() && osn.needs().held_out)
    }

    /// Tells the rules what the discriminator makes of images that it does not train on; nothing is
    /// trained.
    ///
    /// # Shapes
    ///
    /// As [`train_discriminator`](Self::train_discriminator); `latents` on the plain device.
    ///
    /// # Errors
    ///
    /// A model that is not the attached one.
    pub fn look_at_held_out(
        &mut self,
        real: Tensor<4>,
        latents: Tensor<2>,
    ) -> Result<(), StepError> {
        // In validation mode: a look must not move the running values of batch normalization.
        let fake = Tensor::from_inner(self.generator.valid().forward(latents));
        let (logits, loss) = self.discriminate(real, fake);
        self.watch.see_held_out(&logits);
        let gradients = loss.backward();
        match &mut self.osn {
            Some(osn) => osn.observe_held_out(&self.discriminator, &gradients),
            None => Ok(()),
        }
    }

    /// Logits of the real images, then of as many generated ones, `[2·batch, 1]`, and the hinge loss.
    fn discriminate(&self, real: Tensor<4>, fake: Tensor<4>) -> (Tensor<2>, Tensor<1>) {
        let logits = self.discriminator.forward(Tensor::cat(vec![real, fake], 0));
        let [real, fake] = halves(logits.clone());
        let loss = relu(real.neg() + 1.0).mean() + relu(fake + 1.0).mean();
        (logits, loss)
    }

    /// One update of the generator: its loss is `−E[D(G(z))]` (Miyato et al. 2018, hinge version).
    ///
    /// # Shapes
    ///
    /// `latents`: `[batch, latent_size]`; returns `[1]`.
    pub fn train_generator(&mut self, latents: Tensor<2>) -> Tensor<1> {
        // In validation mode the discriminator's weights are constants: nothing is spent on
        // gradients that nobody wants.
        let discriminator = self.discriminator.valid();
        let images = self.generator.forward(latents);
        let (loss, gradients) =
            self.watch.generator_loss(images, |images| discriminator.forward(images));
        let gradients = GradientsParams::from_grads(gradients, &self.generator);
        let generator = self.generator.clone();
        self.generator = self.generator_adam.step(self.learning_rate, generator, gradients);
        if let (Some(average), Some(decay)) = (self.average.take(), self.decay) {
            self.average = Some(ema::update(average, &self.generator, decay));
        }
        loss
    }

    /// The generator that is judged, in validation mode.
    pub fn judged(&self) -> Generator {
        self.average.clone().unwrap_or_else(|| self.generator.valid())
    }
}

fn adam(config: &GanConfig) -> ModuleOptimizer {
    AdamConfig::new()
        .with_beta_1(config.beta_1)
        .with_beta_2(config.beta_2)
        .with_epsilon(config.epsilon)
        .init()
}
