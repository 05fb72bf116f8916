//! One training on several workers: the same bits for every number of them, and what ends all of them.

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use osn::rules::{Generalization, Signals};
use osn::workers::{Alone, Team, TeamError, Threads, Workers, WorkersError};
use osn::{Change, Osn, SpectralNorm, StepError};

use crate::support::{Met, device, noise, noisy, plan, times, values};

const SHARDS: usize = 6;
const STEPS: usize = 24;

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    norm: BatchNorm,
    second: Linear,
    /// Of which only shard 4 has a gradient.
    seldom: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        noisy(Self {
            first: LinearConfig::new(7, 12).init(device),
            norm: BatchNormConfig::new(12).init(device),
            second: LinearConfig::new(12, 5).init(device),
            seldom: LinearConfig::new(12, 5).init(device),
        })
    }

    /// The loss on a shard of a batch.
    fn loss(&self, batch: usize, shard: usize) -> Tensor<1> {
        let x = noise([5, 7], (batch * SHARDS + shard) as u64 + 1000, &device());
        let hidden = relu(self.norm.forward(self.first.forward(x)));
        let out = self.second.forward(hidden.clone());
        let out = if shard == 4 { out + self.seldom.forward(hidden) } else { out };
        (out - 1.0).square().mean()
    }
}

/// Everything that a training is, to the bit.
#[derive(Debug, PartialEq)]
struct Trained {
    floats: Vec<Vec<u32>>,
    /// u, v, σ, scale and elasticity of each weight.
    states: Vec<[Vec<f64>; 5]>,
    decided: Vec<Change>,
    /// What the rules remember, what is in force and the sums of gradients.
    osn: String,
}

struct Training<W> {
    team: Team<W>,
    model: Net,
    osn: Osn,
    adam: ModuleOptimizer,
    decided: Vec<Change>,
}

impl<W: Workers> Training<W> {
    /// Each worker's own model is another before the start.
    fn begin(workers: W, rule: &str) -> Result<Self, TeamError> {
        let mut team = Team::new(workers, SHARDS)?;
        let own = if team.is_first() { 1.0 } else { 3.0 };
        let model = team.begin(times(Net::new(&device()), own))?;
        let (model, osn) = plan(rule).attach(model).unwrap();
        Ok(Self { team, model, osn, adam: AdamConfig::new().init(), decided: Vec::new() })
    }

    fn step(&mut self, batch: usize) -> Result<(), TeamError> {
        let mut sum = self.team.sum(&self.model);
        let mut told = Vec::new();
        for shard in self.team.shards() {
            let loss = self.model.loss(batch, shard);
            let train_loss = loss.clone().into_scalar::<f64>();
            let losses = Generalization { train_loss, held_out_loss: 1.5 * train_loss };
            told.push(Signals::new().generalization(losses).metric("loss", train_loss));
            sum.add(&self.model, loss.backward());
        }
        let gradients = sum.mean(&mut self.team, &self.model)?;
        self.osn.observe(&self.model, &gradients).unwrap();
        self.osn.observe_held_out(&self.model, &gradients).unwrap();
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        self.model = self.osn.optimize(&mut self.adam, 0.02, self.model.clone(), gradients);
        self.decided.extend(self.osn.step_with(&mut self.team, &mut self.model, &told)?);
        Ok(())
    }

    fn trained(self) -> Trained {
        // Validation mode settles what is pending of the running values.
        let floats = Met::of(&self.model.valid()).floats;
        let weights = [&self.model.first, &self.model.second, &self.model.seldom];
        let states = weights.map(|layer| {
            let it = layer.weight.reparameterization::<SpectralNorm>().unwrap();
            [it.u(), it.v(), it.sigma(), it.scale(), it.elasticity()]
        });
        Trained {
            floats: floats.iter().map(|it| it.iter().map(|x| x.to_bits()).collect()).collect(),
            states: states.to_vec(),
            decided: self.decided,
            osn: serde_json::to_string(&self.osn.state()).unwrap(),
        }
    }
}

