//! A weight that is held while it trains, as numbers in memory: what osn does for each framework in the same way.
//!
//! | file | holds |
//! |---|---|
//! | `form.rs` | [`Form`]: how a weight is cut into blocks, and which linear maps each block is |
//! | `weight.rs` | [`HeldWeight`]: a weight with a layer for each of its blocks |
//! | `start.rs` | [`cold_start`]: the first measurement, from nothing |
//! | `iteration.rs` | [`iterate`]: one power iteration, which the refresh after each step is |
//! | `refreshes.rs`, `reach.rs` | [`Refreshes`]: which weights are refreshed at a step |
//! | `catch_up.rs` | [`Space`]: the best start of an iteration after some steps without one |
//! | `reading.rs` | [`Reading`]: σ of every layer as it last came to the host, and its drift |
//! | `sigma_gradient.rs` | [`SigmaGradient`]: how the gradient treats σ |
//! | `kernel.rs` | [`kernel`]: the arithmetic on slices |

pub(crate) mod catch_up;
pub(crate) mod form;
pub(crate) mod iteration;
pub mod kernel;
pub(crate) mod reach;
pub(crate) mod reading;
pub(crate) mod refreshes;
pub(crate) mod sigma_gradient;
pub(crate) mod start;
pub(crate) mod weight;

pub use self::{
    catch_up::{Space, catch_up_iterations, is_settled, starts_at_v},
    form::{Cut, Form, FormError, Map, Maps},
    iteration::{Iteration, begins_at_v, iterate, iterate_on, state_at},
    reading::Reading,
    refreshes::{READ_EVERY, Refreshes},
    sigma_gradient::SigmaGradient,
    start::{Start, blank_start, block_of, check_entries, cold_start, sigma_ratios, state_of},
    weight::HeldWeight,
};
