//! The `control` recipe: its environments against Gymnasium's, its arithmetic by hand, and runs of a
//! few steps.

use crate::runs::{Run, acts, bits, event_counts, events, request, timeless, train};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use osn_recipes::control::acrobot::Acrobot;
use osn_recipes::control::cart_pole::CartPole;
use osn_recipes::control::config::ControlConfig;
use osn_recipes::control::environment::Environment;
use osn_recipes::control::learner::Learner;
use osn_recipes::control::mountain_car::MountainCar;
use osn_recipes::control::play::returns;
use osn_recipes::control::replay::{Batch, Replay, Transition};
use osn_recipes::control::task::ControlTask;
use osn_recipes::crew::Crew;
use osn_recipes::data::sampler::noise;
use osn_recipes::decide::Decide;
use osn_recipes::run::description::{RunDescription, RunStatus};
use osn_recipes::run::pending::PendingSignals;
use osn_recipes::run::request::TrainRequest;
use osn_runs::folder::RunFolder;

/// One episode as Gymnasium 1.4.0 played it.
#[derive(serde::Deserialize)]
struct Episode {
    env: String,
    state0: Vec<f64>,
    actions: Vec<usize>,
    /// One more than actions: the first is that of the start.
    observations: Vec<Vec<f64>>,
    rewards: Vec<f64>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
}

#[derive(serde::Deserialize)]
struct Golden {
    episodes: Vec<Episode>,
}

impl Episode {
    fn start(&self) -> Box<dyn Environment> {
        match (self.env.as_str(), self.state0.as_slice()) {
            ("CartPole-v1", &[a, b, c, d]) => Box::new(CartPole::starting_at([a, b, c, d])),
            ("Acrobot-v1", &[a, b, c, d]) => Box::new(Acrobot::starting_at([a, b, c, d])),
            ("MountainCar-v0", &[a, b]) => Box::new(MountainCar::starting_at([a, b])),
            (name, state) => panic!("{name} {state:?}"),
        }
    }

    fn check_observation(&self, environment: &dyn Environment, step: usize) {
        let (ours, theirs) = (environment.observation(), &self.observations[step]);
        assert_eq!(ours.len(), theirs.len(), "{}", self.env);
        let is_near = |(ours, theirs): (&f32, &f64)| (f64::from(*ours) - theirs).abs() <= 1e-6;
        let all_near = ours.iter().zip(theirs).all(is_near);
        assert!(all_near, "{} after {step} steps: {ours:?} is not {theirs:?}", self.env);
    }
}

#[test]
fn every_environment_is_gymnasiums_step_for_step() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/gymnasium.json")).unwrap();
    for episode in &golden.episodes {
        let mut environment = episode.start();
        episode.check_observation(&*environment, 0);
        for (step, &action) in episode.actions.iter().enumerate() {
            let outcome = environment.step(action);
            let theirs = (episode.rewards[step], episode.terminated[step], episode.truncated[step]);
            let ours = (outcome.reward, outcome.terminated, outcome.truncated);
            assert_eq!(ours, theirs, "{} step {step}", episode.env);
            episode.check_observation(&*environment, step + 1);
        }
    }
    let steps: usize = golden.episodes.iter().map(|episode| episode.actions.len()).sum();
    assert_eq!((golden.episodes.len(), steps), (9, 1_272));
}

#[test]
fn the_same_seed_gives_the_same_record_in_every_environment() {
    for environment in ["cartpole", "acrobot", "mountain_car"] {
        let out = tempfile::tempdir().unwrap();
        let request = request("control", &[("environment", environment)], out.path());
        let first = timeless(&train(&request));
        assert_eq!(first, timeless(&train(&request)));
        assert_ne!(first, timeless(&train(&TrainRequest { seed: 8, ..request })));
    }
}

#[test]
fn a_finished_run_leaves_a_complete_folder_with_the_penultimate_layer_held() {
    let run = Run::of("control", None, &[]);
    assert_eq!(run.folder.file_name().unwrap(), "control-auto-task=control-s7");
    let description =
        RunFolder::open(&run.folder).unwrap().description::<RunDescription>().unwrap();
    assert_eq!(
        (description.status, description.data.as_str()),
        (RunStatus::Finished, "CartPole-v1")
    );
    assert_eq!(description.config["environment"], "cartpole");
    let targets: Vec<Option<f64>> = run.layers.iter().map(|layer| layer.target).collect();
    assert_eq!(targets, [None, Some(1.0), None]);
    for name in ["return", "worst_return", "recent_return", "area"] {
        assert!(run.metrics[name] >= 8.0, "no pole falls faster: {name} {}", run.metrics[name]);
    }
    assert_eq!(event_counts(&events(&run))[..3], [6, 6 * 3, 2]);
}

#[test]
fn numbers_gone_bad_end_the_run_by_name() {
    crate::runs::diverges("control", &[], tempfile::tempdir().unwrap().path());
}

#[test]
fn the_rules_act_on_returns() {
    let often = [("eval_every", "2")];
    let plateau = "interval=1,every=1,patience=1,delta=100";
    let plateau = format!("plateau:metric=return,lower_is_better=false,{plateau}");
    acts("control", &plateau, &often, "return");
    acts("control", "random:dwell=1,interval=1", &often, "draw");
}

fn decide(text: &str) -> Decide {
    Decide::named(text).unwrap()
}

fn small() -> ControlConfig {
    ControlConfig { hidden_sizes: vec![8, 8], ..ControlConfig::quick() }
}

