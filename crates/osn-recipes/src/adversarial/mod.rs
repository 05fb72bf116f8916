//! What the recipes with a generator and a discriminator share: a recipe says what its [`Game`] is,
//! and the [`Trainer`] plays it.

mod game;
mod objective;
mod players;
mod saturation;
mod settings;
mod trainer;
mod watch;

pub use game::{Draw, Game};
pub use objective::Objective;
pub use players::{Discriminated, Generated, Players};
pub use saturation::Saturation;
pub use settings::Settings;
pub use trainer::Trainer;
pub use watch::{Watch, halves};
