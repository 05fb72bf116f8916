//! What is done to one weight, and how strongly.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::number::{concise, maybe_infinite};

/// The smallest σ that a weight is scaled at: the smallest normal number of single precision.
///
/// At or below it (a zero weight, or one of nothing but subnormal numbers) the scale is 1.
pub const SIGMA_FLOOR: f64 = f32::MIN_POSITIVE as f64;

/// What is done to one weight `W` of largest singular value `σ`.
///
/// The layer computes with the effective weight `Ŵ = s·W`. A blend `a` in `[0, 1]` says how much of
/// the action is in force; at `a = 0` every action is exactly off.
///
/// | action | scale `s` | elasticity `γ = −d ln s / d ln σ` |
/// |---|---|---|
/// | `Off` | 1 | 0 |
/// | `Normalize` | `(c/σ)^a` | `a` |
/// | `Cap`, soft | `exp(−a·softplus(τ·ln(σ/c))/τ)` | `a·sigmoid(τ·ln(σ/c))` |
/// | `Cap`, hard (`τ = ∞`) | `min(1, c/σ)^a` | `a` if `σ > c`, else 0 |
/// | `Keep` | `k^a` | 0 |
/// | `ScaleUpdate`, `CapUpdate` | 1 | 0 |
///
/// `ScaleUpdate` and `CapUpdate` leave the weight alone and multiply the optimizer's update of it by
/// [`update_factor`](Action::update_factor), which is 1 for all others.
///
/// With `G = ∂L/∂Ŵ`, the elasticity is what the gradient of the stored weight needs:
/// `∂L/∂W = s·G − (γ/σ)·⟨G, Ŵ⟩·∂σ/∂W`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Leaves the weight as it is: it is only measured.
    Off,
    /// Scales the weight up or down to a σ of `target`.
    ///
    /// With a target of 1 this is the spectral normalization `W/σ(W)` of Miyato et al. 2018
    /// (section 2.1).
    Normalize {
        /// The σ `c` of the effective weight, greater than 0, dimensionless.
        target: f64,
    },
    /// Scales the weight down towards a σ of `target` where it is larger, and hardly at all where it is
    /// smaller.
    ///
    /// The hard cap is `W·min(1, c/σ)`, as in SNGP (Liu et al. 2020). The soft cap rounds its corner:
    /// σ of the effective weight stays below `c`, and at `σ = c` the scale is `2^(−a/τ)`, not 1.
    Cap {
        /// The bound `c` on σ of the effective weight, greater than 0, dimensionless.
        target: f64,
        /// How sharp the corner at `σ = c` is (`τ`), greater than 0; infinite is a hard cap.
        #[serde(default = "hard", with = "maybe_infinite")]
        sharpness: f64,
    },
    /// Multiplies the weight by a constant, and leaves σ free: the layer trains as an unconstrained one.
    ///
    /// A rule that lets go of a layer keeps the scale that the layer had, so that no function changes. From `Normalize` and
    /// back the scale moves without a jump.
    Keep {
        /// The scale `k`, greater than 0, dimensionless.
        scale: f64,
    },
    /// Leaves the weight as it is, and multiplies the optimizer's update of it by `(c/σ)^a`.
    ///
    /// Normalizing `W` divides both the function and its step by σ; this divides the step alone, to
    /// tell the two apart.
    ScaleUpdate {
        /// The σ `c` at which the update is left as it is, greater than 0, dimensionless.
        target: f64,
    },
    /// Leaves the weight as it is, and multiplies the optimizer's update of it by `(1/max(1, σ/c))^a`.
    ///
    /// The same beside a cap. At `c = 1` it is the control of Gogianu et al. 2021, `lr/max(1, σ)`.
    CapUpdate {
        /// The σ `c` up to which the update is left as it is, greater than 0, dimensionless.
        target: f64,
    },
}

fn hard() -> f64 {
    f64::INFINITY
}

