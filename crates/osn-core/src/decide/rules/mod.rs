//! The rules: one a file.

pub(crate) mod always;
pub(crate) mod auto;
pub(crate) mod budget;
pub(crate) mod cap;
pub(crate) mod learned;
pub(crate) mod lr_over_sigma;
pub(crate) mod never;
pub(crate) mod observe;
pub(crate) mod pay;
pub(crate) mod plateau;
pub(crate) mod random;
pub(crate) mod schedule;
pub(crate) mod r#static;

pub use self::always::Always;
pub use self::auto::{Auto, Task};
pub use self::budget::{Budget, BudgetWeights};
pub use self::cap::Cap;
pub use self::learned::Learned;
pub use self::lr_over_sigma::{LrOverMaxSigma, LrOverSigma};
pub use self::never::Never;
pub use self::observe::Observe;
pub use self::pay::Pay;
pub use self::plateau::Plateau;
pub use self::random::Random;
pub use self::schedule::Schedule;
pub use self::r#static::Static;
