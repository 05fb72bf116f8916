//! The first measurement of a weight: on the host, from nothing.

use crate::act::actuator::AppliedAction;
use crate::held::form::{Cut, Form, Map, Maps};
use crate::held::iteration::state_at;
use crate::layer::measurement::Measurement;
use crate::measure::convolution::ConvMap;
use crate::measure::error::EstimateError;
use crate::measure::estimate::{Estimate, stable_rank, start_vector};
use crate::measure::golub_kahan::{GolubKahanParams, golub_kahan};
use crate::measure::leading::leading_singular_values;
use crate::measure::operator::{DenseMap, LinearMap};
use crate::state_code::State;

/// What is known of a weight before its first refresh.
#[derive(Clone, Debug)]
pub struct Start {
    /// σ and residual of each block.
    pub blocks: Vec<Measurement>,
    /// The left vectors of each map of each block, one behind the other.
    pub u: Vec<f64>,
    /// The right vectors, likewise.
    pub v: Vec<f64>,
}

/// Up to 64 Golub-Kahan steps for each map, to a residual that power iterations then bring down:
/// what a start of training needs, not a certificate.
///
/// # Errors
///
/// [`EstimateError`] for a weight without entries, with one that is not finite, or whose products overflow.
pub fn cold_start(weight: &[f32], form: &Form) -> Result<Start, EstimateError> {
    check_entries(weight, form)?;
    let mut start = Start { blocks: Vec::new(), u: Vec::new(), v: Vec::new() };
    for block in 0..form.cut.count {
        let block = block_of(weight, form.cut, block);
        start.blocks.push(measure(&block, &form.maps, &mut start.u, &mut start.v)?);
    }
    Ok(start)
}

/// The start of a weight that cannot be measured: nothing is known, and any vector will do.
pub fn blank_start(form: &Form) -> Start {
    let unmeasured = Measurement::new(0.0, 1.0);
    Start {
        blocks: vec![unmeasured; form.cut.count],
        u: start_vector(form.maps.rows()),
        v: start_vector(form.maps.cols()),
    }
}

/// Refuses a weight without entries, or with one that is not finite.
///
/// # Errors
///
/// [`EstimateError::Empty`] and [`EstimateError::NonFiniteEntry`].
pub fn check_entries(weight: &[f32], form: &Form) -> Result<(), EstimateError> {
    if weight.is_empty() {
        return Err(EstimateError::Empty { rows: form.maps.rows(), cols: form.maps.cols() });
    }
    match weight.iter().position(|entry| !entry.is_finite()) {
        Some(index) => Err(EstimateError::NonFiniteEntry { index, value: weight[index].into() }),
        None => Ok(()),
    }
}

/// Measures each map of a block and appends its vectors.
fn measure(
    block: &[f32],
    maps: &Maps,
    u: &mut Vec<f64>,
    v: &mut Vec<f64>,
) -> Result<Measurement, EstimateError> {
    let (mut sigma, mut residual) = (0.0, 0.0_f64);
    for map in maps.iter() {
        let estimate = estimate(block, map)?;
        sigma += maps.share() * estimate.sigma;
        residual = residual.max(estimate.residual);
        u.extend(estimate.u);
        v.extend(estimate.v);
    }
    let squares: f64 = block.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    Ok(Measurement::new(sigma, residual).with_stable_rank(stable_rank(squares.sqrt(), sigma)))
}

/// `σ₂/σ₁` of each block: of its maps the mean σ₂ to the mean σ₁, so 0 for a zero weight. Nothing where
/// a block is a convolution's own map, which has no matrix.
///
/// # Errors
///
/// [`EstimateError`], as [`leading_singular_values`].
pub fn sigma_ratios(weight: &[f32], form: &Form) -> Result<Vec<Option<f64>>, EstimateError> {
    let Some(layouts) = form.maps.matrices() else { return Ok(vec![None; form.cut.count]) };
    let ratio = |block: usize| {
        let block = block_of(weight, form.cut, block);
        let (mut first, mut second) = (0.0, 0.0);
        for layout in layouts {
            let values = leading_singular_values(&block, *layout, 2)?;
            first += values[0];
            second += values.get(1).unwrap_or(&0.0);
        }
        Ok(Some(if first > 0.0 { second / first } else { 0.0 }))
    };
    (0..form.cut.count).map(ratio).collect()
}

fn estimate(block: &[f32], map: Map) -> Result<Estimate, EstimateError> {
    match map {
        Map::Matrix(layout) => {
            let shape = [layout.outer, layout.rows, layout.inner];
            leading(&DenseMap::from_tensor(block, &shape, 1)?)
        }
        Map::Convolution(geometry) => leading(&ConvMap::new(block, *geometry)?),
    }
}

fn leading<M: LinearMap>(map: &M) -> Result<Estimate, EstimateError> {
    let params = GolubKahanParams { n_steps: 16, tolerance: 1e-4, n_restarts: 3 };
    golub_kahan(map, &start_vector(map.cols()), &params)
}

/// The elements of one block in its own row-major order.
pub fn block_of(weight: &[f32], cut: Cut, block: usize) -> Vec<f32> {
    let runs = weight.chunks_exact(cut.inner).skip(block).step_by(cut.count);
    runs.flatten().copied().collect()
}

/// The state that follows from a measurement and the action in force.
pub fn state_of(measured: Measurement, applied: &AppliedAction) -> State {
    state_at(measured.sigma, measured.residual.clamp(0.0, 1.0), 0, applied)
}