/// Why an action cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// The target is not a size that a weight can have.
    #[error(
        "target {} must be a positive number that single precision holds (1.2e-38 to 3.4e38)",
        concise(*target)
    )]
    Target {
        /// What was asked for.
        target: f64,
    },
    /// The scale is not a size that a weight can have.
    #[error(
        "scale {} must be a positive number that single precision holds (1.2e-38 to 3.4e38)",
        concise(*scale)
    )]
    Scale {
        /// What was asked for.
        scale: f64,
    },
    /// The sharpness of a cap is not a positive number.
    #[error("sharpness {} must be a positive number, or inf for a hard cap", concise(*sharpness))]
    Sharpness {
        /// What was asked for.
        sharpness: f64,
    },
}

impl Action {
    /// The factor `s` on a weight of this `sigma` at this `blend`.
    ///
    /// It is 1 for a σ at or below [`SIGMA_FLOOR`], so that a zero weight stays zero, and for a σ that is
    /// not finite, so that a broken measurement changes nothing.
    pub fn scale(&self, blend: f64, sigma: f64) -> f64 {
        if !is_usable(sigma) {
            return 1.0;
        }
        match *self {
            Action::Off | Action::ScaleUpdate { .. } | Action::CapUpdate { .. } => 1.0,
            Action::Normalize { target } => (target / sigma).powf(blend),
            Action::Keep { scale } => scale.powf(blend),
            Action::Cap { target, sharpness: f64::INFINITY } => {
                (target / sigma).min(1.0).powf(blend)
            }
            Action::Cap { target, sharpness } => {
                (-blend * softened_excess((sigma / target).ln(), sharpness)).exp()
            }
        }
    }

    /// The elasticity `γ = −d ln s / d ln σ` on a weight of this `sigma` at this `blend`.
    ///
    /// It lies between 0 and `blend`, and is 0 for a σ at which [`scale`](Self::scale) does nothing: at or
    /// below [`SIGMA_FLOOR`], or not finite. A hard cap has no derivative at `σ = c`; there it is 0, as
    /// below `c`.
    pub fn elasticity(&self, blend: f64, sigma: f64) -> f64 {
        if !is_usable(sigma) {
            return 0.0;
        }
        match *self {
            Action::Off
            | Action::Keep { .. }
            | Action::ScaleUpdate { .. }
            | Action::CapUpdate { .. } => 0.0,
            Action::Normalize { .. } => blend,
            Action::Cap { target, sharpness: f64::INFINITY } => {
                if sigma > target {
                    blend
                } else {
                    0.0
                }
            }
            Action::Cap { target, sharpness } => {
                blend * logistic(sharpness * (sigma / target).ln())
            }
        }
    }

    /// The factor on the optimizer's update of a weight of this `sigma` at this `blend`: `(c/σ)^a` for
    /// [`Action::ScaleUpdate`], `min(1, c/σ)^a` for [`Action::CapUpdate`], 1 for all others and where σ is not
    /// usable.
    pub fn update_factor(&self, blend: f64, sigma: f64) -> f64 {
        match *self {
            Action::CapUpdate { target } if is_usable(sigma) => {
                (target / sigma).min(1.0).powf(blend)
            }
            Action::ScaleUpdate { target } if is_usable(sigma) => (target / sigma).powf(blend),
            _ => 1.0,
        }
    }

