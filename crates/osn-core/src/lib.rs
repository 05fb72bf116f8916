//! Measures how large a linear map is and decides what to do about it, in plain numbers, without I/O.

mod action;
mod actuator;
mod circular;
mod conv_map;
mod convolution;
mod decide;
mod estimate;
mod exact;
mod golub_kahan;
mod interval;
mod layer;
mod number;
mod operator;
mod operator_interval;
mod patches;
mod power;
mod rounding;
mod select;
mod vector;
mod view;

pub use action::{Action, ActionError, SIGMA_FLOOR};
pub use actuator::{Actuator, Dial, Rates, RatesError};
pub use circular::{CircularError, circular_interval, circular_singular_values};
pub use conv_map::ConvMap;
pub use convolution::{Boundary, Convolution, Geometry, GeometryError};
pub use decide::{
    Always, Cap, Decider, Decision, Never, ParameterDoc, Rule, RuleDoc, RuleError, Signals, Static,
};
pub use estimate::{Bound, Estimate, EstimateError, stable_rank, start_vector};
pub use exact::{exact, singular_values};
pub use golub_kahan::{GolubKahanParams, golub_kahan};
pub use interval::Interval;
pub use layer::{Kind, Layer, Measurement, UnknownKind};
pub use operator::{DenseMap, Layout, LinearMap};
pub use operator_interval::operator_interval;
pub use power::{PowerParams, power_iteration};
pub use select::{GlobError, Globs, Position, Select, UnknownPosition};
pub use view::View;
