#![doc = include_str!("../README.md")]

mod act;
mod attach;
mod calls;
mod error;
mod measure;
mod osn;
mod state;
mod together;

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
        decide::rules::{
            Always, Auto, Budget, Cap, Learned, LrOverMaxSigma, LrOverSigma, Never, Observe, Pay,
            Plateau, Random, Schedule, Static,
        },
        decide::{Rule, Signals},
    };

    pub use crate::attach::plan::Plan;
    pub use crate::attach::selection::Selection;
    pub use crate::osn::Osn;
}

/// The blocks of Rust in the book, compiled and run as tests of the documentation.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/rust.md")]
    mod rust {}
    #[doc = include_str!("../../../docs/book/layers.md")]
    mod layers {}
    #[doc = include_str!("../../../docs/book/cookbook/rust.md")]
    mod cookbook {}
}

/// Rules: as values, several at once, and one of your own; their decisions and the signals that they read.
pub mod rules {
    #[cfg(feature = "rules-file")]
    pub use osn_core::decide::RulesFileError;
    pub use osn_core::{
        act::{Action, Rates},
        decide::rules::{
            Always, Auto, Budget, BudgetWeights, Cap, Learned, LrOverMaxSigma, LrOverSigma, Never,
            Observe, Pay, Plateau, Random, Schedule, Static, Task,
        },
        decide::{
            Adversarial, Context, Decision, DecisionRule, Generalization, Needs, Rule, RuleError,
            Rules, ScopedRule, Signals, TargetAction,
        },
    };
}

/// Choosing layers, for a plan and for each of several rules.
pub mod select {
    pub use osn_core::layer::{Architecture, Fact, GlobError, Globs, Kind, Position, Select};

    pub use crate::attach::choose::Choice;
    pub use crate::attach::selection::Selection;
    pub use crate::attach::stated::Stated;
}

/// The linear map whose σ is measured, and how the gradient of the effective weight treats σ.
pub mod views {
    pub use osn_core::{
        layer::View,
        measure::Layout,
        measure::convolution::{Boundary, Convolution, GeometryError},
    };

    pub use crate::attach::as_convolution::AsConvolution;
    pub use osn_core::held::SigmaGradient;
}

/// Measurements of the held layers: σ, scale, gradients, spectra, and a table of them.
pub mod report {
    pub use osn_core::{
        act::AppliedAction,
        layer::{GradientStatistics, Growth, Layer, Measurement},
    };

    pub use crate::measure::report::{LayerReport, Table};
    pub use crate::measure::running_sum::{RunningSum, SavedSum};
    pub use crate::measure::spectrum::LayerSpectrum;
}

/// One training on several processes, or threads, to the same bits for every number of them.
///
/// The guide for a cluster is `docs/workers.md` of the repository; the loop is in [`Team`](workers::Team).
pub mod workers {
    pub use crate::together::sum::Sum;
    pub use crate::together::team::{Team, TeamError};
    pub use crate::together::threads::Threads;
    pub use crate::together::transport::{Alone, Workers, WorkersError};
}
