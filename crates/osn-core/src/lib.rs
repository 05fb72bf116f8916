//! Measures how large a linear map is and decides what to do about it, in plain numbers, without I/O.

mod action;
mod actuator;
mod decide;
mod estimate;
mod exact;
mod golub_kahan;
mod layer;
mod number;
mod operator;
mod power;
mod select;
mod vector;

pub use action::{Action, ActionError, SIGMA_FLOOR};
pub use actuator::{Actuator, Dial, Rates, RatesError};
pub use decide::{
    Always, Cap, Decider, Decision, Never, ParameterDoc, Rule, RuleDoc, RuleError, Signals, Static,
};
pub use estimate::{Bound, Estimate, EstimateError, stable_rank, start_vector};
pub use exact::{exact, singular_values};
pub use golub_kahan::{GolubKahanParams, golub_kahan};
pub use layer::{Kind, Layer, Measurement, UnknownKind};
pub use operator::{DenseMap, Layout, LinearMap};
pub use power::{PowerParams, power_iteration};
pub use select::{GlobError, Globs, Position, Select, UnknownPosition};
