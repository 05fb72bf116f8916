//! Deep Q-learning on small control tasks: a double DQN (Mnih et al. 2015; van Hasselt et al. 2016)
//! whose every weight of the Q-network osn measures.

pub mod acrobot;
pub mod cart_pole;
pub mod config;
pub mod environment;
pub mod learner;
pub(crate) mod model;
pub mod mountain_car;
pub mod play;
pub mod replay;
pub(crate) mod run;
pub mod task;
pub(crate) mod train;