    /// Returns the action's name: `off`, `normalize`, `cap`, `keep`, `scale_update` or `cap_update`.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Off => "off",
            Action::Normalize { .. } => "normalize",
            Action::Cap { .. } => "cap",
            Action::Keep { .. } => "keep",
            Action::ScaleUpdate { .. } => "scale_update",
            Action::CapUpdate { .. } => "cap_update",
        }
    }

    /// The target `c`, or nothing for [`Action::Off`] and [`Action::Keep`].
    pub fn target(&self) -> Option<f64> {
        match *self {
            Action::Off | Action::Keep { .. } => None,
            Action::Normalize { target }
            | Action::Cap { target, .. }
            | Action::ScaleUpdate { target }
            | Action::CapUpdate { target } => Some(target),
        }
    }

    /// The target, or the scale of [`Action::Keep`]; nothing for [`Action::Off`].
    pub fn number(&self) -> Option<f64> {
        match *self {
            Action::Keep { scale } => Some(scale),
            _ => self.target(),
        }
    }

    /// Whether an action leaves σ free, by its [`name`](Self::name) or its text, as records have it.
    pub fn leaves_sigma_free(text: &str) -> bool {
        matches!(text.split(' ').next(), Some("off" | "keep"))
    }

    /// Checks that the target, the scale and the sharpness can be used.
    ///
    /// # Errors
    ///
    /// [`ActionError`] if the target or the scale is not a positive normal number of single precision, or the
    /// sharpness not positive.
    pub fn validate(&self) -> Result<(), ActionError> {
        let usable = SIGMA_FLOOR..=f64::from(f32::MAX);
        if let Some(target) = self.target().filter(|target| !usable.contains(target)) {
            return Err(ActionError::Target { target });
        }
        match *self {
            Action::Keep { scale } if !usable.contains(&scale) => Err(ActionError::Scale { scale }),
            Action::Cap { sharpness, .. } if sharpness.is_nan() || sharpness <= 0.0 => {
                Err(ActionError::Sharpness { sharpness })
            }
            _ => Ok(()),
        }
    }

    /// The same kind of action with another [`number`](Self::number); `Off` has none to change.
    pub(crate) fn with_number(self, number: f64) -> Self {
        match self {
            Action::Off => Action::Off,
            Action::Normalize { .. } => Action::Normalize { target: number },
            Action::Cap { sharpness, .. } => Action::Cap { target: number, sharpness },
            Action::Keep { .. } => Action::Keep { scale: number },
            Action::ScaleUpdate { .. } => Action::ScaleUpdate { target: number },
            Action::CapUpdate { .. } => Action::CapUpdate { target: number },
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Action::Off => f.write_str("off"),
            Action::Normalize { target } => write!(f, "normalize to {}", concise(target)),
            Action::Cap { target, sharpness: f64::INFINITY } => {
                write!(f, "hard cap at {}", concise(target))
            }
            Action::Cap { target, sharpness } => {
                write!(f, "soft cap at {} (sharpness {})", concise(target), concise(sharpness))
            }
            Action::Keep { scale } => write!(f, "keep the scale {}", concise(scale)),
            Action::ScaleUpdate { target } => write!(f, "updates times {}/σ", concise(target)),
            Action::CapUpdate { target } => {
                write!(f, "updates times {}/σ where that is below 1", concise(target))
            }
        }
    }
}

fn is_usable(sigma: f64) -> bool {
    sigma > SIGMA_FLOOR && sigma.is_finite()
}

