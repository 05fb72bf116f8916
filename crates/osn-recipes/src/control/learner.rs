//! The Q-network, its target, its optimizer and its osn: one update.

use burn::module::Module;
use burn::nn::loss::{HuberLoss, HuberLossConfig, Reduction};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Gradients, Tensor};
use osn::{AttachError, Osn, Plan, Rules, Signals, StepError};

use super::{Batch, ControlConfig, QNetwork};
use crate::init;

/// The name of the network that is watched.
pub(super) const WATCHED: &str = "q_network";

/// What an update leaves to look at.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The Huber loss, `[1]`.
    pub loss: Tensor<1>,
    /// The values of the actions taken, `[batch, 1]`.
    pub values: Tensor<2>,
    /// What they should be, `[batch, 1]`.
    pub targets: Tensor<2>,
}

/// A Q-network in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct Learner {
    /// Observations to values, held by `osn`.
    pub network: QNetwork,
    /// The network of some updates ago, with baked weights and no trace of osn.
    pub target: QNetwork,
    /// What holds the network; absent where it is trained without.
    pub osn: Option<Osn>,
    adam: ModuleOptimizer,
    huber: HuberLoss,
    discount: f64,
}

impl Learner {
    /// A new network with the initial weights of `seed`, on the autodiff device of `device`; held as
    /// `rules` decide, or plain without any. The target is a copy of it.
    ///
    /// # Errors
    ///
    /// Rules that cannot be attached.
    pub fn new(
        config: &ControlConfig,
        rules: Option<Rules>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, AttachError> {
        let device = device.clone().autodiff();
        let network = init::xavier(QNetwork::new(config, &device), seed, 0);
        let (network, osn) = match rules {
            None => (network, None),
            Some(rules) => {
                let plan = Plan::new().network(WATCHED).select("**.weight").decide(rules);
                let (network, osn) = plan.attach(network)?;
                (network, Some(osn))
            }
        };
        Ok(Self {
            target: network.valid().materialize(),
            network,
            osn,
            adam: adam(config),
            huber: HuberLossConfig::new(config.huber_delta).init(),
            discount: config.discount,
        })
    }

    /// Whether the next update decides, and so looks at its signals.
    pub fn decides_next(&self) -> bool {
        self.osn.as_ref().is_some_and(Osn::decides_next)
    }

    /// One update on a batch of the plain device, then one refresh of osn.
    ///
    /// # Errors
    ///
    /// A weight that is not finite.
    pub fn update(
        &mut self,
        batch: Batch,
        learning_rate: f64,
        signals: &Signals,
    ) -> Result<Learned, StepError> {
        let targets = self.targets(&batch);
        let values = self.network.forward(Tensor::from_inner(batch.observations));
        let values = values.gather(1, Tensor::from_inner(batch.actions));
        let expected = Tensor::from_inner(targets.clone());
        let loss = self.huber.forward(values.clone(), expected, Reduction::Mean);
        self.descend(loss.backward(), learning_rate, signals)?;
        Ok(Learned { loss, values, targets })
    }

    /// What the values should be: `r + γ·Q⁻(s′, argmaxₐ Q(s′, a))`, where the network chooses and the
    /// target judges (double DQN, van Hasselt et al. 2016), and `r` alone at a terminal state.
    ///
    /// # Shapes
    ///
    /// Returns `[batch, 1]`.
    pub fn targets(&self, batch: &Batch) -> Tensor<2> {
        let chosen = self.network.valid().forward(batch.next.clone()).argmax(1);
        let later = self.target.forward(batch.next.clone()).gather(1, chosen);
        batch.rewards.clone() + batch.goes_on.clone() * later * self.discount
    }

    /// Makes the target what the network is now: effective weights become ordinary ones.
    pub fn copy_to_target(&mut self) {
        self.target = self.network.valid().materialize();
    }

    /// One step of the optimizer, then one of osn, where there is one.
    fn descend(
        &mut self,
        gradients: Gradients,
        learning_rate: f64,
        signals: &Signals,
    ) -> Result<(), StepError> {
        let network = self.network.clone();
        let Some(osn) = &mut self.osn else {
            let gradients = GradientsParams::from_grads(gradients, &network);
            self.network = self.adam.step(learning_rate, network, gradients);
            return Ok(());
        };
        osn.observe(&network, &gradients)?;
        let gradients = GradientsParams::from_grads(gradients, &network);
        self.network = osn.optimize(&mut self.adam, learning_rate, network, gradients);
        osn.step(&mut self.network, signals)
    }
}

fn adam(config: &ControlConfig) -> ModuleOptimizer {
    AdamConfig::new()
        .with_beta_1(config.beta_1)
        .with_beta_2(config.beta_2)
        .with_epsilon(config.epsilon)
        .init()
}
