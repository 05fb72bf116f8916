//! How u, v and σ are stored: as integers, so that nothing which treats floats can damage them.
//!
//! An averaging of parameters (EMA), an optimizer, weight decay, `unfreeze`, a cast to half
//! precision: each goes over the *float* parameters of a module. A unit vector that is averaged is
//! no unit vector, so the state of a layer is held in fixed-point integers, which all of those
//! leave alone, while records, clones, forks and device moves carry them like any parameter.

/// Entries of unit vectors, elasticities and residuals, all in [−1, 1]: `round(x·2³⁰)`.
///
/// The step is 9.3e-10: a quarter of the rounding of an f32 just below 1/64, and far below what
/// one power iteration resolves.
pub(crate) const UNIT: f64 = 1_073_741_824.0;

/// Logarithms of σ and of the scale, in (−128, 128): `round(x·2²⁴)`, a relative step of 6e-8.
pub(crate) const LOG: f64 = 16_777_216.0;

/// The code of `ln 0`.
pub(crate) const LOG_OF_ZERO: i32 = i32::MIN;

/// What one layer's `state` tensor holds, in this order.
pub(crate) const STATE_LEN: usize = 5;
pub(crate) const LN_SIGMA: usize = 0;
pub(crate) const LN_SCALE: usize = 1;
pub(crate) const ELASTICITY: usize = 2;
pub(crate) const RESIDUAL: usize = 3;
/// The first step (from 1) that met a weight which is not finite; 0 while all is well.
pub(crate) const BAD_STEP: usize = 4;

/// One layer's `state` tensor, read: what the last refresh measured and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct State {
    /// ‖W v‖ of the last refresh: a lower bound of the largest singular value.
    pub(crate) sigma: f64,
    /// The factor `s` of the effective weight.
    pub(crate) scale: f64,
    /// γ = −d ln s / d ln σ.
    pub(crate) elasticity: f64,
    /// `‖W v − σ_b u‖/σ` for the `u` before the refresh and `σ_b = ‖Wᵀu‖`, in [0, 1].
    pub(crate) residual: f64,
    pub(crate) bad_step: i32,
}

impl State {
    pub(crate) fn encode(&self) -> [i32; STATE_LEN] {
        [
            encode_log(self.sigma),
            encode_log(self.scale),
            encode_unit(self.elasticity),
            encode_unit(self.residual),
            self.bad_step,
        ]
    }

    pub(crate) fn decode(codes: &[i32]) -> Self {
        Self {
            sigma: decode_log(codes[LN_SIGMA]),
            scale: decode_log(codes[LN_SCALE]),
            elasticity: decode_unit(codes[ELASTICITY]),
            residual: decode_unit(codes[RESIDUAL]),
            bad_step: codes[BAD_STEP],
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, and the domain is [−1, 1]")]
pub(crate) fn encode_unit(value: f64) -> i32 {
    (value * UNIT).round() as i32
}

pub(crate) fn decode_unit(code: i32) -> f64 {
    f64::from(code) / UNIT
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, and ln of an f32 is within ±104")]
fn encode_log(value: f64) -> i32 {
    if value == 0.0 { LOG_OF_ZERO } else { (value.ln() * LOG).round() as i32 }
}

fn decode_log(code: i32) -> f64 {
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
    fn off_and_zero_are_exact() {
        let off = State { sigma: 0.0, scale: 1.0, elasticity: 0.0, residual: 0.0, bad_step: 0 };
        assert_eq!(State::decode(&off.encode()), off);
    }
}
