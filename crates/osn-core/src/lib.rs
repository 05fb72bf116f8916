//! Measures how large a linear map is and decides what to do about it, in plain numbers, without I/O.
//!
//! A training step goes through the modules in this order:
//!
//! 1. [`measure`]: the largest singular value σ of a weight, as a matrix or as a convolution. Estimates
//!    are cheap and from below; with the feature `bounds` there are intervals that are certain.
//! 2. [`layer`]: what a rule may look at. Layers are chosen by path and kind, and a view says which
//!    linear map a weight is.
//! 3. [`decide`]: rules say for each layer what is wanted, and why.
//! 4. [`act`]: an actuator moves what is in force towards what is wanted, at a bounded rate. The layer
//!    then computes with `s·W`.
//!
//! [`held`] is what osn does with a weight in memory while it trains, for each framework in the same way.
//! [`state_code`] is the file format of a layer's state, and [`number`] writes numbers as text.
//!
//! # Features
//!
//! | feature | adds | crate |
//! |---|---|---|
//! | `bounds` | `measure::bounds`: intervals that are certain to hold σ | |
//! | `globs` | choosing layers by globs; without it by whole paths only | globset |
//! | `rules-file` | reading rules from TOML | toml |
//!
//! All are on by default. The intervals need no further crate. faer is used without them, too: its
//! decompositions by [`golub_kahan`](measure::golub_kahan()), which measures every layer first, and its products by
//! [`ConvMap`](measure::convolution::ConvMap). rayon forms the Gram matrix of
//! [`leading_singular_values`](measure::leading_singular_values()), from which σ₂/σ₁ and the spectra come.
//!
//! # Example
//!
//! ```
//! use osn_core::act::{Action, Actuator, Rates};
//! use osn_core::measure::{DenseMap, GolubKahanParams, golub_kahan, start_vector};
//!
//! // σ of a weight is 5.
//! let weight = [3.0_f32, 0.0, 4.0, 0.0];
//! let map = DenseMap::new(&weight, 2, 2)?;
//! let sigma = golub_kahan(&map, &start_vector(2), &GolubKahanParams::default())?.sigma;
//! assert!((sigma - 5.0).abs() < 1e-12);
//!
//! // Held at 2, its scale is 2/5.
//! let mut actuator = Actuator::new(Action::Normalize { target: 2.0 });
//! assert!((actuator.applied().scale(sigma) - 0.4).abs() < 1e-12);
//!
//! // Switched off, the scale goes back to 1 in a hundred steps.
//! for _ in 0..100 {
//!     actuator.step(Action::Off, 8.0, &Rates::default());
//! }
//! assert_eq!(actuator.applied().scale(sigma), 1.0);
//! # Ok::<(), osn_core::measure::EstimateError>(())
//! ```

pub mod act;
pub mod decide;
pub mod held;
pub mod key_values;
pub mod layer;
pub mod measure;
pub mod names;
pub mod number;
mod split_mix;
pub mod state_code;
