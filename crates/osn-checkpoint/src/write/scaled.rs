//! The numbers that a tensor must hold for its weight in use to have the wanted σ.

use half::{bf16, f16};
use osn_core::act::Action;
use osn_core::layer::View;

use crate::measure::error::MeasureError;
use crate::measure::weight::{MeasureParams, WeightMeasurement, measure_entries};
use crate::read::dtype::{ByteOrder, Dtype, decode};

/// Rounding to the tensor's own type moves σ; this far from the target is near enough.
const NEAR: f64 = 1e-6;
/// How often a scale is corrected for that.
const MAX_CORRECTIONS: usize = 3;
/// Rounding alone never moves σ this far; numbers near the ends of a type's range do.
const FAR: f64 = 1e-2;

/// What is stored of one weight, in memory, and how the weight in use follows.
pub(crate) struct Loaded {
    /// The numbers that are scaled, as they are stored.
    pub(crate) stored: Vec<f64>,
    /// Their shape and type.
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
    /// The weight in use is each of these times the stored number of its place; none where it is the
    /// stored numbers themselves.
    pub(crate) factors: Option<Vec<f64>>,
    /// The place of each entry of the weight in use among the stored numbers.
    pub(crate) places: Option<Vec<usize>>,
    /// The shape of the weight in use, and what is measured on it.
    pub(crate) used_shape: Vec<usize>,
    pub(crate) params: MeasureParams,
}

/// The numbers to store, as bytes of their type, and what they come to.
pub(crate) struct Scaled {
    pub(crate) bytes: Vec<u8>,
    pub(crate) found: Vec<WeightMeasurement>,
    pub(crate) after: Vec<WeightMeasurement>,
    pub(crate) wanted: Vec<f64>,
    pub(crate) scales: Vec<f64>,
}

impl Loaded {
    fn used(&self, stored: &[f64]) -> Vec<f64> {
        let Some(factors) = &self.factors else {
            return stored.to_vec();
        };
        match &self.places {
            None => factors.iter().zip(stored).map(|(factor, entry)| factor * entry).collect(),
            Some(places) => {
                factors.iter().zip(places).map(|(factor, &at)| factor * stored[at]).collect()
            }
        }
    }

    fn measured(&self, stored: &[f64]) -> Result<Vec<WeightMeasurement>, MeasureError> {
        measure_entries(&self.used(stored), &self.used_shape, &self.params)
    }

    /// Each block at its wanted σ, as nearly as the type can hold it.
    pub(crate) fn scaled(&self, action: Action) -> Result<Scaled, MeasureError> {
        let found = self.measured(&self.stored)?;
        let first = |found: &WeightMeasurement| action.scale(1.0, found.sigma.value);
        let mut scales: Vec<f64> = found.iter().map(first).collect();
        let wanted: Vec<f64> =
            found.iter().zip(&scales).map(|(it, scale)| it.sigma.value * scale).collect();
        let mut corrections = 0;
        loop {
            let bytes = encode(&self.times(&scales), self.dtype);
            let mut entries = vec![0.0_f64; self.stored.len()];
            decode(self.dtype, ByteOrder::Little, &bytes, &mut entries, 1);
            if entries.iter().any(|entry| !entry.is_finite()) {
                // Beyond the range of the type, which `missed` then reports.
                return Ok(Scaled { bytes, after: vec![], found, wanted, scales });
            }
            let after = self.measured(&entries)?;
            corrections += 1;
            if corrections > MAX_CORRECTIONS || !correct(&mut scales, &after, &wanted) {
                return Ok(Scaled { bytes, found, after, wanted, scales });
            }
        }
    }

    /// The stored numbers times the scale of their block.
    fn times(&self, scales: &[f64]) -> Vec<f64> {
        let run = match &self.params.view {
            View::Blocks { axis, count } if self.shape.len() == self.used_shape.len() => {
                self.shape[*axis] / count * self.shape[axis + 1..].iter().product::<usize>()
            }
            _ => self.stored.len(),
        };
        let runs = self.stored.chunks(run.max(1)).zip(scales.iter().cycle());
        runs.flat_map(|(run, scale)| run.iter().map(move |entry| entry * scale)).collect()
    }
}

impl Scaled {
    /// The first σ that the type cannot hold, as it was and as it is wanted.
    pub(crate) fn missed(&self) -> Option<(f64, f64)> {
        let befores = self.found.iter().map(|found| found.sigma.value);
        let mut pairs = befores.zip(self.wanted.iter().copied()).zip(&self.scales).enumerate();
        let pair = pairs.find(|&(block, ((_, wanted), &scale))| {
            let after = self.after.get(block).map_or(f64::INFINITY, |after| after.sigma.value);
            scale != 1.0 && (after - wanted).abs() > FAR * wanted
        });
        pair.map(|(_, (pair, _))| pair)
    }
}

/// Moves the scales by which rounding has missed what was wanted; false where all are near enough.
fn correct(scales: &mut [f64], after: &[WeightMeasurement], wanted: &[f64]) -> bool {
    let mut is_moved = false;
    for ((scale, after), wanted) in scales.iter_mut().zip(after).zip(wanted) {
        let miss = after.sigma.value / wanted;
        // A weight that is left alone stays as it is, to the bit.
        if *scale != 1.0 && miss.is_finite() && miss > 0.0 && (miss - 1.0).abs() > NEAR {
            *scale /= miss;
            is_moved = true;
        }
    }
    is_moved
}

/// The smallest and the largest positive number of a type.
pub(crate) fn limits(dtype: Dtype) -> [f64; 2] {
    match dtype {
        Dtype::F16 => [2.0_f64.powi(-24), f16::MAX.to_f64()],
        Dtype::Bf16 => [2.0_f64.powi(-133), bf16::MAX.to_f64()],
        Dtype::F32 => [2.0_f64.powi(-149), f64::from(f32::MAX)],
        _ => [f64::from_bits(1), f64::MAX],
    }
}

/// Numbers rounded to the type, as safetensors has them.
#[expect(clippy::cast_possible_truncation, reason = "rounding is what it is for")]
fn encode(values: &[f64], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|&x| f16::from_f64(x).to_le_bytes()).collect(),
        Dtype::Bf16 => values.iter().flat_map(|&x| bf16::from_f64(x).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}
