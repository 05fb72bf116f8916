//! What the recipes with a generator and a discriminator share: a recipe says what its [`game::Game`] is,
//! and [`run::run`] trains it.

pub(crate) mod game;
pub mod objective;
pub mod players;
pub(crate) mod run;
pub(crate) mod saturation;
pub(crate) mod separation;
pub(crate) mod settings;
pub mod signals;
pub(crate) mod trainer;
pub mod watch;
