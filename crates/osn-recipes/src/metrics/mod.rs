//! Scores of generated images: how far their features are from those of real images; and of translations.
//!
//! Every score of images compares two sets of feature vectors, and none knows where the vectors come from.
//! With the features of the small network in [`crate::features`] the Fréchet distance is not FID
//! and does not compare with numbers from Inception's features.
//!
//! All sums are taken in f64, in an order that does not depend on the number of threads.

pub mod bleu;
pub mod chrf;
pub(crate) mod classes;
pub mod exact_match;
pub mod feature_set;
pub mod frechet;
pub mod kernel;
mod n_grams;
pub mod neighbours;
mod products;
pub mod score;
mod words;
