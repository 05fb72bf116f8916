#![doc = include_str!("../README.md")]

mod discover;
mod error;
mod form;
mod observe;
mod ops;
mod optimize;
mod osn;
mod plan;
mod probe;
mod reading;
mod refresh;
mod spectral_norm;
mod spectrum;
mod start;
mod view;

pub use error::{AttachError, StepError};
pub use ops::SigmaGradient;
pub use osn::{Change, LayerReport, Osn};
pub use osn_core::{
    Action, Adversarial, Always, AppliedAction, Auto, Boundary, Budget, BudgetWeights, Cap,
    Context, Convolution, Decision, DecisionRule, Generalization, GeometryError, GlobError, Globs,
    GradientStatistics, Kind, Layer, Layout, Learned, LrOverMaxSigma, LrOverSigma, Measurement,
    Needs, Never, Observe, Plateau, Position, Random, Rates, Rule, RuleError, Rules,
    RulesFileError, Schedule, ScopedRule, Select, Signals, Static, TargetAction, Task, View,
};
pub use plan::{Choice, Plan, Selector};
pub use spectral_norm::SpectralNorm;
pub use spectrum::LayerSpectrum;
pub use view::AsConvolution;
