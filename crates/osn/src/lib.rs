#![doc = include_str!("../README.md")]

mod code;
mod discover;
mod error;
mod form;
mod ops;
mod osn;
mod plan;
mod refresh;
mod spectral_norm;
mod start;
mod view;

pub use error::{AttachError, StepError};
pub use ops::SigmaGradient;
pub use osn::{Change, LayerReport, Osn};
pub use osn_core::{
    Action, Always, Boundary, Cap, Convolution, Decision, Dial, GeometryError, GlobError, Globs,
    Kind, Layer, Layout, Measurement, Never, Position, Rates, Rule, RuleError, Select, Signals,
    Static, View,
};
pub use plan::{Plan, Selector};
pub use spectral_norm::SpectralNorm;
pub use view::AsConvolution;
