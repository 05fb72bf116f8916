//! The bounds made of norms, against numbers worked out by hand.

use osn_core::measure::complexity::{
    LayerNorms, PacBayesSetting, fraction_within_margin, ln_lipschitz_product, ln_margin_bound,
    ln_pac_bayes_bound, ln_spectral_complexity, two_one_norm,
};
use osn_core::measure::{EstimateError, Layout};

const FIRST: LayerNorms = LayerNorms { spectral: 2.0, frobenius: 4.0, two_one: 16.0 };
const SECOND: LayerNorms = LayerNorms { spectral: 3.0, frobenius: 3.0, two_one: 81.0 };

#[test]
fn the_two_one_norm_sums_the_lengths_of_the_rows_along_the_output_axis() {
    // [out, in]: rows (3, 4, 0) and (0, 5, 12). [in, out]: columns of lengths 3, √41, 12.
    let weight = [3.0_f32, 4.0, 0.0, 0.0, 5.0, 12.0];
    assert_eq!(two_one_norm(&weight, Layout::new(&[2, 3], 0)).unwrap(), 18.0);
    let columns = 15.0 + 41.0_f64.sqrt();
    assert_close(two_one_norm(&weight, Layout::new(&[2, 3], 1)).unwrap(), columns);
    // [2, 2, 2] with the output axis in the middle: rows (1, 2, 5, 6) and (3, 4, 7, 8).
    let kernel: Vec<f64> = (1..=8).map(f64::from).collect();
    let expected = 66.0_f64.sqrt() + 138.0_f64.sqrt();
    assert_close(two_one_norm(&kernel, Layout::new(&[2, 2, 2], 1)).unwrap(), expected);
}

#[test]
fn the_two_one_norm_survives_any_magnitude_and_names_a_bad_entry() {
    let layout = Layout::new(&[2, 2], 0);
    let huge = [3e200, 4e200, 0.0, 1e200];
    assert_close(two_one_norm(&huge, layout).unwrap(), 6e200);
    assert_eq!(two_one_norm(&[0.0_f32; 4], layout).unwrap(), 0.0);
    let bad = two_one_norm(&[1.0, 2.0, f64::INFINITY, 0.0], layout).unwrap_err();
    assert_eq!(bad, EstimateError::NonFiniteEntry { index: 2, value: f64::INFINITY });
}

#[test]
fn the_lipschitz_product_does_not_overflow() {
    assert_close(ln_lipschitz_product(&[2.0, 3.0, 0.5]), 3.0_f64.ln());
    assert_close(ln_lipschitz_product(&[1e100; 12]), 1200.0 * 10.0_f64.ln());
    assert_eq!(ln_lipschitz_product(&[2.0, 0.0]), f64::NEG_INFINITY);
    assert_eq!(ln_lipschitz_product(&[]), 0.0);
}

#[test]
fn spectral_complexity_is_the_one_worked_out_by_hand() {
    // (16/2)^(2/3) = 4, (81/3)^(2/3) = 9: 6·13^(3/2).
    assert_close(ln_spectral_complexity(&[FIRST, SECOND]), (6.0 * 13.0_f64.powf(1.5)).ln());
}

#[test]
fn spectral_complexity_scales_with_every_layer() {
    let scaled = LayerNorms { spectral: 2e200, frobenius: 4e200, two_one: 16e200 };
    let growth =
        ln_spectral_complexity(&[scaled, SECOND]) - ln_spectral_complexity(&[FIRST, SECOND]);
    assert_close(growth, 1e200_f64.ln());
    assert_close(
        ln_spectral_complexity(&[scaled; 3]),
        3.0 * 2e200_f64.ln() + (12.0_f64.powf(1.5)).ln(),
    );
}

#[test]
fn a_zero_layer_far_from_its_reference_still_counts() {
    // ∏_{j≠l} σ_j·distance_l: 0·16 for the first, 2·5 for the zero one.
    let zero = LayerNorms { spectral: 0.0, frobenius: 0.0, two_one: 5.0 };
    assert_close(ln_spectral_complexity(&[FIRST, zero]), 10.0_f64.ln());
    let nothing = LayerNorms { two_one: 0.0, ..zero };
    assert_eq!(ln_spectral_complexity(&[FIRST, nothing]), f64::NEG_INFINITY);
}

#[test]
fn the_margin_bound_is_the_one_worked_out_by_hand() {
    // 50·8/(0.5·1000) = 0.8.
    assert_close(ln_margin_bound(8.0_f64.ln(), 50.0, 0.5, 1000), 0.8_f64.ln());
}

#[test]
fn the_pac_bayes_bound_is_the_one_worked_out_by_hand() {
    let setting = PacBayesSetting {
        input_radius: 3.0,
        width: 10,
        margin: 0.5,
        samples: 100,
        failure_probability: 0.01,
    };
    // B²d²h·ln(dh)·∏σ²·Σ stable ranks = 9·4·10·ln 20·36·(4 + 1), and ln(dm/δ) = ln 20000.
    let numerator: f64 = 360.0 * 20.0_f64.ln() * 36.0 * 5.0 + 20_000.0_f64.ln();
    let expected = (numerator / (0.25 * 100.0)).sqrt();
    assert_close(ln_pac_bayes_bound(&[FIRST, SECOND], &setting), expected.ln());
}

#[test]
fn the_fraction_within_a_margin_counts_those_at_it() {
    assert_eq!(fraction_within_margin(&[-1.0, 0.5, 0.5, 2.0], 0.5), 0.75);
}

fn assert_close(number: f64, expected: f64) {
    assert!(
        (number - expected).abs() <= 1e-13 * expected.abs().max(1.0),
        "{number} for {expected}"
    );
}