fn train(workers: impl Workers, rule: &str) -> Trained {
    let mut training = Training::begin(workers, rule).unwrap();
    (0..STEPS).for_each(|batch| training.step(batch).unwrap());
    training.trained()
}

#[test]
fn any_number_of_workers_trains_to_the_same_bits() {
    for rule in [
        "always",
        "cap:target=0.5,interval=3,dwell=0",
        "budget:interval=4,total_relative_to_init=0.5",
        "learned:interval=4",
        "auto:task=classify",
        "lr_over_sigma:interval=5",
    ] {
        let alone = train(Alone, rule);
        for count in [1, 2, 3, 5] {
            for (rank, one) in
                Threads::run(count, |workers| train(workers, rule)).iter().enumerate()
            {
                assert!(*one == alone, "{rule}: worker {rank} of {count}");
            }
        }
    }
}

/// The same loop on the whole batch without a team, in floats: as near as rounding lets it be.
#[test]
fn one_shard_is_the_training_of_one_machine() {
    let (mut ours, mut theirs) = (Net::new(&device()), Net::new(&device()));
    let mut team = Team::new(Alone, 1).unwrap();
    let mut adams = [AdamConfig::new().init(), AdamConfig::new().init()];
    for batch in 0..10 {
        let mut sum = team.sum(&ours);
        sum.add(&ours, ours.loss(batch, 4).backward());
        let gradients = sum.mean(&mut team, &ours).unwrap();
        ours = adams[0].step(0.01, ours.clone(), GradientsParams::from_grads(gradients, &ours));
        let gradients = theirs.loss(batch, 4).backward();
        theirs =
            adams[1].step(0.01, theirs.clone(), GradientsParams::from_grads(gradients, &theirs));
    }
    let [ours, theirs] = [ours, theirs].map(|model| Met::of(&model.valid()).floats.concat());
    let far = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far < 1e-5, "{far}");
}

#[test]
fn the_mean_is_that_of_all_shards() {
    let model = Net::new(&device());
    let means = Threads::run(3, |workers| {
        let mut team = Team::new(workers, SHARDS).unwrap();
        let model = Net::new(&device());
        let mut sum = team.sum(&model);
        team.shards().for_each(|shard| sum.add(&model, model.loss(0, shard).backward()));
        let gradients = sum.mean(&mut team, &model).unwrap();
        let grad = |layer: &Linear| values::<f32, 2>(layer.weight.grad(&gradients).unwrap());
        [grad(&model.first), grad(&model.seldom)].concat()
    });
    let whole = (0..SHARDS).map(|shard| model.loss(0, shard)).reduce(|a, b| a + b).unwrap();
    let gradients = (whole / SHARDS as f32).backward();
    let grad = |layer: &Linear| values::<f32, 2>(layer.weight.grad(&gradients).unwrap());
    let whole = [grad(&model.first), grad(&model.seldom)].concat();
    let largest = whole.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    for mean in means {
        let far = mean.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-6 * largest && largest > 0.0, "{far} of {largest}");
    }
}

#[test]
fn running_values_are_the_mean_of_those_of_each_shard() {
    let all = Threads::run(2, |workers| {
        let mut team = Team::new(workers, SHARDS).unwrap();
        let model = Net::new(&device());
        let mut sum = team.sum(&model);
        team.shards().for_each(|shard| sum.add(&model, model.loss(0, shard).backward()));
        sum.mean(&mut team, &model).unwrap();
        values::<f32, 1>(model.valid().norm.running_mean.value())
    });
    let mut mean = vec![0.0; 12];
    for shard in 0..SHARDS {
        let model = Net::new(&device());
        let _ = model.loss(0, shard);
        let after: Vec<f32> = values(model.valid().norm.running_mean.value());
        mean.iter_mut().zip(after).for_each(|(mean, x)| *mean += x / SHARDS as f32);
    }
    assert_eq!(all[0], all[1]);
    assert!(all[0].iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-6), "{all:?} {mean:?}");
}

