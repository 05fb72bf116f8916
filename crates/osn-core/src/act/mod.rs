//! What is done to a weight, and how it comes into force.
//!
//! | file | holds |
//! |---|---|
//! | `action.rs` | [`Action`]: the factor on a weight or on its update, as a function of σ |
//! | `actuator.rs` | [`Actuator`]: from the action that is wanted to the one in force, without a jump |

pub(crate) mod action;
pub(crate) mod actuator;

pub use self::{
    action::{Action, ActionError, SIGMA_FLOOR},
    actuator::{Actuator, AppliedAction, Rates, RatesError},
};
