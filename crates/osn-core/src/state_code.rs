//! The file format of u, v and σ: how they are stored beside a weight, as 32-bit integers.
//!
//! An average of parameters (EMA), an optimizer, weight decay, `unfreeze` and a cast to half
//! precision change every *float* parameter of a module. An averaged unit vector is no longer a
//! unit vector, so the state of a weight is stored as integers: all of these leave integers alone,
//! and records, clones, forks and device moves carry them like any other parameter.
//!
//! Three tensors of dtype I32 stand beside a weight `W`. The view of the weight may cut it into `b`
//! blocks, each a map (or several) with its own σ; a weight that is not cut is one block.
//!
//! | tensor | entries | code of an entry `x` |
//! |---|---|---|
//! | `W.spectral_norm.u` | left singular vectors, one block after the other | `round(x·2³⁰)` |
//! | `W.spectral_norm.v` | right singular vectors, likewise | `round(x·2³⁰)` |
//! | `W.spectral_norm.state` | [`STATE_LEN`] numbers for each block | see below |
//!
//! | index in a block's state | number | code |
//! |---|---|---|
//! | [`LN_SIGMA`] | σ, a lower bound of the largest singular value | `round(ln σ·2²⁴)`, [`LOG_OF_ZERO`] for 0 |
//! | [`LN_SCALE`] | `s`, where the layer computes with `s·W` | `round(ln s·2²⁴)` |
//! | [`ELASTICITY`] | `γ = −d ln s/d ln σ` | `round(γ·2³⁰)` |
//! | [`RESIDUAL`] | how far u and v are from singular vectors | `round(x·2³⁰)` |
//! | [`BAD_STEP`] | the first step that met a weight which is not finite | itself, 0 for none |

/// The factor 2³⁰ of entries of unit vectors, elasticities and residuals, all in [−1, 1].
///
/// The step is 9.3e-10: a quarter of the rounding of an f32 just below 1/64, and far below what
/// one power iteration resolves.
pub const UNIT: f64 = 1_073_741_824.0;

/// The factor 2²⁴ of the logarithms of σ and of the scale, which lie in (−128, 128): σ and the
/// scale have a relative step of 6e-8.
pub const LOG: f64 = 16_777_216.0;

/// The code of `ln 0`.
pub const LOG_OF_ZERO: i32 = i32::MIN;

/// How many numbers the state of one block has.
pub const STATE_LEN: usize = 5;
/// The index of ln σ in a block's state.
pub const LN_SIGMA: usize = 0;
/// The index of the logarithm of the scale.
pub const LN_SCALE: usize = 1;
/// The index of the elasticity.
pub const ELASTICITY: usize = 2;
/// The index of the residual.
pub const RESIDUAL: usize = 3;
/// The index of the first step (from 1) that met a weight which is not finite; 0 while all is well.
pub const BAD_STEP: usize = 4;

/// The state of one block: what the last refresh measured and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// ‖W v‖ of the last refresh: a lower bound of the largest singular value.
    pub sigma: f64,
    /// The factor `s` of the effective weight.
    pub scale: f64,
    /// γ = −d ln s / d ln σ.
    pub elasticity: f64,
    /// `‖W v − σ_b u‖/σ` for the `u` before the refresh and `σ_b = ‖Wᵀu‖`, in [0, 1].
    pub residual: f64,
    /// The first step (from 1) that met a weight which is not finite; 0 while all is well.
    pub bad_step: i32,
}

impl State {
    /// Returns the state's codes.
    pub fn encode(&self) -> [i32; STATE_LEN] {
        [
            encode_log(self.sigma),
            encode_log(self.scale),
            encode_unit(self.elasticity),
            encode_unit(self.residual),
            self.bad_step,
        ]
    }

    /// Returns the state that `codes` stand for.
    ///
    /// # Panics
    ///
    /// If there are fewer than [`STATE_LEN`] codes.
    pub fn decode(codes: &[i32]) -> Self {
        Self {
            sigma: decode_log(codes[LN_SIGMA]),
            scale: decode_log(codes[LN_SCALE]),
            elasticity: decode_unit(codes[ELASTICITY]),
            residual: decode_unit(codes[RESIDUAL]),
            bad_step: codes[BAD_STEP],
        }
    }
}

/// Returns `round(value·2³⁰)`, for a value in [−1, 1]; beyond ±2 it saturates.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and the domain is [−1, 1]")]
pub fn encode_unit(value: f64) -> i32 {
    (value * UNIT).round() as i32
}

/// Returns the value of a code of [`encode_unit`].
pub fn decode_unit(code: i32) -> f64 {
    f64::from(code) / UNIT
}

/// Returns `round(ln value·2²⁴)`, and [`LOG_OF_ZERO`] for 0.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and ln of an f32 is within ±104")]
pub fn encode_log(value: f64) -> i32 {
    if value == 0.0 { LOG_OF_ZERO } else { (value.ln() * LOG).round() as i32 }
}

/// Returns the value of a code of [`encode_log`].
pub fn decode_log(code: i32) -> f64 {
    if code == LOG_OF_ZERO { 0.0 } else { (f64::from(code) / LOG).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_state_survives_its_code(log_sigma in -85.0..85.0f64, log_scale in -85.0..85.0f64, elasticity in 0.0..=1.0f64) {
            let state = State { sigma: log_sigma.exp(), scale: log_scale.exp(), elasticity, residual: elasticity, bad_step: 7 };
            let back = State::decode(&state.encode());
            prop_assert!((back.sigma / state.sigma - 1.0).abs() < 1e-7);
            prop_assert!((back.scale / state.scale - 1.0).abs() < 1e-7);
            prop_assert!((back.elasticity - elasticity).abs() < 1e-9);
            prop_assert_eq!(back.bad_step, 7);
        }
    }

    #[test]
    fn the_codes_are_those_of_files_written_before() {
        assert_eq!([1.0, -1.0, 0.5].map(encode_unit), [1 << 30, -(1 << 30), 1 << 29]);
        assert_eq!([1.0, 3.0, 0.0].map(encode_log), [0, 18_431_656, i32::MIN]);
        assert!((decode_log(18_431_656) - 3.0).abs() < 1e-7);
    }

    #[test]
    fn off_and_zero_are_exact() {
        let off = State { sigma: 0.0, scale: 1.0, elasticity: 0.0, residual: 0.0, bad_step: 0 };
        assert_eq!(State::decode(&off.encode()), off);
    }
}
