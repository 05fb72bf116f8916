#![doc = include_str!("../README.md")]

mod act;
mod attach;
mod calls;
mod error;
mod measure;
mod osn;
mod state;

pub use attach::plan::Plan;
pub use attach::selection::Selection;
pub use error::{AttachError, ResumeError, StepError};
pub use osn::{Change, Osn};
pub use state::normalizer::SpectralNormalizer;
pub use state::osn_state::OsnState;
pub use state::spectral_norm::SpectralNorm;

/// What the common case needs: `use osn::prelude::*`.
pub mod prelude {
    pub use osn_core::{
        Always, Auto, Budget, Cap, Learned, LrOverMaxSigma, LrOverSigma, Never, Observe, Plateau,
        Random, Rule, Schedule, Signals, Static,
    };

    pub use crate::attach::plan::Plan;
    pub use crate::attach::selection::Selection;
    pub use crate::osn::Osn;
}

/// What decides: the rules as values, several of them with the layers that each is for, and what they are told.
pub mod rules {
    pub use osn_core::{
        Action, Adversarial, Always, Auto, Budget, BudgetWeights, Cap, Context, Decision,
        DecisionRule, Generalization, Learned, LrOverMaxSigma, LrOverSigma, Needs, Never, Observe,
        Plateau, Random, Rates, Rule, RuleError, Rules, RulesFileError, Schedule, ScopedRule,
        Signals, Static, TargetAction, Task,
    };
}

/// Choosing layers: for a plan, and for one of several rules.
pub mod select {
    pub use osn_core::{GlobError, Globs, Kind, Position, Select};

    pub use crate::attach::choose::Choice;
    pub use crate::attach::selection::Selection;
}

/// Which linear map a weight is seen as, and how gradients treat its σ.
pub mod views {
    pub use osn_core::{Boundary, Convolution, GeometryError, Layout, View};

    pub use crate::act::sigma_gradient::SigmaGradient;
    pub use crate::attach::as_convolution::AsConvolution;
}

/// What is known of the held layers.
pub mod report {
    pub use osn_core::{AppliedAction, GradientStatistics, Layer, Measurement};

    pub use crate::measure::report::{LayerReport, Table};
    pub use crate::measure::running_sum::{RunningSum, SavedSum};
    pub use crate::measure::spectrum::LayerSpectrum;
}