/// What every worker of three gets where one meets something at the fifth step.
fn errors(
    meets: impl Fn(&mut Training<Threads>, usize) -> Result<(), TeamError> + Sync,
) -> [TeamError; 3] {
    let all = Threads::run(3, |workers| {
        let rank = workers.rank();
        let mut training = Training::begin(workers, "cap:interval=2").unwrap();
        (0..4).for_each(|batch| training.step(batch).unwrap());
        let error = meets(&mut training, rank)
            .and_then(|()| training.step(4))
            .and_then(|()| training.step(5));
        error.unwrap_err()
    });
    all.try_into().unwrap()
}

#[test]
fn a_gradient_that_is_not_finite_on_one_worker_is_named_on_all_and_applied_on_none() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let all = Threads::run(3, |workers| {
            let rank = workers.rank();
            let mut training = Training::begin(workers, "cap:interval=2").unwrap();
            (0..4).for_each(|batch| training.step(batch).unwrap());
            let before = Met::of(&training.model.valid()).floats;
            let Training { team, model, .. } = &mut training;
            let mut sum = team.sum(model);
            for shard in team.shards() {
                // Of worker 1's shards, 2 and 3, the second.
                let factor = if rank == 1 && shard == 3 { bad } else { 1.0 };
                sum.add(model, (model.second.weight.val().sum() * factor).backward());
            }
            let error = sum.mean(team, model).err().unwrap();
            assert_eq!(Met::of(&training.model.valid()).floats, before);
            error
        });
        let path = "second.weight".to_owned();
        assert_eq!(all, vec![TeamError::NotFinite { path, step: 5, shard: 3, worker: 1 }; 3]);
    }
}

#[test]
fn an_error_of_one_worker_ends_all_with_its_words() {
    let words = "shard 3 is not on the disk";
    let all =
        errors(|training, rank| training.team.agree(if rank == 1 { Err(words) } else { Ok(()) }));
    assert_eq!(
        all,
        [0; 3].map(|_| TeamError::Failed { worker: 1, step: 5, words: words.to_owned() })
    );
}

/// A step of osn fails on one worker alone: the others learn of it at their next call, whichever that is.
#[test]
fn a_step_that_fails_on_one_worker_fails_on_all() {
    let all = errors(|training, rank| {
        let mut other = Net::new(&device());
        match rank {
            2 => training.osn.step_with(&mut training.team, &mut other, &[]).map(drop),
            _ => Ok(()),
        }
    });
    let words = StepError::NotAttached { path: "first.weight".to_owned() }.to_string();
    assert_eq!(all, [0; 3].map(|_| TeamError::Failed { worker: 2, step: 5, words: words.clone() }));
}

#[test]
fn a_model_that_has_parted_is_found_at_the_next_read_back() {
    let all = errors(|training, rank| {
        if rank == 2 {
            let bias = training.model.second.bias.take().unwrap();
            training.model.second.bias =
                Some(bias.map(|bias| (bias.inner() + 1e-6).autodiff().require_grad()));
        }
        Ok(())
    });
    assert_eq!(all, [0; 3].map(|_| TeamError::Parted { worker: 2, step: 6 }));
}

#[test]
fn a_worker_that_is_gone_or_panics_ends_the_others() {
    let all = Threads::run(3, |workers| {
        let rank = workers.rank();
        let mut training = Training::begin(workers, "always").unwrap();
        (rank != 1).then(|| training.step(0).unwrap_err())
    });
    let gone = || Some(TeamError::Workers(WorkersError::Gone { worker: 1 }));
    assert_eq!(all, [gone(), None, gone()]);
    assert_eq!(gone().unwrap().exit_code(), 75);
}

