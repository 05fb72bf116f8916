//! The names of the data sets, the recipes that take them, and the least number of pictures.

use crate::metrics::feature_set::LEAST_SCORED;

/// The name of the data that is compiled in, which is also the default.
pub(crate) const EMBEDDED: &str = "fashion-mnist-10k";
/// The name of the full Fashion-MNIST, used where it is installed.
pub const FULL: &str = "fashion-mnist";

/// The recipes that train on images, and those that train on pairs of them.
pub(crate) const IMAGE_RECIPES: &[&str] = &["gan", "cgan", "classify"];
pub(crate) const PAIR_RECIPES: &[&str] = &["translate"];
/// The recipes that train on sentences.
pub(crate) const TEXT_RECIPES: &[&str] = &["nmt"];
/// The least pictures of a folder that can be split and scored.
pub const LEAST_PICTURES: usize = TEST_EVERY * LEAST_SCORED;
/// The name of the pairs that are built in, which are also the default.
pub(crate) const EDGES: &str = "fashion-mnist-edges";
/// The name of the sentences that are compiled in, which are also the default.
pub(crate) const CLDR: &str = "cldr-names";
/// Of so many images in the order of their paths the last is for testing.
pub(crate) const TEST_EVERY: usize = 6;