/// `softplus(τx)/τ`, written so that neither a large nor a small `τ` overflows.
fn softened_excess(x: f64, sharpness: f64) -> f64 {
    x.max(0.0) + (-sharpness * x.abs()).exp().ln_1p() / sharpness
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HARD_CAP: Action = Action::Cap { target: 2.0, sharpness: f64::INFINITY };

    fn close(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() <= 1e-12 * expected.abs().max(1e-300)
    }

    pub(crate) fn any_action() -> impl Strategy<Value = Action> {
        let target = (-88.0..88.0_f64).prop_map(f64::exp);
        let sharpness = prop_oneof![Just(f64::INFINITY), (-7.0..7.0_f64).prop_map(f64::exp)];
        prop_oneof![
            Just(Action::Off),
            target.clone().prop_map(|target| Action::Normalize { target }),
            target.clone().prop_map(|scale| Action::Keep { scale }),
            target.clone().prop_map(|target| Action::ScaleUpdate { target }),
            target.clone().prop_map(|target| Action::CapUpdate { target }),
            (target, sharpness).prop_map(|(target, sharpness)| Action::Cap { target, sharpness }),
        ]
    }

    #[test]
    fn the_table_holds_by_hand() {
        let normalize = Action::Normalize { target: 2.0 };
        for (action, blend, sigma, scale, elasticity) in [
            (normalize, 1.0, 8.0, 0.25, 1.0),
            (normalize, 0.5, 8.0, 0.5, 0.5),
            (normalize, 1.0, 0.5, 4.0, 1.0),
            (HARD_CAP, 1.0, 8.0, 0.25, 1.0),
            (HARD_CAP, 0.5, 8.0, 0.5, 0.5),
            (HARD_CAP, 1.0, 0.5, 1.0, 0.0),
            (HARD_CAP, 1.0, 2.0, 1.0, 0.0),
            (Action::Off, 1.0, 8.0, 1.0, 0.0),
        ] {
            let found = (action.scale(blend, sigma), action.elasticity(blend, sigma));
            assert_eq!(found, (scale, elasticity), "{action:?} {blend} {sigma}");
        }
    }

    #[test]
    fn scaling_the_update_leaves_the_weight_and_its_gradient() {
        let action = Action::ScaleUpdate { target: 2.0 };
        assert_eq!((action.scale(1.0, 8.0), action.elasticity(1.0, 8.0)), (1.0, 0.0));
        assert_eq!((action.update_factor(1.0, 8.0), action.update_factor(0.5, 8.0)), (0.25, 0.5));
        assert_eq!((action.update_factor(1.0, 0.5), action.update_factor(0.0, 8.0)), (4.0, 1.0));
        for sigma in [0.0, SIGMA_FLOOR, f64::NAN, f64::INFINITY] {
            assert_eq!(action.update_factor(1.0, sigma), 1.0);
        }
        assert_eq!(HARD_CAP.update_factor(1.0, 8.0), 1.0);
    }

    #[test]
    fn a_soft_cap_at_its_target_is_two_to_the_minus_blend_over_sharpness() {
        let cap = Action::Cap { target: 3.0, sharpness: 4.0 };
        assert!(close(cap.scale(1.0, 3.0), 0.840_896_415_253_714_6), "2^(-1/4)");
        assert!(close(cap.scale(0.5, 3.0), 0.917_004_043_204_671_2), "2^(-1/8)");
        assert_eq!(cap.elasticity(1.0, 3.0), 0.5);
        assert_eq!(cap.elasticity(0.5, 3.0), 0.25);
    }

    #[test]
    fn a_soft_cap_of_sharpness_one_is_one_over_one_plus_the_ratio() {
        // exp(−ln(1 + σ/c)) = c/(c + σ), and the elasticity is σ/(c + σ).
        let cap = Action::Cap { target: 2.0, sharpness: 1.0 };
        assert!(close(cap.scale(1.0, 6.0), 0.25));
        assert!(close(cap.elasticity(1.0, 6.0), 0.75));
    }

    #[test]
    fn a_very_sharp_cap_is_the_hard_one() {
        for sharpness in [1e6, 1e100, 1e300, f64::MAX] {
            let sharp = Action::Cap { target: 2.0, sharpness };
            for sigma in [1e-38, 0.5, 2.0, 8.0, 1e38] {
                let difference = sharp.scale(1.0, sigma) - HARD_CAP.scale(1.0, sigma);
                assert!(difference.abs() < 1e-6, "σ {sigma}, sharpness {sharpness}: {difference}");
            }
        }
    }

    #[test]
    fn a_zero_or_broken_sigma_leaves_the_weight_alone() {
        for action in [Action::Off, Action::Normalize { target: 1.0 }, HARD_CAP] {
            for sigma in [0.0, 1e-45, SIGMA_FLOOR, -1.0, f64::NAN, f64::INFINITY] {
                assert_eq!((action.scale(1.0, sigma), action.elasticity(1.0, sigma)), (1.0, 0.0));
            }
        }
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for target in [0.0, -1.0, 1e-40, 1e-320, 1e39, f64::NAN, f64::INFINITY] {
            let refused = Action::Normalize { target }.validate();
            assert!(matches!(refused, Err(ActionError::Target { .. })), "{target}");
        }
        for sharpness in [0.0, -1.0, f64::NAN] {
            let refused = Action::Cap { target: 1.0, sharpness }.validate();
            assert!(matches!(refused, Err(ActionError::Sharpness { .. })), "{sharpness}");
        }
        assert_eq!(HARD_CAP.validate(), Ok(()));
        assert_eq!(Action::Off.validate(), Ok(()));
    }

    #[test]
    fn the_file_format_is_fixed() {
        let written = |action: Action| serde_json::to_string(&action).unwrap();
        assert_eq!(written(Action::Off), r#""off""#);
        assert_eq!(written(Action::Normalize { target: 1.5 }), r#"{"normalize":{"target":1.5}}"#);
        assert_eq!(written(HARD_CAP), r#"{"cap":{"target":2.0,"sharpness":"inf"}}"#);
        let updates = Action::ScaleUpdate { target: 1.0 };
        assert_eq!(written(updates), r#"{"scale_update":{"target":1.0}}"#);
        let short: Action = serde_json::from_str(r#"{"cap":{"target":2}}"#).unwrap();
        assert_eq!(short, HARD_CAP);
        assert!(serde_json::from_str::<Action>(r#"{"cap":{"target":2,"sharpness":"x"}}"#).is_err());
        assert!(serde_json::from_str::<Action>(r#"{"normalize":{"taget":2}}"#).is_err());
    }

    proptest! {
        #[test]
        fn the_strength_is_the_slope_of_the_scale(
            action in any_action(), blend in 0.0..=1.0, offset in -3.0..3.0_f64,
        ) {
            // Near the target, where a cap bends; a hard cap's corner itself has no slope.
            let sigma = action.target().unwrap_or(1.0) * offset.exp();
            let width = 1e-5;
            let is_corner = offset.abs() <= 2.0 * width;
            prop_assume!(sigma > 2.0 * SIGMA_FLOOR && !is_corner);
            let log_scale = |shift: f64| action.scale(blend, sigma * shift.exp()).ln();
            let slope = -(log_scale(width) - log_scale(-width)) / (2.0 * width);
            let elasticity = action.elasticity(blend, sigma);
            prop_assert!((slope - elasticity).abs() < 1e-5, "{slope} {elasticity}");
        }

        #[test]
        fn no_size_and_no_sharpness_gives_a_broken_number(
            action in any_action(), blend in 0.0..=1.0, log_sigma in -87.0..88.0_f64,
            extreme in prop_oneof![Just(f64::MIN_POSITIVE), Just(1e-30), Just(1e30), Just(f64::MAX)],
        ) {
            let action = match action {
                Action::Cap { target, .. } => Action::Cap { target, sharpness: extreme },
                other => other,
            };
            let (scale, elasticity) =
                (action.scale(blend, log_sigma.exp()), action.elasticity(blend, log_sigma.exp()));
            prop_assert!(scale.is_finite() && scale >= 0.0, "{scale}");
            prop_assert!((0.0..=blend).contains(&elasticity), "{elasticity}");
        }

        #[test]
        fn a_cap_never_enlarges_and_holds_its_bound(
            action in any_action(), log_sigma in -87.0..88.0_f64,
        ) {
            if let Action::Cap { target, .. } = action {
                let scale = action.scale(1.0, log_sigma.exp());
                prop_assert!(scale <= 1.0);
                prop_assert!(scale * log_sigma.exp() <= target * (1.0 + 1e-12));
            }
        }

        #[test]
        fn blend_zero_is_exactly_off(action in any_action(), log_sigma in -87.0..88.0_f64) {
            prop_assert_eq!(action.scale(0.0, log_sigma.exp()), 1.0);
            prop_assert_eq!(action.elasticity(0.0, log_sigma.exp()), 0.0);
        }

        #[test]
        fn an_action_survives_a_file(action in any_action()) {
            let text = serde_json::to_string(&action).unwrap();
            prop_assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), action);
        }
    }
}