/// Transitions of made-up states; every third is terminal.
fn batch(step: u64, device: &Device) -> Batch {
    let observation = |stream| noise(1, stream, step, 4);
    let transition = |index: u64| Transition {
        observation: observation(2 * index),
        action: usize::from(index.is_multiple_of(2)),
        reward: index as f64,
        next: observation(2 * index + 1),
        terminated: index.is_multiple_of(3),
    };
    let transitions: Vec<Transition> = (0..8).map(transition).collect();
    Batch::new(&transitions.iter().collect::<Vec<_>>(), device)
}

/// A learner after four updates, with its target of the second.
fn trained(rule: Option<&str>) -> Learner {
    let device = Device::flex();
    let mut learner = Learner::new(&small(), rule.map(decide).as_ref(), 3, &device).unwrap();
    for step in 0..4 {
        learner
            .update(&batch(step, &device), 1e-2, &mut PendingSignals::default(), &mut Crew::alone())
            .unwrap();
        if step == 1 {
            learner.copy_to_target();
        }
    }
    learner
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

#[test]
fn measuring_alone_changes_no_bit_of_the_training() {
    let trained = |decide| bits(&trained(decide).trained.network);
    let plain = trained(None);
    assert_eq!(plain, trained(Some("never")));
    assert_eq!(plain, trained(Some("observe:interval=1")));
    assert_ne!(plain, trained(Some("auto:task=control")));
    assert_ne!(plain, trained(Some("lr_over_sigma:interval=1")));
}

#[test]
fn gradients_reach_the_rules_that_ask_for_them() {
    let seen = |decide| {
        let learner = trained(Some(decide));
        let report =
            learner.trained.osn.as_ref().unwrap().report(&learner.trained.network).unwrap();
        report.iter().filter(|layer| layer.gradient.is_some_and(|it| it.mean_norm > 0.0)).count()
    };
    assert_eq!((seen("observe:interval=1"), seen("auto:task=control")), (3, 0));
}

#[test]
fn the_target_has_the_effective_weights_as_its_own_and_stays_while_the_network_learns() {
    let mut learner = trained(Some("always"));
    let device = Device::flex();
    let next = batch(9, &device).next;
    let evaluated = |learner: &Learner| values(learner.target.forward(next.clone()));
    let before = evaluated(&learner);
    learner
        .update(&batch(4, &device), 1e-2, &mut PendingSignals::default(), &mut Crew::alone())
        .unwrap();
    assert_eq!(before, evaluated(&learner));

    learner.copy_to_target();
    let now = values(learner.trained.network.valid().forward(next.clone()));
    let gap = now.iter().zip(evaluated(&learner)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(before != evaluated(&learner) && gap < 1e-5, "{gap}");
    assert_ne!(
        bits(&learner.target),
        bits(&learner.trained.network),
        "the stored weights are larger"
    );
    let of_target = learner.target.num_params();
    assert_eq!(of_target, (4 + 1) * 8 + (8 + 1) * 8 + (8 + 1) * 2, "no trace of osn");
}

#[test]
fn targets_are_those_of_a_double_dqn() {
    let learner = trained(Some("always"));
    let batch = batch(5, &Device::flex());
    let by_network = values(learner.trained.network.valid().forward(batch.next.clone()));
    let by_target = values(learner.target.forward(batch.next.clone()));
    let ours = values(learner.targets(&batch));
    let mut disagreements = 0;
    for index in 0..8 {
        let pair = |values: &[f32]| [values[2 * index], values[2 * index + 1]];
        let [network, target] = [pair(&by_network), pair(&by_target)];
        let chosen = usize::from(network[1] > network[0]);
        disagreements += u8::from(target[chosen] < target[1 - chosen]);
        let later = if index % 3 == 0 { 0.0 } else { 0.99 * target[chosen] };
        assert!((ours[index] - (index as f32 + later)).abs() < 1e-5, "{index}");
    }
    assert!(disagreements > 0, "a batch on which the plain DQN would say the same shows nothing");
}

#[test]
fn a_memory_of_episodes_cut_off_still_expects_more() {
    // The last action of MountainCar's 200 is truncated, not terminated.
    let mut player = osn_recipes::control::play::Player::new(ControlTask::MountainCar, 1, 0);
    let transitions: Vec<Transition> = (0..200).map(|_| player.act(0.0, |_| 1)).collect();
    assert_eq!((player.episodes(), player.recent_return()), (1, Some(-200.0)));
    assert!(transitions.iter().all(|it| !it.terminated));
}

#[test]
fn a_short_training_beats_chance() {
    let config = ControlConfig { hidden_sizes: vec![64, 64], ..ControlConfig::quick() };
    let device = Device::flex();
    let mut learner =
        Learner::new(&config, Some(&decide("auto:task=control")), 1, &device).unwrap();
    let mut player = osn_recipes::control::play::Player::new(ControlTask::Cartpole, 1, 0);
    let mut replay = Replay::new(2_000);
    (0..2_000).for_each(|_| replay.push(player.act(1.0, |_| 0)));
    let score = |learner: &Learner| {
        let returns =
            returns(&learner.trained.network.valid(), ControlTask::Cartpole, [1, 9], 20, &device);
        returns.iter().sum::<f64>() / 20.0
    };
    let chance = player.recent_return().unwrap();
    for step in 1..=2_000 {
        let batch = replay.batch(1, 2, step, 64, &device);
        learner.update(&batch, 3e-3, &mut PendingSignals::default(), &mut Crew::alone()).unwrap();
        if step % 100 == 0 {
            learner.copy_to_target();
        }
    }
    assert!(score(&learner) > 2.0 * chance, "{} is not twice {chance}", score(&learner));
}