#[test]
fn workers_that_were_started_with_something_else_are_named() {
    let settings = |rate: &str| [("data", "abc".to_owned()), ("rate", rate.to_owned())];
    let refused = |count, own: &(dyn Fn(usize) -> Vec<(&'static str, String)> + Sync)| {
        Threads::run(count, |workers| {
            let rank = workers.rank();
            Team::new(workers, SHARDS).unwrap().agree_on(&own(rank))
        })
    };
    assert_eq!(refused(3, &|_| settings("0.1").to_vec()), vec![Ok(()); 3]);
    let other = |rank| settings(if rank == 2 { "0.2" } else { "0.1" }).to_vec();
    let different = |what: &str| Err(TeamError::Different { worker: 2, what: what.to_owned() });
    assert_eq!(refused(3, &other), vec![different("rate"); 3]);
    let more = |rank| settings("0.1")[..if rank == 2 { 1 } else { 2 }].to_vec();
    assert_eq!(refused(3, &more), vec![different("set of settings"); 3]);
    let shards = Threads::run(3, |workers| {
        let shards = if workers.rank() == 2 { 5 } else { 4 };
        Team::new(workers, shards).map(drop)
    });
    assert_eq!(shards, vec![different("number of shards"); 3]);
    assert_eq!(different("rate").unwrap_err().exit_code(), 2);
}

#[test]
fn other_networks_are_refused() {
    let begun = Threads::run(2, |workers| {
        let width = 3 + workers.rank();
        let model: Linear = LinearConfig::new(4, width).init(&device());
        Team::new(workers, 2).unwrap().begin(model).map(drop)
    });
    let what = "model".to_owned();
    assert_eq!(begun, vec![Err(TeamError::Different { worker: 1, what }); 2]);
}

#[test]
fn a_worker_without_a_shard_is_refused() {
    let all = Threads::run(3, |workers| Team::new(workers, 2).map(drop));
    assert_eq!(all, vec![Err(TeamError::NoShard { workers: 3, shards: 2 }); 3]);
}

#[test]
fn every_shard_has_one_worker() {
    for (count, shards) in [(1, 1), (3, 3), (3, 8), (5, 7), (8, 8)] {
        let all = Threads::run(count, |workers| Team::new(workers, shards).unwrap().shards());
        assert!(all.iter().all(|own| !own.is_empty()), "{all:?}");
        assert_eq!(all.into_iter().flatten().collect::<Vec<_>>(), (0..shards).collect::<Vec<_>>());
    }
}

#[test]
fn workers_at_different_calls_are_told_so() {
    let all = Threads::run(2, |workers| {
        let mut team = Team::new(workers, 2).unwrap().from_step(8);
        if team.is_first() {
            team.share(vec![1]).map(drop)
        } else {
            team.agree(Ok::<_, String>(()))
        }
    });
    assert_eq!(all, vec![Err(TeamError::OtherCall { step: 9 }); 2]);
    let steps = Threads::run(2, |workers| {
        let step = workers.rank() as u64;
        Team::new(workers, 2).unwrap().from_step(step).share(vec![1]).map(drop)
    });
    assert_eq!(
        steps,
        vec![Err(TeamError::OtherCall { step: 2 }); 2],
        "one resumed from another step"
    );
}

#[test]
fn all_stop_at_the_step_at_which_one_is_asked_to() {
    let stopped = Threads::run(3, |workers| {
        let rank = workers.rank();
        let mut training = Training::begin(workers, "always").unwrap();
        (0..STEPS).find(|batch| {
            training.step(*batch).unwrap();
            training.team.should_stop(rank == 2 && *batch == 7)
        })
    });
    assert_eq!(stopped, [Some(8); 3]);
}

#[test]
fn the_bytes_of_worker_0_reach_all() {
    let all = Threads::run(3, |workers| {
        let own = vec![7; 3 + workers.rank()];
        Team::new(workers, 3).unwrap().share(own).unwrap()
    });
    assert_eq!(all, vec![vec![7; 3]; 3]);
}
