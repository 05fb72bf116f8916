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

use osn_core::Needs;

/// What these recipes tell the rules of the discriminator: all but what a classifier's losses say.
pub const SIGNALS: Needs = Needs { generalization: false, ..Needs::ALL };
