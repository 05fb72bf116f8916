//! Measures how large a linear map is and decides what to do about it, in plain numbers, without I/O.

mod action;
mod actuator;
mod bidirectional;
mod cholesky;
mod circular;
mod complexity;
mod conv_map;
mod convolution;
mod decide;
mod estimate;
mod exact;
mod golub_kahan;
mod gram_iteration;
mod gram_matrix;
mod initial_size;
mod interval;
mod layer;
mod leading;
pub mod number;
mod operator;
mod operator_interval;
mod patches;
mod power;
mod rounding;
mod select;
mod sigma_interval;
mod vector;
mod view;

pub use action::{Action, ActionError, SIGMA_FLOOR};
pub use actuator::{Actuator, Dial, Rates, RatesError};
pub use bidirectional::bidirectional_interval;
pub use circular::{CircularError, circular_interval, circular_singular_values};
pub use complexity::{
    LayerNorms, PacBayesSetting, fraction_within_margin, ln_lipschitz_product, ln_margin_bound,
    ln_pac_bayes_bound, ln_spectral_complexity, two_one_distance, two_one_norm,
};
pub use conv_map::ConvMap;
pub use convolution::{Boundary, Convolution, Geometry, GeometryError};
pub use decide::{
    Adversarial, Always, Arm, Auto, Balance, Bandit, Budget, BudgetWeights, Cap, Decider, Decision,
    Generalization, Gradient, Learned, LrOverMaxSigma, LrOverSigma, Needs, Never, Observe,
    ParameterDoc, Patience, Random, Rule, RuleDoc, RuleError, Rules, RulesFileError,
    RulesFileProblem, Schedule, ScopedRule, Signals, Slope, Static, TargetAction, Task, TotalBy,
    UnknownTargetAction, slug,
};
pub use estimate::{Bound, Estimate, EstimateError, stable_rank, start_vector};
pub use exact::{exact, singular_values};
pub use golub_kahan::{GolubKahanParams, golub_kahan};
pub use gram_iteration::{gram_iteration, gram_iteration_complex};
pub use gram_matrix::GramMatrix;
pub use initial_size::InitialSize;
pub use interval::Interval;
pub use layer::{GradientStatistics, Kind, Layer, Measurement, UnknownKind};
pub use leading::{leading_pair_condition, leading_singular_values};
pub use operator::{DenseMap, Layout, LinearMap};
pub use operator_interval::operator_interval;
pub use power::{PowerParams, power_iteration};
pub use select::{GlobError, Globs, Position, Select, UnknownPosition};
pub use sigma_interval::{GramEstimate, IntervalParams, sigma_interval};
pub use view::{View, ViewError};
