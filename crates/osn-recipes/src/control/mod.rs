//! Deep Q-learning on small control tasks: a double DQN (Mnih et al. 2015; van Hasselt et al. 2016)
//! whose Q-network osn watches.

mod acrobot;
mod cart_pole;
mod config;
mod environment;
mod learner;
mod model;
mod mountain_car;
mod play;
mod replay;
mod train;

pub use acrobot::Acrobot;
pub use cart_pole::CartPole;
pub use config::ControlConfig;
pub use environment::{Environment, Outcome, Task};
pub use learner::{Learned, Learner};
pub use model::QNetwork;
pub use mountain_car::MountainCar;
pub use play::{Player, returns};
pub use replay::{Batch, Replay, Transition};

use osn_core::Needs;

use self::train::Trainer;
use crate::run::{
    Config, Observer, RecipeDoc, RunError, RunSummary, Session, TrainRequest, TrainedOn,
};

/// What `--help` says of this recipe.
pub const DOC: RecipeDoc = RecipeDoc {
    name: "control",
    about: "deep Q-learning on CartPole, Acrobot and MountainCar",
    presets: &["quick", "standard"],
    decides: &["auto:task=control", "static", "lr_over_sigma", "cap", "always", "never"],
    headline: "return",
    higher_is_better: true,
    metrics: &["return", "worst_return"],
    offers: Needs {
        separation: false,
        input_gradient_norm: false,
        held_out: false,
        generalization: false,
        ..Needs::ALL
    },
};

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub fn run(request: &TrainRequest, observer: &mut dyn Observer) -> Result<RunSummary, RunError> {
    let config = ControlConfig::resolve(request, &DOC)?;
    let (decide, device) = (crate::decide(request, &DOC)?, crate::device(request)?);
    let mut trainer = Trainer::new(&config, &decide, request.seed, device)?;
    let trained_on = TrainedOn::named(config.environment.name());
    Session::start(request, &DOC, &decide, &config, config.steps, &trained_on, observer)?.train(
        &mut trainer,
        config.pace(),
        observer,
    )
}
