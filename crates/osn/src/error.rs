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
    /// The plan has no selection.
    #[error("the plan selects nothing: call `select` first; there are: {available}")]
    NoSelection {
        /// The paths that could be selected.
        available: String,
    },
    /// A parameter is on a backend whose feature of osn is off.
    #[error(
        "{path} is on {device}, for which osn was not built: switch on the feature {features} of osn and train on a device of it"
    )]
    Backend {
        /// The parameter.
        path: String,
        /// The device.
        device: String,
        /// The feature of osn to switch on, or one of several.
        features: &'static str,
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
    /// The view is `Matrix` and the weight is not a matrix.
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
    /// The convolution of an operator view does not fit the weight.
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
    /// A parameter of a rule is out of range, or a rule decides none of the layers.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The rates are out of range.
    #[error(transparent)]
    Rates(#[from] RatesError),
}

/// Why a step cannot be taken, or a model not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// A weight holds NaN or infinity. Its u, v, σ and scale are still those of the last refresh that found it finite.
    #[error("weight {path} is not finite: found at step {step}")]
    NotFinite {
        /// The weight.
        path: String,
        /// The step, from 1, at which it was first seen.
        step: u64,
    },
    /// The model is not the attached one: it has no state of a weight that this `Osn` holds, or one of another size.
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
    /// A rule that needs gradients is due, and they were never observed since the attachment.
    ///
    /// One call is enough, however long ago: a loop may observe seldom, and a held-out loss may come once an epoch.
    /// Without a new one a rule decides on what it remembers. After [`Osn::resume`](crate::Osn::resume) a call of
    /// before counts if its sums are in the state. The rule [`Observe`](crate::rules::Observe) needs no call.
    #[error(
        "rule {rule} needs gradients: call `Osn::{call}` after the backward, before `Osn::step`"
    )]
    NotObserved {
        /// The rule.
        rule: String,
        /// The call: `observe` or `observe_held_out`.
        call: &'static str,
    },
    /// The update of a weight is to be scaled, and nothing ever asked for the factor: neither
    /// [`Osn::optimize`](crate::Osn::optimize) nor [`Osn::update_factors`](crate::Osn::update_factors) was called.
    ///
    /// Of an action it is found where a rule is due, and every 50 steps; of
    /// [`Plan::keep_step_size`](crate::Plan::keep_step_size) at the first step whose update was to be scaled.
    #[error(
        "{path} has `{action}`, which nothing applies: call `Osn::optimize` in place of `optimizer.step`"
    )]
    NotOptimized {
        /// The weight.
        path: String,
        /// The action, or `keep_step_size`.
        action: String,
    },
}

/// Why a saved state cannot be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The saved state is of other layers than the plan.
    #[error("the saved state holds {saved}, this plan holds {expected}: attach to the same layers")]
    OtherLayers {
        /// The layers of the saved state.
        saved: String,
        /// The layers of the plan.
        expected: String,
    },
    /// The view, the output axis or the gradient of a weight is another than in the plan.
    #[error(
        "the saved state has another view, output axis or gradient of {path} than this plan: attach with those of the state"
    )]
    OtherView {
        /// The weight.
        path: String,
    },
    /// A setting of the plan is another.
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
    /// The rules are others, or what they remember does not belong to these rules and layers.
    #[error(transparent)]
    Rules(#[from] DeciderMismatch),
    /// A part of the state does not fit its own layers: the file was damaged or edited.
    #[error("the saved state is damaged: `{part}` does not fit its layers; attach anew")]
    Damaged {
        /// The part.
        part: &'static str,
    },
}
