//! Measures how large a linear map is and decides what to do about it, in plain numbers, without I/O.

mod act;
mod decide;
pub mod key_values;
mod layer;
mod measure;
pub mod number;
pub mod state_code;

pub use act::action::{Action, ActionError, SIGMA_FLOOR};
pub use act::actuator::{Actuator, AppliedAction, Rates, RatesError};
pub use decide::{
    Adversarial, Always, Auto, Budget, BudgetWeights, Cap, Context, CustomRule, Decider,
    DeciderMismatch, DeciderState, Decision, DecisionRule, Generalization, Learned, LrOverMaxSigma,
    LrOverSigma, Needs, Never, Observe, ParameterDoc, Plateau, Random, Rule, RuleDoc, RuleError,
    Rules, RulesFileError, RulesFileProblem, Schedule, ScopedRule, Signals, Static, TargetAction,
    Task, UnknownTargetAction, slug,
};
pub use layer::select::{GlobError, Globs, Position, Select, UnknownPosition};
pub use layer::view::{View, ViewError};
pub use layer::{GradientStatistics, Kind, Layer, Measurement, UnknownKind};
pub use measure::bounds::bidirectional::bidirectional_interval;
pub use measure::bounds::gram_iteration::{gram_iteration, gram_iteration_complex};
pub use measure::bounds::gram_matrix::GramMatrix;
pub use measure::bounds::interval::Interval;
pub use measure::bounds::operator_interval::operator_interval;
pub use measure::bounds::sigma_interval::{GramEstimate, IntervalParams, sigma_interval};
pub use measure::complexity::{
    LayerNorms, PacBayesSetting, fraction_within_margin, ln_lipschitz_product, ln_margin_bound,
    ln_pac_bayes_bound, ln_spectral_complexity, two_one_distance, two_one_norm,
};
pub use measure::convolution::circular::{
    CircularError, circular_interval, circular_singular_values,
};
pub use measure::convolution::geometry::{Boundary, Convolution, Geometry, GeometryError};
pub use measure::convolution::map::ConvMap;
pub use measure::estimate::{Bound, Estimate, EstimateError, stable_rank, start_vector};
pub use measure::exact::{exact, singular_values};
pub use measure::golub_kahan::{GolubKahanParams, golub_kahan};
pub use measure::initial_size::InitialSize;
pub use measure::leading::{leading_pair_condition, leading_singular_values};
pub use measure::operator::{DenseMap, Layout, LinearMap};
pub use measure::power::{PowerParams, power_iteration};
