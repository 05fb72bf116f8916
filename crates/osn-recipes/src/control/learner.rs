//! The Q-network, its target, its optimizer and its osn: one update.

use burn::module::Module;
use burn::nn::loss::{HuberLoss, HuberLossConfig, Reduction};
use burn::tensor::{Device, Tensor};

use crate::adam::adam;
use crate::batch::{joined_halves, mean_of, numbers, tensor};
use crate::control::config::ControlConfig;
use crate::control::model::QNetwork;
use crate::control::replay::Batch;
use crate::crew::Crew;
use crate::decide::Decide;
use crate::held::TrainedNetwork;
use crate::init;
use crate::network_parts::{load_network, save_network};
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::pending::PendingSignals;

/// The target in a checkpoint.
const TARGET: &str = "target";

/// The loss and the values of an update.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The Huber loss, `[1]`.
    pub loss: Tensor<1>,
    /// The values of the actions taken, `[batch, 1]`.
    pub values: Tensor<2>,
    /// What they should be, `[batch, 1]`.
    pub targets: Tensor<2>,
}

impl Learned {
    /// Of a batch, from those of this worker's shards.
    fn of_batch(own: Vec<Self>, crew: &mut Crew) -> Result<Self, RunError> {
        let of_shard = |it: &Self| {
            let Self { loss, values, targets } = it.clone();
            [numbers(loss), numbers(values), numbers(targets)].concat()
        };
        crew.of_batch(own, of_shard, |first, shards| {
            let device = first.loss.device();
            let [values, targets] =
                joined_halves(&shards).map(|all| tensor(&all, [all.len(), 1], &device));
            Self { loss: mean_of(&shards, 0, &device), values, targets }
        })
    }
}

/// A Q-network in training.
#[expect(missing_debug_implementations, reason = "Burn's optimizer has none")]
pub struct Learner {
    /// Observations to values.
    pub trained: TrainedNetwork<QNetwork>,
    /// The network of some updates ago, with baked weights and without osn.
    pub target: QNetwork,
    huber: HuberLoss,
    discount: f64,
}

impl Learner {
    /// A new network with the initial weights of `seed`, on the autodiff device of `device`; constrained
    /// as `decide` says, or trained without osn. The target is a copy of it.
    ///
    /// # Errors
    ///
    /// As [`TrainedNetwork::new`].
    pub fn new(
        config: &ControlConfig,
        decide: Option<&Decide>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let device = device.clone().autodiff();
        let network = init::xavier(QNetwork::new(config, &device), seed, 0);
        let adam = adam(config.beta_1, config.beta_2, config.epsilon);
        let trained = TrainedNetwork::new(network, "q_network", decide, adam)?;
        Ok(Self {
            target: trained.plain(),
            trained,
            huber: HuberLossConfig::new(config.huber_delta).init(),
            discount: config.discount,
        })
    }

    /// One update on a batch of the plain device, of which each worker takes its shards, then one refresh of osn.
    ///
    /// # Errors
    ///
    /// [`RunError::NonFinite`] for a weight that is not finite, [`RunError::Workers`] where another worker has failed.
    pub fn update(
        &mut self,
        batch: &Batch,
        learning_rate: f64,
        pending: &mut PendingSignals,
        crew: &mut Crew,
    ) -> Result<Learned, RunError> {
        let (gradients, own) = crew.mean(&self.trained.network, |shard| {
            let batch = batch.of(shard);
            let targets = self.targets(&batch);
            let values = self.trained.network.forward(Tensor::from_inner(batch.observations));
            let values = values.gather(1, Tensor::from_inner(batch.actions));
            let expected = Tensor::from_inner(targets.clone());
            let loss = self.huber.forward(values.clone(), expected, Reduction::Mean);
            (loss.backward(), Learned { loss, values, targets })
        })?;
        let learned = Learned::of_batch(own, crew)?;
        self.trained.learn(gradients, learning_rate, pending, crew)?;
        Ok(learned)
    }

    /// Puts both networks into a checkpoint.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what cannot be written.
    pub fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        self.trained.save(parts)?;
        save_network(parts, TARGET, &self.target)
    }

    /// Becomes what was saved.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for what is missing or of other networks.
    pub fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.trained.load(parts)?;
        self.target = load_network(parts, TARGET, self.target.clone())?;
        Ok(())
    }

    /// What the values should be: `r + γ·Q⁻(s′, argmaxₐ Q(s′, a))`, where the network chooses and the
    /// target evaluates (double DQN, van Hasselt et al. 2016), and `r` alone at a terminal state.
    ///
    /// # Shapes
    ///
    /// Returns `[batch, 1]`.
    pub fn targets(&self, batch: &Batch) -> Tensor<2> {
        let chosen = self.trained.network.valid().forward(batch.next.clone()).argmax(1);
        let later = self.target.forward(batch.next.clone()).gather(1, chosen);
        batch.rewards.clone() + batch.goes_on.clone() * later * self.discount
    }

    /// Makes the target what the network is now: effective weights become ordinary ones.
    pub fn copy_to_target(&mut self) {
        self.target = self.trained.plain();
    }
}
