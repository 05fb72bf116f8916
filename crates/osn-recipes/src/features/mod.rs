//! The small frozen network in whose features generated images are scored.
//!
//! A *feature distance* compares two sets of images by the 64 numbers that
//! [`FeatureNet`](network::FeatureNet) computes for each. It is not the Fréchet *Inception* distance:
//! that one uses another network, trained on other images, and the two cannot be compared with each
//! other. What does carry over is the idea (Heusel et al. 2017): images are close when a trained
//! classifier describes them alike.
//!
//! The weights are committed and compiled in; they name 91.35 % of the test images correctly. The
//! recipe [`classify`](crate::classify) trains such a network, and this writes its weights over them:
//!
//! ```text
//! cargo run --release -p osn-recipes --example train_features
//! ```
//!
//! The committed ones are from this command as it was before it became a run of the recipe: the same
//! network, loss, optimizer and six epochs, in eight minutes on two shared cores, but with all 60,000
//! training images, of which the recipe holds out one in twenty, and with other random numbers. So
//! the command makes other weights now, and feature distances by them do not compare with those here.

pub(crate) mod embed;
pub mod input;
pub mod network;
