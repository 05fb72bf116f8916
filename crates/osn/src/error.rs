//! What can go wrong, and what to do about it.

use osn_core::act::RatesError;
use osn_core::decide::{DeciderMismatch, RuleError};
use osn_core::layer::GlobError;
use osn_core::measure::EstimateError;
use osn_core::measure::convolution::GeometryError;

/// Why a plan cannot be attached to a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// A selection names no parameter that can be normalized.
    #[error(
        "selection {pattern} matches no float parameter of rank 2 or more; there are: {available}"
    )]
    NothingSelected {
        /// The selection, as written.
        pattern: String,
        /// The paths that could have been selected.
        available: String,
    },
    /// The plan selects nothing at all.
    #[error("the plan selects nothing: call `select` first; there are: {available}")]
    NoSelection {
        /// The paths that could be selected.
        available: String,
    },
    /// osn was built without the backend that a parameter is on.
    #[error("{path} is on {device}, for which osn was not built: {advice}")]
    Backend {
        /// The parameter.
        path: String,
        /// The device.
        device: String,
        /// Which feature of osn to switch on.
        advice: String,
    },
    /// A parameter already has a reparameterization, and Burn nests none.
    #[error("{path} already has a reparameterization: attach once, or materialize first")]
    AlreadyAttached {
        /// The parameter.
        path: String,
    },
    /// The chosen output axis is not an axis of the parameter.
    #[error("{path} has shape {shape:?}, so axis {axis} cannot be its output axis")]
    NoSuchAxis {
        /// The parameter.
        path: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The axis that was asked for.
        axis: usize,
    },
    /// The `Matrix` view was asked of a tensor that is no matrix.
    #[error("{path} has shape {shape:?}, which the matrix view cannot show: use the reshaped view")]
    NotAMatrix {
        /// The parameter.
        path: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The weight cannot be cut into so many blocks of one size.
    #[error("{path} has shape {shape:?}, so axis {axis} cannot be cut into {count} equal blocks")]
    UnevenBlocks {
        /// The parameter.
        path: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The axis that was to be cut.
        axis: usize,
        /// Into how many blocks.
        count: usize,
    },
    /// The operator view was given a convolution that does not fit the weight.
    #[error("{path} is no kernel of that convolution")]
    Convolution {
        /// The parameter.
        path: String,
        /// What does not fit.
        source: GeometryError,
    },
    /// The weight holds NaN or infinity, or has no element.
    #[error("cannot measure {path}")]
    Estimate {
        /// The parameter.
        path: String,
        /// What the estimator met.
        source: EstimateError,
    },
    /// A path glob is malformed.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// The rule's parameters are out of range.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The rates are out of range.
    #[error(transparent)]
    Rates(#[from] RatesError),
}

/// Why a step cannot be taken or reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A weight became NaN or infinite. Its state is still that of the last good step.
    #[error("weight {path} is not finite since step {step}")]
    NotFinite {
        /// The weight.
        path: String,
        /// The step, from 1, at which it was first seen.
        step: u64,
    },
    /// The model has no state for a weight that this `Osn` holds.
    #[error(
        "{path} is not held by this model: pass the model that `attach` returned, or one loaded into it"
    )]
    NotAttached {
        /// The weight.
        path: String,
    },
    /// The weight cannot be measured.
    #[error("cannot measure {path}")]
    Estimate {
        /// The weight.
        path: String,
        /// What the estimator met.
        source: EstimateError,
    },
    /// A rule decides on gradients, and was never given any.
    #[error(
        "rule {rule} needs gradients: call `Osn::{call}` after the backward, before `Osn::step`"
    )]
    NotObserved {
        /// The rule.
        rule: String,
        /// The call: `observe` or `observe_held_out`.
        call: &'static str,
    },
    /// An action scales the update of a weight, and nothing ever applied it.
    #[error(
        "{path} has `{action}`, which nothing applies: call `Osn::optimize` in place of `optimizer.step`"
    )]
    NotOptimized {
        /// The weight.
        path: String,
        /// The action.
        action: String,
    },
}

/// Why a saved state cannot be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// It holds other layers than the plan.
    #[error("the saved state holds {saved}, this plan holds {expected}: attach to the same layers")]
    OtherLayers {
        /// The layers of the saved state.
        saved: String,
        /// The layers of the plan.
        expected: String,
    },
    /// It sees a weight another way: its view, its output axis or its gradient is another.
    #[error(
        "the saved state sees {path} another way than this plan: take its view, output axis and gradient"
    )]
    OtherView {
        /// The weight.
        path: String,
    },
    /// It was made with another setting.
    #[error(
        "the saved state has {setting} {saved}, this plan has {expected}: attach with the former"
    )]
    OtherSetting {
        /// The setting.
        setting: &'static str,
        /// What it was.
        saved: String,
        /// What it is in this plan.
        expected: String,
    },
    /// Its rules are others, or what they remember is not of these rules and layers.
    #[error(transparent)]
    Rules(#[from] DeciderMismatch),
    /// A part of it does not go with its own layers: no state that was saved is so.
    #[error("the saved state is damaged: its {part} does not fit its layers; attach anew")]
    Damaged {
        /// The part.
        part: &'static str,
    },
}
