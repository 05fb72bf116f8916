//! What a rule may look at, and how layers are chosen.
//!
//! | file | holds |
//! |---|---|
//! | `facts.rs` | [`Layer`]: what does not change while a layer trains |
//! | `architecture.rs`, `fact.rs` | [`Architecture`]: where it stands in its network, and [`Fact`]s about that |
//! | `kind.rs` | [`Kind`]: linear, convolution, embedding, … |
//! | `measurement.rs` | [`Measurement`]: what is measured on a layer when a rule decides |
//! | `gradient_means.rs` | [`GradientMeans`]: from the means of one weight's gradients to the statistics of its blocks |
//! | `initial_size.rs` | [`InitialSize`]: the σ that a weight of some shape starts at |
//! | `select.rs`, `globs.rs` | [`Select`]: choosing layers by path, block, kind, network, position and facts |
//! | `view.rs` | [`View`]: which linear map a weight tensor is seen as |

pub(crate) mod architecture;
pub(crate) mod fact;
pub(crate) mod facts;
pub(crate) mod globs;
pub(crate) mod gradient_means;
pub(crate) mod initial_size;
pub(crate) mod kind;
pub(crate) mod measurement;
pub(crate) mod select;
pub(crate) mod view;

pub use self::{
    architecture::Architecture,
    fact::{Fact, UnknownFact},
    facts::Layer,
    globs::{GlobError, Globs},
    gradient_means::GradientMeans,
    initial_size::InitialSize,
    kind::{Kind, UnknownKind},
    measurement::{GradientStatistics, Growth, Measurement},
    select::{Position, Select, UnknownPosition},
    view::{View, ViewError},
};
