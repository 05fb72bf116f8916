//! Sentences and their translations: what is embedded, what the user has, and the subwords they are cut into.
//!
//! | to | call |
//! |---|---|
//! | get the sentences that a run asks for | [`load::for_recipe`] |
//! | look at them before a run | [`Need::Text`](crate::data::need::Need::Text) |
//! | cut sentences into subwords | [`Subwords`](subwords::Subwords) |

pub mod cldr;
pub mod error;
pub(crate) mod folder;
pub mod language;
pub mod lines;
pub mod load;
pub mod parallel;
pub mod subwords;
