//! What is done to a weight, and how it comes into force.
//!
//! | file | holds |
//! |---|---|
//! | `action.rs` | [`Action`]: the factor on a weight or on its update, as a function of σ |
//! | `actuator.rs` | [`Actuator`]: from the action that is wanted to the one in force, without a jump |
//! | `step_size.rs` | [`StepSize`]: the factor on a layer's update that undoes a decision's change of its scale |

pub(crate) mod action;
pub(crate) mod actuator;
pub(crate) mod step_size;

pub use self::{
    action::{Action, ActionError, SIGMA_FLOOR},
    actuator::{Actuator, AppliedAction, Rates, RatesError},
    step_size::StepSize,
};
